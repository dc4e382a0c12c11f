"""The sentences behind the codes: what a decision says of the reps, and what keeps a rep from leads."""

from __future__ import annotations

from typing import Any

from distributor.domain.decisions import (
    Assigned,
    AssignmentEnded,
    Decision,
    LeadDeferred,
    LeadHeld,
    LeadReleased,
)
from distributor.domain.ids import moment
from distributor.domain.rep import Flow, Rep

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
        found.append(verdict(rep, code, _ranked_told(rep, score, note)))
    told = {item["rep"] for item in found}
    chosen = _NO_POLICY.get(decision.policy, "").format(decision.rep)
    excluded = set(decision.passed_over.get("excluded", ()))
    for code, reps in decision.passed_over.items():
        others = [rep for rep in reps if rep not in told]
        if code != "excluded":
            others = [rep for rep in others if rep not in excluded]
        because = f"was free too; {chosen}" if code == "available" and chosen else ""
        found += [verdict(rep, code, because and f"{rep} {because}") for rep in others]
    return found


_NO_POLICY = {
    "supervisor": "a supervisor chose {}",
    "test": "a test lead is shown to one rep, {}",
}
"""Who but a policy gives leads, and how it came to the rep."""


def _ranked_told(rep: str, score: float, note: str) -> str:
    """What a policy said of a candidate; a score that its note does not tell stands by itself."""
    if note.removeprefix("-")[:1].isdigit():
        return f"{rep}: {note}"
    return f"{rep} scored {round(score, 4):.4g}" + (f": {note}" if note else "")


def numbers(decision: Assigned) -> dict[str, float]:
    """What the choice was made from, by name, to four digits."""
    return {name: float(f"{number:.4g}") for name, number in decision.numbers.items()}


def not_assigned(decision: Decision | None) -> tuple[str, str]:
    """(reason code, sentence) of a decision that leaves a lead with nobody."""
    if isinstance(decision, LeadHeld):
        return decision.kind, decision.because
    if isinstance(decision, LeadDeferred | LeadReleased):
        return decision.reason, decision.because
    if isinstance(decision, AssignmentEnded):
        return decision.cause, decision.because
    return "", ""


def obstacles(rep: Rep, now_ns: int) -> list[dict[str, str]]:
    """What keeps a rep from receiving, or from receiving all it could: [{code, because}].

    ``now_ns``: 0 where the time is not known; then a pace that may have ended is not mentioned. A flow
    that is ``ignored`` is told too, although it keeps the rep from nothing.
    """
    found: list[tuple[str, str]] = []
    if not rep.listed:
        found.append(("not_a_member", f"{rep.id} is no longer in the configuration"))
    if rep.state != "ready":
        told = f" ({rep.state_reason})" if rep.state_reason else ""
        since = f" since {moment(rep.since_ns, now_ns)}" if rep.since_ns else ""
        found.append((rep.state, f"{rep.id} is {rep.state}{since}{told}; leads go to ready reps"))
    flow = rep.flow_in_force(now_ns)
    if flow.reason == "paused":
        found.append(("paused", flow_told(flow, now_ns)))
    if len(rep.open) >= rep.window:
        number = f"{len(rep.open)} of {rep.window} open leads"
        silent = f" ({rep.uncontacted} not reached yet)" if rep.uncontacted else ""
        found.append(("full_pipeline", f"{rep.id} has {number}{silent}; one must end first"))
    if now_ns and rep.free_from_ns > now_ns:
        found.append(_not_before(rep, now_ns))
    if flow.value < 1.0 and flow.reason != "paused":
        found.append((flow.reason, flow_told(flow, now_ns)))
    return [{"code": code, "because": because} for code, because in found]


def _not_before(rep: Rep, now_ns: int) -> tuple[str, str]:
    free = f"{rep.id} gets the next lead from {moment(rep.free_from_ns, now_ns)} on"
    if rep.wraps_up:
        return "wrap_up", f"{free}: till then the wrap-up after the last call"
    return "pace", f"{free}: the pace after the last lead"


def flow_told(flow: Flow, now_ns: int) -> str:
    """Why a rep has less than full flow, since when, and what restores it."""
    said = flow.because or f"{flow.value:.0%} of full flow"
    since = f" Since {moment(flow.since_ns, now_ns)}." if flow.since_ns else ""
    return f"{said.rstrip('.')}.{since} {flow.restores}".rstrip()
