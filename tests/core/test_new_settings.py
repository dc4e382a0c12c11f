"""Settings change while leads are under way: nothing is lost, stuck, or blamed on anybody."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from distributor.domain.decisions import AssignmentEnded, FlowChanged, LeadHeld, StandardCounted
from distributor.domain.events import DeliveryFailed, FloorChanged, PresenceReported
from distributor.domain.floor import PoolPlan, RepPlan
from tests.core.floors import BEGIN, SECOND, Scene, only


def change(scene: Scene, **fields: object) -> None:
    """Put a changed floor in force."""
    flow = fields.pop("flow", None)
    floor = replace(scene.floor, digest="new", **fields)
    if flow is not None:
        floor = replace(floor, flow=replace(floor.flow, **flow))  # type: ignore[type-var]
    scene.floor = floor
    scene.do(FloorChanged(floor))


def test_leads_of_a_renamed_pool_go_on_in_the_new_one() -> None:
    scene = Scene()
    scene.ready("ana")
    scene.ready("ben", state="busy")
    assigned, waiting = scene.lead("1"), scene.lead("2")
    change(scene, pools=(PoolPlan("other"),))
    assert scene.look(waiting).pool == "other"
    scene.report("rejected", assigned)
    assert scene.look(assigned).pool == "other"
    scene.ready("ben")
    assert {scene.look(assigned).rep, scene.look(waiting).rep} == {"ana", "ben"}


def test_a_callback_of_a_pool_that_is_gone_comes_due() -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    scene.report("contacted", key)
    scene.report("status", key, status="callback", callback_ns=BEGIN + 60 * SECOND)
    change(scene, pools=(PoolPlan("other"),))
    scene.at(61)
    assert (scene.look(key).state, scene.look(key).pool) == ("assigned", "other")


def test_where_several_pools_are_left_a_human_decides() -> None:
    scene = Scene()
    key = scene.lead("1")
    change(scene, pools=(PoolPlan("one"), PoolPlan("two")))
    assert scene.look(key).reason == "no_pool"


def test_new_limits_hold_for_calls_and_leads_that_are_under_way() -> None:
    scene = Scene(["ana"], call_limit_seconds=300)
    scene.ready("ana")
    first, second = scene.lead("1"), scene.lead("2")
    scene.report("contacted", first)
    change(scene, flow={"call_limit_seconds": 500, "first_contact_seconds": 90})
    scene.at(499)
    assert [count.lead_key for count in scene.decided(StandardCounted) if not count.met] == [second]
    assert scene.look(second).state == "waiting"
    scene.at(501)
    assert scene.look(second).rep == "ana"


def test_a_rep_who_is_removed_and_listed_again_signs_on_again() -> None:
    scene = Scene()
    scene.ready("ana")
    change(scene, reps=(RepPlan("ben"),))
    change(scene, reps=(RepPlan("ana"), RepPlan("ben")))
    key = scene.lead("1")
    assert scene.look(key).state == "waiting"
    scene.ready("ana")
    assert scene.look(key).rep == "ana"


def test_a_removed_rep_gives_leads_back_and_counts_no_more() -> None:
    scene = Scene()
    scene.ready("ana", "ben")
    key = scene.lead("1")
    first = scene.look(key).rep
    scene.report("rejected", key)
    second = scene.look(key).rep
    scene.ready(second, state="away")
    change(scene, reps=(RepPlan(first),))
    assert only(scene.entries[-1].decisions, LeadHeld).kind == "all_refused"


def test_a_claim_does_not_move_a_callback() -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    scene.report("contacted", key)
    scene.report("status", key, status="callback", callback_ns=BEGIN + 60 * SECOND)
    scene.report("contacted", key, evidence="claimed")
    scene.at(61)
    assert scene.look(key).state == "assigned"


def test_a_clock_that_errs_a_little_puts_no_contact_before_the_lead() -> None:
    scene = Scene()
    scene.ready("ana")
    scene.at(30)
    key = scene.lead("1")
    scene.at(40)
    scene.report("contacted", key, at_ns=BEGIN - 100 * SECOND)
    assert scene.look(key).contacted_ns == scene.look(key).assigned_ns
    scene.at(1_000)
    assert key in scene.engine.state.reps["ana"].open


def test_a_retained_repeat_without_a_time_is_no_news_of_a_known_rep() -> None:
    scene = Scene()
    old = PresenceReported("ana", "ready", "rep:ana", retained=True)
    scene.do(old)
    assert scene.engine.state.reps["ana"].state == "ready"
    scene.ready("ana", state="offline")
    scene.do(old)
    assert scene.engine.state.reps["ana"].state == "offline"


def test_an_assignment_that_never_reached_the_dialer_blames_nobody() -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    failed = scene.do(DeliveryFailed(scene.look(key).assignment_id, "HTTP 422", hold=True))
    ended = only(failed, AssignmentEnded)
    assert (ended.blame, ended.excluded, ended.cause) == (False, False, "delivery_failed")
    assert scene.look(key).state == "exception"
    assert (ended.revoke, ended.untaken) == (True, True)
    other = scene.lead("2")
    scene.do(DeliveryFailed(scene.look(other).assignment_id, "dialer is gone", hold=False))
    assert (scene.look(other).state, scene.look(other).attempt) == ("assigned", 2)


def test_an_assignment_that_the_dialer_may_have_is_for_a_human_and_blames_nobody() -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    name = scene.look(key).assignment_id
    doubt = scene.do(DeliveryFailed(name, "no answer", hold=True, doubtful=True))
    ended = only(doubt, AssignmentEnded)
    assert (ended.blame, ended.excluded, ended.untaken) == (False, False, False)
    assert (scene.look(key).state, scene.look(key).reason) == ("exception", "delivery_failed")


@pytest.mark.parametrize("kind", ["accepted", "attempted", "contacted"])
def test_a_doubt_that_events_have_answered_takes_the_lead_from_nobody(kind: str) -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    name = scene.look(key).assignment_id
    scene.report(kind, key, evidence="claimed")
    scene.do(DeliveryFailed(name, "no answer", hold=True, doubtful=True))
    assert (scene.look(key).state, scene.look(key).assignment_id) == ("assigned", name)


def test_pauses_and_overrides_end_by_time() -> None:
    from distributor.domain.events import SupervisorActed

    scene = Scene(["ana"])
    scene.ready("ana")
    until = BEGIN + 60 * SECOND
    scene.do(SupervisorActed("pause", "mia", "training", rep="ana", until_ns=until))
    scene.do(SupervisorActed("override", "mia", "test", rep="ana", until_ns=until, flow=0.5))
    key = scene.lead("1")
    scene.at(59)
    assert scene.look(key).state == "waiting"
    assert "(mia): training" in scene.engine.state.reps["ana"].flow_in_force(scene.now_ns).because
    scene.at(61)
    assert scene.look(key).rep == "ana"
    assert scene.engine.state.reps["ana"].paused_by == ""
    assert scene.engine.state.reps["ana"].override is None


def test_a_reason_began_when_it_began_whatever_its_numbers_say_since() -> None:
    from distributor.domain.events import SupervisorActed

    scene = Scene(["ana", "ben"], lease_seconds=60)
    scene.ready("ana", "ben")
    rep = scene.engine.state.reps["ana"]
    scene.at(10)
    scene.do(SupervisorActed("override", "mia", "training", rep="ana", flow=0.5))
    scene.at(20)
    scene.do(SupervisorActed("override", "mia", "training", rep="ana", flow=0.0))
    assert rep.flow_in_force(scene.now_ns).since_ns == BEGIN + 10 * SECOND
    scene.do(SupervisorActed("pause", "mia", "lunch", rep="ana"))
    scene.at(30)
    scene.do(SupervisorActed("pause", "mia", "long lunch", rep="ana"))
    flow = rep.flow_in_force(scene.now_ns)
    assert (flow.reason, flow.since_ns) == ("paused", BEGIN + 20 * SECOND)


@pytest.mark.parametrize("alive", [False, True])
def test_a_reason_that_outlasts_an_override_began_when_it_began(alive: bool) -> None:
    from distributor.domain.events import SupervisorActed

    scene = Scene(["ana", "ben"], policy="lease", lease_seconds=60, waiting_limit_seconds=36_000)
    scene.ready("ana")
    scene.lead("1")
    scene.at(70)
    scene.lead("2")  # one miss slows no newcomer
    scene.at(140)
    rep = scene.engine.state.reps["ana"]
    before = rep.flow
    assert before.reason == "slow_contact"
    assert before.since_ns
    until = BEGIN + 300 * SECOND
    scene.do(
        SupervisorActed("override", "mia", "trial", rep="ana", until_ns=until - SECOND, flow=0.0)
    )
    scene.at(150)
    scene.do(SupervisorActed("override", "mia", "trial", rep="ana", until_ns=until, flow=0.0))
    assert (rep.flow.reason, rep.override_by) == ("manual", "mia")
    assert rep.flow.because == "Set to 0% by a supervisor (mia): trial."
    if alive:
        scene.ready("ana", state="away")
        scene.at(160)
        scene.ready("ana")
    scene.at(301)
    assert rep.override_by == ""
    after = rep.flow_in_force(scene.now_ns)
    if alive:
        assert after.reason == "full_flow"
    else:
        assert (after.reason, after.since_ns) == ("slow_contact", before.since_ns)


def test_a_slow_reps_reason_began_with_the_first_doubt() -> None:
    scene = Scene(policy="lease", lease_seconds=60)
    scene.ready("ana", "ben")
    for number in range(1, 9):
        scene.lead(str(number))
        scene.at(number * 90)
    changes = [change for change in scene.decided(FlowChanged) if change.rep == "ana"]
    slow = [change.flow for change in changes if change.flow.reason == "slow_contact"]
    assert len(slow) == len(changes)
    assert len({flow.because for flow in slow}) > 1
    assert {flow.since_ns for flow in slow} == {slow[0].since_ns}


def test_resume_ends_an_override_and_a_pause_that_ends_by_time_does_not() -> None:
    from distributor.domain.events import SupervisorActed

    scene = Scene()
    scene.ready("ana")
    rep = scene.engine.state.reps["ana"]
    scene.do(SupervisorActed("override", "mia", "training", rep="ana", flow=0.0))
    until = scene.now_ns + 20 * SECOND
    scene.do(SupervisorActed("pause", "mia", "lunch", rep="ana", until_ns=until))
    assert rep.flow_in_force(scene.now_ns).reason == "paused"
    scene.at(30)
    flow = rep.flow_in_force(scene.now_ns)
    assert (flow.value, flow.reason) == (0.0, "manual")
    assert "training" in flow.because
    scene.do(SupervisorActed("resume", "mia", "trained", rep="ana"))
    assert rep.flow_in_force(scene.now_ns).value == 1.0
