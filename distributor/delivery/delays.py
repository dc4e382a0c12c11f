"""Assignments that do not reach their dialers at once: the core is told, so that no rep is judged by a lead
that is still here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from distributor.delivery.outbox import Outbox
from distributor.domain.floor import FlowPlan
from distributor.domain.messages import Outgoing, Result

WAITS_SECONDS: Final = 6.0
"""Undelivered for so long (floor time), and again after as long: before anybody would move the lead on."""
LATE_SECONDS: Final = 2.0
"""Delivered later than this after the decision (floor time): the lease begins at the delivery."""
LEAST_SECONDS: Final = 0.25
"""Real seconds under which neither says anything, however fast the floor's time goes."""
MOST_AT_ONCE: Final = 256

UNHEARD: Final = "nobody is subscribed at the broker"

Tell = Callable[[Sequence[str], bool, str], None]
"""(assignment ids, delivered, reason), as of ``DeliveryDelayed``."""


class DelayWatch:
    """Looks after the assignments in the ``outbox``. ``flow``: the settings in force. ``tell`` is called on
    the loop."""

    def __init__(
        self,
        outbox: Outbox,
        now_ns: Callable[[], int],
        flow: Callable[[], FlowPlan],
        tell: Tell,
    ) -> None:
        self._outbox = outbox
        self._now_ns = now_ns
        self._flow = flow
        self._tell = tell
        self._late: list[str] = []
        self._unheard: list[str] = []

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            seconds = self._real(WAITS_SECONDS)
            await asyncio.sleep(seconds)
            self.look(seconds)

    def look(self, seconds: float) -> None:
        """Tell of the assignments that are not delivered ``seconds`` after they were decided. Not of those
        that are older than a whole lease: then the lead goes on without blame, whatever holds it up."""
        flow, now_ns = self._flow(), self._now_ns()
        decided_by_ns = now_ns - round(seconds * 1e9)
        not_before_ns = now_ns - flow.span_ns(flow.lease_seconds)
        for target in self._outbox.targets:
            lanes = self._outbox.lanes(target)
            waiting = lanes.unsettled("assign", not_before_ns, decided_by_ns)
            self._tell_all(waiting, False, "")

    def settled(self, message: Outgoing, result: Result, seconds: float) -> None:
        """What became of a message, so many real seconds after it was decided."""
        if result != "done" or message.kind != "assign" or seconds < self._real(LATE_SECONDS):
            return
        self._soon(self._late, message.message_id)

    def unheard(self, assignment_id: str) -> None:
        """The broker took an assignment that it could hand to nobody."""
        self._soon(self._unheard, assignment_id)

    def _soon(self, ids: list[str], assignment_id: str) -> None:
        """Tell of it together with the others of the same turn of the loop."""
        if not self._late and not self._unheard:
            asyncio.get_running_loop().call_soon(self._tell_noted)
        ids.append(assignment_id)

    def _tell_noted(self) -> None:
        late, unheard = self._late, self._unheard
        self._late, self._unheard = [], []
        self._tell_all(late, True, "")
        self._tell_all(unheard, False, UNHEARD)

    def _tell_all(self, ids: Sequence[str], delivered: bool, reason: str) -> None:
        for at in range(0, len(ids), MOST_AT_ONCE):
            self._tell(ids[at : at + MOST_AT_ONCE], delivered, reason)

    def _real(self, seconds: float) -> float:
        return max(LEAST_SECONDS, seconds / self._flow().time_scale)
