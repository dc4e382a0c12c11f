"""Everything that can be wrong from outside has an answer, and the daemon works on afterwards."""

from __future__ import annotations

import base64
import json

import pytest

from tests.e2e.floor import fresh, lead, phone, until

DEEP = b'{"id": "1", "phone": "+13125550142", "x": ' + b"[" * 40 + b"]" * 40 + b"}"
MEGABYTES = b'{"id": "big", "phone": "+13125550142", "comments": "' + b"x" * 10_000_000 + b'"}'

NO_LEADS = {
    "not JSON": b"hello",
    "a cut object": b'{"id": "1", "phone": ',
    "nothing": b"",
    "a number": b"7",
    "NaN": b'{"id": "1", "phone": "+13125550142", "score": NaN}',
    "infinity": b'{"id": "1", "phone": "+13125550142", "score": -Infinity}',
    "deep nesting": DEEP,
    "very deep nesting": b"[" * 200_000,
    "invalid UTF-8": b'{"id": "1", "first_name": "\xff\xfe", "phone": "+13125550142"}',
    "too many items": b"[" + b",".join([b"{}"] * 1001) + b"]",
}
"""What cannot be decoded: a dead letter over MQTT, 400 over HTTP."""

BAD_LEADS = {
    "no phone and no email": ({"id": "b1"}, "phone"),
    "an absurd phone": ({"id": "b2", "phone": "000"}, "phone"),
    "a phone of letters": ({"id": "b3", "phone": "call me " * 50}, "phone"),
    "a phone of the wrong type": ({"id": "b4", "phone": 3125550142}, "phone"),
    "a bad email alone": ({"id": "b5", "email": "nobody"}, "email"),
    "no id": ({"phone": "+13125550142"}, "id"),
    "an id of the wrong type": ({"id": ["b6"], "phone": "+13125550142"}, "id"),
    "an empty id": ({"id": "", "phone": "+13125550142"}, "id"),
    "an id too long": ({"id": "x" * 256, "phone": "+13125550142"}, "id"),
    "a name of the wrong type": ({"id": "b7", "phone": "+13125550142", "first_name": {}}, "name"),
    "a score of the wrong type": ({"id": "b8", "phone": "+13125550142", "score": "x"}, "score"),
    "a score beyond all floats": (b'{"id":"b9","phone":"+13125550142","score":1e999}', "score"),
    "attributes of lists": (
        {"id": "b10", "phone": "+13125550142", "attributes": {"a": [1]}},
        "attributes",
    ),
    "a time without an offset": (
        {"id": "b11", "phone": "+13125550142", "submitted_at": "2026-01-01T00:00:00"},
        "submitted_at",
    ),
}
"""Objects that are no valid lead: ``rejected`` with the field named, and no dead letter."""


def works(floor):
    """A lead goes the whole way."""
    floor.api.be("ana", "ready")
    sent = lead()
    floor.peer.say("leads/in/acme", sent)
    key = floor.peer.wait(
        "leads/in/acme/result", lambda m: isinstance(m, dict) and m["lead_id"] == sent["id"]
    )["lead_key"]
    floor.peer.wait("leads/dialer/assign", lambda m: m["lead_key"] == key)
    floor.api.event("status", lead_key=key, status="lost")


def dead(floor, topic):
    return floor.peer.wait("leads/dead", lambda m: m["topic"] == topic)


def problem(answer, status):
    """An RFC 9457 problem of that status."""
    assert answer.status == status, answer
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.body["status"] == status
    assert answer.body["detail"]
    assert "\n" not in answer.body["detail"]
    return answer.body["detail"]


# -- leads -------------------------------------------------------------------------------------


def test_payloads_that_are_no_leads_become_dead_letters(floor):
    for payload in NO_LEADS.values():
        floor.peer.say("leads/in/acme", payload)

    works(floor)

    letters = floor.peer.all("leads/dead")
    assert [base64.b64decode(one["payload_base64"]) for one in letters] == [
        payload[:65_536] for payload in NO_LEADS.values()
    ]
    for name, letter in zip(NO_LEADS, letters, strict=True):
        assert letter["topic"] == "leads/in/acme"
        assert letter["reason"], name
        assert letter["truncated"] is (name == "very deep nesting")
        assert {"topic", "reason", "payload_base64", "truncated", "at"} == letter.keys()


def test_bodies_that_are_no_leads_get_400(floor):
    for name, payload in NO_LEADS.items():
        answer = floor.api.call("POST", "/v1/leads/acme", raw=payload)
        problem(answer, 413 if name == "too many items" else 400)
    works(floor)


def test_invalid_leads_are_rejected_with_the_field_and_are_no_dead_letters(floor):
    for name, (item, field) in BAD_LEADS.items():
        payload = item if isinstance(item, bytes) else json.dumps(item).encode()
        answer = floor.api.call("POST", "/v1/leads/acme", raw=payload)
        assert answer.status == 200, (name, answer)
        assert answer.body["outcome"] == "rejected", name
        assert answer.body["retryable"] is False
        assert field in answer.body["reason"], (name, answer.body)
        floor.peer.came.clear()
        floor.peer.say("leads/in/acme", payload)
        assert floor.peer.wait("leads/in/acme/result") == answer.body
    works(floor)
    assert not floor.peer.all("leads/dead")
    assert floor.api.leads("waiting") == []


def test_an_unusable_phone_beside_a_good_email_is_dropped_and_said(floor):
    reply = floor.api.post(
        "/v1/leads/acme", {"id": fresh(), "phone": "00", "email": "a@example.com"}
    )

    assert reply["outcome"] == "accepted"
    assert "phone" in reply["reason"]


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00"]
)
def test_an_unbelievable_submitted_at_costs_no_lead(floor, at):
    floor.api.be("ana", "ready")

    reply = floor.api.post("/v1/leads/acme", lead(submitted_at=at))

    assert reply["outcome"] == "accepted"
    assert "submitted_at" in reply["reason"]
    floor.peer.wait("leads/dialer/assign", lambda m: m["lead_key"] == reply["lead_key"])


def test_ten_megabytes_are_refused_and_nothing_else_suffers(floor):
    floor.peer.say("leads/in/acme", MEGABYTES)
    letter = dead(floor, "leads/in/acme")
    assert letter["truncated"] is True
    assert len(base64.b64decode(letter["payload_base64"])) == 65_536
    assert "1048576" in letter["reason"]

    answer = floor.api.call("POST", "/v1/leads/acme", raw=MEGABYTES)

    problem(answer, 413)
    works(floor)


def test_topics_that_cannot_be_ours_are_answered_or_ignored(floor):
    """What does not match a topic of the contract has no reader; what matches in form alone is a
    dead letter."""
    ignored = ("leads", "leads/in", "leads/in/acme/extra/deep", "leads/rep/ana", "leads/dialer")
    for topic in ignored:
        floor.peer.say(topic, lead())
    floor.peer.say("leads/in/", lead())
    floor.peer.say("leads/in/bad vendor", lead())
    floor.peer.say("leads/in/" + "v" * 65, lead())
    floor.peer.say("leads/rep//event", {"event_id": "e", "type": "accepted", "lead_key": "x"})

    works(floor)

    topics = [one["topic"] for one in floor.peer.all("leads/dead")]
    assert topics == [
        "leads/in/",
        "leads/in/bad vendor",
        "leads/in/" + "v" * 65,
        "leads/rep//event",
    ]
    assert floor.api.leads("waiting") == []


# -- events and presence -----------------------------------------------------------------------


def bad_events(key):
    """Name -> (event, a word of the reason)."""

    def event(**more):
        return {"event_id": fresh("bad"), "type": "status", "status": "lost", **more}

    return {
        "an unknown lead": (event(lead_key="NOSUCHLEAD"), "lead"),
        "an unknown assignment": (event(assignment_id="NOSUCHLEAD-1"), "assignment"),
        "an odd assignment": (event(assignment_id="----"), "assignment"),
        "an unknown rep": (event(lead_key=key, rep="stranger"), "rep"),
        "neither lead nor assignment": (event(), "lead_key"),
        "no event_id": ({"type": "accepted", "lead_key": key}, "event_id"),
        "a bad event_id": (event(lead_key=key, event_id="a b"), "event_id"),
        "an unknown type": (event(lead_key=key, type="sneezed"), "type"),
        "a status of nothing": (event(lead_key=key, status=None), "status"),
        "an unknown status": (event(lead_key=key, status="happy"), "status"),
        "a callback without a time": (event(lead_key=key, status="callback"), "callback_at"),
        "a callback in the year 9999": (
            event(lead_key=key, status="callback", callback_at="9999-12-31T23:59:59Z"),
            "callback_at",
        ),
        "a time far in the past": (event(lead_key=key, at="0001-01-01T00:00:00Z"), "at"),
        "a time far in the future": (event(lead_key=key, at="9999-12-31T23:59:59Z"), "at"),
        "a time without an offset": (event(lead_key=key, at="2026-01-01T00:00:00"), "at"),
        "talk of minus one": (event(lead_key=key, type="call_ended", talk_seconds=-1), "talk"),
        "a state of nobody": (
            {"event_id": fresh("bad"), "type": "agent_state", "rep": "stranger", "state": "ready"},
            "rep",
        ),
    }


def held(floor):
    """The key of a lead that ana has."""
    floor.api.be("ana", "ready")
    key = floor.api.post("/v1/leads/acme", lead())["lead_key"]
    floor.peer.wait("leads/dialer/assign", lambda m: m["lead_key"] == key)
    return key


def test_bad_events_are_dead_letters_each_on_its_own(floor):
    key = held(floor)
    bad = bad_events(key)
    good = {"event_id": fresh("good"), "type": "accepted", "lead_key": key}
    already = len(floor.peer.all("leads/dead"))

    floor.peer.say("leads/dialer/event", [*(event for event, _ in bad.values()), good])

    until(lambda: [i for i in floor.api.lead(key)["history"] if i["type"] == "accepted"])
    letters = until(
        lambda: len(floor.peer.all("leads/dead")) >= len(bad) and floor.peer.all("leads/dead")
    )
    kept = [json.loads(base64.b64decode(one["payload_base64"])) for one in letters]
    for name, (event, word) in bad.items():
        reasons = [
            one["reason"]
            for one, item in zip(letters, kept, strict=True)
            if all(item.get(field) == value for field, value in event.items() if value is not None)
        ]
        assert len(reasons) == 1, (name, reasons)
        assert word in reasons[0], name
    assert len(letters) == already + len(bad)
    assert floor.api.lead(key)["state"] == "assigned"


def test_bad_events_over_http_are_listed_by_index(floor):
    key = held(floor)
    bad = bad_events(key)
    good = {"event_id": fresh("good"), "type": "accepted", "lead_key": key}

    answer = floor.api.post("/v1/events", [good, *(event for event, _ in bad.values())])

    assert (answer["accepted"], answer["duplicate"]) == (1, 0)
    assert [one["index"] for one in answer["rejected"]] == list(range(1, len(bad) + 1))
    for (name, (_, word)), said in zip(bad.items(), answer["rejected"], strict=True):
        assert word in said["reason"], (name, said)
    assert floor.api.lead(key)["state"] == "assigned"


def test_payloads_that_are_no_events(floor):
    for name, payload in NO_LEADS.items():
        floor.peer.say("leads/dialer/event", payload)
        floor.peer.say("leads/rep/ana/event", payload)
        answer = floor.api.call("POST", "/v1/events", raw=payload)
        problem(answer, 413 if name == "too many items" else 400)
    floor.peer.say("leads/dialer/event", MEGABYTES)

    works(floor)

    letters = floor.peer.all("leads/dead")
    assert len(letters) == 2 * len(NO_LEADS) + 1


def test_a_rep_may_not_speak_for_another(floor):
    key = held(floor)
    floor.api.be("ben", "ready")

    floor.peer.say(
        "leads/rep/ben/event",
        {"event_id": fresh(), "type": "status", "lead_key": key, "rep": "ana", "status": "lost"},
    )
    assert "speaks for ana" in dead(floor, "leads/rep/ben/event")["reason"]
    floor.peer.say(
        "leads/rep/ben/event",
        {"event_id": fresh(), "type": "status", "lead_key": key, "status": "lost"},
    )

    until(lambda: [i for i in floor.api.lead(key)["history"] if i["type"] == "stale"])
    assert floor.api.lead(key)["state"] == "assigned"
    assert floor.api.lead(key)["rep"] == "ana"


def test_an_event_of_another_than_the_assignments_rep_is_refused(floor):
    key = held(floor)
    assignment = floor.api.lead(key)["assignment_id"]

    floor.peer.say(
        "leads/rep/ben/event",
        {"event_id": fresh(), "type": "status", "assignment_id": assignment, "status": "lost"},
    )

    assert "ana" in dead(floor, "leads/rep/ben/event")["reason"]
    assert floor.api.lead(key)["state"] == "assigned"


def test_an_event_for_a_closed_lead_is_a_correction_or_changes_nothing(floor):
    key = held(floor)
    floor.api.event("status", lead_key=key, status="lost")

    for kind in ("accepted", "rejected", "attempted", "contacted", "call_ended"):
        said = floor.api.event(kind, lead_key=key, rep="ana")
        assert said["accepted"] == 1
        assert floor.api.lead(key)["state"] == "closed", kind
    floor.api.event("status", lead_key=key, status="working")

    shown = floor.api.lead(key)
    assert shown["state"] == "closed"
    assert shown["history"][-1]["type"] == "correction"


def test_bad_presence(floor):
    bad = (
        b"ready",
        b'{"state": "asleep"}',
        b"{}",
        b'{"state": "ready", "at": "yesterday"}',
        b'{"state": "ready", "at": "9999-12-31T00:00:00Z"}',
        b'{"state": "ready", "at": "1700-01-01T00:00:00Z"}',
        b'{"state": "ready", "rep": "ben"}',
        b'{"state": "ready", "reason": 7}',
    )
    for payload in bad:
        floor.peer.say("leads/rep/ana/presence", payload)
        problem(floor.api.call("PUT", "/v1/reps/ana/presence", raw=payload), 400)
    floor.peer.say("leads/rep/stranger/presence", b'{"state": "ready"}')
    problem(floor.api.call("PUT", "/v1/reps/stranger/presence", {"state": "ready"}), 404)
    floor.peer.say("leads/rep/stranger/event", b"{}")

    until(lambda: len(floor.peer.all("leads/dead")) == len(bad) + 2)

    assert floor.api.get("/v1/reps/ana")["state"] == "offline"
    works(floor)


# -- HTTP itself -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/leads/NOSUCHLEAD", 404),
        ("GET", "/v1/leads/NOSUCHLEAD/why", 404),
        ("POST", "/v1/leads/NOSUCHLEAD/assign", 404),
        ("GET", "/v1/reps/stranger", 404),
        ("POST", "/v1/reps/stranger/pause", 404),
        ("POST", "/v1/leads/bad%20vendor", 404),
        ("GET", "/v1/events", 405),
        ("DELETE", "/v1/leads/acme", 405),
        ("POST", "/metrics", 405),
        ("GET", "/v1/leads?limit=0", 400),
        ("GET", "/v1/leads?limit=1001", 400),
        ("GET", "/v1/leads?limit=x", 400),
        ("GET", "/v1/leads?state=happy", 400),
        ("POST", "/v1/reps/ana/override", 400),
    ],
)
def test_requests_for_nothing(floor, method, path, status):
    answer = floor.api.call(method, path, raw=b"{}" if method == "POST" else None)

    problem(answer, status)
    if status == 405:
        assert answer.headers["allow"]


def test_other_media_types_get_415(floor):
    for path in ("/v1/leads/acme", "/v1/events"):
        problem(floor.api.call("POST", path, raw=b"<lead/>", kind="text/xml"), 415)
    problem(floor.api.call("PUT", "/v1/reps/ana/presence", raw=b"x", kind="text/plain"), 415)


def test_broken_forms(floor):
    form = "application/x-www-form-urlencoded"
    for raw in (b"", b"%ff=%ff", b"&".join([b"a=1"] * 1500)):
        problem(floor.api.call("POST", "/v1/leads/acme", raw=raw, kind=form), 400)
    said = floor.api.call(
        "POST", "/v1/leads/acme", raw=f"id=f&phone={phone()[1:]}&score=nan".encode(), kind=form
    )
    assert said.body["outcome"] == "rejected"
    assert "score" in said.body["reason"]


def test_hostile_http_leaves_the_daemon_well(floor):
    import socket

    for raw in (
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/leads/acme HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/leads/acme HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", floor.api.port), timeout=60) as sock:
            sock.sendall(raw)
    works(floor)
