"""What is said of a lead in another order than it happened, or by whom nobody would ask any more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distributor.domain.decisions import (
    ContactRecorded,
    EventRecorded,
    StandardCounted,
    StatusChanged,
)
from distributor.domain.events import LeadEvent, Started, SupervisorActed
from distributor.domain.lead import LEAD_TRANSITIONS, STATUS_MOVES
from tests.core.floors import BEGIN, SECOND, Scene, only

CALLBACK_S = 900


def ns(seconds: float) -> int:
    return BEGIN + round(seconds * SECOND)


def with_ana(**flow: Any) -> tuple[Scene, str]:
    """A lead that ana has had for 100 s."""
    scene = Scene(waiting_limit_seconds=36_000, **flow)
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(100)
    return scene, key


def parked(status: str = "callback", **flow: Any) -> tuple[Scene, str]:
    """A lead that ana parked at 100 s."""
    scene, key = with_ana(**flow)
    scene.report("status", key, status=status, callback_ns=ns(CALLBACK_S), at_ns=ns(100))
    return scene, key


def callback_due(**flow: Any) -> tuple[Scene, str]:
    """A callback that waits for ana, who is on a call."""
    scene, key = parked(**flow)
    scene.ready("ana", state="busy")
    scene.at(CALLBACK_S + 5)
    scene.ready("ben", state="ready")
    assert scene.look(key).state == "waiting"
    return scene, key


# -- a contact and the status that it led to ---------------------------------------------------------


@pytest.mark.parametrize("status", ["callback", "not_ready"])
@pytest.mark.parametrize("at", [40, 100])
def test_a_call_record_that_comes_late_leaves_a_parked_lead_alone(status: str, at: float) -> None:
    scene, key = parked(status)
    before = scene.look(key)
    scene.at(101)
    contact = only(scene.report("contacted", key, at_ns=ns(at)), ContactRecorded)
    lead = scene.look(key)
    assert (lead.state, lead.deadline_ns, lead.rep) == ("parked", before.deadline_ns, "ana")
    assert (lead.contacted_ns, contact.speed_seconds, contact.late) == (ns(at), at, True)
    assert (contact.response_seconds, scene.engine.state.reps["ana"].contacts) == (at, 1)


def test_a_call_record_that_comes_late_gives_the_verdict_on_speed() -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(50)
    scene.report("status", key, status="callback", callback_ns=ns(CALLBACK_S), at_ns=ns(50))
    scene.report("contacted", key, at_ns=ns(30))
    assert [count.met for count in scene.decided(StandardCounted)] == [True]


def test_a_call_record_that_is_repeated_moves_nothing_and_counts_once() -> None:
    scene, key = with_ana()
    scene.report("contacted", key, at_ns=ns(90))
    scene.report("status", key, status="callback", callback_ns=ns(CALLBACK_S), at_ns=ns(100))
    before = scene.look(key)
    for _ in range(2):
        scene.report("contacted", key, at_ns=ns(90))
    assert scene.look(key) == before
    assert scene.engine.state.reps["ana"].contacts == 1


def test_an_older_working_is_overtaken_by_a_callback() -> None:
    scene, key = parked()
    before = scene.look(key)
    stale = only(scene.report("status", key, status="working", at_ns=ns(99)), EventRecorded)
    assert stale.outcome == "stale"
    assert stale.reason == "older than callback, now in force"
    assert scene.look(key) == before


def test_a_new_working_takes_a_parked_lead_in_hand() -> None:
    scene, key = parked()
    scene.at(200)
    scene.report("status", key, status="working", at_ns=ns(200))
    assert (scene.look(key).state, scene.look(key).rep) == ("working", "ana")


def test_who_is_called_before_the_callback_is_due_stays_with_it_parked() -> None:
    scene, key = parked()
    scene.at(200)
    scene.report("contacted", key, at_ns=ns(200))
    scene.at(320)
    scene.report("call_ended", key, talk_seconds=100)
    assert scene.look(key).state == "parked"
    scene.at(CALLBACK_S + 1)
    assert (scene.look(key).state, scene.look(key).rep) == ("assigned", "ana")


@pytest.mark.parametrize("ended", [True, False])
def test_a_callback_that_its_rep_makes_early_is_nobody_elses_while_they_talk(ended: bool) -> None:
    scene, key = parked(call_limit_seconds=1800)
    scene.at(CALLBACK_S - 10)
    scene.report("contacted", key)
    scene.ready("ana", state="busy")
    scene.ready("ben")
    scene.at(CALLBACK_S + 300)
    assert scene.look(key).state == "parked"
    if ended:
        scene.report("call_ended", key, talk_seconds=300)
        scene.at(CALLBACK_S + 301)
    else:
        scene.at(CALLBACK_S - 10 + 1801)
    assert scene.look(key).state != "parked"


def test_the_end_of_the_call_before_ends_no_new_one() -> None:
    scene, key = parked()
    scene.at(CALLBACK_S - 10)
    scene.report("contacted", key)
    scene.report("call_ended", key, at_ns=ns(100))
    scene.at(CALLBACK_S + 60)
    assert scene.look(key).state == "parked"


# -- whose events count while nobody has the lead ----------------------------------------------------


def ways(key: str) -> list[dict[str, str]]:
    return [
        {"lead_key": key},
        {"lead_key": key, "rep": "ana"},
        {"assignment_id": f"{key}-1"},
        {"assignment_id": f"{key}-1", "rep": "ana"},
    ]


def say(scene: Scene, type_: str, names: dict[str, str], **fields: Any) -> list[Any]:
    scene.events += 1
    number = f"w{scene.events}"
    event = LeadEvent(number, "dialer", type_, **(names | {"evidence": "dialer"} | fields))  # type: ignore[arg-type]
    return scene.do(event)


@pytest.mark.parametrize("way", range(4))
@pytest.mark.parametrize("status", ["converted", "dnc"])
def test_the_callback_that_is_due_is_still_its_reps_to_make(way: int, status: str) -> None:
    scene, key = callback_due()
    names = ways(key)[way]
    say(scene, "contacted", names)
    assert (scene.look(key).state, scene.look(key).rep) == ("working", "ana")
    scene.at(CALLBACK_S + 100)
    assert scene.look(key).rep == "ana", "nobody else calls her customer meanwhile"
    say(scene, "status", names, status=status)
    assert (scene.look(key).state, scene.look(key).status) == ("closed", status)
    assert scene.engine.state.reps["ben"].assignments == 0


def test_its_rep_may_put_a_callback_that_is_due_off_again() -> None:
    scene, key = callback_due()
    scene.report("status", key, status="callback", callback_ns=ns(2_000))
    assert (scene.look(key).state, scene.look(key).deadline_ns) == ("parked", ns(2_000))


def test_the_same_callback_again_parks_it_no_second_time() -> None:
    scene, key = callback_due()
    again = scene.report(
        "status", key, status="callback", callback_ns=ns(CALLBACK_S), at_ns=ns(100)
    )
    assert only(again, EventRecorded).outcome == "stale"
    assert scene.look(key).state == "waiting"


def test_an_old_call_record_takes_no_callback_out_of_the_pool() -> None:
    scene, key = callback_due()
    assert only(scene.report("contacted", key, at_ns=ns(90)), ContactRecorded).late
    assert (scene.look(key).state, scene.look(key).contacted_ns) == ("waiting", ns(90))


def test_the_call_of_a_callback_that_is_due_counts_for_its_rep_from_then() -> None:
    scene, key = callback_due()
    contact = only(scene.report("contacted", key), ContactRecorded)
    assert (contact.response_seconds, contact.on_time) == (5.0, True)


def test_once_somebody_else_has_it_the_last_owner_is_not_heard() -> None:
    scene, key = callback_due()
    scene.at(CALLBACK_S + 40)
    assert scene.look(key).rep == "ben"
    for names in ways(key)[1:]:
        say(scene, "status", names, status="dnc")
    assert scene.look(key).rep == "ben"


def back_with_ana() -> tuple[Scene, str]:
    """A callback that is due and with ana again, under a new assignment."""
    scene, key = parked()
    scene.at(CALLBACK_S + 5)
    assert scene.look(key).assignment_id == f"{key}-2"
    return scene, key


@pytest.mark.parametrize("status", ["converted", "dnc", "callback", "working"])
def test_a_dialer_may_go_on_with_the_assignment_that_it_knows(status: str) -> None:
    scene, key = back_with_ana()
    names = {"assignment_id": f"{key}-1"}
    contact = only(say(scene, "contacted", names), ContactRecorded)
    assert (contact.assignment_id, contact.response_seconds) == (f"{key}-2", 5.0)
    say(scene, "status", names, status=status, callback_ns=ns(2_000))
    wanted = {"callback": "parked", "working": "working"}.get(status, "closed")
    assert (scene.look(key).state, scene.look(key).status) == (wanted, status)


@pytest.mark.parametrize(
    ("type_", "fields"),
    [
        ("contacted", {"at_ns": ns(90)}),
        ("status", {"status": "callback", "callback_ns": ns(CALLBACK_S), "at_ns": ns(100)}),
        ("status", {"status": "working", "at_ns": ns(100)}),
        ("rejected", {}),
        ("attempted", {}),
        ("accepted", {}),
    ],
)
@pytest.mark.parametrize("working", [False, True])
def test_what_is_old_news_of_the_earlier_assignment_does_nothing_to_the_present_one(
    type_: str, fields: dict[str, Any], working: bool
) -> None:
    scene, key = back_with_ana()
    if working:
        scene.report("contacted", key)
    before = scene.look(key)
    answer = only(say(scene, type_, {"assignment_id": f"{key}-1"}, **fields), EventRecorded)
    assert (answer.outcome, scene.look(key)) == ("stale", before)


def test_a_recycled_lead_is_its_last_owners_until_somebody_else_has_it() -> None:
    scene, key = parked("not_ready", recycle_seconds=500)
    scene.ready("ana", state="away")
    scene.at(700)
    assert scene.look(key).state == "waiting"
    scene.report("status", key, status="converted", rep="ana")
    assert scene.look(key).status == "converted"


@pytest.mark.parametrize("said", ["status", "contacted"])
def test_a_lead_on_the_desk_that_its_rep_goes_on_with(said: str) -> None:
    scene, key = with_ana(working_limit_seconds=1_000)
    scene.report("status", key, status="working")
    scene.at(1_200)
    assert scene.look(key).state == "exception"
    if said == "contacted":
        scene.report("contacted", key)
        assert (scene.look(key).state, scene.look(key).rep) == ("working", "ana")
    else:
        scene.report("status", key, status="converted")
        assert scene.look(key).state == "closed"
    assert scene.engine.state.ledger.difference == 0


def gone(why: str) -> tuple[Scene, str]:
    """A lead that was ana's and is nobody's now."""
    scene, key = with_ana()
    if why in ("away", "offline"):
        scene.ready("ana", state=why)
    elif why == "rejected":
        scene.report("rejected", key)
    elif why == "paused":
        scene.do(SupervisorActed("pause", "mia", "training", rep="ana"))
    else:
        scene.ready("ana", state="busy")
        scene.do(SupervisorActed("recycle", "mia", "anew", lead_key=key))
    assert scene.look(key).state in ("waiting", "exception")
    return scene, key


@pytest.mark.parametrize("way", range(4))
@pytest.mark.parametrize("why", ["away", "offline", "rejected", "paused", "recycled"])
def test_who_must_not_be_called_is_not_called_though_nobody_had_the_lead(
    why: str, way: int
) -> None:
    scene, key = gone(why)
    changed = only(say(scene, "status", ways(key)[way], status="dnc"), StatusChanged)
    assert (scene.look(key).state, scene.look(key).status) == ("closed", "dnc")
    who = ways(key)[way].get("rep", "dialer")
    assert changed.because.startswith(f"{who} set dnc; nobody had the lead")
    assert scene.engine.state.ledger.difference == 0


def test_only_a_dialer_or_who_had_the_lead_says_that_it_must_not_be_called() -> None:
    scene, key = gone("away")
    for status, rep in (("dnc", "ben"), ("lost", "ana"), ("lost", "")):
        scene.report("status", key, status=status, rep=rep)
        assert scene.look(key).state == "waiting"


# -- closed leads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [30, 0])
def test_the_call_record_of_a_closed_lead_counts_in_every_figure(at: float) -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(40)
    scene.report("status", key, status="converted")
    contact = only(scene.report("contacted", key, at_ns=ns(at) if at else 0), ContactRecorded)
    seconds = at or 40.0
    lead = scene.look(key)
    assert (lead.state, lead.status, lead.contacted_ns) == ("closed", "converted", ns(seconds))
    assert (contact.counted, contact.speed_seconds) == (True, seconds)
    assert [count.met for count in scene.decided(StandardCounted)] == [True]
    rep = scene.engine.state.reps["ana"]
    assert (rep.contacts, rep.contacts_on_time, rep.response_seconds) == (1, 1, seconds)
    scene.report("contacted", key, at_ns=ns(at) if at else 0)
    assert rep.contacts == 1


def test_an_older_status_overwrites_no_newer_one_of_a_closed_lead() -> None:
    scene, key = with_ana()
    scene.report("status", key, status="converted", at_ns=ns(100))
    before = scene.look(key)
    for status in ("lost", "callback"):
        late = only(scene.report("status", key, status=status, at_ns=ns(99)), EventRecorded)
        assert (late.outcome, scene.look(key)) == ("stale", before)
    scene.report("status", key, status="lost", at_ns=ns(100))
    assert scene.look(key).status == "lost", "of the same time, the later word is a correction"


def test_a_sale_told_late_closes_what_was_parked_after_it() -> None:
    """It may be a slow clock: who bought is not called again."""
    scene, key = parked()
    scene.report("status", key, status="converted", at_ns=ns(80))
    scene.report("status", key, status="callback", callback_ns=ns(CALLBACK_S), at_ns=ns(100))
    assert (scene.look(key).state, scene.look(key).status) == ("closed", "converted")


def test_a_closed_lead_that_is_released_begins_anew() -> None:
    scene, key = with_ana()
    scene.report("status", key, status="lost")
    scene.ready("ana", state="away")
    scene.do(SupervisorActed("recycle", "mia", "try again", lead_key=key))
    late = only(scene.report("status", key, status="lost"), EventRecorded)
    assert (late.outcome, scene.look(key).state) == ("stale", "waiting")


# -- clocks that are wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize("days", [8, 1 / 24])
@pytest.mark.parametrize("status", [None, "converted", "callback"])
def test_a_contact_long_before_the_assignment_has_the_time_of_its_receipt(
    days: float, status: str | None
) -> None:
    scene, key = with_ana()
    if status:
        scene.report("status", key, status=status, callback_ns=ns(CALLBACK_S))
    said_ns = ns(-days * 86_400)
    contact = only(scene.report("contacted", key, at_ns=said_ns), ContactRecorded)
    assert (contact.at_ns, contact.speed_seconds, contact.doubted_ns) == (ns(100), 100.0, said_ns)
    assert [count.met for count in scene.decided(StandardCounted)] == [False]


@pytest.mark.parametrize("status", [None, "working", "callback", "lost"])
def test_a_call_while_nobody_could_be_heard_has_its_own_time(status: str | None) -> None:
    """The lease's clocks began anew since; that makes nobody's clock wrong."""
    scene, key = with_ana()
    scene.at(400)
    scene.do(Started(2, "1"))
    if status:
        scene.report("status", key, status=status, callback_ns=ns(CALLBACK_S), at_ns=ns(90))
    contact = only(scene.report("contacted", key, at_ns=ns(20)), ContactRecorded)
    assert (contact.doubted_ns, contact.at_ns, contact.speed_seconds) == (0, ns(20), 20.0)
    if not status:
        scene.report("call_ended", key, at_ns=ns(80), talk_seconds=60)
    assert scene.look(key).in_pipeline is (status == "working")


# -- any order ---------------------------------------------------------------------------------------

Word = tuple[str, int, dict[str, Any]]


def words(last: str, early: str) -> list[Word]:
    """What a rep and a dialer say of one lead in the order in which it happens."""
    told: list[Word] = [
        ("accepted", 5, {}),
        ("attempted", 10, {"result": "answered"}),
        ("contacted", 20, {}),
    ]
    if early:
        told.append(("status", 22, {"status": early, "evidence": "claimed"}))
    told.append(("call_ended", 80, {"talk_seconds": 60.0}))
    fields = {"status": last, "callback_ns": ns(CALLBACK_S), "evidence": "claimed"}
    told.append(("status", 85, fields))
    return told


def outcome(order: list[Word]) -> tuple[Any, ...]:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(90)
    for type_, at, fields in order:
        say(scene, type_, {"assignment_id": f"{key}-1"}, at_ns=ns(at), **fields)
    lead = scene.look(key)
    return lead.state, lead.status, lead.contacted_ns, lead.deadline_ns, lead.in_pipeline


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.data())
def test_the_order_in_which_words_come_makes_no_difference(data: st.DataObject) -> None:
    last = data.draw(st.sampled_from(sorted(STATUS_MOVES)))
    early = data.draw(st.sampled_from(["", "working", "qualified"]))
    told = words(last, early)
    order = data.draw(st.permutations(told))
    twice = data.draw(st.lists(st.sampled_from(told), max_size=2))
    assert outcome([*order, *twice]) == outcome(told)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.permutations([("converted", 50), ("lost", 60), ("dnc", 70), ("invalid", 80)]))
def test_of_words_that_close_a_lead_the_newest_stays(order: list[tuple[str, int]]) -> None:
    scene, key = with_ana()
    for status, at in order:
        scene.report("status", key, status=status, at_ns=ns(at))
    assert (scene.look(key).state, scene.look(key).status) == ("closed", "invalid")


def test_a_contact_is_possible_wherever_a_last_owner_may_be() -> None:
    assert all("contact" in moves for moves in LEAD_TRANSITIONS.values())
