"""From decisions to messages: what receivers read, and where each message goes.

The Structs here are the outgoing half of the MQTT contract; ``docs/asyncapi.yaml`` is generated from
them. Times are RFC 3339 text in UTC with milliseconds.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from distributor.domain.decisions import (
    Assigned,
    AssignmentEnded,
    DeadLettered,
    Decision,
    LeadHeld,
)
from distributor.domain.ids import NANOSECONDS
from distributor.domain.lead import Lead
from distributor.domain.messages import BROKER_TARGET, Outgoing

Time = Annotated[str, Meta(description="RFC 3339, UTC", extra_json_schema={"format": "date-time"})]
Because = Annotated[str, Meta(description="One sentence with its numbers")]


class Assignment(Struct, frozen=True, tag_field="type", tag="assign", omit_defaults=True, gc=False):
    """A rep gets a lead. Receivers drop repeats by (``type``, ``assignment_id``)."""

    assignment_id: Annotated[str, Meta(description="This handing over; a new one each attempt")]
    lead_key: Annotated[str, Meta(description="Our key of the lead, at most 20 letters and digits")]
    lead: Annotated[msgspec.Raw, Meta(description="What the rep needs to call: the lead's fields")]
    rep: Annotated[str, Meta(description="Who gets the lead")]
    team: Annotated[str, Meta(description="The rep's team")]
    pool: Annotated[str, Meta(description="The pool that the lead came from")]
    policy: Annotated[str, Meta(description="The selection policy that chose the rep")]
    attempt: Annotated[int, Meta(description="1, 2, ... for this lead", ge=1)]
    assigned_at: Time
    contact_by: Annotated[Time | None, Meta(description="The speed-to-contact standard's limit")]
    lease_expires_at: Annotated[
        Time | None, Meta(description="Without contact the lead is taken back then, at the latest")
    ]
    because: Because
    test: Annotated[bool, Meta(description="true: a test lead, never to be dialled")] = False


class Revocation(Struct, frozen=True, tag_field="type", tag="revoke", gc=False):
    """An assignment is over: do not call this lead. Repeats are dropped as for ``Assignment``."""

    assignment_id: Annotated[str, Meta(description="The assignment that ended")]
    lead_key: Annotated[str, Meta(description="Our key of the lead")]
    rep: Annotated[str, Meta(description="Who had the lead")]
    revoked_at: Time
    because: Because


class ExceptionCase(Struct, frozen=True, gc=False):
    """A lead that a human must decide about."""

    lead_key: Annotated[str, Meta(description="Our key of the lead")]
    kind: Annotated[str, Meta(description="What makes it an exception")]
    reason: Annotated[str, Meta(description="The reason code kept with the lead")]
    decider: Annotated[str | None, Meta(description="Who is asked to decide; null: anyone")]
    opened_at: Time
    due_at: Annotated[Time | None, Meta(description="When it should be decided; null: no limit")]
    because: Because


class DeadLetter(Struct, frozen=True, gc=False):
    """What could not be decoded, for operators."""

    topic: Annotated[str, Meta(description="Where it came in")]
    reason: Annotated[str, Meta(description="Why it means nothing to us")]
    payload_base64: Annotated[str, Meta(description="The first 64 KiB of the payload, base64")]
    truncated: Annotated[bool, Meta(description="true: the payload was longer")]
    at: Time


class DaemonStatus(Struct, frozen=True, gc=False):
    """The daemon's own state: retained, and ``offline`` as its last will."""

    state: Annotated[
        Literal["online", "draining", "offline"], Meta(description="draining: stopping in order")
    ]
    version: Annotated[str, Meta(description="The daemon's version")]
    at: Time


class Routes(Struct, frozen=True):
    """Where messages go.

    ``prefix``: the MQTT topic prefix, "" without MQTT. ``rep_topics``: whether rep desktops get what
    goes to a dialer as well; what no dialer takes, they get in any case.
    """

    prefix: str = ""
    rep_topics: bool = True


encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode

_SECONDS_KEPT = 4096
_MILLISECOND = NANOSECONDS // 1000
_seconds: dict[int, str] = {}
_tails = tuple(f".{millisecond:03d}Z" for millisecond in range(1000))


def rfc3339(at_ns: int) -> str:
    """A time as text (UTC, milliseconds, rounded down)."""
    second, rest = divmod(at_ns, NANOSECONDS)
    text = _seconds.get(second)
    if text is None:
        # Formatting a date costs more than the rest of a message, and seconds repeat.
        if len(_seconds) >= _SECONDS_KEPT:
            _seconds.clear()
        text = _seconds[second] = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return text + _tails[rest // _MILLISECOND]


def _or_none(at_ns: int) -> str | None:
    return rfc3339(at_ns) if at_ns else None


def compose(
    decisions: Iterable[Decision], leads: Mapping[str, Lead], routes: Routes, at_ns: int
) -> list[Outgoing]:
    """The messages that tell the outside about ``decisions``, in their order, without numbers.

    ``leads`` has every lead that an assignment, its end or an exception names. ``at_ns`` is when the
    decisions were made. One act is encoded once, however many receivers it has.
    """
    out: list[Outgoing] = []
    for decision in decisions:
        if isinstance(decision, Assigned):
            _assign(decision, leads[decision.lead_key], routes, at_ns, out)
        elif isinstance(decision, AssignmentEnded):
            if decision.revoke:
                _revoke(decision, leads[decision.lead_key], routes, at_ns, out)
        elif isinstance(decision, LeadHeld):
            if routes.prefix:
                out.append(_exception(decision, leads[decision.lead_key], routes, at_ns))
        elif isinstance(decision, DeadLettered) and routes.prefix:
            out.append(_dead(decision, routes, at_ns))
    return out


def receivers(dialer: str, lead: Lead, routes: Routes) -> tuple[str, bool]:
    """The target that dials this lead ("" for none), and whether the rep's desktop gets it.

    ``dialer``: the pool's one when the lead was assigned, "" for MQTT where there is MQTT. A lead
    without a phone and a test lead are never dialled: the desktop is all that can tell the rep.
    """
    mqtt = routes.prefix != ""
    if lead.test or not lead.dialable:
        return "", mqtt
    desktop = mqtt and routes.rep_topics
    if dialer in ("", BROKER_TARGET):
        return (BROKER_TARGET if mqtt else ""), desktop
    return dialer, desktop


def _assign(
    decision: Assigned, lead: Lead, routes: Routes, at_ns: int, out: list[Outgoing]
) -> None:
    dialer, desktop = receivers(decision.dialer, lead, routes)
    if not dialer and not desktop:
        return
    key, name = decision.lead_key, decision.assignment_id
    payload = encode(
        # By position: names cost a third of the time.
        Assignment(
            name,
            key,
            msgspec.Raw(lead.body),
            decision.rep,
            decision.team,
            decision.pool,
            decision.policy,
            decision.attempt,
            rfc3339(decision.at_ns),
            _or_none(decision.contact_by_ns),
            _or_none(decision.lease_expires_ns),
            decision.because,
            lead.test,
        )
    )
    if dialer:
        address = f"{routes.prefix}/dialer/assign" if dialer == BROKER_TARGET else ""
        out.append(Outgoing(dialer, "assign", address, key, name, payload, at_ns))
    if desktop:
        address = f"{routes.prefix}/rep/{decision.rep}/lead"
        out.append(Outgoing(BROKER_TARGET, "lead", address, key, name, payload, at_ns))


def _revoke(
    decision: AssignmentEnded, lead: Lead, routes: Routes, at_ns: int, out: list[Outgoing]
) -> None:
    dialer, desktop = receivers(decision.dialer, lead, routes)
    if decision.untaken:
        dialer = ""
    if not dialer and not desktop:
        return
    key, name = decision.lead_key, decision.assignment_id
    payload = encode(
        Revocation(
            assignment_id=name,
            lead_key=key,
            rep=decision.rep,
            revoked_at=rfc3339(decision.at_ns),
            because=decision.because,
        )
    )
    if dialer:
        address = f"{routes.prefix}/dialer/revoke" if dialer == BROKER_TARGET else ""
        out.append(Outgoing(dialer, "revoke", address, key, name, payload, at_ns))
    if desktop:
        address = f"{routes.prefix}/rep/{decision.rep}/revoke"
        out.append(Outgoing(BROKER_TARGET, "lead_revoke", address, key, name, payload, at_ns))


def _exception(decision: LeadHeld, lead: Lead, routes: Routes, at_ns: int) -> Outgoing:
    held = lead.state == "exception"
    case = ExceptionCase(
        lead_key=decision.lead_key,
        kind=decision.kind,
        reason=(held and lead.reason) or decision.kind,
        decider=None,
        opened_at=rfc3339(decision.at_ns),
        due_at=_or_none(lead.deadline_ns) if held else None,
        because=decision.because,
    )
    name = f"{decision.lead_key}@{decision.at_ns}"
    address = f"{routes.prefix}/exception"
    return Outgoing(
        BROKER_TARGET, "exception", address, decision.lead_key, name, encode(case), at_ns
    )


def _dead(decision: DeadLettered, routes: Routes, at_ns: int) -> Outgoing:
    letter = DeadLetter(
        topic=decision.topic,
        reason=decision.reason,
        payload_base64=b64encode(decision.payload).decode("ascii"),
        truncated=decision.truncated,
        at=rfc3339(at_ns),
    )
    return Outgoing(BROKER_TARGET, "dead", f"{routes.prefix}/dead", "", "", encode(letter), at_ns)
