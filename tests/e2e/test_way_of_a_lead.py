"""The way of a lead as vendors, dialers and rep desktops see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.conftest import Floor
from tests.e2e.floor import Peer, fresh, lead, until


def of(key: str) -> Any:
    """What is about a lead."""
    return lambda message: message.get("lead_key") == key


def give(floor: Floor, rep: str = "ana", **more: Any) -> Any:
    """A lead in the hands of a rep: its assignment as the dialer got it."""
    floor.api.be(rep, "ready")
    key = floor.api.post("/v1/leads/acme", lead(**more))["lead_key"]
    return floor.peer.wait("leads/dialer/assign", of(key))


def now(**more: float) -> str:
    return (datetime.now(UTC) + timedelta(**more)).isoformat()


def settled(floor: Floor) -> None:
    """All that was decided before has left: a message behind it has come."""
    mark = fresh("mark")
    floor.peer.say("leads/in/acme", {"id": mark})
    floor.peer.wait("leads/in/acme/result", lambda m: isinstance(m, dict) and m["lead_id"] == mark)


# -- vendors -----------------------------------------------------------------------------------


def test_a_lead_over_mqtt_is_answered_assigned_and_shown(floor):
    floor.api.be("ana", "ready")
    sent = lead(first_name="Zoe", unknown_field=1)

    floor.peer.say("leads/in/acme", sent)

    reply = floor.peer.wait("leads/in/acme/result")
    assert reply == {
        "outcome": "accepted",
        "reason": None,
        "lead_id": sent["id"],
        "lead_key": reply["lead_key"],
        "retryable": False,
    }
    key = reply["lead_key"]
    assert len(key) <= 20
    assert key.isalnum()
    assignment = floor.peer.wait("leads/dialer/assign", of(key))
    assert assignment["type"] == "assign"
    assert (assignment["rep"], assignment["attempt"]) == ("ana", 1)
    assert assignment["lead"]["phone"] == sent["phone"]
    assert assignment["lead"]["first_name"] == "Zoe"
    assert assignment["because"]
    names = {"team", "pool", "policy", "assigned_at", "contact_by", "lease_expires_at"}
    assert names <= assignment.keys()
    assert floor.peer.wait("leads/rep/ana/lead", of(key)) == assignment
    shown = floor.api.lead(key)
    assert (shown["state"], shown["rep"], shown["vendor"]) == ("assigned", "ana", "acme")
    assert [item["type"] for item in shown["history"]] == ["received", "assigned"]
    why = floor.api.get(f"/v1/leads/{key}/why")
    assert (why["rep"], why["assignment_id"]) == ("ana", assignment["assignment_id"])
    idle = floor.api.get(f"/v1/leads/{key}/why?rep=ben")["candidates"]
    assert [(one["rep"], one["verdict"]) for one in idle] == [("ben", "offline")]


def test_a_lead_over_http_is_answered_after_the_commit(floor):
    reply = floor.api.post("/v1/leads/acme", lead())

    assert reply["outcome"] == "accepted"
    assert floor.api.lead(reply["lead_key"])["state"] == "waiting"


def test_a_form_is_a_lead_too(floor):
    answer = floor.api.call(
        "POST",
        "/v1/leads/acme",
        raw=f"id={fresh('form')}&phone=%28312%29+555-0199&hobby=chess".encode(),
        kind="application/x-www-form-urlencoded",
    )

    assert answer.body["outcome"] == "accepted"
    page = floor.api.get("/v1/leads?state=waiting")
    assert [one["lead_key"] for one in page["items"]] == [answer.body["lead_key"]]


def test_a_repeat_gets_the_original_key_on_every_channel_and_from_one_batch(floor):
    sent = lead()
    first = floor.api.post("/v1/leads/acme", [sent, sent, {**sent, "phone": "+13125550001"}])

    floor.peer.say("leads/in/acme", sent)

    again = floor.peer.wait("leads/in/acme/result")
    assert [one["outcome"] for one in first] == ["accepted", "duplicate", "duplicate"]
    assert {one["lead_key"] for one in first} == {again["lead_key"]}
    assert again["outcome"] == "duplicate"
    other = floor.api.post("/v1/leads/bolt", sent)
    assert other["outcome"] == "accepted", "another vendor's id is another lead"


def test_a_repeat_of_a_closed_lead_gets_the_original_key(floor):
    sent = lead()
    key = floor.api.post("/v1/leads/acme", sent)["lead_key"]
    floor.api.post(f"/v1/leads/{key}/close", {"status": "lost", "reason": "test"})

    again = floor.api.post("/v1/leads/acme", sent)

    assert (again["outcome"], again["lead_key"]) == ("duplicate", key)


def test_one_bad_lead_of_an_array_costs_the_others_nothing(floor):
    good, other = lead(), lead()

    floor.peer.say("leads/in/acme", [good, {"id": "no-phone"}, 7, other])

    replies = floor.peer.wait("leads/in/acme/result", lambda m: isinstance(m, list))
    assert [one["outcome"] for one in replies] == ["accepted", "rejected", "rejected", "accepted"]
    assert [one["lead_id"] for one in replies] == [good["id"], "no-phone", None, other["id"]]
    assert "phone" in replies[1]["reason"]


def test_replies_go_to_the_response_topic_with_its_correlation_data(floor):
    floor.peer.say("leads/in/acme", [lead(), lead()], response="answers/1", correlation=b"\x00c1")

    message = floor.peer.wait_message("answers/1")

    assert message.correlation == b"\x00c1"
    assert [one["outcome"] for one in message.json] == ["accepted", "accepted"]
    assert floor.peer.wait("leads/in/acme/result") == message.json


@pytest.mark.parametrize("topic", ["leads/dialer/assign", "leads/in/bolt/result", "leads/dead"])
def test_a_response_topic_under_our_own_prefix_is_ignored(floor, topic):
    sent = lead()

    floor.peer.say("leads/in/acme", sent, response=topic, correlation=b"c")

    floor.peer.wait("leads/in/acme/result", lambda m: m["lead_id"] == sent["id"])
    settled(floor)
    assert not floor.peer.all(topic)


def test_the_own_result_topic_as_response_topic_gets_one_reply(floor):
    sent = lead()

    floor.peer.say("leads/in/acme", sent, response="leads/in/acme/result", correlation=b"mine")

    message = floor.peer.wait_message("leads/in/acme/result")
    assert message.correlation == b"mine"
    settled(floor)
    mine = floor.peer.all("leads/in/acme/result", lambda m: m["lead_id"] == sent["id"])
    assert len(mine) == 1


# -- who receives ------------------------------------------------------------------------------


def test_a_revoke_leaves_before_the_next_assignment_of_the_lead(floor):
    first = give(floor, "ana")
    key = first["lead_key"]
    floor.api.be("ben", "ready")

    floor.api.be("ana", "offline")

    second = floor.peer.wait("leads/dialer/assign", lambda m: of(key)(m) and m["attempt"] == 2)
    told = [
        (m.topic, m.json["assignment_id"])
        for m in floor.peer.came
        if m.topic.startswith("leads/dialer/") and of(key)(m.json)
    ]
    assert told == [
        ("leads/dialer/assign", first["assignment_id"]),
        ("leads/dialer/revoke", first["assignment_id"]),
        ("leads/dialer/assign", second["assignment_id"]),
    ]
    assert second["rep"] == "ben"
    assert second["assignment_id"] != first["assignment_id"]
    assert floor.peer.wait("leads/rep/ana/revoke", of(key))["rep"] == "ana"
    assert floor.peer.wait("leads/rep/ben/lead", of(key)) == second


def test_a_refused_lead_goes_to_another_rep_and_then_to_a_human(floor):
    first = give(floor, "ana")
    key = first["lead_key"]
    floor.api.be("ben", "ready")

    floor.peer.say(
        "leads/rep/ana/event",
        {
            "event_id": fresh("e"),
            "type": "rejected",
            "assignment_id": first["assignment_id"],
            "reason": "a friend",
        },
    )
    second = floor.peer.wait("leads/dialer/assign", lambda m: of(key)(m) and m["attempt"] == 2)

    assert second["rep"] == "ben"
    assert second["assignment_id"] != first["assignment_id"]
    assert not floor.peer.all("leads/dialer/revoke", of(key)), "who refused needs no revocation"
    floor.api.event("rejected", assignment_id=second["assignment_id"])
    case = floor.peer.wait("leads/exception", of(key))
    assert case["kind"] == "all_refused"
    cases = floor.api.get("/v1/exceptions")["items"]
    assert [one["lead_key"] for one in cases] == [key]
    assert {"kind", "reason", "decider", "opened_at", "due_at", "because"} <= cases[0].keys()
    assert floor.api.lead(key)["state"] == "exception"
    until(lambda: floor.api.metric('distributor_exceptions_open{kind="all_refused"}') == 1)
    floor.api.be("ana", "ready")
    floor.api.post(f"/v1/leads/{key}/assign", {"rep": "ana", "reason": "talk to her"})
    third = floor.peer.wait("leads/dialer/assign", lambda m: of(key)(m) and m["attempt"] == 3)
    assert third["rep"] == "ana"


def test_leads_go_to_ready_reps_only(floor):
    for rep, state in (("ana", "busy"), ("ben", "away"), ("cleo", "wrap_up")):
        floor.api.be(rep, state)

    key = floor.api.post("/v1/leads/acme", lead())["lead_key"]

    assert floor.api.lead(key)["state"] == "waiting"
    floor.api.be("cleo", "ready")
    assert floor.peer.wait("leads/dialer/assign", of(key))["rep"] == "cleo"


def test_presence_may_be_retained_and_a_last_will(floor):
    desktop = Peer(
        floor.broker.port,
        will=("leads/rep/ana/presence", b'{"state": "offline", "reason": "desktop gone"}'),
    )
    desktop.say("leads/rep/ana/presence", {"state": "ready"}, retain=True)
    key = floor.api.post("/v1/leads/acme", lead())["lead_key"]
    floor.peer.wait("leads/dialer/assign", of(key))

    desktop.vanish()

    assert "offline" in floor.peer.wait("leads/dialer/revoke", of(key))["because"]
    until(lambda: floor.api.get("/v1/reps/ana")["state"] == "offline")
    assert floor.api.lead(key)["state"] == "waiting"
    floor.peer.say("leads/rep/ana/presence", b"", retain=True)  # clears the retained message
    floor.peer.say("leads/rep/ana/presence", b"?")
    floor.peer.wait("leads/dead", lambda m: m["topic"] == "leads/rep/ana/presence")
    assert len(floor.peer.all("leads/dead")) == 1, "clearing is no mistake"


def test_an_older_presence_than_the_last_known_is_ignored(floor):
    floor.api.be("ana", "ready")

    assert floor.api.be("ana", "offline", at=now(hours=-1))["outcome"] == "stale"

    assert floor.api.get("/v1/reps/ana")["state"] == "ready"


def test_the_dialer_reports_states_of_agents_too(floor):
    floor.peer.say(
        "leads/dialer/event",
        {"event_id": fresh("e"), "type": "agent_state", "rep": "ben", "state": "ready"},
    )

    until(lambda: floor.api.get("/v1/reps/ben")["state"] == "ready")


def test_a_test_lead_is_never_dialled(floor):
    floor.api.be("ana", "ready")

    key = floor.api.post("/v1/leads/acme", lead(test=True))["lead_key"]

    assert floor.peer.wait("leads/rep/ana/lead", of(key))["test"] is True
    real = give(floor, "ana")
    assert real["rep"] == "ana", "a test takes no slot"
    assert not floor.peer.all("leads/dialer/assign", of(key))


def test_a_lead_without_a_phone_goes_to_the_desktop_only(floor):
    floor.api.be("ana", "ready")

    key = floor.api.post("/v1/leads/acme", {"id": fresh(), "email": "a@example.com"})["lead_key"]

    assert floor.peer.wait("leads/rep/ana/lead", of(key))["rep"] == "ana"
    floor.api.be("ana", "offline")
    floor.peer.wait("leads/rep/ana/revoke", of(key))
    settled(floor)
    assert not floor.peer.all("leads/dialer/assign", of(key))
    assert not floor.peer.all("leads/dialer/revoke", of(key))


def test_the_owner_of_a_lead_is_asked_first(floor):
    floor.api.be("ana", "ready")
    floor.api.be("cleo", "ready")

    key = floor.api.post("/v1/leads/acme", lead(owner="cleo"))["lead_key"]

    assert floor.peer.wait("leads/dialer/assign", of(key))["rep"] == "cleo"


# -- what is reported --------------------------------------------------------------------------


def test_a_dialers_record_is_a_contact_and_a_claim_is_not(floor):
    assignment = give(floor, "ana")
    key = assignment["lead_key"]

    floor.peer.say(
        "leads/rep/ana/event",
        {"event_id": fresh("e"), "type": "contacted", "lead_key": key, "evidence": "dialer"},
    )
    claimed = until(lambda: [i for i in floor.api.lead(key)["history"] if i["type"] == "contacted"])

    assert "claimed" in claimed[0]["because"]
    assert floor.api.lead(key)["contacted_at"] is None
    floor.peer.say(
        "leads/dialer/event",
        [{"event_id": fresh("e"), "type": "contacted", "lead_key": key, "evidence": "dialer"}],
    )
    until(lambda: floor.api.lead(key)["contacted_at"])
    assert floor.api.lead(key)["state"] == "working"


def test_work_ends_with_the_call_and_the_status_closes(floor):
    assignment = give(floor, "ana")
    key, name = assignment["lead_key"], assignment["assignment_id"]
    for kind, more in (
        ("accepted", {}),
        ("attempted", {"dialed": "+13125550142", "result": "answered"}),
        ("contacted", {"evidence": "dialer"}),
        ("call_ended", {"talk_seconds": 61.5}),
    ):
        said = floor.api.event(kind, assignment_id=name, rep="ana", at=now(), **more)
        assert said == {"accepted": 1, "duplicate": 0, "rejected": []}
    assert floor.api.get("/v1/reps/ana")["inflight"] == 0
    other = give(floor, "ana")
    assert other["rep"] == "ana", "the pipeline is free after call_ended"

    floor.api.event("status", lead_key=key, status="converted", value=120.0)

    shown = floor.api.lead(key)
    assert (shown["state"], shown["status"]) == ("closed", "converted")
    assert not floor.peer.all("leads/dialer/revoke", of(key)), "a status that closes ends it"
    said = floor.api.event("status", lead_key=key, status="lost")
    assert said["accepted"] == 1, "a correction"
    assert floor.api.lead(key)["status"] == "lost"
    assert floor.api.lead(key)["state"] == "closed"


@pytest.mark.parametrize("status", ["lost", "invalid", "dnc", "unqualified", "converted"])
def test_each_closing_status_closes_and_frees_the_rep(floor, status):
    key = give(floor, "ana")["lead_key"]

    floor.api.event("status", lead_key=key, status=status)

    assert floor.api.lead(key)["state"] == "closed"
    assert floor.api.get("/v1/reps/ana")["inflight"] == 0


def test_working_keeps_the_pipeline_and_qualified_frees_it(floor):
    key = give(floor, "ana")["lead_key"]
    floor.api.event("contacted", lead_key=key, evidence="dialer")

    floor.api.event("status", lead_key=key, status="working")
    assert floor.api.get("/v1/reps/ana")["inflight"] == 1
    floor.api.event("status", lead_key=key, status="qualified")

    shown = floor.api.lead(key)
    assert (shown["state"], shown["status"], shown["rep"]) == ("working", "qualified", "ana")
    assert floor.api.get("/v1/reps/ana")["inflight"] == 0


def test_a_callback_parks_the_lead_and_comes_back_to_its_rep(floor):
    key = give(floor, "ana")["lead_key"]
    floor.api.be("ben", "ready")

    floor.api.event("status", lead_key=key, status="callback", callback_at=now(seconds=0.5))

    back = floor.peer.wait("leads/dialer/assign", lambda m: of(key)(m) and m["attempt"] == 2)
    assert back["rep"] == "ana"
    reasons = [item.get("reason") for item in floor.api.lead(key)["history"]]
    assert [one for one in reasons if one in ("parked", "callback_due")] == [
        "parked",
        "callback_due",
    ]


def test_not_ready_parks_for_recycling(floor):
    key = give(floor, "ana")["lead_key"]

    floor.api.event("status", lead_key=key, status="not_ready")

    assert floor.api.lead(key)["state"] == "parked"
    assert floor.api.get("/v1/reps/ana")["inflight"] == 0


def test_a_callback_that_converts_counts_for_its_last_owner(floor):
    assignment = give(floor, "ana")
    key = assignment["lead_key"]
    floor.api.event("status", lead_key=key, status="callback", callback_at=now(hours=1))
    parked = floor.api.lead(key)
    assert (parked["state"], parked["rep"]) == ("parked", "ana")

    said = floor.api.event(
        "status", assignment_id=assignment["assignment_id"], rep="ana", status="converted"
    )

    assert said["accepted"] == 1
    shown = floor.api.lead(key)
    assert (shown["state"], shown["status"]) == ("closed", "converted")


def test_an_event_for_an_old_assignment_is_stale_and_changes_nothing(floor):
    first = give(floor, "ana")
    key = first["lead_key"]
    floor.api.be("ben", "ready")
    floor.api.be("ana", "offline")
    floor.peer.wait("leads/dialer/assign", lambda m: of(key)(m) and m["attempt"] == 2)

    said = floor.api.event("status", assignment_id=first["assignment_id"], status="lost")

    assert said == {"accepted": 1, "duplicate": 0, "rejected": []}
    shown = floor.api.lead(key)
    assert (shown["state"], shown["rep"], shown["status"]) == ("assigned", "ben", None)
    assert shown["history"][-1]["type"] == "stale"
    by_key = floor.api.event("status", lead_key=key, rep="ana", status="lost")
    assert by_key["accepted"] == 1
    assert floor.api.lead(key)["state"] == "assigned"


def test_a_repeated_event_id_counts_once_per_source(floor):
    key = give(floor, "ana")["lead_key"]
    event = {"event_id": fresh("e"), "type": "attempted", "lead_key": key, "result": "busy"}

    first = floor.api.post("/v1/events", [event, event])
    again = floor.api.post("/v1/events", event)

    assert (first["accepted"], first["duplicate"]) == (1, 1)
    assert (again["accepted"], again["duplicate"]) == (0, 1)
    floor.peer.say("leads/dialer/event", event)  # another source: the same id is another event
    until(lambda: len([i for i in floor.api.lead(key)["history"] if i["type"] == "attempted"]) == 2)


# -- supervisors -------------------------------------------------------------------------------


def test_a_supervisor_pauses_and_resumes_a_rep(floor):
    key = give(floor, "ana")["lead_key"]

    floor.api.post("/v1/reps/ana/pause", {"reason": "coaching"})

    floor.peer.wait("leads/dialer/revoke", of(key))
    assert floor.api.get("/v1/reps/ana")["state"] == "paused"
    floor.api.post("/v1/reps/ana/resume", {})
    back = floor.peer.wait("leads/dialer/assign", lambda m: of(key)(m) and m["attempt"] == 2)
    assert back["rep"] == "ana"


def test_a_supervisor_assigns_recycles_and_closes(floor):
    key = floor.api.post("/v1/leads/acme", lead())["lead_key"]
    refused = floor.api.call("POST", f"/v1/leads/{key}/assign", {"rep": "ben", "reason": "x"})
    assert refused.status == 409
    assert "force" in refused.body["detail"]

    forced = floor.api.post(f"/v1/leads/{key}/assign", {"rep": "ben", "force": True})

    assert (forced["state"], forced["rep"]) == ("assigned", "ben")
    assert floor.peer.wait("leads/dialer/assign", of(key))["rep"] == "ben"
    floor.api.post(f"/v1/leads/{key}/recycle", {"reason": "wrong one"})
    floor.peer.wait("leads/dialer/revoke", of(key))
    assert floor.api.lead(key)["state"] == "waiting"
    floor.api.post(f"/v1/leads/{key}/close", {"status": "lost", "reason": "enough"})
    assert floor.api.lead(key)["state"] == "closed"
    again = floor.api.call("POST", f"/v1/leads/{key}/close", {"status": "lost"})
    assert again.status == 409
