"""Who gets how many leads, where reps may take different ones: ten reps, one lead after the other."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from distributor.domain.floor import RepPlan
from distributor.domain.lead import Lead
from distributor.domain.policy import Lease
from distributor.domain.rep import Rep
from policies.baselines.random_rep import Random
from policies.baselines.round_robin import RoundRobin
from policies.conformance import SmallFloor
from policies.fair import Fair
from policies.opportunity_fair import OpportunityFair
from policies.push import PushPolicy
from policies.rotate import Rotate
from tests.policies.desk import BarePool, Desk, a_lead

LEADS = 10_000
Eligible = Callable[[random.Random], list[str]]
REPS = [f"r{number}" for number in range(10)]


def licences(chance: random.Random) -> list[str]:
    """Three reps hold A and B, seven B alone; 30 % of the leads are A."""
    return REPS[:3] if chance.random() < 0.3 else REPS


def some(chance: random.Random) -> list[str]:
    """Each lead is for a random 60 % of the reps."""
    return [rep for rep in REPS if chance.random() < 0.6] or REPS


class _Ring(BarePool):
    """Ten reps who are always free, and one lead at a time for those whom ``eligible`` names."""

    def __init__(self) -> None:
        super().__init__([Rep(rep, "t", state="ready", open={}) for rep in REPS])
        self.eligible: list[str] = []
        self.only = a_lead(self.now_ns)

    def may_take(self, rep: Rep, lead: Lead, now_ns: int | None = None) -> bool:
        return rep.id in self.eligible

    def best(self, now_ns: int, *, calm: bool = False) -> Lead:
        return self.only

    def oldest(self, limit: int) -> Iterator[Lead]:
        return iter((self.only,))


@cache
def play(policy: type[PushPolicy], eligible: Eligible) -> tuple[float, float]:
    """Most leads of a rep by fewest, and the largest difference from what would be its share."""
    pool, chooser, chance = _Ring(), policy(), random.Random(1)
    chooser.start(pool, pool.now_ns)
    counts, shares = dict.fromkeys(REPS, 0), dict.fromkeys(REPS, 0.0)
    for number in range(LEADS):
        pool.eligible = eligible(chance)
        pool.only = a_lead(pool.now_ns, f"L{number}")
        pool.clock.now_ns += 1_000_000_000
        lease = chooser.next_intent(pool.now_ns)
        assert isinstance(lease, Lease)
        chooser.leased(pool.only, pool.members[lease.rep], pool.now_ns)
        counts[lease.rep] += 1
        for rep in pool.eligible:
            shares[rep] += 1 / len(pool.eligible)
    off = max(abs(counts[rep] - shares[rep]) for rep in REPS)
    return max(counts.values()) / min(counts.values()), off


@pytest.mark.parametrize(
    ("policy", "ratio", "within"),
    [
        (Rotate, 11.3, 1.5),
        (RoundRobin, 11.3, 1.5),
        (Random, 2.7, 0.3),
        (Fair, 1.01, 0.02),
        (OpportunityFair, 2.4, 0.15),
    ],
)
def test_where_licences_differ_each_policy_is_as_even_as_it_is_known_to_be(
    policy: type[PushPolicy], ratio: float, within: float
) -> None:
    assert play(policy, licences)[0] == pytest.approx(ratio, abs=within)


def test_only_opportunity_fair_gives_each_rep_its_share_of_what_it_may_take() -> None:
    assert play(OpportunityFair, licences)[1] <= 1.0
    assert play(OpportunityFair, some)[1] <= 1.0
    assert play(Random, licences)[1] > 20.0
    assert play(Rotate, licences)[1] > 200.0


@pytest.mark.parametrize("policy", [Random, Fair, OpportunityFair])
def test_where_chances_are_even_so_are_the_leads(policy: type[PushPolicy]) -> None:
    assert 1.0 <= play(policy, some)[0] < 1.15


def test_opportunity_fair_owes_nothing_to_who_was_away_or_had_no_free_slot() -> None:
    desk = Desk(OpportunityFair)
    desk.presence("rep2", "away")
    desk.settings(["rep0", RepPlan("rep1", "north", window=0), "rep2"])
    desk.give(90)
    desk.settings(["rep0", "rep1", "rep2"])
    desk.presence("rep2", "ready")
    before = desk.counts
    desk.give(30)
    assert set((desk.counts - before).values()) == {10}


def test_opportunity_fair_goes_by_an_override_and_a_delivery_that_failed() -> None:
    desk = Desk(OpportunityFair, reps=2)
    desk.supervise("override", "rep0", flow=0.5)
    desk.give(300)
    assert 98 <= desk.counts["rep0"] <= 102
    desk.supervise("override", "rep0", flow=0.0)
    before = desk.counts
    desk.give(20)
    assert desk.counts["rep0"] == before["rep0"]
    even = Desk(OpportunityFair, reps=2)
    even.give(4)
    for key in ("L00001", "L00003"):
        even.fail(key, hold=True)
    before = even.counts
    even.give(10)
    assert (even.counts - before)["rep0"] == 6


def test_opportunity_fair_says_what_the_rep_is_due() -> None:
    floor = SmallFloor(OpportunityFair, 2)
    floor.ready()
    floor.lead("A")
    floor.lead("B")
    told = floor.intents[-1]
    assert isinstance(told, Lease)
    assert "rep1 is furthest below its share" in told.because
    assert told.numbers["leads_due"] == 0.5
