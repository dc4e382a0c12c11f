"""Why a lead is where it is, and why a rep receives nothing."""

from __future__ import annotations

from typing import Any, TypeVar

from distributor.domain.decisions import (
    Assigned,
    AssignmentEnded,
    Decision,
    FlowChanged,
    LeadDeferred,
    LeadHeld,
    LeadReleased,
    PresenceChanged,
    RepControlled,
)
from distributor.domain.floor import Floor
from distributor.domain.rep import Rep
from distributor.store import journal, leads
from distributor.store.codec import rfc3339, unpack_floor, unpack_rep
from distributor.store.explain import candidates, not_assigned, numbers, obstacles, verdict
from distributor.store.history import key_of
from distributor.store.readonly import ReadOnly
from distributor.store.standstill import lead_waits, pools_of, rep_waits

T = TypeVar("T")
Json = dict[str, Any]

_COUNTED = 1_000
_VERDICTS = (Assigned, AssignmentEnded, LeadDeferred, LeadHeld, LeadReleased)
_RETURNED_BY_STATUS = ("closed", "parked")


def why(store: ReadOnly, lead_key: str, rep: str | None, now_ns: int) -> Json | None:
    """The decision record: who got the lead and why, or why nobody has it; None: unknown lead.

    With ``rep`` the candidates are this rep alone: why it did not get the lead. ``now_ns``: as for
    ``why_idle``.
    """
    lead = leads.lead(store, lead_key)
    if lead is None:
        return None
    seq, decision = _newest_verdict(store, lead_key)
    if isinstance(decision, Assigned):
        answer: Json = {
            "lead_key": lead_key,
            "rep": decision.rep,
            "assignment_id": decision.assignment_id,
            "reason": decision.reason,
            "because": decision.because,
            "at": rfc3339(decision.at_ns),
            "policy": decision.policy,
            "numbers": numbers(decision),
            "candidates": candidates(decision),
        }
    else:
        reason, because = not_assigned(decision)
        answer = {
            "lead_key": lead_key,
            "rep": None,
            "assignment_id": None,
            "reason": reason or lead["reason"] or lead["state"],
            "because": because or lead["because"] or f"the lead is {lead['state']}",
            "candidates": _had_it_before(store, lead_key),
        }
        if lead["state"] == "waiting":
            _add_standstill(store, answer, lead, now_ns)
    if rep is not None:
        named = [one for one in answer["candidates"] if one["rep"] == rep]
        answer["candidates"] = named[:1] or [_verdict_then(store, rep, seq)]
    return answer


def why_idle(store: ReadOnly, rep: str, now_ns: int) -> Json | None:
    """Why a rep is receiving nothing, or less: ``{rep, flow, reasons: [{code, because}]}``.

    ``now_ns``: 0 where the caller does not know the time. None: unknown rep.
    """
    record = _rep(store, rep)
    if record is None:
        return None
    reasons = obstacles(record, now_ns)
    if not reasons:
        pools = pools_of(_floor(store), rep)
        waiting = {plan.id: _waiting(store, plan.id) for plan in pools}
        reasons = rep_waits(rep, pools, waiting, _down(store))
    return {"rep": rep, "flow": record.flow_in_force(now_ns).value, "reasons": reasons}


def _add_standstill(store: ReadOnly, answer: Json, lead: Json, now_ns: int) -> None:
    """What keeps a waiting lead waiting at present, beside what was decided about it before."""
    floor = _floor(store)
    plan = next((plan for plan in floor.pools if plan.id == lead["pool"]), None)
    if plan is None:
        return
    known = (_rep(store, member.id) for member in floor.members(plan))
    members = [rep for rep in known if rep is not None]
    code, because, listed = lead_waits(plan, members, _down(store), now_ns)
    if code:
        decided = answer["because"] if answer["reason"] != "waiting" else ""
        answer["reason"] = code if not decided else answer["reason"]
        answer["because"] = f"{decided}; now {because}" if decided else because
    told = {one["rep"] for one in answer["candidates"]}
    answer["candidates"] += [one for one in listed if one["rep"] not in told]


# What was decided about the lead


def _newest_verdict(store: ReadOnly, lead_key: str) -> tuple[int, Decision | None]:
    """The newest decision that says who has the lead or why nobody does, and where it stands.

    The end of an assignment by a status is none: the lead was that rep's to the end.
    """
    for entry in journal.entries_about(store, lead_key, newest_first=True):
        for decision in reversed(entry.decisions):
            if key_of(decision) != lead_key or not isinstance(decision, _VERDICTS):
                continue
            if getattr(decision, "cause", "") not in _RETURNED_BY_STATUS:
                return entry.seq, decision
    return journal.last_seq(store), None


def _had_it_before(store: ReadOnly, lead_key: str) -> list[Json]:
    found: dict[str, Json] = {}
    for entry in journal.entries_about(store, lead_key):
        for decision in entry.decisions:
            if isinstance(decision, AssignmentEnded) and decision.lead_key == lead_key:
                code = "excluded" if decision.excluded else decision.cause
                found[decision.rep] = verdict(decision.rep, code, decision.because)
    return list(found.values())


def _verdict_then(store: ReadOnly, rep: str, seq: int) -> Json:
    """What a rep's own history says about it at ``seq``, when the decision does not name it."""
    if _rep(store, rep) is None:
        return verdict(rep, "not_a_member", f"no rep {rep} is known")
    presence = _rep_decision(store, rep, "presence", seq, PresenceChanged)
    if presence is None or presence.state != "ready":
        state = "offline" if presence is None else presence.state
        since = f" since {rfc3339(presence.at_ns)}" if presence is not None else ""
        return verdict(rep, state, f"{rep} was {state}{since}")
    control = _rep_decision(store, rep, "control", seq, RepControlled)
    if control is not None and control.action == "pause":
        return verdict(rep, "paused", f"{rep} was paused by {control.who}: {control.reason}")
    flow = _rep_decision(store, rep, "flow", seq, FlowChanged)
    if flow is not None and flow.flow.value < 1.0:
        return verdict(rep, "held_back", flow.flow.because)
    return verdict(rep, "not_asked")


def _rep_decision(store: ReadOnly, rep: str, kind: str, seq: int, wanted: type[T]) -> T | None:
    rows = store.rows(
        "SELECT seq FROM rep_history WHERE rep = ? AND kind = ? AND seq <= ?"
        " ORDER BY seq DESC LIMIT 1",
        (rep, kind, seq),
    )
    if not rows:
        return None
    for decision in reversed(journal.entry(store, rows[0]["seq"]).decisions):
        if isinstance(decision, wanted) and getattr(decision, "rep", "") == rep:
            return decision
    return None


# What is in force now


def _floor(store: ReadOnly) -> Floor:
    """The settings in force as of the last commit; none yet: an empty floor."""
    rows = store.rows("SELECT record FROM floor")
    return unpack_floor(rows[0]["record"]) if rows else Floor(digest="")


def _down(store: ReadOnly) -> dict[str, str]:
    rows = store.rows("SELECT target, reason FROM targets WHERE NOT up")
    return {row["target"]: row["reason"] for row in rows}


def _waiting(store: ReadOnly, pool: str) -> int:
    """How many leads wait in a pool, counted up to a thousand."""
    sql = "SELECT 1 FROM leads WHERE state = 'waiting' AND pool = ? AND NOT test LIMIT ?"
    return len(store.rows(sql, (pool, _COUNTED)))


def _rep(store: ReadOnly, rep: str) -> Rep | None:
    rows = store.rows("SELECT record FROM reps WHERE rep = ?", (rep,))
    return unpack_rep(rows[0]["record"]) if rows else None
