"""Scenes of one lead's life: what every event does, and what it must not do."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from distributor.core.lifecycle import mermaid, moved
from distributor.domain.decisions import (
    Assigned,
    AssignmentEnded,
    ContactRecorded,
    EventRecorded,
    LeadDuplicate,
    LeadHeld,
    LeadRejected,
    LeadReleased,
    StandardCounted,
    StatusChanged,
    WorkEnded,
)
from distributor.domain.events import LeadEvent, LeadReceived, SupervisorActed, TargetChanged
from distributor.domain.faults import ImpossibleMove
from distributor.domain.lead import LEAD_TRANSITIONS, MOVE_MEANINGS, Lead
from tests.core.floors import BEGIN, SECOND, Scene, only


def test_a_lead_goes_to_the_ready_rep_and_is_closed_by_its_status() -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    assert scene.look(key).state == "assigned"
    assert scene.look(key).rep == "ana"
    scene.at(9)
    contact = only(scene.report("contacted", key), ContactRecorded)
    assert (contact.speed_seconds, contact.on_time) == (9.0, True)
    assert scene.look(key).state == "working"
    scene.at(100)
    scene.report("status", key, status="converted")
    assert (scene.look(key).state, scene.look(key).status) == ("closed", "converted")
    assert scene.engine.state.reps["ana"].open == {}


def test_a_lead_waits_while_nobody_is_ready_and_goes_to_the_first_who_is() -> None:
    scene = Scene()
    key = scene.lead("1")
    assert scene.look(key).state == "waiting"
    scene.at(30)
    scene.ready("ben")
    assert scene.look(key).rep == "ben"


def test_one_open_lead_at_a_time_by_default() -> None:
    scene = Scene(["ana"])
    scene.ready("ana")
    first, second = scene.lead("1"), scene.lead("2")
    assert scene.look(second).state == "waiting"
    scene.report("contacted", first)
    assert scene.look(second).state == "waiting"
    scene.report("call_ended", first)
    assert scene.look(second).rep == "ana"


def test_the_same_vendor_id_is_a_duplicate_with_the_original_key() -> None:
    scene = Scene()
    key = scene.lead("1")
    again = scene.do(LeadReceived("acme", "1", scene.now_ns, "mqtt", b"{}"))
    assert only(again, LeadDuplicate).lead_key == key
    other = scene.do(LeadReceived("other", "1", scene.now_ns, "mqtt", b"{}"))
    assert not isinstance(other[0], LeadDuplicate)
    assert scene.engine.state.ledger.received == 2


def test_what_the_store_knows_about_an_earlier_id_counts_too() -> None:
    scene = Scene()
    event = LeadReceived("acme", "9", scene.now_ns, "http", b"{}", original="T3ST000000000X")
    assert only(scene.do(event), LeadDuplicate).lead_key == "T3ST000000000X"


def test_a_rejected_lead_goes_to_another_rep_without_a_revocation() -> None:
    scene = Scene()
    scene.ready("ana", "ben")
    key = scene.lead("1")
    first = scene.look(key)
    decisions = scene.report("rejected", key, reason="not my language")
    ended = only(decisions, AssignmentEnded)
    assert (ended.cause, ended.revoke, ended.excluded) == ("rejected", False, True)
    second = scene.look(key)
    assert second.rep != first.rep
    assert second.assignment_id != first.assignment_id
    assert second.attempt == 2


def test_what_everybody_refused_goes_to_the_desk_and_stays_there() -> None:
    scene = Scene(["ana", "ben", "cy"])
    scene.ready("ana", "ben")
    key = scene.lead("1")
    scene.report("rejected", key)
    held = only(scene.report("rejected", key), LeadHeld)
    assert held.kind == "all_refused"
    scene.ready("cy")
    scene.at(100_000)
    assert scene.look(key).state == "exception"


def test_a_silent_rep_loses_the_lead_when_the_lease_ends() -> None:
    scene = Scene(lease_seconds=60)
    scene.ready("ana", "ben")
    key = scene.lead("1")
    first = scene.look(key).rep
    decided = scene.at(61)
    ended = only(decided, AssignmentEnded)
    assert (ended.cause, ended.revoke, ended.blame, ended.rep) == ("expired", True, True, first)
    assert scene.look(key).rep not in ("", first)


def test_a_late_event_of_an_old_assignment_changes_nothing() -> None:
    scene = Scene(lease_seconds=60)
    scene.ready("ana", "ben")
    key = scene.lead("1")
    old = scene.look(key)
    scene.at(61)
    before = scene.look(key)
    late = LeadEvent(
        "late", "dialer", "contacted", assignment_id=old.assignment_id, evidence="dialer"
    )
    answer = scene.do(late)
    assert only(answer, EventRecorded).outcome == "stale"
    assert len(answer) == 1
    assert scene.look(key) == before


@pytest.mark.parametrize("state", ["offline", "away"])
def test_uncontacted_leads_of_a_rep_who_leaves_come_back_at_once(state: str) -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    ended = only(scene.ready("ana", state=state), AssignmentEnded)
    assert (ended.blame, ended.excluded, ended.revoke) == (False, False, True)
    assert scene.look(key).state == "waiting"
    scene.ready("ana")
    assert scene.look(key).rep == "ana"


def test_offline_grace_gives_the_rep_time_to_come_back() -> None:
    scene = Scene(offline_grace_seconds=20)
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(5)
    scene.ready("ana", state="offline")
    scene.at(20)
    assert scene.look(key).state == "assigned"
    scene.at(26)
    assert scene.look(key).state == "waiting"


def test_a_contacted_lead_stays_with_the_rep_who_goes_offline() -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    scene.report("contacted", key)
    scene.ready("ana", state="offline")
    assert (scene.look(key).state, scene.look(key).rep) == ("working", "ana")


@pytest.mark.parametrize(
    ("results", "says"),
    [
        ([], "ana did not call it within 600 s"),
        (
            ["busy", "no_answer"],
            "ana dialled it (no_answer) and did not reach anybody within 600 s",
        ),
        ([""], "ana dialled it and did not reach anybody within 600 s"),
    ],
)
def test_who_dialled_is_not_said_to_have_done_nothing(results: list[str], says: str) -> None:
    scene = Scene(["ana", "ben"])
    scene.ready("ana")
    key = scene.lead("1")
    for result in results:
        scene.report("attempted", key, result=result)
    scene.engine.restore(scene.engine.state.head(), list(scene.engine.state.leads.values()))
    scene.engine.resume()
    scene.ready("ben")
    scene.at(601)
    assert [ended.because for ended in scene.decided(AssignmentEnded)] == [says]
    scene.ready("ana")
    assert scene.look(key).rep == "ben"
    scene.at(1_300)
    assert scene.decided(AssignmentEnded)[-1].because == "ben did not call it within 600 s"


def test_a_bare_claim_keeps_the_lease_and_is_no_contact() -> None:
    scene = Scene(lease_seconds=60)
    scene.ready("ana", "ben")
    key = scene.lead("1")
    rep = scene.look(key).rep
    scene.report("contacted", key, evidence="claimed")
    scene.at(300)
    assert scene.look(key).contacted_ns == 0
    assert (scene.look(key).state, scene.look(key).rep) == ("assigned", rep)
    assert [count.met for count in scene.decided(StandardCounted)] == [False]


def test_claims_count_where_the_floor_accepts_them() -> None:
    scene = Scene(accept_claims=True)
    scene.ready("ana")
    key = scene.lead("1")
    scene.report("contacted", key, evidence="claimed")
    assert scene.look(key).state == "working"
    assert [count.met for count in scene.decided(StandardCounted)] == [True]


def test_the_standard_is_judged_once_by_the_time_of_the_contact() -> None:
    """A contact reported late counts by when it happened, if the verdict is still open."""
    scene = Scene()
    scene.ready("ana", "ben")
    met, missed = scene.lead("1"), scene.lead("2")
    scene.at(59)
    scene.report("contacted", met, at_ns=BEGIN + 30 * SECOND)
    scene.at(61)
    scene.report("contacted", missed)
    counts = {count.lead_key: count.met for count in scene.decided(StandardCounted)}
    assert counts == {met: True, missed: False}
    assert len(scene.decided(StandardCounted)) == 2


def test_a_callback_is_parked_and_comes_back_to_its_rep() -> None:
    scene = Scene()
    scene.ready("ana", "ben")
    key = scene.lead("1")
    rep = scene.look(key).rep
    scene.report("contacted", key)
    scene.report("status", key, status="callback", callback_ns=BEGIN + 600 * SECOND)
    assert (scene.look(key).state, scene.look(key).rep) == ("parked", rep)
    scene.at(601)
    assert (scene.look(key).state, scene.look(key).rep) == ("assigned", rep)


def test_a_callback_that_is_due_is_as_urgent_as_a_lead_that_has_just_come() -> None:
    """Not as old as its first arrival: that would put it behind every other, and call its rep late."""
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    scene.report("contacted", key, at_ns=BEGIN + 5 * SECOND)
    scene.report("status", key, status="callback", callback_ns=BEGIN + 600 * SECOND)
    scene.ready("ana", state="away")
    scene.at(640)
    pool = scene.engine.state.pools["default"]
    assert (scene.look(key).state, pool.oldest_clock_ns()) == ("waiting", BEGIN + 600 * SECOND)
    scene.ready("ana")
    again = scene.decided(Assigned)[-1]
    assert again.contact_by_ns == BEGIN + 660 * SECOND
    scene.at(650)
    contact = only(scene.report("contacted", key), ContactRecorded)
    assert (contact.speed_seconds, contact.on_time) == (None, True)


def test_speed_to_contact_counts_from_the_arrival_however_often_a_lead_is_released() -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    for due in (600, 900):
        scene.report("status", key, status="callback", callback_ns=BEGIN + due * SECOND)
        scene.at(due + 1)
    scene.at(930)
    contact = only(scene.report("contacted", key), ContactRecorded)
    assert (contact.speed_seconds, contact.on_time) == (930.0, True)
    assert [count.met for count in scene.decided(StandardCounted)] == [False]


def test_a_callback_that_converts_counts_for_the_last_owner() -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    scene.report("contacted", key)
    scene.report("status", key, status="callback", callback_ns=BEGIN + 600 * SECOND)
    status = only(scene.report("status", key, status="converted"), StatusChanged)
    assert (status.rep, status.correction) == ("ana", False)
    assert scene.look(key).state == "closed"


def test_a_later_status_on_a_closed_lead_is_a_correction() -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    scene.report("status", key, status="lost")
    status = only(scene.report("status", key, status="converted"), StatusChanged)
    assert status.correction
    lead = scene.look(key)
    assert (lead.state, lead.status, lead.reason) == ("closed", "converted", "converted")
    assert lead.because == "ana set converted"


def test_qualified_frees_the_rep_and_leaves_the_lead() -> None:
    scene = Scene(["ana"])
    scene.ready("ana")
    first, second = scene.lead("1"), scene.lead("2")
    scene.report("contacted", first)
    scene.report("status", first, status="qualified")
    assert (scene.look(first).state, scene.look(first).rep) == ("working", "ana")
    assert scene.look(second).rep == "ana"


def test_an_agent_state_of_a_dialer_ends_the_call() -> None:
    """Reps whose dialer reports busy are free when it reports ready again."""
    scene = Scene(["ana"])
    scene.ready("ana")
    first, second = scene.lead("1"), scene.lead("2")
    scene.ready("ana", state="busy")
    scene.report("contacted", first)
    scene.at(120)
    ended = only(scene.ready("ana"), WorkEnded)
    assert ended.cause == "agent_ready"
    assert scene.look(second).rep == "ana"


def test_a_call_without_an_end_is_taken_for_ended() -> None:
    scene = Scene(["ana"], call_limit_seconds=1800)
    scene.ready("ana")
    first, second = scene.lead("1"), scene.lead("2")
    scene.report("contacted", first)
    scene.at(1801)
    assert scene.look(second).rep == "ana"


def test_wrap_up_and_pace_hold_the_next_lead_back() -> None:
    scene = Scene(["ana"], wrap_up_seconds=15)
    scene.ready("ana")
    first, second = scene.lead("1"), scene.lead("2")
    scene.report("contacted", first)
    scene.at(60)
    scene.report("call_ended", first)
    assert scene.look(second).state == "waiting"
    assert scene.engine.state.verdict(scene.engine.state.reps["ana"]) == "wrap_up"
    scene.at(75.1)
    assert scene.look(second).rep == "ana"
    paced = Scene(["ana"], window=2, pace_seconds=30)
    paced.ready("ana")
    paced.lead("1")
    late = paced.lead("2")
    assert paced.look(late).state == "waiting"
    assert paced.engine.state.verdict(paced.engine.state.reps["ana"]) == "pace"
    paced.at(31)
    assert paced.look(late).rep == "ana"


def test_a_full_pool_asks_the_vendor_to_come_again() -> None:
    scene = Scene(pool_limit=1)
    scene.lead("1")
    answer = scene.do(LeadReceived("acme", "2", scene.now_ns, "http", b"{}"))
    assert only(answer, LeadRejected).retryable
    assert scene.engine.state.ledger.received == 1


def test_test_leads_have_the_same_limit_and_keep_no_real_one_out() -> None:
    scene = Scene(pool_limit=1)
    scene.lead("t1", test=True)
    again = LeadReceived("acme", "t2", scene.now_ns, "http", b"{}", test=True)
    refused = only(scene.do(again), LeadRejected)
    assert refused.retryable
    assert "test leads" in refused.reason
    scene.lead("1")
    assert scene.engine.state.ledger.received == 2


def test_a_test_lead_takes_no_slot_and_no_turn() -> None:
    scene = Scene(["ana"], lease_seconds=60)
    scene.ready("ana")
    test = scene.lead("t", test=True)
    assert scene.look(test).rep == "ana"
    assert scene.engine.state.reps["ana"].open == {}
    real = scene.lead("1")
    assert scene.look(real).rep == "ana"
    scene.at(50)
    scene.report("contacted", real)
    scene.at(61)
    assert scene.look(test).state == "closed"


def test_a_dialer_that_is_down_blames_no_rep() -> None:
    scene = Scene(lease_seconds=60)
    scene.ready("ana")
    key = scene.lead("1")
    scene.do(TargetChanged("mqtt", up=False, reason="gone"))
    waiting = scene.lead("2")
    scene.at(600)
    assert scene.look(key).rep == "ana"
    assert scene.look(waiting).state == "waiting"
    scene.do(TargetChanged("mqtt", up=True))
    scene.at(655)
    assert scene.look(key).rep == "ana"
    scene.at(661)
    assert not any(ended.blame for ended in scene.decided(AssignmentEnded))


def test_events_of_strangers_and_about_nothing_are_rejected() -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    assignment = scene.look(key).assignment_id
    unknown = only(scene.report("contacted", "T3ST0000000ZZZ"), EventRecorded)
    stranger = only(scene.report("contacted", key, rep="zoe"), EventRecorded)
    other = only(scene.report("contacted", key, rep="ben"), EventRecorded)
    thief = scene.do(LeadEvent("x", "dialer", "contacted", assignment_id=assignment, rep="ben"))
    assert (unknown.outcome, stranger.outcome, other.outcome) == ("rejected", "rejected", "stale")
    assert only(thief, EventRecorded).outcome == "rejected"
    assert scene.look(key).state == "assigned"


def test_an_older_presence_than_the_last_one_is_ignored() -> None:
    from distributor.domain.events import PresenceReported

    scene = Scene()
    scene.at(10)
    scene.ready("ana")
    old = PresenceReported("ana", "offline", "rep:ana", at_ns=BEGIN + 5 * SECOND)
    assert only(scene.do(old), EventRecorded).outcome == "stale"
    assert scene.engine.state.reps["ana"].state == "ready"


def test_a_known_owner_is_asked_first_and_not_for_ever() -> None:
    scene = Scene()
    scene.ready("ana", "ben")
    first = scene.lead("1")
    busy = scene.look(first).rep
    other = "ben" if busy == "ana" else "ana"
    second = scene.lead("2", prefers=busy)
    assert scene.look(second).state == "waiting"
    scene.at(31)
    assert scene.look(second).rep == other
    note = scene.lead("3", prefers="nobody")
    assert scene.look(note).prefers == ""


def test_a_supervisor_moves_pauses_and_closes() -> None:
    scene = Scene()
    scene.ready("ana", "ben")
    key = scene.lead("1")
    rep = scene.look(key).rep
    other = "ben" if rep == "ana" else "ana"
    moved_ = scene.do(SupervisorActed("assign", "mia", "knows him", rep=other, lead_key=key))
    assert only(moved_, AssignmentEnded).revoke
    assert scene.look(key).rep == other
    scene.do(SupervisorActed("pause", "mia", "training", rep=other))
    assert scene.look(key).rep == rep
    scene.do(SupervisorActed("close", "mia", "spam", lead_key=key, status="invalid"))
    assert scene.look(key).state == "closed"
    refused = scene.do(SupervisorActed("assign", "mia", "", rep=other, lead_key=key))
    assert only(refused, EventRecorded).outcome == "rejected"
    scene.do(SupervisorActed("recycle", "mia", "was no spam", lead_key=key))
    assert scene.look(key).rep == rep


def test_nobody_puts_back_by_mistake_a_lead_that_must_not_be_called() -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    scene.report("status", key, status="dnc")
    recycle = SupervisorActed("recycle", "mia", "try again", lead_key=key)
    assign = SupervisorActed("assign", "mia", "hers", rep="ana", lead_key=key)
    for action in (recycle, assign):
        said = only(scene.do(action), EventRecorded)
        assert said.outcome == "rejected"
        assert "(status dnc)" in said.reason
        assert "force" in said.reason
        assert scene.look(key).status == "dnc"

    scene.do(replace(assign, force=True))
    assert scene.look(key).rep == "ana"

    scene.report("status", key, status="dnc")
    scene.report("status", key, status="lost")  # a correction
    assert only(scene.do(recycle), EventRecorded).outcome == "accepted"


@pytest.mark.parametrize("action", ["recycle", "assign"])
def test_a_lead_in_work_without_an_assignment_is_moved_and_is_no_case_for_the_desk(
    action: Any,
) -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    scene.report("contacted", key)
    scene.report("status", key, status="callback", callback_ns=BEGIN + 3600 * SECOND)
    scene.now_ns += SECOND
    scene.report("status", key, status="working")
    assert (scene.look(key).state, scene.look(key).assignment_id) == ("working", "")
    scene.ready("ben")
    moved_ = scene.do(SupervisorActed(action, "mia", "wrong rep", rep="ben", lead_key=key))
    assert only(moved_, LeadReleased).because == "by mia: wrong rep"
    assert only(moved_, Assigned).at_ns == scene.now_ns
    assert not scene.decided(LeadHeld)


def test_a_move_that_the_table_does_not_have_is_an_error_and_changes_nothing() -> None:
    lead = Lead("K", "v", "1", "p", "waiting", 0, 0)
    with pytest.raises(ImpossibleMove, match="cannot correct"):
        moved(lead, "correct", 5)
    assert lead == Lead("K", "v", "1", "p", "waiting", 0, 0)


def test_every_move_of_the_table_is_explained_and_drawn() -> None:
    moves = {move for row in LEAD_TRANSITIONS.values() for move in row}
    assert moves == set(MOVE_MEANINGS)
    drawing = mermaid()
    for state in LEAD_TRANSITIONS:
        assert f"    {state} --> " in drawing


def test_why_names_who_was_passed_over() -> None:
    scene = Scene(["ana", "ben", "cy", "dee"])
    scene.ready("ana", "ben", "cy")
    scene.ready("cy", state="away")
    scene.lead("1")
    scene.lead("2")
    assigned = scene.decided(Assigned)[1]
    listed = {rep: code for code, reps in assigned.passed_over.items() for rep in reps}
    first = scene.decided(Assigned)[0].rep
    assert listed["cy"] == "away"
    assert listed["dee"] == "offline"
    assert listed[first] == "full_pipeline"
    assert assigned.because
    assert assigned.reason
