"""The history of a lead: what each decision about it says to people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distributor.domain.decisions import (
    Assigned,
    AssignmentEnded,
    AttemptRecorded,
    ContactRecorded,
    DeadLettered,
    Decision,
    DeliveryAccepted,
    EpochBegan,
    EventRecorded,
    FloorApplied,
    FlowChanged,
    LeadAccepted,
    LeadDeferred,
    LeadDuplicate,
    LeadHeld,
    LeadRejected,
    LeadReleased,
    LeadRerouted,
    LeadRevived,
    LeaseRestarted,
    MemoryRecorded,
    PresenceChanged,
    RepControlled,
    StandardCounted,
    StatusChanged,
    TargetMarked,
    WorkEnded,
)
from distributor.domain.journal import Entry
from distributor.store import journal
from distributor.store.codec import rfc3339
from distributor.store.readonly import ReadOnly


def history(store: ReadOnly, lead_key: str) -> list[dict[str, Any]]:
    """All that happened to a lead, oldest first: [{at, type, because, rep?, ...}]."""
    found = []
    for entry in journal.entries_about(store, lead_key):
        found += _said_by(entry, lead_key)
    return found


def _said_by(entry: Entry, lead_key: str) -> list[dict[str, Any]]:
    found = []
    for decision in entry.decisions:
        describe = _DESCRIBE[type(decision)]
        if describe is None or key_of(decision) != lead_key:
            continue
        kind, because, more = describe(decision)
        if not kind:
            continue
        at_ns = getattr(decision, "at_ns", 0) or entry.at_ns
        item: dict[str, Any] = {"at": rfc3339(at_ns), "type": kind, "because": because}
        rep = getattr(decision, "rep", "")
        if rep:
            item["rep"] = rep
        found.append(item | more)
    return found


def key_of(decision: Decision) -> str:
    """The lead that a decision is about, "" for none."""
    if isinstance(decision, LeadAccepted):
        return decision.lead.key
    key: str = getattr(decision, "lead_key", "")
    return key


Description = tuple[str, str, dict[str, Any]]


def _received(decision: LeadAccepted) -> Description:
    note = f"; {decision.note}" if decision.note else ""
    return "received", f"{decision.lead.vendor} sent it over {decision.channel}{note}", {}


def _duplicate(decision: LeadDuplicate) -> Description:
    return "duplicate", f"{decision.vendor} sent it again over {decision.channel}", {}


def _assigned(decision: Assigned) -> Description:
    more = {"assignment_id": decision.assignment_id, "reason": decision.reason}
    return "assigned", decision.because, more


def _ended(decision: AssignmentEnded) -> Description:
    more = {"assignment_id": decision.assignment_id, "reason": decision.cause}
    if decision.by:
        more["by"] = decision.by
    return "ended", decision.because or decision.cause, more


def _taken(decision: DeliveryAccepted) -> Description:
    return "accepted", f"{decision.rep} or the dialer took it", {}


def _attempted(decision: AttemptRecorded) -> Description:
    after = decision.response_seconds
    told = "" if after is None else f", {after:.1f} s after the assignment"
    return "attempted", f"dialled: {decision.result or 'result not told'}{told}", {}


def _contacted(decision: ContactRecorded) -> Description:
    after = decision.speed_seconds
    told = "" if after is None else f", {after:.1f} s after the lead came in"
    said = "counts" if decision.counted else "is no proof and does not count"
    because = f"{decision.rep} talked to the lead{told}; evidence {decision.evidence} {said}"
    if decision.counted and decision.late:
        because += "; told late, it moves nothing"
    if decision.doubted_ns:
        because += (
            f"; the sender's time, {rfc3339(decision.doubted_ns)}, is long before the assignment:"
            " that of our receipt stands for it"
        )
    return "contacted", because, {}


def _work_ended(decision: WorkEnded) -> Description:
    talk = decision.talk_seconds
    told = "" if talk is None else f" after {talk:.0f} s of talk"
    return "work_ended", f"left {decision.rep}'s pipeline{told}: {decision.cause}", {}


def _status(decision: StatusChanged) -> Description:
    more: dict[str, Any] = {"status": decision.status}
    if decision.note:
        more["note"] = decision.note
    if decision.by:
        more["by"] = decision.by
    kind = "correction" if decision.correction else "status"
    return kind, decision.because or f"status {decision.status}", more


def _held(decision: LeadHeld) -> Description:
    return "exception", decision.because, {"reason": decision.kind}


def _released(decision: LeadReleased) -> Description:
    more = {"reason": decision.reason} | ({"by": decision.by} if decision.by else {})
    return "released", decision.because, more


def _restarted(decision: LeaseRestarted) -> Description:
    return "lease_restarted", decision.because, {}


def _rerouted(decision: LeadRerouted) -> Description:
    return "rerouted", decision.because, {"pool": decision.pool}


def _deferred(decision: LeadDeferred) -> Description:
    return "deferred", decision.because, {"reason": decision.reason}


def _event(decision: EventRecorded) -> Description:
    if decision.outcome in ("accepted", "duplicate"):
        return "", "", {}  # Its consequences stand beside it.
    because = decision.reason or f"{decision.type} came too late to change anything"
    return decision.outcome, because, {"event_id": decision.event_id, "event": decision.type}


_DESCRIBE: dict[type, Callable[[Any], Description] | None] = {
    LeadAccepted: _received,
    LeadDuplicate: _duplicate,
    Assigned: _assigned,
    AssignmentEnded: _ended,
    DeliveryAccepted: _taken,
    AttemptRecorded: _attempted,
    ContactRecorded: _contacted,
    WorkEnded: _work_ended,
    StatusChanged: _status,
    LeadHeld: _held,
    LeadReleased: _released,
    LeadRerouted: _rerouted,
    LeaseRestarted: _restarted,
    LeadDeferred: _deferred,
    EventRecorded: _event,
    # No news of the lead, or told by what stands beside it.
    LeadRejected: None,
    DeadLettered: None,
    LeadRevived: None,
    StandardCounted: None,
    PresenceChanged: None,
    RepControlled: None,
    FlowChanged: None,
    MemoryRecorded: None,
    TargetMarked: None,
    FloorApplied: None,
    EpochBegan: None,
}
