"""Who gets how many leads, where reps may take different ones: ten reps, one lead after the other."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from distributor.domain.lead import Lead
from distributor.domain.policy import Lease
from distributor.domain.rep import Rep
from policies.baselines.random_rep import Random
from policies.baselines.round_robin import RoundRobin
from policies.fair import Fair
from policies.miniature import MiniFloor, MiniPool
from policies.opportunity_fair import OpportunityFair
from policies.push import PushPolicy
from policies.rotate import Rotate
from tests.policies.desk import Desk

LEADS = 10_000
Eligible = Callable[[random.Random], list[str]]
REPS = [f"r{number}" for number in range(10)]


def licences(chance: random.Random) -> list[str]:
    """Three reps hold A and B, seven B alone; 30 % of the leads are A."""
    return REPS[:3] if chance.random() < 0.3 else REPS


def some(chance: random.Random) -> list[str]:
    """Each lead is for a random 60 % of the reps."""
    return [rep for rep in REPS if chance.random() < 0.6] or REPS


class _Ring(MiniPool):
    """Ten reps who are always free, and one lead at a time for those whom ``eligible`` names."""

    available: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.reps = {rep: Rep(rep, "t", state="ready", open={}) for rep in REPS}
        self.available = self.reps
        self.eligible: list[str] = []
        self.only = Lead("L", "v", "L", "mini", "waiting", self.now_ns, self.now_ns)

    def may_take(self, rep: Rep, lead: Lead) -> bool:
        return rep.id in self.eligible

    def best(self, now_ns: int) -> Lead:
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
        pool.only = Lead(f"L{number}", "v", "L", "mini", "waiting", pool.now_ns, pool.now_ns)
        pool.now_ns += 1_000_000_000
        lease = chooser.next_intent(pool.now_ns)
        assert isinstance(lease, Lease)
        chooser.leased(pool.only, pool.reps[lease.rep], pool.now_ns)
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
    desk.rep(1).window = 0
    desk.changed(desk.rep(1))
    desk.give(90)
    desk.rep(1).window = 1000
    desk.changed(desk.rep(1))
    desk.presence("rep2", "ready")
    before = desk.counts
    desk.give(30)
    assert set((desk.counts - before).values()) == {10}


def test_opportunity_fair_goes_by_an_override_and_a_delivery_that_failed() -> None:
    desk = Desk(OpportunityFair, reps=2)
    desk.rep(0).override = 0.5
    desk.changed(desk.rep(0))
    desk.give(300)
    assert 98 <= desk.counts["rep0"] <= 102
    desk.rep(0).override = 0.0
    desk.changed(desk.rep(0))
    before = desk.counts
    desk.give(20)
    assert desk.counts["rep0"] == before["rep0"]
    even = Desk(OpportunityFair, reps=2)
    even.give(4)
    for key in ("L00001", "L00003"):
        even.end(key, "delivery_failed", blame=False, excluded=True)
    before = even.counts
    even.give(10)
    assert (even.counts - before)["rep0"] == 6


def test_opportunity_fair_says_what_the_rep_is_due() -> None:
    floor = MiniFloor(OpportunityFair, 2)
    floor.presence("rep0", "ready")
    floor.presence("rep1", "ready")
    floor.lead("A")
    floor.lead("B")
    assert "rep1 is furthest below its share" in floor.log[-1]
    assert "leads_due': 0.5" in floor.log[-1]
