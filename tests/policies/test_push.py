"""What each push policy promises, on the small floor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.domain.lead import Lead, LeadStatus
from distributor.domain.policy import Lease
from distributor.domain.rep import Flow, Rep, RepState
from policies.fair import Fair
from policies.least_loaded import LeastLoaded
from policies.longest_idle import LongestIdle
from policies.miniature import MiniFloor, MiniPool
from policies.push import RANKED, PushPolicy, RepOrder
from policies.rotate import Rotate
from policies.weighted import Weighted
from tests.policies.desk import Desk

PUSH = [Fair, LongestIdle, LeastLoaded, Weighted, Rotate]


def test_fair_gives_everybody_the_same_number() -> None:
    desk = Desk(Fair)
    desk.give(30)
    assert set(desk.counts.values()) == {10}


def test_fair_gives_a_rep_of_half_the_weight_half_the_leads() -> None:
    desk = Desk(Fair)
    desk.rep(0).weight = 0.5
    desk.changed(desk.rep(0))
    desk.give(50)
    assert desk.counts == {"rep0": 10, "rep1": 20, "rep2": 20}


def test_a_supervisors_override_slows_a_rep_in_fair_and_weighted() -> None:
    for policy in (Fair, Weighted):
        desk = Desk(policy)
        desk.rep(1).override = 0.5
        desk.changed(desk.rep(1))
        desk.give(50)
        assert desk.counts["rep1"] == 10, policy


def test_an_override_whose_time_is_over_counts_no_more() -> None:
    desk = Desk(Fair, reps=1)
    desk.rep(0).override, desk.rep(0).override_until_ns = 0.0, desk.now_ns
    assert desk.give() == "rep0"


def test_a_rep_who_was_away_does_not_get_everything_on_coming_back() -> None:
    """Normative: the returning rep starts at max(own, the pool's least)."""
    desk = Desk(Fair)
    desk.presence("rep2", "away")
    desk.give(200)
    desk.presence("rep2", "ready")
    before = desk.counts
    desk.give(30)
    gained = {rep: desk.counts[rep] - before[rep] for rep in ("rep0", "rep1", "rep2")}
    assert max(gained.values()) - min(gained.values()) <= 1, gained


def test_the_first_back_after_an_empty_floor_does_not_fall_behind_the_clamp() -> None:
    """Everybody went home; the one who had been away for longest comes first."""
    desk = Desk(Fair, reps=2)
    desk.presence("rep1", "away")
    desk.give(100)
    desk.presence("rep0", "offline")
    desk.presence("rep1", "ready")
    desk.presence("rep0", "ready")
    before = desk.counts
    desk.give(20)
    assert abs(desk.counts["rep1"] - before["rep1"] - 10) <= 1


def test_a_new_member_starts_with_the_others() -> None:
    desk = Desk(Fair)
    desk.give(60)
    desk.settings(["rep0", "rep1", "rep2", "newcomer"])
    desk.pool.reps["newcomer"].window = 10_000
    desk.presence("newcomer", "ready")
    desk.give(40)
    assert desk.counts["newcomer"] in (10, 11)


def test_a_refused_lead_costs_its_turn() -> None:
    desk = Desk(Fair, reps=2)
    assert desk.give() == "rep0"
    desk.end("L00001", "rejected", blame=True, excluded=True)
    assert desk.pool.leads["L00001"].rep == "rep1"
    assert desk.give() == "rep0"


def test_a_failed_delivery_gives_the_turn_back() -> None:
    desk = Desk(Fair, reps=2)
    assert desk.give() == "rep0"
    desk.end("L00001", "delivery_failed", blame=False, excluded=True)
    desk.give(3)
    assert desk.counts == {"rep0": 2, "rep1": 2}


def bad_leads(desk: Desk, place: int, count: int, status: LeadStatus = "invalid") -> None:
    """The rep's first leads turn out to be bad."""
    theirs = [key for key, lead in desk.pool.leads.items() if lead.rep == f"rep{place}"]
    for key in theirs[:count]:
        desk.contact(key)
        desk.finish(key, cause="status", status=status)


def lead_of(desk: Desk, before: Counter[str]) -> int:
    """How many leads more than rep1 rep0 got since then."""
    gained = desk.counts - before
    return gained["rep0"] - gained["rep1"]


@pytest.mark.parametrize(("status", "owed"), [("invalid", 2), ("unqualified", 0)])
def test_leads_that_proved_bad_are_made_up_for(status: LeadStatus, owed: int) -> None:
    desk = Desk(Fair, reps=2)
    desk.give(4)
    bad_leads(desk, 0, 2, status)
    before = desk.counts
    desk.give(22)
    assert lead_of(desk, before) == owed


def test_of_many_bad_leads_three_are_made_up_for_and_one_at_a_time() -> None:
    desk = Desk(Fair, reps=2)
    desk.give(16)
    bad_leads(desk, 0, 8)
    before = desk.counts
    got = "".join(desk.give()[-1] for _ in range(23))
    assert lead_of(desk, before) == 3
    assert "000" not in got, got


def test_a_lead_whose_badness_is_told_late_is_made_up_for_once() -> None:
    desk = Desk(Fair, reps=2)
    desk.give(4)
    for key in ("L00001", "L00003"):
        desk.contact(key)
        desk.finish(key, cause="call_limit")
    before = desk.counts
    for key in ("L00001", "L00003"):
        for status in ("unqualified", "invalid", "invalid"):
            desk.late(key, status)
    desk.give(22)
    assert lead_of(desk, before) == 2


def test_what_is_owed_lapses_at_the_end_of_the_day() -> None:
    desk = Desk(Fair, reps=2)
    desk.give(4)
    bad_leads(desk, 0, 2)
    desk.advance(86_400.0)
    before = desk.counts
    desk.give(20)
    assert lead_of(desk, before) == 0


def test_what_a_rep_is_owed_is_capped_and_paid_back_one_lead_at_a_time() -> None:
    desk = Desk(Fair, reps=2)
    desk.give(16)
    for lead in [lead for lead in desk.pool.leads.values() if lead.rep == "rep0"]:
        desk.pool.leads[lead.key] = msgspec.structs.replace(lead, excluded=("rep1",))
        desk.end(lead.key, "delivery_failed", blame=False, excluded=True)
    got = "".join(desk.give()[-1] for _ in range(12))
    assert got.count("0") in (7, 8), got
    assert "000" not in got, got


@pytest.mark.parametrize("absence", ["busy", "wrap_up", "away"])
@pytest.mark.parametrize("leads", [4, 300])
def test_a_rep_who_was_not_free_for_long_gets_a_few_leads_back_at_most(
    absence: RepState, leads: int
) -> None:
    """And not one after the other; and it holds nobody else back who comes back."""
    desk = Desk(Fair, reps=4)
    desk.presence("rep2", absence)
    desk.presence("rep3", "away")
    desk.give(leads)
    desk.presence("rep2", "ready")
    desk.presence("rep3", "ready")
    got = "".join(desk.give()[-1] for _ in range(40))
    owed = 0 if absence == "away" else min(leads / 2, 3)
    assert 9 <= got.count("3") <= 11, got
    assert abs(got.count("2") - 10 - owed * 0.75) <= 1, got
    assert "222" not in got, got
    assert "33" not in got, got


def test_a_call_of_some_minutes_costs_no_turn() -> None:
    desk = Desk(Fair, reps=3)
    for _ in range(10):
        desk.presence("rep1", "busy")
        desk.give(4)
        desk.presence("rep1", "ready")
        desk.give(4)
    assert max(desk.counts.values()) - min(desk.counts.values()) <= 3, desk.counts


def test_an_override_after_the_lead_does_not_change_what_is_given_back() -> None:
    desk = Desk(Fair, reps=2)
    rep = desk.rep(0)
    desk.give()
    rep.override = 0.1
    desk.changed(rep)
    desk.end("L00001", "delivery_failed", blame=False, excluded=True)
    rep.override = None
    desk.changed(rep)
    got = "".join(desk.give()[-1] for _ in range(20))
    assert 9 <= got.count("0") <= 11, got
    assert "000" not in got


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
    desk.contact(next(key for key, lead in desk.pool.leads.items() if lead.rep == "rep0"))
    desk.give(2)
    assert desk.counts == {"rep0": 5, "rep1": 5}
    desk.finish(next(key for key, lead in desk.pool.leads.items() if lead.state == "working"))
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
    desk.rep(0).weight = 5.0
    desk.changed(desk.rep(0))
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
    assert desk.pool.leads["L00002"].rep == "rep2"
    assert [desk.give(), desk.give()] == ["rep0", "rep2"]


@pytest.mark.parametrize("policy", PUSH)
def test_a_lead_that_only_full_reps_may_take_does_not_hold_up_the_others(
    policy: type[PushPolicy],
) -> None:
    floor = MiniFloor(policy, 2)
    floor.presence("rep0", "ready")
    floor.lead("A")
    floor.presence("rep1", "ready")
    floor.lead("B", quality=9.0)
    floor.end("B", "rejected", blame=True, excluded=True)
    assert floor.pool.leads["B"].state == "waiting"
    floor.lead("C")
    assert floor.pool.leads["C"].rep == "rep1"


@pytest.mark.parametrize("policy", PUSH)
def test_a_lease_names_its_runners_up_and_numbers(policy: type[PushPolicy]) -> None:
    desk = Desk(policy, reps=12)
    lease = desk.log
    desk.give(3)
    assert len(lease) == 3
    desk.pool.leads["X"] = msgspec.structs.replace(
        desk.pool.leads["L00001"], key="X", state="waiting"
    )
    intent = desk.policy.next_intent(desk.now_ns)
    assert isinstance(intent, Lease)
    assert len(intent.ranked) == 8
    assert intent.ranked[0][0] == intent.rep
    assert intent.numbers
    assert any(letter.isdigit() for letter in intent.because)


@pytest.mark.parametrize("policy", PUSH)
def test_whom_another_policy_had_slowed_gets_full_flow_back_once(policy: type[PushPolicy]) -> None:
    pool = MiniPool()
    pool.reps["ana"] = Rep("ana", "north", flow=Flow(0.2, "slow_contact", "Slow."))
    pool.reps["ben"] = Rep("ben", "north", flow=Flow(0.0, "paused", "Lunch."))
    new = policy()
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
        pool.reps[lease.rep].open[f"K{number}"] = "assigned"
        chooser.leased(pool.only, pool.reps[lease.rep], pool.now_ns)


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


class _Wide(MiniPool):
    """200 ready reps with a window of 1,000, held as the core holds them: nothing is computed."""

    available: Any = None

    def __init__(self) -> None:
        super().__init__()
        for number in range(200):
            rep = Rep(f"r{number:03}", "t", state="ready", window=1000, open={})
            self.reps[rep.id] = rep
        self.available = _Counted(self.reps)
        self.only = Lead("L", "v", "L", "mini", "waiting", self.now_ns, self.now_ns)

    def best(self, now_ns: int) -> Lead | None:
        return self.only


@pytest.mark.parametrize("policy", [LongestIdle, LeastLoaded, Rotate])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_an_override_is_a_share_of_the_leads_where_weights_do_not_count(
    policy: type[PushPolicy], share: float
) -> None:
    desk = Desk(policy, reps=2)
    desk.give(2)
    desk.rep(0).override = share
    desk.changed(desk.rep(0))
    before = desk.counts["rep0"]
    desk.give(400)
    got = desk.counts["rep0"] - before
    # of two equals the slowed one gets the less the less it is asked, never more than its share
    assert share * 400 * 0.4 <= got <= share * 400 * 1.2, got


@pytest.mark.parametrize("policy", [LongestIdle, LeastLoaded, Rotate])
def test_a_lead_is_not_stuck_beside_a_rep_with_an_override(policy: type[PushPolicy]) -> None:
    """Asked anew each minute: of 20 leads that wait for the only rep, all are given in time."""
    desk = Desk(policy, reps=1)
    desk.rep(0).override = 0.3
    desk.changed(desk.rep(0))
    for number in range(20):
        desk.lead(f"L{number}")
    at_once = desk.counts["rep0"]
    assert at_once < 20
    desk.advance(1_800.0)
    assert desk.counts["rep0"] == 20
    assert desk.policy.wake_ns() is None
    assert not desk.problems
