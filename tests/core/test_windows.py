"""How many open leads a rep may have: as configured, else as the policies of its pools need."""

from __future__ import annotations

from typing import ClassVar

import pytest

from distributor.core.engine import Engine
from distributor.domain.decisions import FloorApplied
from distributor.domain.events import FloorChanged
from distributor.domain.floor import Floor, FlowPlan, PoolPlan, RepPlan
from policies.longest_idle import LongestIdle

from .floors import FACTORIES, Scene


class Pushes(LongestIdle):
    """Fills pipelines."""

    window: ClassVar[int] = 1000


@pytest.fixture(autouse=True)
def _pushes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FACTORIES, "pushes", Pushes)


def busy(**flow: int) -> Scene:
    """A rep who was sent three leads and touched none."""
    scene = Scene(["ana"], policy="pushes", **flow)
    scene.ready("ana")
    for name in "123":
        scene.lead(name)
    return scene


def test_a_policy_that_fills_pipelines_may_do_so() -> None:
    rep = busy().engine.state.reps["ana"]
    assert (len(rep.open), rep.window) == (3, 1000)


def test_a_configured_window_is_the_limit_of_every_policy() -> None:
    rep = busy(window=2).engine.state.reps["ana"]
    assert (len(rep.open), rep.window) == (2, 2)


def test_a_rep_has_its_own_window_else_the_least_that_its_pools_need() -> None:
    floor = Floor(
        "digest",
        reps=(RepPlan("ana"), RepPlan("ben", window=7), RepPlan("cleo", team="south")),
        pools=(PoolPlan("all", policy="pushes"), PoolPlan("south", teams=("south",))),
        flow=FlowPlan(policy="lease"),
    )
    scene = Scene()
    scene.do(FloorChanged(floor))
    windows = {rep: scene.engine.state.reps[rep].window for rep in ("ana", "ben", "cleo")}
    assert windows == {"ana": 1000, "ben": 7, "cleo": 1}


def test_another_policy_has_its_own_need() -> None:
    scene = busy()
    scene.do(FloorChanged(Floor("new", reps=scene.floor.reps, pools=scene.floor.pools)))
    assert scene.engine.state.reps["ana"].window == 1


def test_a_restart_finds_the_same_windows_and_asks_no_policy() -> None:
    scene = busy()
    (applied,) = scene.decided(FloorApplied)
    assert applied.windows == {"pushes": 1000}
    folded = Engine(tag="T3ST", seed=7, factories={})
    for entry in scene.entries:
        folded.fold(entry.at_ns, entry.decisions)
    restored = Engine(tag="T3ST", seed=7, factories={})
    restored.restore(scene.engine.state.head(), scene.engine.state.leads.values())
    for engine in (folded, restored):
        assert engine.state.reps["ana"].window == 1000
        assert engine.state.floor == scene.floor
        assert engine.state.head() == scene.engine.state.head()
