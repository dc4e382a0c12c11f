"""Small batches for the store's tests: leads that come in, get a rep, and end."""

from __future__ import annotations

import msgspec

from distributor.domain.decisions import (
    Assigned,
    AssignmentEnded,
    EventRecorded,
    LeadAccepted,
    StatusChanged,
)
from distributor.domain.events import LeadEvent, LeadReceived, Ticked
from distributor.domain.ids import assignment_id, lead_key
from distributor.domain.journal import Batch, Entry
from distributor.domain.lead import Lead
from distributor.domain.messages import Outgoing

T0 = 1_795_251_659_250_000_000  # 2026-11-21T09:00:59.250Z
SECOND = 1_000_000_000


def key(number: int) -> str:
    return lead_key("TEST", number)


def waiting(number: int, *, at: int = T0) -> Lead:
    return Lead(
        key(number),
        "acme",
        f"v{number}",
        "default",
        "waiting",
        at,
        at,
        body=b'{"first_name":"Ada"}',
        since_ns=at,
        reason="queued",
        because="it waits its turn",
    )


def tick(seq: int, *decisions: object, at: int = T0) -> Entry:
    return Entry(seq, at, Ticked(), tuple(decisions))  # type: ignore[arg-type]


def received(seq: int, number: int, *more: object, at: int = T0) -> Entry:
    event = LeadReceived("acme", f"v{number}", at, "mqtt", b'{"first_name":"Ada"}')
    accepted = LeadAccepted(waiting(number, at=at), number, "mqtt")
    return Entry(seq, at, event, (accepted, *more))  # type: ignore[arg-type]


def assign(number: int, rep: str = "ana", *, attempt: int = 1, at: int = T0) -> Assigned:
    return Assigned(
        key(number),
        assignment_id(key(number), attempt),
        rep,
        "north",
        "default",
        "lease",
        attempt,
        0,
        at,
        at + 60 * SECOND,
        at + 600 * SECOND,
        "best",
        f"{rep} scored 0.9",
        {"index": 0.9},
        ((rep, 0.9, "likely to answer"), ("ben", 0.4, "")),
        {"offline": ("cleo",)},
        {"offline": 1},
    )


def assigned(number: int, rep: str = "ana", *, attempt: int = 1) -> Lead:
    return msgspec.structs.replace(
        waiting(number),
        state="assigned",
        rep=rep,
        attempt=attempt,
        assignment_id=assignment_id(key(number), attempt),
    )


def ended(number: int, cause: str, rep: str = "ana", *, attempt: int = 1) -> AssignmentEnded:
    return AssignmentEnded(
        key(number),
        assignment_id(key(number), attempt),
        rep,
        cause,  # type: ignore[arg-type]
        T0 + SECOND,
        False,
        False,
        True,
        f"{rep}: {cause}",
    )


def closed(number: int, rep: str = "ana", status: str = "converted") -> Lead:
    return msgspec.structs.replace(
        assigned(number),
        state="closed",
        status=status,
        rep="",
        assignment_id="",
        last_rep=rep,
        last_assignment=assignment_id(key(number), 1),
    )


def status_changed(number: int, status: str = "converted") -> StatusChanged:
    return StatusChanged(key(number), status, "ana", "acme", T0 + SECOND)  # type: ignore[arg-type]


def event(seq: int, event_id: str, outcome: str = "accepted", *, at: int = T0) -> Entry:
    recorded = EventRecorded(
        event_id,
        "dialer",
        "contacted",
        key(1),
        "",
        "ana",
        at,
        outcome,  # type: ignore[arg-type]
    )
    return Entry(seq, at, LeadEvent(event_id, "dialer", "contacted", key(1)), (recorded,))


def message(number: int, target: str = "mqtt") -> Outgoing:
    return Outgoing(
        target, "assign", "leads/dialer/assign", key(1), f"m{number}", b"{}", T0, b"c", number
    )


def leads_in(first: int, count: int) -> Batch:
    """``count`` new leads as entries ``first`` ..., each number equal to its entry's."""
    numbers = range(first, first + count)
    return Batch([received(n, n) for n in numbers], [waiting(n) for n in numbers])
