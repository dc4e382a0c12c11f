"""``bench dark``: the scenario's figures, and its runs in virtual time."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import dark_daemon
from bench.__main__ import main
from bench.dark import CASES, MAKERS, means
from bench.dark_floor import DARK, SLOW, Case, Record, arrivals, figures
from bench.dark_queues import BreakerQueue, CentralQueue, KnowingQueue, RecallQueue
from bench.dark_virtual import lease, play
from tests.real import need_program

SHORT = Case(0.8, trouble=20.0, scored_until=200.0, end=260.0)


def test_figures_are_counted_from_the_record() -> None:
    case = Case(back=500.0)
    record = Record()
    record.arrived = {
        "before": 50.0,
        "prompt": 100.0,
        "late": 200.0,
        "stuck": 300.0,
        "after": 850.0,
    }
    record.gives = [
        (100.0, "rep05", "prompt"),
        (200.0, DARK, "late"),
        (230.0, SLOW[0], "late"),
        (310.0, DARK, "stuck"),
    ]
    record.contacts = {"prompt": 105.0, "late": 270.0}
    record.picked = [(105.0, "rep05"), (270.0, SLOW[0]), (560.0, DARK)]
    found = figures(case, record, revoked=1)
    assert (found.leads, found.scored, found.uncontacted) == (5, 3, 1)
    assert found.within_60 == pytest.approx(100 / 3)
    assert (found.given_dark, found.last_at, found.given_slow) == (2, 310.0, 1)
    assert (found.stuck_dark, found.held_dark, found.stuck_slow) == (1, 1, 0)
    assert found.returned == 60.0


@given(st.integers(1, 1000), st.sampled_from(CASES))
def test_a_draw_is_the_same_for_everybody(draw: int, case: Case) -> None:
    once = arrivals(case, draw)
    assert once == arrivals(case, draw)
    assert [at for at, _ in once] == sorted(at for at, _ in once)
    assert all(0 < at < case.end for at, _ in once)


def test_the_same_draw_gives_the_same_figures() -> None:
    assert play(SHORT, 1, lease) == play(SHORT, 1, lease)


def test_on_the_floor_of_the_scenario_hardly_a_lead_waits_for_the_dark_rep() -> None:
    """Loose floors: the figures themselves are the bench's."""
    found = [play(Case(0.8), draw) for draw in (1, 2)]
    assert means(found)["within_60"] >= 97.0
    assert means(found)["given_dark"] <= 5.0
    assert all(one.stuck_slow <= 2 for one in found)


def test_the_central_queue_never_takes_a_lead_back() -> None:
    found = play(SHORT, 1, CentralQueue)
    assert found.revoked == 0
    assert found.scored > 0


def test_the_queues_that_take_leads_back_leave_none_with_the_dark_rep() -> None:
    without, recall, breaker, knowing = (
        means([play(SHORT, draw, make) for draw in range(1, 7)])
        for make in (CentralQueue, RecallQueue, BreakerQueue, KnowingQueue)
    )
    assert without["held_dark"] > 0.0
    assert recall["held_dark"] == breaker["held_dark"] == knowing["held_dark"] == 0.0
    assert recall["given_dark"] > breaker["given_dark"] > knowing["given_dark"] == 0.0
    assert recall["given_slow"] > 2 * breaker["given_slow"]
    assert knowing["within_60"] == 100.0


def test_who_was_paused_is_tested_again() -> None:
    case = Case(0.8, back=400.0, scored_until=600.0, end=660.0)
    found = [play(case, draw, BreakerQueue) for draw in (3, 5)]
    assert all(one.returned is not None and one.returned <= 160.0 for one in found)


def test_the_command_prints_the_cases_and_ends_with_json(capsys, monkeypatch) -> None:
    monkeypatch.setattr(
        "bench.dark.CASES",
        (SHORT, *(Case(load, trouble=20.0, scored_until=100.0, end=120.0) for load in (0.5, 0.6, 0.7)),
         Case(0.8, back=60.0, trouble=20.0, scored_until=100.0, end=120.0)),
    )  # fmt: skip
    assert main(["dark", "--draws", "1", "--json"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["draws"] == 1
    assert set(last["cases"][SHORT.name]) == set(MAKERS)


@pytest.mark.long
@pytest.mark.real
@pytest.mark.timeout(120)
def test_the_daemon_on_the_same_floor_keeps_no_lead_with_the_dark_rep() -> None:
    """Through a real broker, and at a speed that any machine keeps: what is asserted is no figure."""
    need_program("mosquitto")
    case = Case(0.5, trouble=20.0, scored_until=60.0, end=240.0)
    found, _ = dark_daemon.play(case, 1, 20.0)
    assert found.leads > 0
    assert found.scored > 0
    assert found.uncontacted == 0, "three minutes are enough for everybody but the dark rep"
    assert found.held_dark == 0
