"""Leads: every bad input has its answer, and a valid lead keeps what it says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.domain.events import LeadReceived, LeadRefused
from distributor.intake.decode import (
    LeadDefaults,
    LeadItem,
    decode_form_lead,
    decode_leads,
)
from distributor.intake.frame import MAX_DEPTH, Unreadable, without_halves
from distributor.intake.messages import moment_ns
from distributor.intake.phones import UNKNOWN_RANGE, Phone, read_phone

NOW = moment_ns(datetime(2026, 11, 21, 9, 1, tzinfo=UTC))
DEFAULTS = LeadDefaults(reps=frozenset({"ana"}))
GOOD: dict[str, Any] = {"id": "L-1", "phone": "(312) 555-0142"}


def read(payload: bytes) -> list[LeadItem] | Unreadable:
    return decode_leads("acme", payload, "mqtt", NOW, DEFAULTS)


def one(**fields: Any) -> LeadItem:
    found = read(json.dumps(fields).encode())
    assert isinstance(found, list)
    (lead,) = found
    return lead


def received(**fields: Any) -> LeadReceived:
    lead = one(**fields)
    assert isinstance(lead, LeadReceived), lead
    return lead


def refused(**fields: Any) -> str:
    lead = one(**fields)
    assert isinstance(lead, LeadRefused), lead
    return lead.reason


def body(lead: LeadReceived) -> dict[str, Any]:
    return dict(json.loads(lead.body))


@pytest.mark.parametrize(
    ("payload", "kind", "names"),
    [
        (b"nope", "shape", "object or array"),
        (b"", "syntax", "empty"),
        (b"5", "shape", "object or array"),
        (b'"text"', "shape", "object or array"),
        (b'{"id": 1', "syntax", "not JSON"),
        (b'{"id": 1,}', "syntax", "byte"),
        (b'{"id": 1} {"id": 2}', "syntax", "not JSON"),
        (b'{"id": 1, "score": NaN}', "syntax", "NaN"),
        (b'{"id": 1, "phone": [Infinity]}', "syntax", "Infinity"),
        (b'{"product": 5, "score": nope}', "syntax", "byte"),
        (b'[{"id": 1, "score": -Infinity}]', "syntax", "Infinity"),
        (b'{"id": 1, "phone": "\xff"}', "encoding", "UTF-8"),
        (b'{"id": 1, "unknown": "\xff"}', "encoding", "UTF-8"),
        (b'\xef\xbb\xbf{"id": 1}', "shape", "object or array"),
        (b"[" * 100_000, "depth", "32"),
        (b"[" * 100_000 + b"]" * 100_000, "depth", "32"),
        (b"[" + b",".join([b"{}"] * 1001) + b"]", "items", "1000"),
        (b"[" + b",".join([b'{"id":1,"phone":"+13125550142"}'] * 1001) + b"]", "items", "1001"),
    ],
)
def test_what_cannot_be_decoded_is_one_answer_that_names_what(
    payload: bytes, kind: str, names: str
) -> None:
    found = read(payload)
    assert isinstance(found, Unreadable)
    assert found.kind == kind
    assert names in found.reason


def nested(levels: int, filler: str = "") -> bytes:
    """A lead whose deepest value lies ``levels`` deep, the lead itself being the first."""
    inner: Any = filler
    for _ in range(levels - 1):
        inner = [inner]
    return json.dumps({**GOOD, "unknown": inner}).encode()


@pytest.mark.parametrize("filler", ["", "]]]][[[[", '"]\\"[', "\\"])
def test_depth_is_counted_exactly_whatever_the_strings_hold(filler: str) -> None:
    deep_enough = read(nested(MAX_DEPTH, filler))
    assert isinstance(deep_enough, list)
    too_deep = read(nested(MAX_DEPTH + 1, filler))
    assert isinstance(too_deep, Unreadable)
    assert too_deep.kind == "depth"


def test_many_shallow_brackets_are_not_deep() -> None:
    found = read(json.dumps([{**GOOD, "consent": {"a": [[1], [2], "]"]}}] * 50).encode())
    assert isinstance(found, list)
    assert len(found) == 50


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"phone": "+13125550142"}, "id: missing"),
        ({"id": None, "phone": "+13125550142"}, "id:"),
        ({"id": "", "phone": "+13125550142"}, "id:"),
        ({"id": "x" * 256, "phone": "+13125550142"}, "id:"),
        ({"id": "é", "phone": "+13125550142"}, "id:"),
        ({"id": "a\n", "phone": "+13125550142"}, "id:"),
        ({"id": 1.5, "phone": "+13125550142"}, "id:"),
        ({"id": True, "phone": "+13125550142"}, "id:"),
        ({"id": 10**300, "phone": "+13125550142"}, "id:"),
        ({"id": "1"}, "phone, email: both missing"),
        ({"id": "1", "phone": None, "email": None}, "phone, email: both missing"),
        ({"id": "1", "phone": "12"}, "phone:"),
        ({"id": "1", "phone": "not a phone"}, "phone:"),
        ({"id": "1", "phone": "+99999999999999999999999"}, "phone:"),
        ({"id": "1", "phone": "0000000000"}, "phone:"),
        ({"id": "1", "phone": "9" * 100_000}, "phone:"),
        ({"id": "1", "phone": 3125550142}, "phone:"),
        ({"id": "1", "email": "nobody"}, "email:"),
        ({"id": "1", "email": ["a@b.example"]}, "email:"),
        ({"id": "1", "phone": "12", "email": "x@"}, "phone: no usable number; email:"),
        ({**GOOD, "product": 5}, "product:"),
        ({**GOOD, "first_name": ["Ana"]}, "first_name:"),
        ({**GOOD, "postal_code": 60601}, "postal_code:"),
        ({**GOOD, "score": "high"}, "score:"),
        ({**GOOD, "score": True}, "score:"),
        ({**GOOD, "consent": "yes"}, "consent:"),
        ({**GOOD, "attributes": []}, "attributes:"),
        ({**GOOD, "attributes": {"a": [1]}}, "attributes"),
        ({**GOOD, "attributes": {"a": {"b": 1}}}, "attributes"),
        ({**GOOD, "attributes": {"a": 10**40}}, "attributes"),
        ({**GOOD, "test": "true"}, "test:"),
        ({**GOOD, "owner": 7}, "owner:"),
        ({**GOOD, "submitted_at": 1763715600}, "submitted_at:"),
        ({**GOOD, "submitted_at": "yesterday"}, "submitted_at:"),
        ({**GOOD, "submitted_at": "2026-11-21T09:00:59"}, "submitted_at:"),
    ],
)
def test_an_object_that_is_no_valid_lead_is_refused_with_the_field(
    fields: dict[str, Any], names: str
) -> None:
    reason = refused(**fields)
    assert reason.startswith(names)
    assert "; send " in reason
    assert "\n" not in reason


def test_a_number_out_of_range_refuses_its_field_and_not_the_payload() -> None:
    found = read(b'{"id": 1, "phone": "+13125550142", "score": 1e999}')
    assert isinstance(found, list)
    assert isinstance(found[0], LeadRefused)
    assert found[0].reason.startswith("score:")


def test_a_refused_lead_carries_the_vendor_s_id_where_it_has_one() -> None:
    lead = one(id=12345678901234567890123, product=5)
    assert lead.vendor_id == "12345678901234567890123"


def test_a_bad_lead_among_good_ones_costs_only_itself() -> None:
    items = [{**GOOD, "id": 1}, {"id": 2}, {**GOOD, "id": 3, "product": 1}, 7, {**GOOD, "id": 4}]
    found = read(json.dumps(items).encode())
    assert isinstance(found, list)
    assert [type(lead) for lead in found] == [
        LeadReceived,
        LeadRefused,
        LeadRefused,
        LeadRefused,
        LeadReceived,
    ]
    assert [lead.vendor_id for lead in found] == ["1", "2", "3", "", "4"]


@pytest.mark.parametrize("number", [0, 7, -3, 2**53 + 1, 2**64 + 1, 10**40 + 7])
def test_an_integer_id_is_its_decimal_text_without_a_round_trip_through_floats(number: int) -> None:
    lead = received(id=number, phone="+13125550142")
    assert lead.vendor_id == str(number)
    assert body(lead)["id"] == str(number)


@pytest.mark.parametrize(
    "spelling",
    [
        "+13125550142",
        "(312) 555-0142",
        "312.555.0142",
        "1-312-555-0142",
        "+1 312 555 0142",
        "13125550142",
        "3125550142",
        " 312 555 0142 ",
        "tel:+1-312-555-0142",
    ],
)
def test_any_usual_spelling_of_a_phone_becomes_e164(spelling: str) -> None:
    assert body(received(id=1, phone=spelling))["phone"] == "+13125550142"


def test_the_lead_s_country_says_how_its_phone_is_dialled() -> None:
    assert body(received(id=1, phone="020 7946 0000", country="gb"))["phone"] == "+442079460000"
    german = decode_leads(
        "acme", b'{"id": 1, "phone": "030 123456"}', "http", NOW, LeadDefaults("DE")
    )
    assert isinstance(german, list)
    assert isinstance(german[0], LeadReceived)
    assert body(german[0])["phone"] == "+4930123456"


def test_a_phone_in_an_unknown_range_is_kept_and_said() -> None:
    """Numbering plans grow faster than libraries: a paid lead is not refused for that."""
    lead = received(id=1, phone="+15551234567")
    assert (lead.dialable, lead.note) == (True, UNKNOWN_RANGE)


@given(st.from_regex(r"[2-9][0-9]{2}[2-9][0-9]{6}", fullmatch=True))
def test_the_quick_way_for_phones_says_what_the_library_says(digits: str) -> None:
    quick = read_phone("+1" + digits, "US")
    number = phonenumbers.parse("+1" + digits)
    if quick is None:
        assert not phonenumbers.is_valid_number(number)
    else:
        assert quick == Phone("+1" + digits, bool(phonenumbers.is_valid_number(number)))


@pytest.mark.parametrize("bad", ["12", "", 5, ["x"], {"a": 1}])
def test_without_a_usable_phone_a_good_email_keeps_the_lead(bad: object) -> None:
    for filler in ({}, {"unknown": 1}):
        lead = received(id=1, phone=bad, email="ana@example.com", **filler)
        assert lead.dialable is False
        assert "phone" not in body(lead)
        assert body(lead)["email"] == "ana@example.com"
        if bad != "":
            assert lead.note.startswith("phone:")
            assert json.loads(lead.raw)["phone"] == bad


@pytest.mark.parametrize("bad", ["nobody", "a@b", "a b@example.com", 5, "x" * 300 + "@a.example"])
def test_without_a_usable_email_a_good_phone_keeps_the_lead(bad: object) -> None:
    lead = received(id=1, phone="+13125550142", email=bad)
    assert lead.dialable
    assert "email" not in body(lead)
    assert lead.note.startswith("email:")


def test_unknown_fields_are_kept_with_the_raw_payload_only() -> None:
    lead = received(**GOOD, utm_campaign="june")
    assert "utm_campaign" not in body(lead)
    assert json.loads(lead.raw)["utm_campaign"] == "june"
    assert received(**GOOD).raw == b""


@pytest.mark.parametrize("when", ["1970-01-01T00:00:00Z", "2099-01-01T00:00:00+02:00"])
def test_an_unbelievable_submission_time_is_no_clock_and_is_said(when: str) -> None:
    lead = received(**GOOD, submitted_at=when)
    assert lead.submitted_ns == 0
    assert lead.note.startswith("submitted_at:")


def test_a_believable_submission_time_is_the_clock_and_never_ahead_of_us() -> None:
    early = received(**GOOD, submitted_at="2026-11-21T10:00:59.250+01:00")
    assert early.submitted_ns == NOW - 750_000_000
    assert received(**GOOD, submitted_at="2026-11-21T09:01:02Z").submitted_ns == NOW


def test_an_owner_who_is_nobody_is_noted_and_a_known_one_is_asked_first() -> None:
    assert received(**GOOD, owner="ana").prefers == "ana"
    stranger = received(**GOOD, owner="zed")
    assert (stranger.prefers, stranger.note) == ("", "owner: zed is nobody here")


def test_what_the_core_needs_is_taken_out_of_the_lead() -> None:
    lead = received(**GOOD, score=3, test=True)
    assert (lead.score, lead.test, lead.received_ns, lead.channel) == (3.0, True, NOW, "mqtt")


def test_a_form_is_a_lead_of_text_and_its_other_fields_are_attributes() -> None:
    form = {"id": "0012", "phone": "3125550142", "score": "0.5", "test": "true", "roof": "flat"}
    lead = decode_form_lead("acme", form, "http", NOW, DEFAULTS)
    assert isinstance(lead, LeadReceived)
    assert (lead.vendor_id, lead.score, lead.test) == ("0012", 0.5, True)
    assert body(lead)["attributes"] == {"roof": "flat"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("score", "nan"),
        ("score", "inf"),
        ("score", "much"),
        ("test", "perhaps"),
        ("attributes", '{"a": [1]}'),
        ("attributes", "flat"),
        ("submitted_at", "today"),
    ],
)
def test_a_form_field_of_the_wrong_form_refuses_the_lead(name: str, text: str) -> None:
    form = {"id": "1", "phone": "3125550142", name: text}
    lead = decode_form_lead("acme", form, "http", NOW, DEFAULTS)
    assert isinstance(lead, LeadRefused)
    assert lead.reason.startswith(name)
    assert lead.vendor_id == "1"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("true", {"value": "true"}),
        ("on", {"value": "on"}),
        ("[1]", {"value": "[1]"}),
        ("[" * 50, {"value": "[" * 50}),
        ('{"tcpa": ', {"value": '{"tcpa": '}),
        ('{"tcpa": true}', {"tcpa": True}),
        (r'{"text": "\ud83d"}', {"text": "\N{REPLACEMENT CHARACTER}"}),
    ],
)
def test_a_form_s_consent_is_kept_whatever_it_says(text: str, kept: dict[str, Any]) -> None:
    form = {"id": "1", "phone": "3125550142", "consent": text}
    lead = decode_form_lead("acme", form, "http", NOW, DEFAULTS)
    assert isinstance(lead, LeadReceived), lead
    assert body(lead)["consent"] == kept


@pytest.mark.parametrize(
    ("value", "what"),
    [([1], "got an array"), ({"b": 1}, "got an object"), (10**40, "out of range")],
)
def test_a_bad_attribute_is_named(value: object, what: str) -> None:
    attributes = {"good": 1, "roof\nage": value, "other": "x"}
    found = [refused(**GOOD, attributes=attributes)]
    if value != 10**40:  # the text of a form's number is only text
        form = {"id": "1", "phone": "3125550142", "attributes": json.dumps(attributes)}
        lead = decode_form_lead("acme", form, "http", NOW, DEFAULTS)
        assert isinstance(lead, LeadRefused)
        found.append(lead.reason)
    for reason in found:
        assert reason.startswith(f'attributes["roof\\nage"]: {what}; send an object whose values')


def test_what_is_wrong_is_said_without_the_decoder_s_words() -> None:
    assert refused(**GOOD, score="high") == "score: got text; send a finite number"
    assert refused(**GOOD, product=5) == "product: got an integer; send text"
    assert refused(**GOOD, consent="yes") == "consent: got text; send an object"


HALF = {**GOOD, "id": "s1", "first_name": "A\ud83d"}


@pytest.mark.parametrize("unknown", [{}, {"campaign_name": "\ude00!"}])
def test_half_a_character_costs_a_lead_only_that_character(unknown: dict[str, str]) -> None:
    lead = received(**HALF, **unknown)
    assert body(lead)["first_name"] == "A\N{REPLACEMENT CHARACTER}"
    json.loads(lead.raw)["first_name"].encode()  # would raise for half a character


def test_half_a_character_costs_the_leads_beside_it_nothing() -> None:
    found = read(json.dumps([{**GOOD, "id": "1"}, HALF, {**GOOD, "id": "2"}]).encode())
    assert isinstance(found, list)
    assert [lead.vendor_id for lead in found if isinstance(lead, LeadReceived)] == ["1", "s1", "2"]


def test_half_a_character_does_not_hide_what_is_no_json() -> None:
    assert isinstance(read(json.dumps(HALF).encode()[:-1]), Unreadable)
    assert isinstance(read(rb'{"id": "1", "phone": "\ud83d\uzzzz"}'), Unreadable)


# --- fuzzing -------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELD = st.sampled_from(
    ["id", "phone", "email", "score", "consent", "attributes", "test", "submitted_at", "owner"]
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


def _answers(found: list[LeadItem] | Unreadable) -> None:
    if isinstance(found, Unreadable):
        assert found.reason
        return
    for lead in found:
        if isinstance(lead, LeadRefused):
            assert lead.reason
        else:
            json.loads(lead.body)
        assert msgspec.msgpack.encode(lead)


@given(st.binary(max_size=200) | JSON.map(lambda v: json.dumps(v).encode()))
def test_any_bytes_get_an_answer(payload: bytes) -> None:
    _answers(read(payload))


HARD = st.text(
    st.sampled_from(list('\\\\ud83deDE00"/n') + ["\N{GRINNING FACE}", "\u00e9"]), max_size=12
)
HALVES = st.text(st.sampled_from(["\ud83d", "\ude00", "\\", "u", "d", "8", '"']), max_size=12)


def _whole_characters(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(JSON | HARD | st.dictionaries(HARD, HARD), st.booleans())
def test_json_of_whole_characters_is_left_as_it_is(value: Any, ascii_only: bool) -> None:
    payload = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert without_halves(payload) == payload


@given(HALVES)
def test_only_halves_of_characters_are_replaced(text: str) -> None:
    mended = without_halves(json.dumps(text).encode())
    assert json.loads(mended) == _whole_characters(text)
    assert msgspec.json.decode(mended) == _whole_characters(text)


@given(st.dictionaries(FIELD | st.text(max_size=5), JSON, max_size=6), st.booleans())
def test_any_object_with_a_lead_s_fields_gets_an_answer(fields: dict[str, Any], many: bool) -> None:
    value = [fields, {**GOOD, **fields}] if many else {**GOOD, **fields}
    _answers(read(json.dumps(value).encode()))


@given(st.dictionaries(FIELD | TEXT, TEXT, max_size=6))
def test_any_form_gets_an_answer(form: dict[str, str]) -> None:
    _answers([decode_form_lead("acme", form, "http", NOW, DEFAULTS)])


@given(TEXT, st.sampled_from(["US", "GB", "DE", "XX", ""]))
def test_any_text_is_a_phone_or_none(text: str, region: str) -> None:
    phone = read_phone(text, region)
    assert phone is None or (phone.e164[0] == "+" and phone.e164[1:].isdigit())


@given(
    vendor_id=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=255),
    texts=st.dictionaries(
        st.sampled_from(["first_name", "last_name", "product", "comments", "language", "state"]),
        TEXT,
    ),
    attributes=st.dictionaries(
        TEXT, TEXT | st.integers(-(2**63), 2**63 - 1) | st.booleans(), max_size=4
    ),
    score=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_valid_lead_keeps_every_field(
    vendor_id: str, texts: dict[str, str], attributes: dict[str, Any], score: float | None
) -> None:
    sent: dict[str, Any] = {
        "id": vendor_id,
        "phone": "+13125550142",
        **texts,
        "attributes": attributes,
    }
    if score is not None:
        sent["score"] = score
    lead = received(**sent)
    assert lead.vendor_id == vendor_id
    assert lead.note == ""
    assert body(lead) == sent
