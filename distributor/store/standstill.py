"""Why nothing moves: what keeps a waiting lead from its reps, and a rep from the waiting leads, now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from distributor.domain.floor import Floor, PoolPlan
from distributor.domain.rep import Rep
from distributor.store.explain import obstacles, verdict

LISTED = 64
"""So many reps of a pool are named; all are counted."""

Down = Mapping[str, str]
"""Target that takes nothing at present -> why."""


def dialer_down(plan: PoolPlan, down: Down) -> str:
    """Half a sentence about a pool's dialer that takes nothing, "" where it does."""
    target = plan.dialer or "mqtt"
    if target not in down:
        return ""
    name = "the MQTT broker" if target == "mqtt" else f"dialer {target}"
    return f"{name} is away ({down[target] or 'no reason told'})"


def lead_waits(
    plan: PoolPlan, members: Iterable[Rep], down: Down, now_ns: int
) -> tuple[str, str, list[dict[str, Any]]]:
    """(code, sentence, members with their obstacles) of a lead that waits in a pool.

    Code and sentence are "" where somebody could take it: then it is the policy's turn.
    """
    codes: Counter[str] = Counter()
    listed: list[dict[str, Any]] = []
    somebody = False
    for rep in members:
        found = obstacles(rep, now_ns)
        flow = rep.flow_in_force(now_ns)
        slowed_only = len(found) == 1 and found[0]["code"] == flow.reason and flow.value > 0
        somebody = somebody or not found or slowed_only
        first = found[0] if found else {"code": "available", "because": f"{rep.id} could take it"}
        codes[first["code"]] += 1
        if len(listed) < LISTED:
            listed.append(verdict(rep.id, first["code"], first["because"]))
    away = dialer_down(plan, down)
    if away:
        return "dialer_down", f"it waits in pool {plan.id}: {away}", listed
    if somebody:
        return "", "", listed
    told = ", ".join(f"{count} {code.replace('_', ' ')}" for code, count in codes.most_common())
    because = f"it waits in pool {plan.id}: nobody can take it now ({told or 'no members'})"
    return "nobody_available", because, listed


def rep_waits(
    rep: str, pools: Sequence[PoolPlan], waiting: Mapping[str, int], down: Down
) -> list[dict[str, str]]:
    """Why a rep with nothing in its own way receives nothing: [{code, because}].

    ``pools``: those that the rep is a member of; ``waiting``: how many leads wait in each.
    """
    if not pools:
        return [{"code": "no_pool", "because": f"{rep} belongs to no pool: see [[pools]]"}]
    stopped = [(plan, away) for plan in pools if (away := dialer_down(plan, down))]
    if stopped:
        return [
            {
                "code": "dialer_down",
                "because": f"{away}: {waiting.get(plan.id, 0)} leads of pool {plan.id} wait for it",
            }
            for plan, away in stopped
        ]
    names = [plan.id for plan in pools if waiting.get(plan.id)]
    if names:
        told = ", ".join(f"{waiting[name]} in pool {name}" for name in names)
        because = f"leads wait ({told}), but none is for {rep} now: ask why of such a lead"
        return [{"code": "not_chosen", "because": because}]
    because = f"nothing keeps {rep} from receiving: no lead it may take is waiting"
    return [{"code": "no_waiting_lead", "because": because}]


def pools_of(floor: Floor, rep: str) -> list[PoolPlan]:
    """The pools that a rep is a member of."""
    return [plan for plan in floor.pools if any(one.id == rep for one in floor.members(plan))]
