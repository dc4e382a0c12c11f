"""A floor of ready reps, for scenes of push policies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from distributor.domain.floor import FlowPlan
from distributor.domain.policy import Policy
from distributor.domain.rep import Rep
from policies.miniature import MiniFloor


class Desk(MiniFloor):
    """A floor of ready reps with wide windows, and a count of who got what."""

    def __init__(self, policy: Callable[[], Policy], reps: int = 3, window: int = 10_000) -> None:
        super().__init__(policy, reps, window=window, flow=FlowPlan(lease_seconds=1e9))
        for rep in list(self.pool.reps):
            self.presence(rep, "ready")
        self.number = 0

    def rep(self, place: int) -> Rep:
        return self.pool.reps[f"rep{place}"]

    def give(self, count: int = 1, *, test: bool = False) -> str:
        """``count`` leads come in, one a second; the rep who got the last one."""
        key = ""
        for _ in range(count):
            self.number += 1
            key = f"L{self.number:05}"
            self.lead(key, test=test)
            self.advance(1.0)
        return self.pool.leads[key].rep

    @property
    def counts(self) -> Counter[str]:
        return Counter(lead.rep for lead in self.pool.leads.values() if not lead.test)
