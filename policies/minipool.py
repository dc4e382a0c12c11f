"""A ``PoolView`` in memory, for tests of policies."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final
from zlib import crc32

from distributor.domain.curve import worth
from distributor.domain.draws import draw
from distributor.domain.floor import FlowPlan, PoolPlan
from distributor.domain.ids import NANOSECONDS
from distributor.domain.lead import Lead
from distributor.domain.rep import Rep
from distributor.domain.shares import is_at_work, settle, share_in_force, waited_in_vain

START_NS: Final = 1_790_000_000 * NANOSECONDS
OWNER_HOLD_SECONDS: Final = 30.0
PEAK_SECONDS: Final = 20.0
CALM_SECONDS: Final = 52.0


class MiniPool:
    """A ``PoolView`` over plain dictionaries. Tests write to ``reps`` and ``leads`` directly."""

    def __init__(self, flow: FlowPlan | None = None, seed: int = 1) -> None:
        self.plan = PoolPlan(id="mini")
        self.flow = flow or FlowPlan()
        self.reps: dict[str, Rep] = {}
        self.leads: dict[str, Lead] = {}
        self.now_ns = START_NS
        self.keeps_shares = True
        self._seed = seed

    @property
    def members(self) -> dict[str, Rep]:
        return self.reps

    @property
    def receiving(self) -> dict[str, Rep]:
        return {rep.id: rep for rep in self.reps.values() if self._receives(rep)}

    @property
    def available(self) -> dict[str, Rep]:
        return {rep.id: rep for rep in self.receiving.values() if len(rep.open) < rep.window}

    @property
    def waiting(self) -> int:
        return len(self._waiting())

    def lead(self, key: str) -> Lead | None:
        return self.leads.get(key)

    def younger(self, now_ns: int, seconds: float) -> int:
        return sum(self.age_seconds(lead, now_ns) <= seconds for lead in self._waiting())

    def best(self, now_ns: int, *, calm: bool = False) -> Lead | None:
        receiving = self.receiving.values()
        for lead in self.in_order(now_ns, len(self.leads), calm=calm):
            if any(self.may_take(rep, lead) for rep in receiving):
                return lead
        return None

    def in_order(self, now_ns: int, limit: int, *, calm: bool = False) -> Iterator[Lead]:
        ordered = sorted(
            self._waiting(),
            key=lambda lead: (-self.order_index(lead, now_ns, calm=calm), lead.clock_ns),
        )
        return islice(iter(ordered), limit)

    def oldest(self, limit: int) -> Iterator[Lead]:
        return islice(iter(sorted(self._waiting(), key=lambda lead: lead.clock_ns)), limit)

    def may_take(self, rep: Rep, lead: Lead) -> bool:
        if rep.id in lead.excluded or self.held_for_other(rep, lead):
            return False
        return rep.override is None or not self._kept_from(rep, lead)

    def _kept_from(self, rep: Rep, lead: Lead) -> bool:
        """Whether a supervisor's override keeps the lead from the rep, as in the core."""
        share = share_in_force(rep, self.now_ns)
        if share in (0.0, 1.0):
            return share == 0.0
        span_ns = self.span_ns(self.flow.lease_seconds)
        if not self.keeps_shares or waited_in_vain(rep, lead, span_ns, self.now_ns):
            return False
        chance = self.draw(crc32(rep.id.encode()), crc32(lead.key.encode()))
        if rep.share_due >= -chance:
            return False
        slowed, full = self._at_work()
        due = [one for one in slowed if one.share_due > rep.share_due and one.override]
        return any(one.id not in lead.excluded for one in [*full, *due])

    def _at_work(self) -> tuple[list[Rep], list[Rep]]:
        """Who is at work with an override below 1, and in full flow without."""
        here = [rep for rep in self.reps.values() if is_at_work(rep, self.now_ns)]
        slowed = [rep for rep in here if share_in_force(rep, self.now_ns) < 1.0]
        full = [rep for rep in here if rep.flow.value >= 1.0 or rep.flow.ignored]
        return slowed, [rep for rep in full if rep not in slowed]

    def given(self, rep: Rep) -> None:
        """A lead was given to the rep: those with an override are due their share of it."""
        slowed, full = self._at_work()
        settle(rep, slowed, len(full), self.now_ns)

    def held_for_other(self, rep: Rep, lead: Lead) -> bool:
        """Whether the lead still waits for its owner, who is another rep and at work."""
        owner = self.reps.get(lead.prefers)
        if owner is None or lead.prefers in (rep.id, *lead.excluded):
            return False
        at_work = owner.state not in ("offline", "away") and owner.paused_until_ns <= self.now_ns
        return at_work and self.now_ns < self.hold_ends_ns(lead)

    def hold_ends_ns(self, lead: Lead) -> int:
        """When a lead stops to wait for its owner."""
        return lead.since_ns + self.span_ns(OWNER_HOLD_SECONDS)

    def order_index(self, lead: Lead, now_ns: int, *, calm: bool = False) -> float:
        age = self.age_seconds(lead, now_ns)
        if calm and PEAK_SECONDS < age <= CALM_SECONDS:
            age = PEAK_SECONDS
        return lead.quality * (worth(age + 10.0) - worth(age + 70.0))

    def age_seconds(self, lead: Lead, now_ns: int) -> float:
        return self.seconds(lead.clock_ns, now_ns)

    def seconds(self, since_ns: int, now_ns: int) -> float:
        return self.flow.floor_seconds(now_ns - since_ns)

    def span_ns(self, seconds: float) -> int:
        return self.flow.span_ns(seconds)

    def draw(self, *parts: int) -> float:
        return draw(self._seed, *parts)

    def looks_again(self) -> list[int]:
        """When a lead that waits beside a rep with an override is looked at again: at whole minutes."""
        slowed, _ = self._at_work()
        if not self.keeps_shares or not self._waiting() or not slowed:
            return []
        return [(self.now_ns // self.span_ns(60.0) + 1) * self.span_ns(60.0)]

    def waiting_for_owners(self) -> list[Lead]:
        """The leads that wait and have an owner."""
        return [lead for lead in self._waiting() if lead.prefers]

    def _waiting(self) -> list[Lead]:
        """Without test leads: no policy gives them, so none sees them."""
        waiting = [lead for lead in self.leads.values() if lead.state == "waiting"]
        return [lead for lead in waiting if not lead.test]

    def _receives(self, rep: Rep) -> bool:
        ready = rep.listed and rep.state == "ready"
        return ready and max(rep.paused_until_ns, rep.free_from_ns) <= self.now_ns
