"""What ``fair`` promises, on the small floor."""

from __future__ import annotations

from collections import Counter

import pytest

from distributor.domain.floor import RepPlan
from distributor.domain.ids import NANOSECONDS
from distributor.domain.lead import LeadStatus
from distributor.domain.rep import RepState
from policies.fair import Fair
from tests.policies.desk import Desk


def test_fair_gives_everybody_the_same_number() -> None:
    desk = Desk(Fair)
    desk.give(30)
    assert set(desk.counts.values()) == {10}


def test_fair_gives_a_rep_of_half_the_weight_half_the_leads() -> None:
    desk = Desk(Fair)
    desk.settings([RepPlan("rep0", "north", weight=0.5), "rep1", "rep2"])
    desk.give(50)
    assert desk.counts == {"rep0": 10, "rep1": 20, "rep2": 20}


def test_an_override_whose_time_is_over_counts_no_more() -> None:
    desk = Desk(Fair, reps=1)
    desk.supervise("override", "rep0", 1.0, flow=0.0)
    desk.now_ns += 2 * NANOSECONDS  # and no tick has ended it
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
    desk.presence("newcomer", "ready")
    desk.give(40)
    assert desk.counts["newcomer"] in (10, 11)


def test_a_refused_lead_costs_its_turn() -> None:
    desk = Desk(Fair, reps=2)
    assert desk.give() == "rep0"
    desk.report("rejected", "L00001")
    assert desk.leads["L00001"].rep == "rep1"
    assert desk.give() == "rep0"


def test_a_failed_delivery_gives_the_turn_back() -> None:
    desk = Desk(Fair, reps=2)
    desk.give(4)
    for name in ("L00001", "L00003"):
        desk.fail(name, hold=True)
    before = desk.counts
    desk.give(10)
    assert desk.counts - before == {"rep0": 6, "rep1": 4}


def bad_leads(desk: Desk, place: int, count: int, status: LeadStatus = "invalid") -> None:
    """The rep's first leads turn out to be bad."""
    theirs = [key for key, lead in desk.leads.items() if lead.rep == f"rep{place}"]
    for key in theirs[:count]:
        desk.contact(key)
        desk.finish(key, status)


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
    desk.advance(desk.pool.flow.call_limit_seconds)
    before = desk.counts
    for key in ("L00001", "L00003"):
        late: tuple[LeadStatus, ...] = ("unqualified", "invalid", "invalid")
        for status in late:
            desk.finish(key, status)
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
    for name in [name for name, lead in desk.leads.items() if lead.rep == "rep0"]:
        desk.fail(name, hold=True)
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
    desk.give()
    desk.supervise("override", "rep0", flow=0.1)
    desk.fail("L00001", hold=True)
    desk.supervise("resume", "rep0")
    got = "".join(desk.give()[-1] for _ in range(20))
    assert 9 <= got.count("0") <= 11, got
    assert "000" not in got
