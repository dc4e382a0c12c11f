"""Times that are not ours: those of others in our own, and what kept a deadline from being on time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from msgspec.structs import replace

from distributor.domain.events import (
    LeadEvent,
    LeadReceived,
    PresenceReported,
    StoodStill,
    SupervisorActed,
)
from distributor.domain.ids import to_ns, to_seconds

if TYPE_CHECKING:
    from distributor.domain.events import Event

log = structlog.get_logger(__name__)

STILL_SECONDS = 2.0
"""Work does not make a deadline so late: the process did not run, or its clock was put forward."""
CATCH_UP_SECONDS = 1.0
"""Then deadlines wait so long, for what was said meanwhile to be read."""
_STILL_REMEDY = (
    "nobody is blamed: leases begin anew; look at what took the machine (swap, a paused VM, disk)"
)
_JUMP_REMEDY = (
    "nobody is blamed: leases begin anew; look at what set the clock (NTP, a VM that was resumed)"
)


def in_our_time(event: Event, ahead_ns: int, now_ns: int) -> Event:
    """The event, with the times that others gave by the machine's clock as ours are, which are
    ``ahead_ns`` later. Nothing was received after ``now_ns``."""
    if isinstance(event, LeadReceived):
        submitted_ns = event.submitted_ns + ahead_ns if event.submitted_ns else 0
        received_ns = min(event.received_ns + ahead_ns, now_ns)
        return replace(event, received_ns=received_ns, submitted_ns=submitted_ns)
    if isinstance(event, LeadEvent):
        at_ns = event.at_ns + ahead_ns if event.at_ns else 0
        callback_ns = event.callback_ns + ahead_ns if event.callback_ns else 0
        return replace(event, at_ns=at_ns, callback_ns=callback_ns)
    if isinstance(event, PresenceReported) and event.at_ns:
        return replace(event, at_ns=event.at_ns + ahead_ns)
    if isinstance(event, SupervisorActed) and event.until_ns:
        return replace(event, until_ns=event.until_ns + ahead_ns)
    return event


class StandStills:
    """Tells a process that did not run, or a clock that was put forward, from work that took long.
    ``no_deadline_before_ns``: after a stand-still, deadlines wait until then."""

    def __init__(self) -> None:
        self.no_deadline_before_ns = 0
        self._looked_ns = 0
        self._looked_steady_ns = 0

    def looked(self, now_ns: int, steady_ns: int) -> None:
        """The loop looked at the deadlines: until now it ran."""
        self._looked_ns, self._looked_steady_ns = now_ns, steady_ns

    def before(self, due_ns: int, now_ns: int, steady_ns: int) -> StoodStill | None:
        """The stand-still that kept a deadline from being on time; None where it is not so late. The log
        says whether the process stood still or the clock went further than the steady one."""
        late_seconds = to_seconds(now_ns - max(due_ns, self._looked_ns))
        if late_seconds < STILL_SECONDS:
            return None
        self.no_deadline_before_ns = now_ns + to_ns(CATCH_UP_SECONDS)
        passed_ns = steady_ns - self._looked_steady_ns
        jumped_seconds = to_seconds(now_ns - self._looked_ns - passed_ns)
        jumped = 2 * jumped_seconds > late_seconds
        seconds = round(late_seconds, 1)
        if jumped:
            by = round(jumped_seconds, 1)
            log.warning("clock_put_forward", seconds=by, late_seconds=seconds, remedy=_JUMP_REMEDY)
        else:
            log.warning("stood_still", seconds=seconds, remedy=_STILL_REMEDY)
        return StoodStill(late_seconds, jumped)
