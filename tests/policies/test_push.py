"""What each push policy promises, on the small floor."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.domain.floor import RepPlan
from distributor.domain.lead import Lead
from distributor.domain.policy import Lease
from distributor.domain.rep import Flow, Rep
from policies.conformance import SmallFloor
from policies.fair import Fair
from policies.least_loaded import LeastLoaded
from policies.longest_idle import LongestIdle
from policies.opportunity_fair import OpportunityFair
from policies.push import RANKED, PushPolicy, RepOrder
from policies.rotate import Rotate
from policies.weighted import Weighted
from tests.policies.desk import BarePool, Desk, a_lead
from tests.policies.shipped import ENTRIES, load

PUSH = [Fair, LongestIdle, LeastLoaded, Weighted, Rotate, OpportunityFair]


def test_a_supervisors_override_slows_a_rep_in_fair_and_weighted() -> None:
    for policy in (Fair, Weighted):
        desk = Desk(policy)
        desk.supervise("override", "rep1", flow=0.5)
        desk.give(50)
        assert desk.counts["rep1"] == 10, policy


def test_a_test_lead_takes_no_turn() -> None:
    for policy in (Fair, Weighted, Rotate):
        desk = Desk(policy)
        desk.give()
        desk.give(5, test=True)
        assert desk.give() == "rep1", policy


def test_longest_idle_prefers_the_rep_with_fewer_open_leads_then_the_longest_wait() -> None:
    desk = Desk(LongestIdle, window=3)
    assert [desk.give() for _ in range(3)] == ["rep0", "rep1", "rep2"]
    desk.contact("L00002")
    desk.finish("L00002")
    assert desk.give() == "rep1"


def test_least_loaded_counts_what_waits_for_a_call_and_what_is_in_one() -> None:
    desk = Desk(LeastLoaded, reps=2)
    desk.give(8)
    assert desk.counts == {"rep0": 4, "rep1": 4}
    desk.contact(next(key for key, lead in desk.leads.items() if lead.rep == "rep0"))
    desk.give(2)
    assert desk.counts == {"rep0": 5, "rep1": 5}
    desk.finish(next(key for key, lead in desk.leads.items() if lead.state == "working"))
    assert desk.give() == "rep0"


def test_least_loaded_draws_among_equals() -> None:
    desk = Desk(LeastLoaded, reps=5)
    firsts = []
    for _ in range(100):
        firsts.append(desk.give())
        desk.contact(f"L{desk.number:05}")
        desk.finish(f"L{desk.number:05}")
    assert min(Counter(firsts).values()) >= 8, Counter(firsts)
    assert len(Counter(firsts)) == 5


def test_weighted_is_smooth() -> None:
    """Weights 5, 1, 1 give a a b a c a a, not five in a row and then the others."""
    desk = Desk(Weighted)
    desk.settings([RepPlan("rep0", "north", weight=5.0), "rep1", "rep2"])
    given_to = [desk.give() for _ in range(7)]
    assert Counter(given_to) == {"rep0": 5, "rep1": 1, "rep2": 1}
    assert given_to[:4] == ["rep0", "rep0", "rep1", "rep0"]


def test_weighted_gives_no_credit_for_being_away() -> None:
    desk = Desk(Weighted)
    desk.presence("rep2", "away")
    desk.give(100)
    desk.presence("rep2", "ready")
    before = desk.counts
    desk.give(30)
    assert desk.counts["rep2"] - before["rep2"] in (10, 11)


def test_rotate_goes_round_and_skips_who_is_not_there() -> None:
    desk = Desk(Rotate)
    assert [desk.give() for _ in range(4)] == ["rep0", "rep1", "rep2", "rep0"]
    desk.presence("rep1", "away")
    assert desk.leads["L00002"].rep == "rep2"
    assert [desk.give(), desk.give()] == ["rep0", "rep2"]


@pytest.mark.parametrize("policy", PUSH)
def test_a_lead_that_only_full_reps_may_take_does_not_hold_up_the_others(
    policy: type[PushPolicy],
) -> None:
    floor = SmallFloor(policy, 2)
    floor.ready("rep0")
    floor.lead("A")
    floor.ready("rep1")
    floor.lead("B", score=1.0)
    floor.report("rejected", "B")
    assert floor.leads["B"].state == "waiting"
    floor.lead("C")
    assert floor.leads["C"].rep == "rep1"


@pytest.mark.parametrize("policy", PUSH)
def test_a_lease_names_its_runners_up_and_numbers(policy: type[PushPolicy]) -> None:
    desk = Desk(policy, reps=12)
    desk.give(4)
    assert len(desk.intents) == 4
    intent = desk.intents[-1]
    assert isinstance(intent, Lease)
    assert len(intent.ranked) == 8
    assert intent.ranked[0][0] == intent.rep
    assert intent.numbers
    assert any(letter.isdigit() for letter in intent.because)


@pytest.mark.parametrize("name", [name for name in ENTRIES if name != "lease"])
def test_whom_another_policy_had_slowed_gets_full_flow_back_once(name: str) -> None:
    ana = Rep("ana", "north", flow=Flow(0.2, "slow_contact", "Slow."))
    ben = Rep("ben", "north", flow=Flow(0.0, "paused", "Lunch."))
    pool = BarePool([ana, ben])
    new = load(name)()
    new.start(pool, pool.now_ns)
    assert [(rep, flow.value) for rep, flow, _ in new.flow_changes(pool.now_ns)] == [("ana", 1.0)]
    assert new.flow_changes(pool.now_ns) == []


def test_a_policy_that_was_not_started_asks_for_nothing() -> None:
    assert Fair().next_intent(0) is None


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9)), max_size=60),
    st.sets(st.integers(0, 6)),
)
def test_a_rep_order_walks_like_a_plain_sort(moves: list[tuple[int, int]], free: set[int]) -> None:
    order, keys = RepOrder(), {}
    for rep, figure in moves:
        keys[f"r{rep}"] = (float(figure), 0, f"r{rep}")
        order.put(keys[f"r{rep}"])
    available = {f"r{rep}": Rep(f"r{rep}", "t") for rep in sorted(free)}
    walked = [key for key, _ in order.walk(available)]
    assert walked == sorted(key for rep, key in keys.items() if rep in available)
    assert list(order) == sorted(keys.values())
    assert len(order) == len(keys)


@pytest.mark.parametrize("policy", [Fair, LongestIdle, LeastLoaded, Rotate])
def test_a_decision_among_200_reps_looks_at_the_first_few(policy: type[PushPolicy]) -> None:
    """So that it costs no more on a large floor; ``bench core`` has the microseconds."""
    pool = _Wide()
    chooser = policy()
    chooser.start(pool, pool.now_ns)
    for number in range(300):
        pool.available.touched = 0
        lease = chooser.next_intent(pool.now_ns)
        assert isinstance(lease, Lease)
        assert 0 < pool.available.touched <= RANKED
        pool.members[lease.rep].open[f"K{number}"] = "assigned"
        chooser.leased(pool.only, pool.members[lease.rep], pool.now_ns)


class _Counted(Mapping[str, Rep]):
    """Reps, and how often somebody looked at one."""

    def __init__(self, reps: dict[str, Rep]) -> None:
        self.touched = 0
        self._reps = reps

    def __getitem__(self, key: str) -> Rep:
        self.touched += 1
        return self._reps[key]

    def __iter__(self) -> Iterator[str]:
        for key in self._reps:
            self.touched += 1
            yield key

    def __len__(self) -> int:
        return len(self._reps)


class _Wide(BarePool):
    """200 ready reps with a window of 1,000."""

    available: Any

    def __init__(self) -> None:
        names = [f"r{number:03}" for number in range(200)]
        super().__init__([Rep(name, "t", state="ready", window=1000, open={}) for name in names])
        self.available = _Counted(self.members)
        self.only = a_lead(self.now_ns)

    def best(self, now_ns: int, *, calm: bool = False) -> Lead | None:
        return self.only


@pytest.mark.parametrize(
    ("policy", "told", "next_told"),
    [
        (Fair, "1.00 turns, last lead 3.0 s ago", "next is rep1 with 1.00 turns, last lead 2.0 s"),
        (
            LongestIdle,
            "0 open leads, waiting for 0.0 s",
            "next is rep1 with 1 open lead, waiting for",
        ),
        (LeastLoaded, "0 open leads", "with 1 open lead."),
        (Weighted, "1.00 of credit at weight 1.00", "next, as good as equal, is rep1 with 1.00 of"),
        (Rotate, "1 place on in the rotation", "then comes rep1"),
        (OpportunityFair, "0 leads from its share", "next, as good as equal, is rep1 with 0 leads"),
    ],
)
def test_a_supervisor_reads_the_number_that_decided_and_its_unit(
    policy: type[PushPolicy], told: str, next_told: str
) -> None:
    desk = Desk(policy, window=2)
    desk.give(3)
    desk.contact("L00001")
    desk.finish("L00001")
    desk.lead("L00004")
    assert desk.leads["L00004"].rep == desk.leads["L00001"].rep
    assert f"'{told}')" in str(desk.intents[-1]), str(desk.intents[-1])
    assert next_told in str(desk.intents[-1]), str(desk.intents[-1])


@pytest.mark.parametrize("name", [name for name in ENTRIES if name != "lease"])
def test_every_candidate_is_told_by_a_number(name: str) -> None:
    """So that it is shown without the bare score."""
    desk = Desk(load(name), reps=3)
    desk.give(3)
    offered = [text.partition("ranked=")[2] for text in map(str, desk.intents) if "ranked=" in text]
    assert offered
    notes = [note for text in offered for note in re.findall(r"'rep\d', [-\d.e]+, '([^']*)'", text)]
    assert len(notes) >= 3
    assert all(note.removeprefix("-")[0].isdigit() for note in notes), notes
