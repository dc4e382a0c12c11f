"""What the core lets pass and a policy should not ask for all the same: each time why, or ""."""

from __future__ import annotations

import re
from math import isfinite
from typing import Final

from distributor.domain.policy import Defer, Intent, Lease, PoolView, Recall
from distributor.domain.rep import Flow

_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


def bad_intent(pool: PoolView, intent: Intent) -> str:
    """What is wrong with an intent. Whether a lease is possible is for the core to say."""
    if not _CODE.fullmatch(intent.reason):
        return "a reason is a short code of a-z, 0-9 and _"
    if len(intent.because) < 10 or " " not in intent.because or "\n" in intent.because:
        return "because is one sentence in one line"
    if isinstance(intent, Defer):
        return _bad_defer(pool, intent)
    if not all(isfinite(number) for number in intent.numbers.values()):
        return "numbers are finite"
    return _bad_lease(pool, intent) if isinstance(intent, Lease) else _bad_recall(pool, intent)


def _bad_defer(pool: PoolView, defer: Defer) -> str:
    lead = pool.lead(defer.lead_key)
    waits = lead is not None and lead.state == "waiting"
    return "" if waits else "a Defer names a lead that is not waiting"


def _bad_lease(pool: PoolView, lease: Lease) -> str:
    rep = pool.members.get(lease.rep)
    if rep is not None and any(not _begun(pool, key, rep.id) for key in lease.presumed_finished):
        return "presumed_finished names leads that the rep does not have or has not begun"
    ranked = [name for name, _, _ in lease.ranked]
    if len(ranked) > 16 or (ranked and lease.rep not in ranked):
        return "ranked has at most 16 reps, the chosen one among them"
    return ""


def _bad_recall(pool: PoolView, recall: Recall) -> str:
    """The core refuses such a recall and goes on; who asks for it does not know its pool."""
    lead = pool.lead(recall.lead_key)
    live = lead is not None and lead.state == "assigned" and lead.rep == recall.rep
    if live and lead is not None and not lead.untouched:
        return "a Recall names a lead that is being called (attempted_ns or claimed_ns is set)"
    return "" if live else "a Recall names an uncontacted lead and the rep who has it"


def _begun(pool: PoolView, key: str, rep_id: str) -> bool:
    """Whether the rep has the lead and called, was called through, or said so."""
    lead = pool.lead(key)
    if lead is None or key not in pool.members[rep_id].open:
        return False
    return lead.dialled or bool(lead.claimed_ns) or lead.state == "working"


def bad_flow(pool: PoolView, rep: str, flow: Flow) -> str:
    """What is wrong with a change of a rep's flow."""
    if rep not in pool.members:
        return f"flow_changes names {rep!r}, who is no member"
    if not 0.0 <= flow.value <= 1.0 or not flow.reason:
        return "a flow is from 0 to 1 and has a reason"
    if flow.value < 1.0 and not (flow.because and flow.restores):
        return "less than full flow says why and what restores it"
    return ""
