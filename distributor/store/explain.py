"""From decisions to what people read: the history of a lead, and the sentences behind the codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distributor.domain.decisions import (
    Assigned,
    AssignmentEnded,
    AttemptRecorded,
    ContactRecorded,
    Decision,
    DeliveryAccepted,
    EventRecorded,
    LeadAccepted,
    LeadDeferred,
    LeadDuplicate,
    LeadHeld,
    LeadReleased,
    LeadRerouted,
    LeaseRestarted,
    StatusChanged,
    WorkEnded,
)
from distributor.domain.journal import Entry
from distributor.domain.rep import FOREVER_NS, Flow, Rep
from distributor.store.codec import rfc3339

VERDICTS = {
    "available": "was free too, and not the best for this lead",
    "offline": "was offline",
    "away": "was away",
    "busy": "was on a call",
    "wrap_up": "was finishing the last call",
    "paused": "was paused by a supervisor",
    "full_pipeline": "had a full pipeline",
    "pace": "had a lead too short a time ago for the pace",
    "held_back": "was held back by the flow control",
    "excluded": "had this lead before and is not asked again",
    "probe_only": "got only a probe lead now and then",
    "not_a_member": "is no member of the pool",
    "not_asked": "could receive, but was not among the candidates on record",
}
"""Verdict code -> what it says about a rep at the time of the decision."""


def verdict(rep: str, code: str, because: str = "") -> dict[str, Any]:
    """One candidate of a decision record."""
    text = because or f"{rep} {VERDICTS.get(code, code.replace('_', ' '))}"
    return {"rep": rep, "verdict": code, "because": text}


def candidates(decision: Assigned) -> list[dict[str, Any]]:
    """Every rep on the record of an assignment: the chosen one, the outranked, the passed over."""
    ranked = decision.ranked
    if all(rep != decision.rep for rep, _, _ in ranked):
        found = [verdict(decision.rep, "chosen", decision.because)]
    else:
        found = []
    for rep, score, note in ranked:
        code = "chosen" if rep == decision.rep else "outranked"
        tail = f": {note}" if note else ""
        found.append(verdict(rep, code, f"{rep} scored {score:.4g}{tail}"))
    told = {item["rep"] for item in found}
    excluded = set(decision.passed_over.get("excluded", ()))
    for code, reps in decision.passed_over.items():
        others = [rep for rep in reps if rep not in told]
        if code != "excluded":
            others = [rep for rep in others if rep not in excluded]
        found += [verdict(rep, code) for rep in others]
    return found


def numbers(decision: Assigned) -> dict[str, float]:
    """What the choice was made from, by name, to four digits."""
    return {name: float(f"{number:.4g}") for name, number in decision.numbers.items()}


def obstacles(rep: Rep, now_ns: int) -> list[dict[str, str]]:
    """What keeps a rep from receiving, or from receiving all it could: [{code, because}].

    ``now_ns``: 0 where the time is not known; then a pace that may have ended is not mentioned.
    """
    found: list[tuple[str, str]] = []
    if rep.state != "ready":
        told = f" ({rep.state_reason})" if rep.state_reason else ""
        since = f" since {rfc3339(rep.since_ns)}" if rep.since_ns else ""
        found.append((rep.state, f"{rep.id} is {rep.state}{since}{told}; leads go to ready reps"))
    if rep.paused_until_ns and rep.paused_until_ns > now_ns:
        told = f": {rep.pause_reason}" if rep.pause_reason else ""
        until = _until(rep.paused_until_ns)
        found.append(("paused", f"{rep.id} is paused by a supervisor{until}{told}"))
    if len(rep.open) >= rep.window:
        number = f"{len(rep.open)} of {rep.window}"
        found.append(("full_pipeline", f"{rep.id} has {number} open leads; one must end first"))
    if now_ns and rep.free_from_ns > now_ns:
        found.append(("pace", f"{rep.id} gets the next lead from {rfc3339(rep.free_from_ns)} on"))
    if not rep.listed:
        found.append(("not_a_member", f"{rep.id} is no longer in the configuration"))
    flow = rep.flow_in_force(now_ns)
    if flow.value < 1.0 and flow.reason != "paused":
        found.append((flow.reason, _flow_sentence(rep, flow)))
    return [{"code": code, "because": because} for code, because in found]


def _until(at_ns: int) -> str:
    return f" until {rfc3339(at_ns)}" if at_ns < FOREVER_NS else ""


def _flow_sentence(rep: Rep, flow: Flow) -> str:
    said = flow.because or f"{rep.id} is at {flow.value:.0%} of full flow"
    return f"{said.rstrip('.')}; restored by: {flow.restores}" if flow.restores else said


def lead_history(entry: Entry, lead_key: str) -> list[dict[str, Any]]:
    """What one entry of the journal says about a lead: [{at, type, because, rep?, ...}]."""
    found = []
    for decision in entry.decisions:
        describe = _DESCRIBE.get(type(decision))
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
    evidence = f"evidence {decision.evidence} {said}"
    return "contacted", f"{decision.rep} talked to the lead{told}; {evidence}", {}


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


_DESCRIBE: dict[type, Callable[[Any], Description]] = {
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
}
