"""What the core tells a policy of a lead in hand, and what the policy may conclude from it."""

from __future__ import annotations

import pytest

from distributor.domain.decisions import AssignmentEnded, MemoryRecorded, WorkEnded
from distributor.domain.events import SupervisorActed, TargetChanged
from policies.fair import Fair
from policies.lease.memory import RepMemory

from .floors import BEGIN, SECOND, Scene

HOUR = 3600


def remembered(scene: Scene, rep: str) -> RepMemory:
    policy = scene.engine._core.policies["default"]
    return policy._memories[rep]  # type: ignore[attr-defined]


def test_in_work_before_any_contact_stays_with_its_rep() -> None:
    """The policy once asked for it back, and the daemon ended."""
    scene = Scene(policy="lease")
    scene.ready("ana", "ben")
    key = scene.lead("1")
    owner = scene.look(key).rep
    scene.report("status", key, status="working", evidence="claimed")
    scene.at(700)
    assert (scene.look(key).state, scene.look(key).rep) == ("working", owner)


def test_a_conversation_counts_although_a_claimed_dial_came_before() -> None:
    scene = Scene(["ana"], policy="lease")
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(5)
    scene.report("attempted", key, evidence="claimed")
    assert remembered(scene, "ana").served == 0.0
    scene.at(8)
    scene.report("contacted", key, evidence="dialer")
    m = remembered(scene, "ana")
    assert (m.served, m.busy_lead) == (1.0, key)


def test_a_dial_and_its_conversation_are_one_contact() -> None:
    scene = Scene(["ana"], policy="lease")
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(5)
    scene.report("attempted", key)
    scene.at(8)
    scene.report("contacted", key)
    m = remembered(scene, "ana")
    assert (m.served, m.missed) == (1.0, RepMemory().missed)
    assert m.busy_ns == BEGIN + 5 * SECOND


def test_a_supervisors_close_says_nothing_about_the_rep() -> None:
    scene = Scene(["ana", "ben"], policy="lease")
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(60)
    before = remembered(scene, "ana")
    total, lagging = before.total, before.lagging
    scene.do(SupervisorActed("close", "mia", "spam", lead_key=key, status="invalid"))
    after = remembered(scene, "ana")
    assert (after.total, after.lagging, after.side, after.slots) == (total, lagging, 0.0, [])
    assert scene.engine.state.reps["ana"].free_from_ns == 0


def test_a_dialled_lead_that_a_supervisor_takes_is_no_disposition() -> None:
    scene = Scene(["ana"], policy="lease")
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(5)
    scene.report("contacted", key)
    scene.at(10)
    scene.do(SupervisorActed("close", "mia", "spam", lead_key=key, status="invalid"))
    m = remembered(scene, "ana")
    assert (m.total, m.handling_weight, m.busy_ns) == (RepMemory().total, 0.0, 0)


def test_a_late_disposition_of_a_lead_taken_for_finished_is_learned() -> None:
    scene = Scene(["ana"], policy="lease")
    scene.ready("ana")
    first = scene.lead("1")
    scene.at(5)
    scene.report("contacted", first)
    scene.at(500)
    second = scene.lead("2")
    scene.at(590)
    assert scene.look(second).state == "assigned"  # ana was taken for free without a word
    scene.report("status", first, status="lost")
    m = remembered(scene, "ana")
    assert (m.busy_ns, m.total) == (0, RepMemory().total + 1)
    scene.report("contacted", second)
    assert remembered(scene, "ana").missed == RepMemory().missed


def test_an_agents_ready_ends_a_dial_that_nobody_answered() -> None:
    scene = Scene(["ana"], policy="lease")
    scene.ready("ana")
    scene.ready("ana", state="busy")
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(5)
    scene.ready("ana", state="busy")
    scene.report("attempted", key, result="no_answer")
    scene.at(30)
    scene.ready("ana")
    ended = scene.decided(WorkEnded)[-1]
    assert (ended.lead_key, ended.cause) == (key, "agent_ready")
    assert scene.look(scene.lead("2")).rep == "ana"
    assert scene.look(key).assignment_id  # it is still ana's to try again until the lease ends


def test_a_break_leaves_a_lead_that_may_be_ringing() -> None:
    scene = Scene(policy="lease")
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(5)
    scene.report("attempted", key)
    scene.ready("ana", state="away")
    assert (scene.look(key).state, scene.look(key).rep) == ("assigned", "ana")
    scene.report("contacted", key)
    assert scene.look(key).state == "working"
    other = Scene(policy="lease")
    other.ready("ana")
    key = other.lead("1")
    other.report("attempted", key)
    other.ready("ana", state="offline")
    assert other.look(key).state == "waiting"


def test_what_a_supervisor_gave_by_hand_is_not_moved_on() -> None:
    scene = Scene(policy="lease")
    scene.ready("ana")
    key = scene.lead("1")
    scene.ready("ben")
    scene.do(SupervisorActed("assign", "mia", "knows her", rep="ben", lead_key=key))
    scene.at(300)
    assert scene.look(key).rep == "ben"
    assert [ended.cause for ended in scene.decided(AssignmentEnded)] == ["supervisor"]


def test_a_new_shift_begins_level_for_everybody() -> None:
    scene = Scene(policy="lease")
    scene.ready("ana")
    for number in range(12):
        key = scene.lead(f"evening{number}")
        scene.report("contacted", key)
        scene.report("status", key, status="lost")
    scene.ready("ana", state="offline")
    assert remembered(scene, "ana").served == 12.0
    scene.engine._core.policies["default"]._fleet.offset = 0.48  # type: ignore[attr-defined]
    scene.at(12 * HOUR)
    scene.ready("ben")
    assert scene.engine._core.policies["default"]._fleet.offset == 0.0  # type: ignore[attr-defined]
    scene.ready("ana")
    assert remembered(scene, "ana").served == remembered(scene, "ben").served == 0.0


def test_a_lead_kept_beside_a_free_rep_is_looked_at_again() -> None:
    """No other event would come: the reserve is met by time alone."""
    names = [f"rep{number}" for number in range(12)]
    scene = Scene(names, policy="lease", call_limit_seconds=100_000)
    scene.ready("rep0", "rep1")
    for name in names[2:]:
        scene.ready(name, state="busy")
    for key in (scene.lead("1"), scene.lead("2")):
        scene.report("contacted", key)  # of neither the end is ever told
    scene.ready("rep1", state="busy")
    scene.at(300)
    key = scene.lead("3")
    assert scene.look(key).state == "waiting"
    scene.at(485)
    scene.ready("rep1")
    assert scene.look(key).reason == "reserve"
    scene.at(3600)
    assert scene.look(key).attempt >= 1


@pytest.mark.parametrize("up", [True, False])
def test_fair_learns_that_a_lead_was_bad_also_while_the_dialer_is_down(up: bool) -> None:
    scene = Scene(["ana"], policy="fair")
    scene.ready("ana")
    key = scene.lead("1")
    scene.report("contacted", key)
    scene.do(TargetChanged("mqtt", up, "a test"))
    scene.report("status", key, status="invalid")
    (memory,) = [d for d in scene.entries[-1].decisions if isinstance(d, MemoryRecorded)]
    fresh = Fair()
    fresh.restore("ana", memory.memory)
    assert fresh._turns["ana"].owed == 1.0
