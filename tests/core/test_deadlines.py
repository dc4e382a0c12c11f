"""Deadlines are data: none is missed, and those that mean nothing do not pile up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.deadlines import Deadlines
from tests.core.floors import Scene


@given(st.lists(st.integers(1, 50)), st.integers(0, 60))
def test_pruning_keeps_every_deadline_that_stands_in_its_order(
    times: list[int], limit: int
) -> None:
    deadlines = Deadlines()
    deadlines._most = 0
    for number, due_ns in enumerate(times):
        deadlines.set(due_ns, "lead", f"K{number:04d}")
    deadlines.prune(lambda due_ns, _kind, _key: due_ns >= limit, 0)
    popped = []
    while (entry := deadlines.pop_due(100)) is not None:
        popped.append(entry)
    wanted = [(t, "lead", f"K{n:04d}") for n, t in enumerate(times) if t >= limit]
    assert popped == sorted(wanted)


def test_the_next_time_is_that_of_an_entry_that_stands() -> None:
    """Else the loop would wake for nothing again and again."""
    deadlines = Deadlines()
    for due_ns in (5, 3, 9):
        deadlines.set(due_ns, "lead", "K1")
    assert deadlines.next_ns(lambda due_ns, _kind, _key: due_ns == 9) == 9
    assert len(deadlines) == 1
    assert deadlines.next_ns(lambda *_: False) is None


def test_the_deadlines_of_closed_leads_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed lead must not be remembered until the latest end it could have had (a week)."""
    monkeypatch.setattr("distributor.core.deadlines.FEWEST_TO_PRUNE", 50)
    scene = Scene(["ana"])
    scene.ready("ana")
    for number in range(200):
        key = scene.lead(f"L{number}")
        scene.report("contacted", key)
        scene.report("status", key, status="lost")
        scene.at(120.0 * (number + 1))
    assert len(scene.engine.state.leads) <= 2
    assert len(scene.engine.state.deadlines) <= 100


def test_the_deadlines_of_open_leads_are_not_looked_through_in_vain() -> None:
    """A flood of new leads has nothing to forget: a look at every deadline would hold up the loop."""
    deadlines = Deadlines()
    deadlines._most = 0
    for number in range(40):
        deadlines.set(1 + number, "lead", f"K{number:04d}")
    deadlines.prune(lambda *_: pytest.fail("looked"), 20)
    assert len(deadlines) == 40
    deadlines.prune(lambda *_: False, 2)
    assert len(deadlines) == 0


def test_open_leads_still_end_on_time_after_a_pruning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distributor.core.deadlines.FEWEST_TO_PRUNE", 1)
    monkeypatch.setattr("distributor.core.deadlines.PER_LEAD", 0)
    scene = Scene(["ana", "ben"], lease_seconds=600.0)
    scene.ready("ana")
    key = scene.lead("L1")
    scene.engine.state.deadlines._most = 0
    scene.at(599.0)
    assert scene.look(key).state == "assigned"
    scene.engine.state.deadlines._most = 0
    scene.ready("ana", state="busy")
    scene.at(601.0)
    assert scene.look(key).state != "assigned"
