"""What the baselines share that keep leads in one queue until a rep has room by a limit of their own.

The limit belongs to the policy: the core's window is wide, see ``FirstCome``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from distributor.domain.lead import Lead
from distributor.domain.policy import Defer, Intent, PoolView
from distributor.domain.rep import Rep
from policies.baselines.first_come import FirstCome
from policies.longest_idle import LongestIdle
from policies.push import Key, called, since

NO_ROOM: Final = "no_room"
"""Why the first lead of the queue waits although reps are ready."""


class CentralQueue(FirstCome, LongestIdle):
    """The oldest lead goes to the rep with room who has the fewest open leads, then to the longest idle.

    A subclass gives ``_used`` and ``_limit``, in leads, and ``counted``, what they are called.
    """

    reason: ClassVar[str] = "has_room"
    counted: ClassVar[str] = "open"
    waited: ClassVar[str] = "been idle"

    def _used(self, rep: Rep) -> int:
        """How much of its limit a rep has used."""
        raise NotImplementedError

    def _limit(self, rep: Rep, now_ns: int) -> int:
        """How much it may use, 1 or more."""
        raise NotImplementedError

    def _has_room(self, rep: Rep, now_ns: int) -> bool:
        return self._used(rep) < self._limit(rep, now_ns)

    def _place(self, rep: Rep, now_ns: int) -> None:
        if self._has_room(rep, now_ns):
            super()._place(rep, now_ns)
        else:
            self._line.drop(rep.id)

    def contacted(self, lead: Lead, rep: Rep, at_ns: int, *, counted: bool, now_ns: int) -> None:
        """A contact may make room."""
        super().contacted(lead, rep, at_ns, counted=counted, now_ns=now_ns)
        self._place(rep, now_ns)

    def _leads(self, pool: PoolView, now_ns: int) -> Iterator[Lead]:
        anybody = any(True for _ in self._line.walk(pool.available))
        return super()._leads(pool, now_ns) if anybody else iter(())

    def _order(
        self, pool: PoolView, lead: Lead, available: Mapping[str, Rep], now_ns: int
    ) -> Iterator[tuple[Key, Rep]]:
        walk = self._line.walk(available)
        return ((key, rep) for key, rep in walk if self._has_room(rep, now_ns))

    def next_intent(self, now_ns: int) -> Intent | None:
        """Lease the oldest lead that a rep with room may take, or say why the first one waits."""
        return super().next_intent(now_ns) or self._wait(now_ns)

    def _wait(self, now_ns: int) -> Defer | None:
        pool = self._pool
        head = next(pool.oldest(1), None) if pool is not None else None
        if pool is None or head is None or head.reason == NO_ROOM:
            return None
        ready = [rep for rep in pool.available.values() if pool.may_take(rep, head)]
        if not ready or any(self._has_room(rep, now_ns) for rep in ready):
            return None
        least = min(self._used(rep) for rep in ready)
        because = (
            f"All {len(ready)} rep(s) who are ready for it have as many {self.counted} leads as they "
            f"may, {least} or more."
        )
        return Defer(head.key, NO_ROOM, because)

    def _sentence(
        self, pool: PoolView, best: tuple[Key, Rep], second: Key | None, now_ns: int
    ) -> str:
        (_, since_ns, _), rep = best
        idle = f"has {self.waited} for {since(pool, since_ns, now_ns)}"
        idle = idle if since_ns else "has had no lead yet"
        return (
            f"{called(rep)} has room, {self._used(rep)} of {self._limit(rep, now_ns)} {self.counted} "
            f"leads, and {idle}; {self._next(pool, best[0], second, now_ns)}."
        )


class Uncontacted(CentralQueue):
    """A limit of the leads that were not contacted. Nothing else is looked at: a rep in a call with none
    waiting stands beside the idle ones, in the order of their last lead."""

    note: ClassVar[str] = "uncontacted_leads"
    counted: ClassVar[str] = "uncontacted"
    waited: ClassVar[str] = "had no new lead"

    def load(self, rep: Rep) -> float:
        """Leads that were not contacted."""
        return float(rep.uncontacted)

    def since_ns(self, rep: Rep) -> int:
        """The time of the rep's last lead."""
        return rep.last_assigned_ns

    def _used(self, rep: Rep) -> int:
        return rep.uncontacted
