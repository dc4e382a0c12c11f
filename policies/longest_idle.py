"""``longest_idle``: the rep with the fewest open leads who has been free for longest.

With a window of 1 this is the usual rule of call distributors. It rewards slow work less than a
pointer does, but a rep who answers nothing comes up again and again: nothing is learnt here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from distributor.domain.decisions import EndCause, WorkEndCause
from distributor.domain.lead import Lead
from distributor.domain.policy import PoolView
from distributor.domain.rep import Rep
from policies.push import Key, PushPolicy, RepOrder, called, several, since


class LongestIdle(PushPolicy):
    """Fewest open leads, then longest since the rep was freed or got a lead, then the id."""

    reason: ClassVar[str] = "longest_idle"
    note: ClassVar[str] = "open_leads"

    def __init__(self) -> None:
        super().__init__()
        self._line = RepOrder()

    def load(self, rep: Rep) -> float:
        """What makes a rep less free than another: its open leads."""
        return float(len(rep.open))

    def since_ns(self, rep: Rep) -> int:
        """Since when the rep waits, among those with the same load."""
        return max(rep.last_freed_ns, rep.last_assigned_ns)

    def start(self, pool: PoolView, now_ns: int) -> None:
        """Line up the members; everything is read from the pool."""
        super().start(pool, now_ns)
        self._line.clear()
        for rep in pool.members.values():
            self._place(rep, now_ns)

    def rep_changed(self, rep: Rep, now_ns: int) -> None:
        """Slots or idle time may have changed."""
        self._place(rep, now_ns)

    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """One slot fewer."""
        self._place(rep, now_ns)

    def lease_ended(
        self, lead: Lead, rep: Rep, cause: EndCause, *, blame: bool, now_ns: int
    ) -> None:
        """One slot more."""
        self._place(rep, now_ns)

    def work_ended(
        self,
        lead: Lead,
        rep: Rep,
        cause: WorkEndCause,
        at_ns: int,
        now_ns: int,
        *,
        counted: bool,
    ) -> None:
        """One slot more."""
        self._place(rep, now_ns)

    def _order(
        self, pool: PoolView, lead: Lead, available: Mapping[str, Rep], now_ns: int
    ) -> Iterable[tuple[Key, Rep]]:
        return self._line.walk(available)

    def _sentence(
        self, pool: PoolView, best: tuple[Key, Rep], second: Key | None, now_ns: int
    ) -> str:
        (_, since_ns, _), rep = best
        idle = f"for {since(pool, since_ns, now_ns)}" if since_ns else "from the start"
        return (
            f"{called(rep)} has waited {idle} with {len(rep.open)} of {rep.window} slots in use; "
            f"{self._next(pool, best[0], second, now_ns)}."
        )

    def _told(self, pool: PoolView, key: Key, place: int, now_ns: int) -> str:
        load, since_ns, _ = key
        idle = f"waiting for {since(pool, since_ns, now_ns)}" if since_ns else "no lead yet"
        return f"{several(load, self.note.replace('_', ' ').removesuffix('s'))}, {idle}"

    def _place(self, rep: Rep, now_ns: int) -> None:
        if self._pool is not None and rep.id in self._pool.members:
            self._line.put((self.load(rep), self.since_ns(rep), rep.id))
