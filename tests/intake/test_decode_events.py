"""Events and presence: what is invalid is told apart from what is not readable at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.domain.events import LeadEvent, PresenceReported
from distributor.intake.decode_events import (
    EventItem,
    Invalid,
    decode_events,
    decode_presence,
)
from distributor.intake.frame import Unreadable
from distributor.intake.messages import moment_ns

NOW = moment_ns(datetime(2026, 11, 21, 9, 1, tzinfo=UTC))
GOOD: dict[str, Any] = {"event_id": "e1", "type": "contacted", "lead_key": "K1"}


ONE_OF_THE_TYPES = (
    "send one of accepted, attempted, call_ended, contacted, rejected, status, agent_state"
)
ONE_OF_THE_STATUSES = "send one of callback, converted, dnc, invalid, lost, not_ready, qualified, unqualified, working"


def read(value: Any, *, speaker: str = "", dialer: bool = True) -> list[EventItem] | Unreadable:
    payload = value if isinstance(value, bytes) else json.dumps(value).encode()
    return decode_events(payload, "dialer", NOW, may_claim_dialer=dialer, speaker=speaker)


def one(value: Any, *, speaker: str = "", dialer: bool = True) -> EventItem:
    found = read(value, speaker=speaker, dialer=dialer)
    assert isinstance(found, list)
    (event,) = found
    return event


def test_an_event_keeps_what_it_says() -> None:
    event = one(
        {
            "event_id": "e1",
            "type": "status",
            "assignment_id": "K1-1",
            "rep": "ana",
            "at": "2026-11-21T10:00:59.5+01:00",
            "status": "converted",
            "note": "gladly",
            "value": 12,
            "unknown": 1,
        }
    )
    assert event == LeadEvent(
        event_id="e1",
        source="dialer",
        type="status",
        assignment_id="K1-1",
        rep="ana",
        at_ns=NOW - 500_000_000,
        status="converted",
        note="gladly",
        value=12.0,
    )


def test_an_event_without_a_time_is_of_now() -> None:
    event = one(GOOD)
    assert isinstance(event, LeadEvent)
    assert event.at_ns == 0


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"event_id": None}, "event_id:"),
        ({"event_id": ""}, "event_id:"),
        ({"event_id": "a b"}, "event_id:"),
        ({"event_id": "x" * 65}, "event_id:"),
        ({"event_id": "e1\n"}, "event_id:"),
        ({"event_id": 5}, "event_id:"),
        ({"type": "sang"}, "type:"),
        ({"lead_key": None}, "lead_key: missing"),
        ({"lead_key": 5}, "lead_key:"),
        ({"lead_key": "K" * 65}, "lead_key:"),
        ({"rep": "a b"}, "rep:"),
        ({"at": "noon"}, "at:"),
        ({"at": "2026-11-21T09:00:00"}, "at:"),
        ({"at": "1999-12-31T23:59:59Z"}, "at:"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "at:"),
        ({"at": "2026-11-22T09:01:01Z"}, "at:"),
        ({"at": "9999-12-31T23:59:59-14:00"}, "at:"),
        ({"evidence": "gossip"}, "evidence:"),
        ({"talk_seconds": -1}, "talk_seconds:"),
        ({"talk_seconds": 1e300}, "talk_seconds:"),
        ({"type": "status"}, "status: missing"),
        ({"type": "status", "status": "happy"}, "status:"),
        ({"type": "status", "status": "callback"}, "callback_at: missing"),
        (
            {"type": "status", "status": "callback", "callback_at": "9999-01-01T00:00:00Z"},
            "callback_at:",
        ),
        ({"type": "agent_state", "state": "ready"}, "rep: missing"),
        ({"type": "agent_state", "rep": "ana"}, "state: missing"),
        (
            {"type": "agent_state", "rep": "ana", "state": "away", "reason": "x" * 501},
            "reason: over 500 characters",
        ),
        ({"type": "agent_state", "rep": "ana", "state": "asleep"}, "state:"),
    ],
)
def test_an_invalid_event_is_one_line_that_names_the_field(
    change: dict[str, Any], names: str
) -> None:
    for many in (False, True):
        value = {**GOOD, **change}
        event = one([value] if many else value)
        assert isinstance(event, Invalid)
        assert event.reason.startswith(names)
        assert ";" in event.reason
        assert "\n" not in event.reason
        assert json.loads(event.item)["type"] == value["type"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"event_id": "a b"},
            "event_id: not usable; send 1 to 64 characters from A-Z a-z 0-9 . _ : -",
        ),
        ({"rep": "a b"}, "rep: not usable; send 1 to 64 characters from A-Z a-z 0-9 . _ : -"),
        ({"type": None}, f"type: got null; {ONE_OF_THE_TYPES}"),
        ({"type": "sang"}, f'type: "sang" is none of them; {ONE_OF_THE_TYPES}'),
        ({"type": "x\ny"}, f'type: "x\\ny" is none of them; {ONE_OF_THE_TYPES}'),
        ({"type": "it's"}, f'type: "it\'s" is none of them; {ONE_OF_THE_TYPES}'),
        ({"type": "x" * 99}, f'type: "{"x" * 64}..." is none of them; {ONE_OF_THE_TYPES}'),
        ({"evidence": 5}, "evidence: got an integer; send one of claimed, dialer"),
        ({"talk_seconds": -1}, "talk_seconds: out of range; send a number from 0 to 604800"),
        ({"lead_key": ""}, "lead_key: not usable; send 1 to 64 characters"),
        ({"note": [1]}, "note: got an array; send text"),
        (
            {"type": "agent_state", "rep": "ana"},
            "state: missing; send one of away, busy, offline, ready, wrap_up",
        ),
        (
            {"type": "status", "status": "happy"},
            f'status: "happy" is none of them; {ONE_OF_THE_STATUSES}',
        ),
    ],
)
def test_an_invalid_event_is_told_what_may_be_sent(change: dict[str, Any], reason: str) -> None:
    event = one({**GOOD, **change})
    assert isinstance(event, Invalid)
    assert event.reason == reason


def test_half_a_character_costs_an_event_only_that_character() -> None:
    half = {**GOOD, "event_id": "e2", "reason": "\ud83d"}
    found = read([GOOD, half])
    assert isinstance(found, list)
    assert [event.reason for event in found if isinstance(event, LeadEvent)] == ["", "\ufffd"]
    alone = one(half)
    assert isinstance(alone, LeadEvent)
    presence = decode_presence(b'{"state": "away", "reason": "\\ud83d"}', "ana", "rep:ana", NOW)
    assert presence == PresenceReported("ana", "away", "rep:ana", 0, "\ufffd")


@pytest.mark.parametrize(
    "good", [b"", b', {"event_id": "e2", "type": "contacted", "lead_key": "K"}']
)
def test_what_is_wrong_in_an_array_is_kept_as_it_came(good: bytes) -> None:
    """Also where only its meaning is wrong: the dead letter has the fields that we do not know."""
    item = b'{"event_id": "e1", "type": "status",  "lead_key": "K1", "call_no": 77}'
    found = read(b"[" + item + good + b"]")
    assert isinstance(found, list)
    assert isinstance(found[0], Invalid)
    assert found[0].item == item
    assert [type(event) for event in found[1:]] == [LeadEvent] * (1 if good else 0)


def test_an_invalid_event_of_an_array_costs_only_itself() -> None:
    found = read([GOOD, 5, {**GOOD, "type": "sang"}, {**GOOD, "event_id": "e2"}])
    assert isinstance(found, list)
    assert [type(event) for event in found] == [LeadEvent, Invalid, Invalid, LeadEvent]
    assert isinstance(found[2], Invalid)
    assert found[2].event_id == "e1"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"x",
        b'{"a": NaN}',
        b'{"a": "\xff"}',
        b"[" * 50 + b"]" * 50,
        b"[1" + b",1" * 1000 + b"]",
    ],
)
def test_an_unreadable_payload_is_one_answer(payload: bytes) -> None:
    assert isinstance(read(payload), Unreadable)
    assert isinstance(decode_presence(payload, "ana", "rep:ana", NOW), Unreadable | Invalid)


def test_a_callback_in_the_past_is_due_at_once() -> None:
    callback = {**GOOD, "type": "status", "status": "callback"}
    late = one({**callback, "callback_at": "2020-01-01T00:00:00Z"})
    soon = one({**callback, "callback_at": "2026-11-21T09:02:00Z"})
    assert isinstance(late, LeadEvent)
    assert isinstance(soon, LeadEvent)
    assert (late.callback_ns, soon.callback_ns) == (NOW, NOW + 60_000_000_000)


@pytest.mark.parametrize(
    ("dialer", "sent", "read_as"),
    [
        (True, "dialer", "dialer"),
        (False, "dialer", "claimed"),
        (True, "claimed", "claimed"),
        (True, None, "claimed"),
    ],
)
def test_only_who_may_claim_it_has_a_dialer_s_evidence(
    dialer: bool, sent: str | None, read_as: str
) -> None:
    event = one({**GOOD, "evidence": sent}, dialer=dialer)
    assert isinstance(event, LeadEvent)
    assert event.evidence == read_as


@pytest.mark.parametrize("dialer", [True, False])
@pytest.mark.parametrize("kind", ["attempted", "call_ended", "contacted"])
def test_what_a_dialer_says_of_a_dial_is_its_own_record(kind: str, dialer: bool) -> None:
    event = one({**GOOD, "type": kind, "evidence": None}, dialer=dialer)
    assert isinstance(event, LeadEvent)
    assert event.evidence == ("dialer" if dialer and kind != "contacted" else "claimed")


def test_a_rep_speaks_for_nobody_else() -> None:
    event = one({**GOOD, "rep": "ben"}, speaker="ana")
    assert isinstance(event, Invalid)
    assert "ana speaks for ben" in event.reason
    own = one(GOOD, speaker="ana")
    assert isinstance(own, LeadEvent)
    assert own.rep == "ana"


def test_an_agent_state_is_a_presence_with_an_event_id() -> None:
    event = one({"event_id": "e1", "type": "agent_state", "rep": "ana", "state": "wrap_up"})
    assert event == PresenceReported("ana", "wrap_up", "dialer", event_id="e1")


def test_a_presence_keeps_what_it_says() -> None:
    payload = b'{"state": "away", "at": "2026-11-21T09:00:59Z", "reason": "lunch"}'
    presence = decode_presence(payload, "ana", "rep:ana", NOW)
    assert presence == PresenceReported("ana", "away", "rep:ana", NOW - 10**9, "lunch")


@pytest.mark.parametrize(
    ("payload", "names"),
    [
        (b"{}", "state:"),
        (b'{"state": "asleep"}', "state:"),
        (b'{"state": "ready", "at": "noon"}', "at:"),
        (b'{"state": "ready", "at": "1999-01-01T00:00:00Z"}', "at:"),
        (b'{"state": "ready", "at": "2027-01-01T00:00:00Z"}', "at:"),
        (b'{"state": "ready", "rep": "ben"}', "rep: ana speaks for ben"),
        (b"[]", "item:"),
    ],
)
def test_an_invalid_presence_names_the_field(payload: bytes, names: str) -> None:
    presence = decode_presence(payload, "ana", "rep:ana", NOW)
    assert isinstance(presence, Invalid)
    assert presence.reason.startswith(names)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELD = st.sampled_from(
    ["event_id", "type", "lead_key", "rep", "at", "status", "callback_at", "talk_seconds", "state"]
)


@given(
    st.binary(max_size=200)
    | JSON.map(lambda v: json.dumps(v).encode())
    | st.dictionaries(FIELD, JSON, max_size=6).map(lambda v: json.dumps([{**GOOD, **v}]).encode())
)
def test_any_bytes_get_an_answer(payload: bytes) -> None:
    found = read(payload)
    if isinstance(found, list):
        assert all(event.reason for event in found if isinstance(event, Invalid))
    decode_presence(payload, "ana", "rep:ana", NOW)


@given(st.datetimes(), st.sampled_from(["Z", "+00:00", "-14:00", "+05:30", ""]))
def test_any_time_is_believed_or_refused(moment: datetime, offset: str) -> None:
    event = one({**GOOD, "at": moment.isoformat() + offset})
    if isinstance(event, LeadEvent):
        assert 946_684_800 * 10**9 <= event.at_ns <= NOW + 86_400 * 10**9
    else:
        assert isinstance(event, Invalid)
        assert event.reason.startswith("at:")
