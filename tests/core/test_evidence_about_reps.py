"""What may speak for or against a rep: the dialer's word, a bare claim, a single miss."""

from __future__ import annotations

import pytest

from distributor.domain.events import LeadEvent, PresenceReported, SupervisorActed
from distributor.domain.rep import Flow

from .floors import SECOND, Scene
from .test_what_policies_hear import remembered


def on_a_call(*reps: str, **flow: object) -> tuple[Scene, str]:
    """Ana, whose dialer reports states, has a lead for 3 s when it reports her on another call."""
    scene = Scene(reps or ("ana", "ben"), policy="lease", **flow)
    scene.ready("ana")
    scene.ready("ana", state="busy")
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(3)
    scene.ready("ana", state="busy")
    return scene, key


def flow_of(scene: Scene, rep: str) -> Flow:
    return scene.engine.state.reps[rep].flow


def belief_in_absence(scene: Scene, rep: str) -> float:
    policy = scene.engine._core.policies["default"]
    _, absent = policy._estimator.belief(remembered(scene, rep), scene.now_ns)  # type: ignore[attr-defined]
    return float(absent)


@pytest.mark.parametrize("seconds", [20, 60])
def test_a_lead_moves_on_from_a_rep_on_a_call_who_is_not_judged(seconds: float) -> None:
    scene, key = on_a_call()
    scene.at(seconds)
    scene.ready("ben")
    scene.at(seconds + 60)
    assert scene.look(key).rep == "ben"
    assert belief_in_absence(scene, "ana") <= 0.1
    assert (remembered(scene, "ana").fails, flow_of(scene, "ana").value) == (0, 1.0)


def test_wrap_up_is_no_silence_either() -> None:
    scene, key = on_a_call()
    scene.ready("ana", state="wrap_up")
    scene.at(60)
    scene.ready("ben")
    scene.at(90)
    assert scene.look(key).rep == "ben"
    assert flow_of(scene, "ana").value == 1.0


def test_after_the_call_silence_is_judged_from_ready_on() -> None:
    scene, key = on_a_call()
    scene.at(30)
    scene.ready("ana")
    scene.ready("ben")
    scene.at(35)
    assert scene.look(key).rep == "ana", "she has been free for 5 s only"
    scene.at(90)
    assert scene.look(key).rep == "ben"
    lost = remembered(scene, "ana").losses
    assert lost and lost[-1] <= 60


def test_a_prompt_pick_up_that_the_dialer_saw_first_is_prompt() -> None:
    """The usual order with some dialers: the agent is busy, then the conversation begins."""
    scene, key = on_a_call("ana")
    scene.at(9)
    scene.report("contacted", key)
    m = remembered(scene, "ana")
    assert m.lagging < 0.1
    assert m.lag_weight > 0.9


def test_a_busy_of_long_ago_explains_no_silence_any_more() -> None:
    """The ready that should have followed was probably lost on the way."""
    scene, _ = on_a_call("ana", lease_seconds=3600, waiting_limit_seconds=36000)
    scene.at(3650)
    assert remembered(scene, "ana").fails == 1


def test_a_lead_given_by_hand_to_a_rep_on_a_call_is_no_test_of_her() -> None:
    scene = Scene(policy="lease", waiting_limit_seconds=36000)
    scene.ready("ana", state="busy")
    scene.ready("ben")
    key = scene.lead("1")
    by_hand = SupervisorActed("assign", "mia", "hers", lead_key=key, rep="ana", force=True)
    scene.do(by_hand)
    scene.at(700)
    assert scene.look(key).rep == "ben"
    assert (remembered(scene, "ana").fails, flow_of(scene, "ana").value) == (0, 1.0)


def test_a_call_shows_that_the_person_is_there() -> None:
    scene, _ = on_a_call()
    m = remembered(scene, "ana")
    m.lagging, m.absent, m.stamp_ns = 0.2, 0.7, scene.now_ns
    at_ns = scene.now_ns + SECOND
    scene.now_ns = at_ns
    scene.do(PresenceReported("ana", "wrap_up", "dialer", at_ns=at_ns))
    assert belief_in_absence(scene, "ana") <= 0.1
    assert remembered(scene, "ana").lagging == pytest.approx(0.2, abs=0.01)
