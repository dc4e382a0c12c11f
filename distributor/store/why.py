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
from distributor.domain.ids import moment
from distributor.domain.rep import FOREVER_NS, Rep
from distributor.store import journal, leads
from distributor.store.codec import rfc3339, unpack_floor, unpack_rep
from distributor.store.explain import (
    candidates,
    flow_told,
    not_assigned,
    numbers,
    obstacles,
    verdict,
)
from distributor.store.history import key_of
from distributor.store.readonly import ReadOnly
from distributor.store.standstill import Waiting, lead_waits, pools_of, rep_waits

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
            "candidates": [
                _more_exactly(store, one, seq, decision) for one in candidates(decision)
            ],
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
            _add_standstill(store, answer, lead, now_ns, rep)
    if rep is not None:
        named = [one for one in answer["candidates"] if one["rep"] == rep]
        pool = decision.pool if isinstance(decision, Assigned) else lead["pool"]
        outside = None if named else _outside(store, rep, pool)
        answer["candidates"] = named[:1] or [outside or _verdict_then(store, rep, seq)]
    return answer


def why_idle(store: ReadOnly, rep: str, now_ns: int) -> Json | None:
    """Why a rep is receiving nothing, or less: ``{rep, flow, reasons: [{code, because}]}``.

    ``now_ns``: 0 where the caller does not know the time. None: unknown rep.
    """
    record = _rep(store, rep)
    if record is None:
        return None
    reasons = obstacles(record, now_ns)
    if not reasons or (record.flow.ignored and len(reasons) == 1):
        pools = pools_of(_floor(store), rep)
        waiting = {plan.id: _waiting(store, plan.id) for plan in pools}
        reasons += rep_waits(rep, pools, waiting, _down(store))
    return {"rep": rep, "flow": record.flow_in_force(now_ns).value, "reasons": reasons}


def _add_standstill(
    store: ReadOnly, answer: Json, lead: Json, now_ns: int, rep: str | None
) -> None:
    """What keeps a waiting lead waiting at present, beside what was decided about it before."""
    floor = _floor(store)
    plan = next((plan for plan in floor.pools if plan.id == lead["pool"]), None)
    if plan is None:
        return
    known = (_rep(store, member.id) for member in floor.members(plan))
    members = [rep for rep in known if rep is not None]
    waiting = _waiting_lead(store, lead["lead_key"])
    code, because, listed = lead_waits(plan, waiting, members, _down(store), now_ns, rep)
    decided = answer["because"].rstrip(".") if answer["reason"] != "waiting" else ""
    if not decided:
        answer["reason"], answer["because"] = code, because
    elif code != "waiting":
        answer["because"] = f"{decided}; now {because}"
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


def _waiting_lead(store: ReadOnly, lead_key: str) -> Waiting:
    """Since when it waits, and who refused it or let it lie since it was last released."""
    since = store.rows("SELECT since_ns FROM leads WHERE lead_key = ?", (lead_key,))
    excluded: dict[str, None] = {}
    for entry in journal.entries_about(store, lead_key):
        for decision in entry.decisions:
            if key_of(decision) != lead_key:
                continue
            if isinstance(decision, LeadReleased):
                excluded.clear()
            elif isinstance(decision, AssignmentEnded) and decision.excluded:
                excluded[decision.rep] = None
    return Waiting(since[0]["since_ns"], excluded)


# What a rep was when it was decided

_ON_RECORD = ("held_back", "paused", "available")
"""Verdicts of which the rep's own history says more than the decision does."""


def _outside(store: ReadOnly, rep: str, pool: str) -> Json | None:
    """The verdict on a rep of the floor who is no member of the pool; None for one who is, or was."""
    floor, record = _floor(store), _rep(store, rep)
    if record is None or not record.listed or all(plan.id != pool for plan in floor.pools):
        return None
    pools = pools_of(floor, rep)
    if not pools:
        return verdict(rep, **rep_waits(rep, pools, {}, {})[0])
    if all(plan.id != pool for plan in pools):
        names = ", ".join(plan.id for plan in pools)
        because = f"{rep} is no member of the lead's pool {pool}, but of {names}: see [[pools]]"
        return verdict(rep, "not_a_member", because)
    return None


def _more_exactly(store: ReadOnly, one: Json, seq: int, decided: Decision) -> Json:
    """The verdict on a rep with the reason, the numbers and what would have restored it."""
    if one["verdict"] not in _ON_RECORD:
        return one
    if one["verdict"] == "available":
        control = _rep_decision(store, one["rep"], "control", seq, RepControlled, decided)
        return _share_told(control) or one
    then = _verdict_then(store, one["rep"], seq, decided)
    return one if then["verdict"] == "not_asked" else then


def _verdict_then(store: ReadOnly, rep: str, seq: int, decided: Decision | None = None) -> Json:
    """What a rep's own history says about it at ``seq``, when the decision does not name it."""
    if _rep(store, rep) is None:
        return verdict(rep, "not_a_member", f"no rep {rep} is known")
    found = _rep_decision(store, rep, "presence", seq, PresenceChanged, decided)
    if found is None or found[1].state != "ready":
        state = "offline" if found is None else found[1].state
        since = f" since {moment(found[1].at_ns, found[0])}" if found is not None else ""
        return verdict(rep, state, f"{rep} was {state}{since}")
    control = _rep_decision(store, rep, "control", seq, RepControlled, decided)
    if control is not None and control[1].action == "pause":
        return verdict(rep, "paused", _control_told(control[1], control[0], "was paused"))
    flow = _rep_decision(store, rep, "flow", seq, FlowChanged, decided)
    if flow is not None and flow[1].flow.value < 1.0:
        return verdict(rep, flow[1].flow.reason, flow_told(flow[1].flow, flow[0]))
    return _share_told(control) or verdict(rep, "not_asked")


def _share_told(found: tuple[int, RepControlled] | None) -> Json | None:
    """The verdict on a rep whom a supervisor had given a share of the leads, None for another."""
    if found is None or found[1].action != "override" or (found[1].flow or 0.0) >= 1.0:
        return None
    at_ns, control = found
    share = f"was set to {control.flow or 0.0:.0%}"
    return verdict(control.rep, "manual", _control_told(control, at_ns, share))


def _control_told(control: RepControlled, at_ns: int, what: str) -> str:
    until = f" until {moment(control.until_ns, at_ns)}" if control.until_ns < FOREVER_NS else ""
    reason = f": {control.reason}" if control.reason else ""
    return f"{control.rep} {what} by {control.who} at {moment(at_ns, at_ns)}{until}{reason}"


def _rep_decision(
    store: ReadOnly, rep: str, kind: str, seq: int, wanted: type[T], decided: Decision | None
) -> tuple[int, T] | None:
    """(when, what) was last decided of that kind about the rep at ``seq``; in the entry of ``decided``
    itself only what stands before it was in force."""
    found = store.rows(
        "SELECT seq FROM rep_history WHERE rep = ? AND kind = ? AND seq <= ?"
        " ORDER BY seq DESC LIMIT 2",
        (rep, kind, seq),
    )
    for row in found:
        entry = journal.entry(store, row["seq"])
        decisions = entry.decisions
        if entry.seq == seq and decided in decisions:
            decisions = decisions[: decisions.index(decided)]
        for decision in reversed(decisions):
            if isinstance(decision, wanted) and getattr(decision, "rep", "") == rep:
                return entry.at_ns, decision
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
    # The second term is the partial index's own: without it every lead is read.
    sql = (
        "SELECT 1 FROM leads WHERE state = 'waiting' AND state <> 'closed' AND pool = ? AND NOT test"
        " LIMIT ?"
    )
    return len(store.rows(sql, (pool, _COUNTED)))


def _rep(store: ReadOnly, rep: str) -> Rep | None:
    rows = store.rows("SELECT record FROM reps WHERE rep = ?", (rep,))
    return unpack_rep(rows[0]["record"]) if rows else None
