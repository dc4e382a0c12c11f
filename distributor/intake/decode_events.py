"""From bytes to events about leads and to presence. Pure; ``now_ns`` is handed in."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import Decoder

from distributor.domain.events import LeadEvent, PresenceReported
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
from distributor.intake.messages import LONGEST_REASON, WireEvent, WirePresence, moment_ns
from distributor.intake.wording import NAME_FORM, explain, named, remedies_of

_DAY_NS: Final = 86_400 * NANOSECONDS
_YEAR_2000_NS: Final = 946_684_800 * NANOSECONDS
FARTHEST_NS: Final = 5 * 366 * _DAY_NS
"""No callback and no supervisor's limit lies further ahead."""
_EVENT_REMEDIES: Final = remedies_of(WireEvent)
_PRESENCE_REMEDIES: Final = remedies_of(WirePresence)

_EVENTS: Final = Decoder(list[WireEvent])
_EVENT: Final = Decoder(WireEvent)
_PRESENCE: Final = Decoder(WirePresence)


class Invalid(Struct, frozen=True):
    """An item that is no valid event or presence. ``item`` is its text as it came."""

    reason: str
    item: bytes
    event_id: str = ""


EventItem = LeadEvent | PresenceReported | Invalid


def decode_events(
    payload: bytes,
    source: str,
    now_ns: int,
    *,
    may_claim_dialer: bool,
    speaker: str = "",
) -> list[EventItem] | Unreadable:
    """The events of a payload in its order.

    ``source`` scopes their ids (``dialer``, ``rep:ana``, ``token:name``). ``may_claim_dialer``: an
    ``evidence`` of ``dialer`` is believed. ``speaker``: the rep who speaks ("" = not a rep); it may
    not speak for another.
    """
    unfit = inspect(payload)
    if unfit is not None:
        return unfit
    if is_array(payload):
        quick = _all_events(payload)
        if isinstance(quick, Unreadable):
            return quick
        if quick is not None:
            events = [_event(w, b"", source, now_ns, may_claim_dialer, speaker) for w in quick]
            if not any(isinstance(event, Invalid) for event in events):
                return events
            # What is wrong with one is told with its text as it came, which only the slow way has.
    items = split_items(payload)
    if isinstance(items, Unreadable):
        return items
    return [_one_event(item, source, now_ns, may_claim_dialer, speaker) for item in items]


def decode_presence(
    payload: bytes, rep: str, source: str, now_ns: int
) -> PresenceReported | Invalid | Unreadable:
    """A presence message about ``rep``."""
    unfit = inspect(payload)
    if unfit is not None:
        return unfit
    try:
        wire = _PRESENCE.decode(payload)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        text = readable(payload)
        if isinstance(text, Unreadable):
            return text
        try:
            wire = _PRESENCE.decode(text)
        except ValidationError as error:
            return Invalid(explain(error, _PRESENCE_REMEDIES), payload)
    if wire.rep is not None and wire.rep != rep:
        reason = f"rep: {rep} speaks for {named(wire.rep)}; send only your own presence"
        return Invalid(reason, payload)
    at_ns = _event_ns("at", wire.at, now_ns)
    if isinstance(at_ns, str):
        return Invalid(at_ns, payload)
    return PresenceReported(rep, wire.state, source, at_ns, wire.reason or "")


def _all_events(payload: bytes) -> list[WireEvent] | Unreadable | None:
    """All events of an array in one go; None where something is wrong with one of them."""
    try:
        wires = _EVENTS.decode(payload)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return too_many(len(wires)) if len(wires) > MAX_ITEMS else wires


def _one_event(
    item: bytes, source: str, now_ns: int, may_claim_dialer: bool, speaker: str
) -> EventItem:
    try:
        wire = _EVENT.decode(item)
    except ValidationError as error:
        return Invalid(explain(error, _EVENT_REMEDIES), item, _event_id(item))
    return _event(wire, item, source, now_ns, may_claim_dialer, speaker)


def _event_id(item: bytes) -> str:
    try:
        found = msgspec.json.decode(item, type=dict[str, Any]).get("event_id")
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return found if isinstance(found, str) and is_name(found) else ""


def _event(
    wire: WireEvent, item: bytes, source: str, now_ns: int, may_claim_dialer: bool, speaker: str
) -> EventItem:
    problem = _event_problem(wire, speaker)
    at_ns = _event_ns("at", wire.at, now_ns)
    callback_ns = _callback_ns(wire, now_ns)
    event_id = wire.event_id if is_name(wire.event_id) else ""
    for found in (problem, at_ns, callback_ns):
        if isinstance(found, str):
            return Invalid(found, item, event_id)
    assert isinstance(at_ns, int)
    assert isinstance(callback_ns, int)
    rep = wire.rep or speaker
    if wire.type == "agent_state":
        assert wire.state is not None
        return PresenceReported(rep, wire.state, source, at_ns, wire.reason or "", wire.event_id)
    return LeadEvent(
        event_id=wire.event_id,
        source=source,
        type=wire.type,
        lead_key=wire.lead_key or "",
        assignment_id=wire.assignment_id or "",
        rep=rep,
        at_ns=at_ns,
        reason=wire.reason or "",
        dialed=wire.dialed or "",
        result=wire.result or "",
        evidence="dialer" if may_claim_dialer and _is_call_record(wire) else "claimed",
        talk_seconds=wire.talk_seconds,
        status=wire.status if wire.type == "status" else None,
        note=wire.note or "",
        callback_ns=callback_ns,
        value=wire.value,
    )


def _is_call_record(wire: WireEvent) -> bool:
    """What a dialer says about a dial is its own record; about a conversation it says whether it is."""
    if wire.evidence is None:
        return wire.type in ("attempted", "call_ended")
    return wire.evidence == "dialer"


def _event_problem(wire: WireEvent, speaker: str) -> str | None:
    """What an event lacks or contradicts, in one line."""
    if not is_name(wire.event_id):
        return f"event_id: not usable; send {NAME_FORM}"
    if wire.rep is not None and not is_name(wire.rep):
        return f"rep: not usable; send {NAME_FORM}"
    if speaker and wire.rep is not None and wire.rep != speaker:
        return f"rep: {speaker} speaks for {wire.rep}; send only your own events"
    if wire.type == "agent_state":
        if not (wire.rep or speaker):
            return "rep: missing; send the id of the rep whose state it is"
        if len(wire.reason or "") > LONGEST_REASON:
            return f"reason: over {LONGEST_REASON} characters; send a shorter one"
        return _missing("state") if wire.state is None else None
    if wire.lead_key is None and wire.assignment_id is None:
        return "lead_key: missing; send lead_key or assignment_id"
    if wire.type == "status" and wire.status is None:
        return _missing("status")
    return None


def _missing(field: str) -> str:
    return f"{field}: missing; {_EVENT_REMEDIES[field]}"


def _event_ns(field: str, moment: datetime | None, now_ns: int) -> int | str:
    """A reported time (0: none), or what is wrong with it."""
    if moment is None:
        return 0
    at_ns = moment_ns(moment)
    if at_ns < _YEAR_2000_NS:
        return f"{field}: {moment.isoformat()} is before the year 2000; set the sender's clock"
    if at_ns > now_ns + _DAY_NS:
        return f"{field}: {moment.isoformat()} is more than a day ahead; set the sender's clock"
    return at_ns


def _callback_ns(wire: WireEvent, now_ns: int) -> int | str:
    """When a callback is due (0: none). One in the past is due at once."""
    if wire.type != "status" or wire.status != "callback":
        return 0
    if wire.callback_at is None:
        return _missing("callback_at")
    callback_ns = moment_ns(wire.callback_at)
    if callback_ns > now_ns + FARTHEST_NS:
        return "callback_at: more than five years ahead; send a nearer time"
    return max(callback_ns, now_ns)
