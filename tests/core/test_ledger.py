"""The ledger is compared with what is really there: a lead that got lost is noticed at once."""

from __future__ import annotations

from typing import Any

import pytest

from distributor.core.engine import Engine
from distributor.domain.events import LeadEvent, Ticked
from distributor.domain.faults import InvariantBroken
from tests.core.floors import FACTORIES, Scene


def restored(scene: Scene, leads: list[Any]) -> Engine:
    engine = Engine(tag="T3ST", seed=7, factories=FACTORIES)
    engine.restore(scene.engine.state.head(), leads)
    engine.resume()
    return engine


@pytest.fixture
def scene() -> Scene:
    """A floor with leads in every state that is open."""
    scene = Scene(["ana", "ben"], window=3)
    scene.ready("ana", "ben")
    keys = [scene.lead(str(number)) for number in range(6)]
    scene.report("contacted", keys[0])
    scene.report("status", keys[1], status="not_ready")
    scene.report("status", keys[2], status="lost")
    scene.report("rejected", keys[3])
    scene.report("rejected", keys[3])
    for number in range(6, 12):
        scene.lead(str(number))
    states = {lead.state for lead in scene.engine.state.leads.values()}
    assert states == {"waiting", "assigned", "working", "parked", "exception", "closed"}
    return scene


def test_a_whole_snapshot_is_taken_back(scene: Scene) -> None:
    engine = restored(scene, list(scene.engine.state.leads.values()))
    assert engine.state.ledger.difference == 0


@pytest.mark.parametrize("state", ["waiting", "assigned", "working", "parked", "exception"])
def test_a_snapshot_that_lacks_a_lead_is_refused_by_name(scene: Scene, state: str) -> None:
    leads = list(scene.engine.state.leads.values())
    lost = next(lead for lead in leads if lead.state == state)
    leads.remove(lost)
    with pytest.raises(InvariantBroken, match=f"it counts .* {state} leads and has"):
        restored(scene, leads)


@pytest.mark.parametrize("state", ["waiting", "assigned", "working", "parked", "exception"])
def test_a_lead_that_gets_lost_on_the_way_stops_the_engine(scene: Scene, state: str) -> None:
    leads = scene.engine.state.leads
    lost = next(key for key, lead in leads.items() if lead.state == state)
    del leads[lost]
    with pytest.raises(InvariantBroken, match="the ledger is off by"):
        scene.do(Ticked())


def test_a_lead_that_its_pool_forgot_stops_the_engine(scene: Scene) -> None:
    state = scene.engine.state
    lead = next(lead for lead in state.leads.values() if lead.state == "waiting")
    state.pools["default"].remove(lead)
    with pytest.raises(InvariantBroken, match="the ledger is off by"):
        scene.do(Ticked())


def test_a_revived_lead_stays_as_long_after_a_restart_as_without_one() -> None:
    scene = Scene(["ana"])
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(5)
    scene.report("status", key, status="lost")
    closed = scene.look(key)
    scene.at(100)
    scene.do(Ticked())
    assert key not in scene.engine.state.leads
    scene.report("status", key, status="converted", recalled=closed)
    twin = restored(scene, list(scene.engine.state.leads.values()))
    scene.at(110)
    event = LeadEvent(
        "b", "dialer", "status", lead_key=key, status="lost", recalled=scene.look(key)
    )
    assert twin.handle(event, scene.now_ns) == scene.do(event)
