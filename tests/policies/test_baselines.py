"""The rule of each baseline, in scenes that fail when it is broken: who is chosen."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from distributor.domain.policy import Defer, Lease
from policies.baselines.caps import CapOpen, CapUncontacted
from policies.baselines.fastest_first import FastestFirst
from policies.baselines.first_come import FirstCome
from policies.baselines.peak_ewma import PeakEwma
from policies.baselines.prequal import Prequal
from policies.baselines.random_rep import Random
from policies.baselines.round_robin import RoundRobin
from tests.policies.desk import Desk


def held(desk: Desk, rep: str, state: str = "assigned") -> list[str]:
    """Names of the leads that a rep has in a state."""
    leads = desk.leads.items()
    return [name for name, lead in leads if lead.rep == rep and lead.state == state]


def why(desk: Desk) -> str:
    """The sentence of the last lease."""
    return [intent for intent in desk.intents if isinstance(intent, Lease)][-1].because


def work_off(desk: Desk, rep: str, seconds: float) -> None:
    """A rep calls its first lead at once and is done after so many seconds."""
    key = held(desk, rep)[0]
    desk.contact(key)
    desk.advance(seconds)
    desk.finish(key)


@pytest.mark.parametrize("policy", [Random, RoundRobin, FastestFirst, PeakEwma, Prequal])
def test_a_push_baseline_fills_pipelines_and_takes_the_oldest_lead_first(
    policy: type[FirstCome],
) -> None:
    desk = Desk(policy, reps=2, window=policy.window)
    desk.presence("rep0", "away")
    desk.presence("rep1", "away")
    for number in range(6):
        desk.lead(f"L{number}", score=0.2 + number / 10)
        desk.advance(100.0)
    desk.presence("rep1", "ready")
    assert held(desk, "rep1") == [f"L{number}" for number in range(6)]
    leased = [intent.lead_key for intent in desk.intents]
    assert leased == [desk.leads[f"L{number}"].key for number in range(6)]


def test_random_gives_everybody_as_many_whatever_it_has() -> None:
    desk = Desk(Random, reps=5)
    desk.give(400)
    assert all(60 <= count <= 100 for count in desk.counts.values()), desk.counts
    assert "drawn by lot of 5 ready reps" in why(desk)


def test_round_robin_goes_round_whatever_a_rep_has() -> None:
    desk = Desk(RoundRobin)
    desk.give(2)
    work_off(desk, "rep0", 30.0)
    assert [desk.give() for _ in range(4)] == ["rep2", "rep0", "rep1", "rep2"]


def test_fastest_first_learns_who_is_done_first() -> None:
    desk = Desk(FastestFirst, reps=2)
    for _ in range(40):
        desk.give(2)
        for rep, seconds in (("rep0", 60.0), ("rep1", 240.0)):
            while held(desk, rep):
                work_off(desk, rep, seconds)
    got = "".join(desk.give()[-1] for _ in range(5))
    # (open leads + 1) x mean: three short ones are done before one long one.
    assert got[:3] == "000"
    assert got.count("0") == 4
    assert re.search(r"rep\d would be done first, in \d+ s", why(desk))


def test_fastest_first_takes_nothing_from_an_end_that_nobody_reported() -> None:
    desk = Desk(FastestFirst, reps=1)
    desk.give(2)
    desk.contact("L00001")
    desk.advance(desk.pool.flow.call_limit_seconds)
    assert not desk.memory
    desk.contact("L00002")
    desk.advance(10.0)
    desk.finish("L00002")
    assert desk.memory


def costs(desk: Desk) -> list[float]:
    assert isinstance(desk.policy, PeakEwma)
    return [desk.policy.cost(rep, desk.now_ns) for rep in desk.reps.values()]


def test_peak_ewma_jumps_to_a_peak_and_decays() -> None:
    desk = Desk(PeakEwma, reps=1)
    assert costs(desk) == [10.0]
    desk.give()
    assert costs(desk) == [20.0]  # times the open leads and one more
    desk.advance(99.0)
    desk.contact("L00001")
    desk.finish("L00001")
    assert costs(desk) == pytest.approx([100.0])
    desk.advance(600.0)
    assert costs(desk) == pytest.approx([100.0 / 2.71828], rel=1e-3)
    desk.lead("A")
    desk.advance(5.0)
    desk.contact("A")
    desk.finish("A")
    left = 100.0 * 2.71828 ** (-605.0 / 600.0)
    assert costs(desk) == pytest.approx([left + 5.0 * (1 - left / 100.0)], rel=1e-3)


def test_peak_ewma_gives_a_lead_to_the_cheaper_of_two() -> None:
    desk = Desk(PeakEwma, reps=2)
    first = desk.give()
    other = "rep1" if first == "rep0" else "rep0"
    assert desk.give() == other
    desk.advance(50.0)
    for rep in (first, other):
        key = held(desk, rep)[0]
        desk.contact(key)
        desk.finish(key)
        desk.advance(30.0)
    # The first called after some 50 s, the other after some 80 s.
    assert desk.give() == first
    assert "costs less" in why(desk)


def test_peak_ewma_asks_two_of_many() -> None:
    desk = Desk(PeakEwma, reps=8)
    desk.give(200)
    assert all(text.count("s of cost')") == 2 for text in map(str, desk.intents))
    assert len(desk.counts) == 8


def test_peak_ewma_learns_nothing_from_a_bare_claim_and_one_thing_from_a_call() -> None:
    desk = Desk(PeakEwma, reps=1)
    desk.give(2)
    desk.claim("L00001")
    assert not desk.memory
    desk.advance(28.0)
    desk.attempt("L00001")
    after_the_dial = dict(desk.memory)
    assert after_the_dial
    desk.advance(30.0)
    desk.contact("L00001")
    assert desk.memory == after_the_dial


def test_prequal_avoids_the_fullest_quarter_however_quick_they_are() -> None:
    desk = Desk(Prequal, reps=4)
    for rep, leads in (("rep0", 3), ("rep1", 1), ("rep2", 1)):
        for number in range(leads):
            desk.lead(f"{rep}-{number}", prefers=rep)
    assert isinstance(desk.policy, Prequal)
    for rep, latency in (("rep0", 1.0), ("rep1", 2.0), ("rep2", 5.0), ("rep3", 40.0)):
        desk.policy._of(rep).mean = latency
    # 75 % of the reps have at most one open lead: who has one or more is hot.
    assert desk.policy.hot_from() == 1.0
    assert desk.give() == "rep3"
    # Now all are hot, and the fewest leads count: rep0 is out although it is the quickest.
    assert desk.give() in ("rep1", "rep2", "rep3")


def test_prequal_takes_the_quickest_of_the_cold() -> None:
    desk = Desk(Prequal, reps=5)
    for number in range(2):
        for rep in ("rep3", "rep4"):
            desk.lead(f"{rep}-{number}", prefers=rep)
    assert isinstance(desk.policy, Prequal)
    for rep, latency in (("rep0", 9.0), ("rep1", 3.0), ("rep2", 20.0), ("rep3", 1.0)):
        desk.policy._of(rep).mean = latency
    assert desk.policy.hot_from() == 2.0
    assert desk.give() == "rep1"
    assert "usually calls in 3 s" in why(desk)


def test_cap_open_keeps_two_and_one_queue_in_the_order_of_arrival() -> None:
    desk = Desk(CapOpen, reps=1)
    for number in range(4):
        desk.lead(f"L{number}", score=0.2 + number / 10)
        desk.advance(40.0)
    assert held(desk, "rep0") == ["L0", "L1"]
    desk.contact("L0")
    assert len(held(desk, "rep0")) == 1  # in hand counts
    desk.finish("L0")
    assert held(desk, "rep0") == ["L1", "L2"]
    assert "1 of 2 open leads" in why(desk)


def test_cap_uncontacted_gives_the_next_lead_with_the_contact() -> None:
    desk = Desk(CapUncontacted, reps=1)
    for number in range(3):
        desk.lead(f"L{number}")
    assert held(desk, "rep0") == ["L0"]
    desk.contact("L0")
    assert held(desk, "rep0") == ["L1"]
    desk.contact("L1")
    assert held(desk, "rep0") == ["L2"]


def test_cap_open_goes_to_the_emptiest_then_to_the_longest_idle() -> None:
    desk = Desk(CapOpen)
    assert [desk.give() for _ in range(3)] == ["rep0", "rep1", "rep2"]
    for rep in ("rep1", "rep2", "rep0"):
        work_off(desk, rep, 5.0)
    assert [desk.give() for _ in range(2)] == ["rep1", "rep2"]
    work_off(desk, "rep1", 5.0)
    assert desk.give() == "rep0"
    assert "been idle for" in why(desk)


def test_cap_uncontacted_takes_a_rep_in_a_call_for_a_free_one() -> None:
    desk = Desk(CapUncontacted)
    assert [desk.give() for _ in range(3)] == ["rep0", "rep1", "rep2"]
    work_off(desk, "rep2", 5.0)
    work_off(desk, "rep1", 5.0)
    desk.contact("L00001")
    assert desk.give() == "rep0"  # its last lead is the oldest
    assert desk.give() == "rep1"
    assert "had no new lead for" in why(desk)


@pytest.mark.parametrize("policy", [CapOpen, CapUncontacted])
def test_the_first_lead_that_waits_says_that_nobody_has_room(policy: type[CapOpen]) -> None:
    desk = Desk(policy, reps=2)
    desk.give(6)
    waiting = [lead for lead in desk.leads.values() if lead.state == "waiting"]
    assert [lead.reason for lead in waiting] == ["no_room"] + [""] * (len(waiting) - 1)
    assert "All 2 rep(s) who are ready for it" in waiting[0].because
    assert len([intent for intent in desk.intents if isinstance(intent, Defer)]) == 1


def test_a_lead_for_few_does_not_hold_up_the_queue() -> None:
    desk = Desk(CapOpen, reps=2)
    desk.presence("rep1", "busy")
    for number in range(70):
        desk.lead(f"L{number:02}")
        desk.report("rejected", f"L{number:02}")
    assert len(desk.those("waiting")) == 70
    desk.lead("for_all")
    assert desk.leads["for_all"].rep == "rep0"


def test_a_draw_is_even_among_those_who_may_take_the_lead() -> None:
    """Not the next one in the list of somebody who may not."""
    desk = Desk(Random, reps=6)
    got: Counter[str] = Counter()
    for number in range(300):
        desk.presence("rep5", "away")
        key = f"K{number}"
        desk.lead(key)
        got[desk.leads[key].rep] += 1
        desk.contact(key)
        desk.finish(key)
        desk.presence("rep5", "ready")
    assert set(got) == {"rep0", "rep1", "rep2", "rep3", "rep4"}
    assert all(40 <= count <= 80 for count in got.values()), got
