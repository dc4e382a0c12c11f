"""Whether what a policy asks for can be done, for tests of policies: as the core checks it, and stricter."""

from __future__ import annotations

import re
from math import isfinite
from typing import Final

from distributor.domain.lead import Lead
from distributor.domain.policy import Defer, Intent, Lease, Recall
from distributor.domain.rep import Rep
from policies.minipool import MiniPool

_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


def impossible(pool: MiniPool, intent: Intent) -> str:
    """Why this intent cannot be carried out, or ""."""
    texts = _bad_texts(intent)
    if texts:
        return texts
    lead = pool.leads.get(intent.lead_key)
    if isinstance(intent, Recall):
        live = lead is not None and lead.state == "assigned" and lead.rep == intent.rep
        if lead is not None and live and (lead.attempted_ns or lead.claimed_ns):
            return "a Recall names a lead that is being called (attempted_ns or claimed_ns is set)"
        return "" if live else "a Recall names an uncontacted lead and the rep who has it"
    if lead is None or lead.state != "waiting":
        return f"a {type(intent).__name__} names a lead that is not waiting"
    return "" if isinstance(intent, Defer) else _impossible_lease(pool, intent, lead)


def _impossible_lease(pool: MiniPool, lease: Lease, lead: Lead) -> str:
    rep = pool.receiving.get(lease.rep)
    if rep is None:
        return "a Lease names a rep who is not receiving"
    if any(not _begun(pool, key, rep) for key in lease.presumed_finished):
        return "presumed_finished names leads that the rep does not have or has not begun"
    if len(rep.open) - len(lease.presumed_finished) >= rep.window:
        return "a Lease names a rep without a free slot"
    if rep.override == 0.0 and (rep.override_until_ns or pool.now_ns + 1) > pool.now_ns:
        return "a Lease names a rep whose flow a supervisor set to 0"
    if not pool.may_take(rep, lead):
        return "a Lease names a rep who may not take the lead"
    ranked = [name for name, _, _ in lease.ranked]
    if len(ranked) > 16 or (ranked and lease.rep not in ranked):
        return "ranked has at most 16 reps, the chosen one among them"
    return ""


def _begun(pool: MiniPool, key: str, rep: Rep) -> bool:
    """Whether the rep has the lead and called, was called through, or said so."""
    if key not in rep.open:
        return False
    lead = pool.leads[key]
    began = lead.attempted_ns or lead.claimed_ns or lead.call_ns
    return bool(began) or lead.state == "working"


def _bad_texts(intent: Intent) -> str:
    """What is wrong with the reason, the sentence or the numbers, or ""."""
    if not _CODE.fullmatch(intent.reason):
        return "a reason is a short code of a-z, 0-9 and _"
    if len(intent.because) < 10 or " " not in intent.because or "\n" in intent.because:
        return "because is one sentence in one line"
    if isinstance(intent, Defer):
        return ""
    if not all(isfinite(number) for number in intent.numbers.values()):
        return "numbers are finite"
    return ""
