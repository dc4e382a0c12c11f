"""The daily maximum that one figure moves, in scenes that fail when the rule is broken."""

from __future__ import annotations

import pytest

from distributor.domain.rep import Rep
from policies.baselines.reward_penalty import RewardPenalty
from policies.conformance import SmallFloor
from tests.policies.desk import BarePool, Desk

DAY = 86_400.0


class FewADay(RewardPenalty):
    """Four leads a day, two more or less."""

    daily_maximum = 4
    step = 2
    frame_days = 3


def rule(desk: Desk) -> RewardPenalty:
    assert isinstance(desk.policy, RewardPenalty)
    return desk.policy


def maximum(desk: Desk, place: int = 0) -> int:
    return rule(desk).maximum(desk.rep(place), desk.now_ns)


def morning(desk: Desk) -> None:
    """Time passes to the start of the next day."""
    day = desk.pool.seconds(0, desk.now_ns) // DAY + 1
    desk.advance(day * DAY - desk.pool.seconds(0, desk.now_ns) + 1.0)


def given(desk: Desk) -> list[int]:
    return [rule(desk).given(rep, desk.now_ns) for rep in desk.reps.values()]


def answer(desk: Desk, place: int, after: float) -> None:
    """A lead comes to a rep alone, who calls after so many seconds."""
    others = [rep for rep in desk.reps if rep != f"rep{place}"]
    for rep in others:
        desk.presence(rep, "away")
    desk.number += 1
    key = f"L{desk.number:05}"
    desk.lead(key)
    desk.advance(after)
    desk.contact(key)
    desk.finish(key)
    for rep in others:
        desk.presence(rep, "ready")


def test_quick_calls_add_to_the_daily_maximum_and_slow_ones_take_away() -> None:
    desk = Desk(RewardPenalty, reps=3)
    assert [maximum(desk, place) for place in range(3)] == [50, 50, 50]
    answer(desk, 0, 60.0)
    answer(desk, 1, 61.0)
    answer(desk, 2, 300.0)
    assert [maximum(desk, place) for place in range(3)] == [75, 50, 25]
    answer(desk, 2, 290.0)
    assert maximum(desk, 2) == 50  # the mean counts: 295 s


def test_leads_go_round_until_each_has_its_maximum() -> None:
    desk = Desk(FewADay, reps=3)
    morning(desk)
    answer(desk, 0, 5.0)
    answer(desk, 2, 400.0)
    desk.give(12)
    assert given(desk) == [6, 4, 2]
    waiting = [lead for lead in desk.leads.values() if lead.state == "waiting"]
    assert len(waiting) == 2
    assert waiting[0].reason == "daily_maximum"
    assert "All 3 rep(s)" in waiting[0].because


def test_the_next_day_begins_with_nothing_given() -> None:
    desk = Desk(FewADay, reps=1)
    morning(desk)
    desk.give(6)
    assert given(desk) == [4]
    morning(desk)
    assert given(desk) == [2]  # those that had waited


def test_it_is_looked_at_before_each_assignment() -> None:
    desk = Desk(FewADay, reps=1)
    morning(desk)
    desk.give(4)
    answer_waits = desk.give()
    assert answer_waits == ""
    desk.contact("L00001")  # within the minute: two leads more
    assert maximum(desk) == 6
    assert given(desk) == [5]


def test_days_out_of_the_time_frame_do_not_count() -> None:
    desk = Desk(FewADay, reps=1)
    answer(desk, 0, 1000.0)
    assert maximum(desk) == 2
    for _ in range(2):
        morning(desk)
    assert maximum(desk) == 2
    morning(desk)
    assert maximum(desk) == 4


def test_who_never_calls_keeps_the_plain_maximum() -> None:
    desk = Desk(FewADay, reps=1)
    morning(desk)
    desk.give(3)
    desk.advance(10_000.0)
    desk.claim("L00001")
    assert maximum(desk) == 4


def test_a_penalty_is_shown_and_a_good_average_ends_it() -> None:
    desk = Desk(FewADay, reps=2)
    answer(desk, 0, 400.0)
    (shown,) = desk.flows
    assert (shown[0], shown[1].value, shown[1].reason) == ("rep0", 0.5, "slow_contact")
    assert "400 s to the first call" in shown[1].because
    answer(desk, 0, 10.0)
    assert [(rep, flow.value) for rep, flow in desk.flows[1:]] == [("rep0", 1.0)]


def test_a_restart_shows_no_penalty_twice() -> None:
    desk = Desk(FewADay, reps=1)
    answer(desk, 0, 400.0)
    again = FewADay()
    for rep, memory in desk.memory.items():
        again.restore(rep, memory)
    again.start(desk.pool, desk.now_ns)
    assert again.flow_changes(desk.now_ns) == []
    assert again.maximum(desk.rep(0), desk.now_ns) == 2


def test_a_lead_waits_for_midnight_although_nothing_else_happens() -> None:
    floor = SmallFloor(FewADay, 1)
    floor.ready()
    for number in range(5):
        floor.lead(f"L{number}")
    wake = floor.policy.wake_ns()
    assert wake is not None
    assert floor.pool.seconds(0, wake) % DAY == pytest.approx(0.0, abs=0.1)
    again = FewADay()
    for rep, memory in floor.memory.items():
        again.restore(rep, memory)
    again.start(floor.pool, floor.now_ns)
    assert again.wake_ns() == wake


def test_a_floor_on_another_time_scale_has_its_own_days() -> None:
    pool = BarePool([Rep("ana", "north", window=1000, state="ready", open={})], time_scale=3600.0)
    policy = FewADay()
    policy.start(pool, pool.now_ns)
    assert policy._day(pool.now_ns + 24 * 1_000_000_000) == policy._day(pool.now_ns) + 1
