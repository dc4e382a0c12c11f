"""What may speak for or against a rep: the dialer's word, a bare claim, a single miss."""

from __future__ import annotations

import pytest

from distributor.domain.events import LeadEvent, PresenceReported, SupervisorActed
from distributor.domain.rep import Flow

from .floors import BEGIN, SECOND, Scene
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


def slowed_with_a_probe(**flow: object) -> tuple[Scene, str]:
    """Ana let leads lie, and has an old one as a probe; ben is in a call."""
    scene = Scene(policy="lease", waiting_limit_seconds=36000, **flow)
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(70)
    scene.ready("ben")
    scene.at(72)
    scene.report("contacted", key, rep="ben")
    m = remembered(scene, "ana")
    m.lagging, m.absent, m.fails, m.losses, m.stamp_ns = 0.5, 0.4, 2, [70.0, 60.0], scene.now_ns
    m.side, m.side_ns = 0.6, scene.now_ns
    scene.ready("ana")
    probe = scene.lead("2")
    scene.at(262)
    assert (scene.look(probe).rep, scene.look(probe).probe) == ("ana", True)
    return scene, probe


def click(scene: Scene, key: str, type_: str, **fields: object) -> None:
    """An event from the rep's desktop."""
    scene.events += 1
    claim = LeadEvent(
        f"click{scene.events}",
        "rep:ana",
        type_,  # type: ignore[arg-type]
        lead_key=key,
        rep="ana",
        evidence="claimed",
        **fields,  # type: ignore[arg-type]
    )
    scene.do(claim)
    scene.at((scene.now_ns - BEGIN) / SECOND + 1)


CLICKS: dict[str, list[dict[str, str]]] = {
    "a call that nobody dialled": [{"type_": "call_ended"}],
    "not ready": [{"type_": "status", "status": "not_ready"}],
    "lost": [{"type_": "status", "status": "lost"}],
    "a claimed contact, then lost": [
        {"type_": "contacted"},
        {"type_": "status", "status": "lost"},
    ],
    "a claimed dial, then refused": [{"type_": "attempted"}, {"type_": "rejected"}],
    "lost, then corrected": [
        {"type_": "status", "status": "not_ready"},
        {"type_": "status", "status": "lost"},
    ],
}


@pytest.mark.parametrize("clicks", CLICKS.values(), ids=list(CLICKS))
def test_clicks_alone_restore_nothing(clicks: list[dict[str, str]]) -> None:
    scene, probe = slowed_with_a_probe()
    before = flow_of(scene, "ana").value
    assert before < 1.0
    for one in clicks:
        click(scene, probe, **one)
    assert flow_of(scene, "ana").value <= before + 0.05, "drift, and no more"
    assert remembered(scene, "ana").fails == 2


def test_a_status_from_the_dialer_is_a_sign_of_life() -> None:
    scene, probe = slowed_with_a_probe()
    scene.report("status", probe, status="lost")
    assert flow_of(scene, "ana").value == 1.0


def test_a_clicked_status_after_a_dialers_contact_counts_as_ever() -> None:
    scene, probe = slowed_with_a_probe()
    scene.report("contacted", probe)
    scene.at(300)
    click(scene, probe, "status", status="lost")
    m = remembered(scene, "ana")
    assert (m.busy_ns, m.handling_weight) == (0, 1.0)


def test_where_clicks_are_all_there_is_they_speak_for_the_rep() -> None:
    """A pool that has never seen a dialer's record: nobody could be restored otherwise."""
    scene = Scene(["ana"], policy="lease")
    scene.ready("ana")
    key = scene.lead("1")
    m = remembered(scene, "ana")
    m.lagging, m.absent, m.fails, m.stamp_ns = 0.5, 0.3, 1, scene.now_ns
    click(scene, key, "status", status="lost")
    assert remembered(scene, "ana").fails == 0
    believed, probe = slowed_with_a_probe(accept_claims=True)
    click(believed, probe, "status", status="lost")
    assert flow_of(believed, "ana").value == 1.0


def after_one_miss(contacts: int) -> Scene:
    """Ana, alone on the floor with so many prompt contacts behind her, lets one lead lie for a minute."""
    scene = Scene(policy="lease", waiting_limit_seconds=36000)
    scene.ready("ana")
    at = 0.0
    for number in range(contacts):
        key = scene.lead(f"answered{number}")
        scene.at(at + 7)
        scene.report("contacted", key)
        scene.at(at + 100)
        scene.report("status", key, status="lost")
        at += 400
        scene.at(at)
    missed = scene.lead("missed")
    scene.at(at + 60)
    scene.ready("ben")
    scene.at(at + 61)
    assert scene.look(missed).rep == "ben"
    scene.report("contacted", missed)
    return scene


def test_one_miss_slows_an_old_hand_and_no_newcomer() -> None:
    assert flow_of(after_one_miss(0), "ana").value == 1.0
    assert flow_of(after_one_miss(2), "ana").value == 1.0
    assert flow_of(after_one_miss(3), "ana").value < 1.0


def test_a_newcomer_after_a_miss_is_asked_where_nobody_surer_is_free() -> None:
    scene = after_one_miss(0)
    key = scene.lead("next")
    assert scene.look(key).rep == "ana"
    assert not scene.look(key).probe
    scene.at(700)
    assert flow_of(scene, "ana").value < 1.0, "two in a row decide"


def test_a_newcomer_after_a_miss_comes_after_the_others() -> None:
    scene = Scene(["ana", "ben", "cat"], policy="lease", waiting_limit_seconds=36000)
    scene.ready("ana")
    scene.lead("missed")
    scene.at(60)
    scene.ready("ben", "cat")
    scene.at(61)
    key = scene.lead("next")
    assert scene.look(key).rep in ("ben", "cat")
