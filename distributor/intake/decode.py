"""From bytes to leads. Pure; ``now_ns`` is handed in.

The quick way reads a whole array in one go. Only where that fails is each item judged on its own,
so that a bad one costs nobody else anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import Decoder, Encoder

from distributor.domain.events import Channel, LeadReceived, LeadRefused
from distributor.domain.ids import NANOSECONDS, is_name
from distributor.intake.frame import (
    MAX_ITEMS,
    Unreadable,
    inspect,
    is_array,
    readable,
    split_items,
    too_many,
)
from distributor.intake.messages import Scalar, WireLead, moment_ns
from distributor.intake.phones import UNKNOWN_RANGE, is_region, read_phone
from distributor.intake.wording import describe, explain, named, remedies_of, shown

_DAY_NS: Final = 86_400 * NANOSECONDS
OLDEST_SUBMISSION_NS: Final = 7 * _DAY_NS
"""An older ``submitted_at`` is no clock."""
NEWEST_SUBMISSION_NS: Final = 300 * NANOSECONDS
"""Further ahead of us a ``submitted_at`` is no clock; nearer, it counts as now."""
_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s.\x00-\x1f]+(?:\.[^@\s.\x00-\x1f]+)+")
_LONGEST_EMAIL: Final = 254
_LONGEST_ID: Final = 255
_ID_REMEDY: Final = "send 1 to 255 printable ASCII characters or an integer"
_LEAD_REMEDIES: Final[dict[str, str]] = {
    **remedies_of(WireLead),
    "id": _ID_REMEDY,
    "attributes": "send an object whose values are text, numbers, true, false or null",
}


class _ExactLead(WireLead, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """A lead without unknown fields: its cleaned form loses nothing. As nothing of it is skipped
    and nothing nests freely, what decodes as this needs no other check of encoding or depth."""

    consent: dict[str, Scalar] | None = None


class _NeedsItem(Exception):
    """Something is dropped from a lead: its item must be kept as it came."""


class _AnyId(Struct):
    id: Any = None


_EXACT_LEADS: Final = Decoder(list[_ExactLead])
_EXACT_LEAD: Final = Decoder(_ExactLead)
_LEAD: Final = Decoder(WireLead)
_FIELDS: Final = Decoder(dict[str, msgspec.Raw])
_ANY_ID: Final = Decoder(_AnyId)
_SCALAR: Final = Decoder(Scalar)
_ENCODER: Final = Encoder()
_encode = _ENCODER.encode


class LeadDefaults(Struct, frozen=True):
    """What a vendor's leads are read with.

    ``country``: ISO code where the lead names none. ``reps``: the known rep ids, to note an owner
    who is nobody (None: not checked). ``form``: an HTTP body without a content type is a form.
    """

    country: str = "US"
    reps: Container[str] | None = None
    form: bool = False


NO_DEFAULTS: Final = LeadDefaults()
LeadItem = LeadReceived | LeadRefused


def decode_leads(
    vendor: str,
    payload: bytes,
    channel: Channel,
    now_ns: int,
    defaults: LeadDefaults = NO_DEFAULTS,
) -> list[LeadItem] | Unreadable:
    """The leads of a payload in its order, each valid or refused with the field and the remedy."""
    try:
        if is_array(payload):
            wires = _EXACT_LEADS.decode(payload)
            if len(wires) > MAX_ITEMS:
                return too_many(len(wires))
            return [_clean(wire, vendor, channel, now_ns, defaults) for wire in wires]
        return [_clean(_EXACT_LEAD.decode(payload), vendor, channel, now_ns, defaults)]
    except (DecodeError, UnicodeDecodeError, RecursionError, _NeedsItem):
        return _each_lead(vendor, payload, channel, now_ns, defaults)


def decode_form_lead(
    vendor: str,
    form: Mapping[str, str],
    channel: Channel,
    now_ns: int,
    defaults: LeadDefaults = NO_DEFAULTS,
) -> LeadItem:
    """A form-encoded lead: the fields of a lead as text; any other field becomes an attribute."""
    fields: dict[str, Any] = {name: text for name, text in form.items() if text != ""}
    known = WireLead.__struct_fields__
    attributes = {name: fields.pop(name) for name in list(fields) if name not in known}
    problem = _read_form_objects(fields)
    if problem is None:
        if attributes:
            fields["attributes"] = {**fields.get("attributes", {}), **attributes}
        try:
            wire = msgspec.convert(fields, WireLead, strict=False)
        except ValidationError as error:
            problem = _lead_problem(error, _encode(fields))
        else:
            problem = _not_finite(wire)
        if problem is None:
            wire.id = str(fields["id"])
            raw = _encode(dict(form))
            return _clean(wire, vendor, channel, now_ns, defaults, raw)
    return LeadRefused(vendor, _id_text(fields.get("id")) or "", channel, problem)


def _each_lead(
    vendor: str, payload: bytes, channel: Channel, now_ns: int, defaults: LeadDefaults
) -> list[LeadItem] | Unreadable:
    """Every item on its own, after the payload as a whole was found readable."""
    unfit = inspect(payload)
    if unfit is not None:
        return unfit
    items = split_items(payload)
    if isinstance(items, Unreadable):
        return items
    return [_one_lead(item, vendor, channel, now_ns, defaults) for item in items]


def _one_lead(
    item: bytes, vendor: str, channel: Channel, now_ns: int, defaults: LeadDefaults
) -> LeadItem:
    """One item on its own. What the cleaned form does not hold is kept in ``raw``."""
    if item.lstrip(b" \t\r\n")[:1] != b"{":
        return LeadRefused(vendor, "", channel, "lead: not a JSON object; send an object")
    dropped: list[str] = []
    text = item
    while True:
        try:
            wire = _LEAD.decode(text)
            break
        except ValidationError as error:
            field, _ = describe(error)
            if field not in ("phone", "email"):
                problem = _lead_problem(error, item)
                return LeadRefused(vendor, _vendor_id_of(item), channel, problem)
            dropped.append(f"{field}: not text")
            text = _without(text, field)
    return _clean(wire, vendor, channel, now_ns, defaults, item, dropped)


def _without(item: bytes, field: str) -> bytes:
    fields = _FIELDS.decode(item)
    fields.pop(field, None)
    return _encode(fields)


def _clean(
    wire: WireLead,
    vendor: str,
    channel: Channel,
    now_ns: int,
    defaults: LeadDefaults,
    raw: bytes | None = None,
    dropped: list[str] | None = None,
) -> LeadItem:
    vendor_id = _id_text(wire.id)
    if vendor_id is None:
        return LeadRefused(vendor, "", channel, f"id: not usable; {_ID_REMEDY}")
    wire.id = vendor_id
    notes = dropped or []
    phone = wire.phone
    if phone is not None:
        _clean_phone(wire, phone, defaults.country, notes)
    email = wire.email
    if email is not None:
        email = email.strip()
        usable = len(email) <= _LONGEST_EMAIL and _EMAIL.fullmatch(email) is not None
        wire.email = email if usable else None
        if email and not usable:
            notes.append("email: no usable address")
    if wire.phone is None and wire.email is None:
        why = "; ".join(notes) if notes else "phone, email: both missing"
        return LeadRefused(vendor, vendor_id, channel, f"{why}; send a phone or an email")
    if raw is None and (wire.phone is not phone and wire.phone is None or wire.email != email):
        raise _NeedsItem
    submitted_ns = 0 if wire.submitted_at is None else _submitted(wire.submitted_at, now_ns, notes)
    owner = wire.owner or ""
    if owner and not _is_owner(owner, defaults.reps):
        notes.append(f"owner: {named(owner)} is nobody here")
        owner = ""
    return LeadReceived(
        vendor,
        vendor_id,
        now_ns,
        channel,
        _encode(wire),
        submitted_ns,
        wire.score,
        wire.test is True,
        wire.phone is not None,
        owner,
        "; ".join(notes) if notes else "",
        raw=raw or b"",
    )


def _clean_phone(wire: WireLead, text: str, default_country: str, notes: list[str]) -> None:
    region = default_country
    if wire.country is not None:
        named = wire.country.strip().upper()
        region = named if is_region(named) else default_country
    phone = read_phone(text, region)
    if phone is None:
        wire.phone = None
        if text.strip():
            notes.append("phone: no usable number")
        return
    wire.phone = phone.e164
    if not phone.known:
        notes.append(UNKNOWN_RANGE)


def _submitted(moment: datetime, now_ns: int, notes: list[str]) -> int:
    submitted_ns = moment_ns(moment)
    if now_ns - OLDEST_SUBMISSION_NS <= submitted_ns <= now_ns + NEWEST_SUBMISSION_NS:
        return min(submitted_ns, now_ns)
    notes.append(f"submitted_at: {moment.isoformat()} is not believable, our receipt counts")
    return 0


def _is_owner(owner: str, reps: Container[str] | None) -> bool:
    return is_name(owner) and (reps is None or owner in reps)


def _id_text(value: object) -> str | None:
    """A vendor's id as text; None where it is not one. Integers never pass through a float."""
    if type(value) is int:
        value = str(value)
    if type(value) is not str or not 0 < len(value) <= _LONGEST_ID:
        return None
    return value if value.isascii() and value.isprintable() else None


def _vendor_id_of(item: bytes) -> str:
    try:
        return _id_text(_ANY_ID.decode(item).id) or ""
    except (DecodeError, UnicodeDecodeError):
        return ""


def _lead_problem(error: ValidationError, item: bytes) -> str:
    """One line for what is wrong with a lead; of its attributes it names the one."""
    problem = explain(error, _LEAD_REMEDIES)
    if not problem.startswith("attributes[...]"):
        return problem
    return problem.replace("[...]", f"[{shown(_attribute_at_fault(item))}]", 1)


def _attribute_at_fault(item: bytes) -> str:
    """The name of the first attribute that is no scalar of ours."""
    for name, value in _FIELDS.decode(_FIELDS.decode(item)["attributes"]).items():
        try:
            _SCALAR.decode(value)
        except ValidationError:
            return name
    return ""


def _not_finite(wire: WireLead) -> str | None:
    """Forms spell numbers as text, and "nan" is one that JSON cannot have."""
    for name, number in (("score", wire.score), ("price", wire.price)):
        if isinstance(number, float) and not math.isfinite(number):
            return f"{name}: not a finite number; {_LEAD_REMEDIES[name]}"
    return None


def _read_form_objects(fields: dict[str, Any]) -> str | None:
    """Parse the fields of a form that hold objects; what is wrong with them, if anything.

    What a form says of consent is mostly the value of a tick box: it is kept as ``value``.
    """
    if "consent" in fields:
        consent = _json_object(fields["consent"])
        fields["consent"] = {"value": fields["consent"]} if consent is None else consent
    if "attributes" in fields:
        fields["attributes"] = _json_object(fields["attributes"])
        if fields["attributes"] is None:
            return f"attributes: not a JSON object; {_LEAD_REMEDIES['attributes']}"
    return None


def _json_object(text: str) -> dict[str, Any] | None:
    """The object that a text is the JSON of; None where it is none, or not readable."""
    payload = text.encode("utf-8", "replace")
    if inspect(payload) is not None or is_array(payload):
        return None
    whole = readable(payload)
    if isinstance(whole, Unreadable):
        return None
    found: dict[str, Any] = msgspec.json.decode(whole)
    return found
