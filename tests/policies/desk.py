"""A floor of ready reps, for scenes of push policies; and a bare pool, for a policy without a floor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from distributor.core.pool import Pool
from distributor.domain.floor import FlowPlan, PoolPlan
from distributor.domain.lead import Lead, LeadStatus
from distributor.domain.policy import PolicyFactory
from distributor.domain.rep import Rep
from policies.conformance import SmallFloor


class Desk(SmallFloor):
    """A floor of ready reps with wide windows, and a count of who got what."""

    def __init__(self, policy: PolicyFactory, reps: int = 3, window: int = 10_000) -> None:
        super().__init__(policy, reps, window=window, lease_seconds=1e9)
        self.ready()
        self.number = 0

    def rep(self, place: int) -> Rep:
        return self.reps[f"rep{place}"]

    def give(self, count: int = 1, *, test: bool = False) -> str:
        """``count`` leads come in, one a second; the rep who got the last one."""
        name = ""
        for _ in range(count):
            self.number += 1
            name = f"L{self.number:05}"
            self.lead(name, test=test)
            self.advance(1.0)
        return self.leads[name].rep

    def attempt(self, name: str) -> None:
        self.report("attempted", name, result="no_answer")

    def contact(self, name: str) -> None:
        self.report("contacted", name)

    def claim(self, name: str) -> None:
        self.report("contacted", name, evidence="claimed")

    def finish(self, name: str, status: LeadStatus = "lost") -> None:
        self.report("status", name, status=status)

    @property
    def counts(self) -> Counter[str]:
        return Counter(lead.rep for lead in self.leads.values() if not lead.test)


class BarePool(Pool):
    """A pool of the core with these reps, all of them free, and nothing around it."""

    def __init__(self, reps: Iterable[Rep], **flow: Any) -> None:
        self.clock = SimpleNamespace(now_ns=1_790_000_000_000_000_000)
        super().__init__(PoolPlan("default"), FlowPlan(**flow), {}, 1, {}, self.clock)
        self.members = {rep.id: rep for rep in reps}
        self.receiving = self.available = self.members


def a_lead(now_ns: int, key: str = "L") -> Lead:
    return Lead(key, "v", "L", "default", "waiting", now_ns, now_ns)
