"""Why nothing moves: what keeps a waiting lead from its reps, and a rep from the waiting leads, now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from distributor.domain.floor import Floor, PoolPlan
from distributor.domain.ids import moment
from distributor.domain.messages import BROKER_TARGET
from distributor.domain.rep import Flow, Rep
from distributor.store.explain import obstacles, verdict

LISTED = 64
"""So many reps of a pool are named; all are counted."""

Down = Mapping[str, str]
"""Target that takes nothing at present -> why."""


def dialer_down(plan: PoolPlan, down: Down) -> str:
    """Half a sentence about a pool's dialer that takes nothing, "" where it does."""
    target = plan.dialer or BROKER_TARGET
    if target not in down:
        return ""
    name = "the MQTT broker" if target == BROKER_TARGET else f"dialer {target}"
    return f"{name} is away ({down[target] or 'no reason told'})"


class Waiting(NamedTuple):
    """A lead that waits: since when, and who had it already and is not asked again."""

    since_ns: int
    excluded: Collection[str]


class Standing(NamedTuple):
    """What a member is to a waiting lead: ``code`` and ``because``; ``slowed`` is the flow that keeps
    all but some leads from a rep who is free."""

    code: str
    because: str
    slowed: Flow | None = None


def lead_waits(
    plan: PoolPlan,
    lead: Waiting,
    members: Iterable[Rep],
    down: Down,
    now_ns: int,
    named: str | None = None,
) -> tuple[str, str, list[dict[str, Any]]]:
    """(code, sentence, members with what they are to it) of a lead that waits in a pool.

    The code is ``waiting`` where somebody could take it: then it is the policy's turn. ``named``: a
    member who is listed on the largest floor too.
    """
    counts: Counter[str] = Counter()
    free: list[str] = []
    slowed: list[tuple[str, Flow]] = []
    listed: list[dict[str, Any]] = []
    for rep in members:
        found = _standing(rep, lead, now_ns)
        if found.slowed is not None:
            slowed.append((rep.id, found.slowed))
        elif found.code == "available":
            free.append(rep.id)
        else:
            counts[_WORDS.get(found.code, found.code.replace("_", " "))] += 1
        if len(listed) < LISTED or rep.id == named:
            listed.append(verdict(rep.id, found.code, found.because))
    waits = f"it waits in pool {plan.id} since {moment(lead.since_ns, now_ns)}"
    away = dialer_down(plan, down)
    if away:
        return "dialer_down", f"{waits}: {away}", listed
    if free:
        who = free[0] if len(free) == 1 else f"{len(free)} reps"
        return "waiting", f"{waits}: {who} could take it, it is the policy's turn", listed
    told = [f"{count} {word}" for word, count in counts.most_common()]
    return "nobody_available", f"{waits}: {_nobody(slowed, told)}", listed


_WORDS: Final = {
    "excluded": "had it before",
    "wrap_up": "in wrap-up",
    "busy": "on a call",
    "manual": "held by a supervisor",
}


def _standing(rep: Rep, lead: Waiting, now_ns: int) -> Standing:
    if rep.id in lead.excluded:
        return Standing("excluded", f"{rep.id} had this lead before and is not asked again")
    flow = rep.flow_in_force(now_ns)
    found = obstacles(rep, now_ns)
    if flow.ignored:
        found = [one for one in found if one["code"] != flow.reason]
    if not found:
        return Standing("available", f"{rep.id} could take it")
    code, because = found[0]["code"], found[0]["because"]
    if code != flow.reason or not flow.value:
        return Standing(code, because)
    if code == "manual" and rep.share_due < 0.0:
        told = f"{rep.id} has had its share for now: others come first. {because}"
        return Standing(code, told, flow)
    if code == "manual":  # a share of the leads, and this may be one of them
        return Standing("available", f"{rep.id} could take it. {because}")
    return Standing(code, because, flow)


def _nobody(slowed: Sequence[tuple[str, Flow]], others: Sequence[str]) -> str:
    """Who is held back comes first, with what such a rep still gets, where that is the same for all: the
    head of the flow's sentence. What restores one is told where it is one alone."""
    told = list(others)
    if slowed:
        heads = {
            head for _, flow in slowed for head, colon, _ in [flow.because.partition(": ")] if colon
        }
        head = heads.pop() if len(heads) == 1 else ""
        gets = f", {head[:1].lower()}{head[1:]}" if head else ""
        told.insert(0, f"{len(slowed)} held back{gets}")
    sentence = f"nobody can take it now ({'; '.join(told) or 'no members'})"
    if len(slowed) == 1 and slowed[0][1].restores:
        rep, flow = slowed[0]
        sentence += f". {rep}: {flow.restores.rstrip('.')}"
    return sentence


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
