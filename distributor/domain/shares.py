"""A supervisor's share of the leads: what an override between 0 and 1 makes of a rep's flow.

Of every lead that is given in its pool a rep at work is due its part, in proportion to the shares: 1 for
everybody, the override for those who have one. Whoever gets a lead has had one. A rep with an override
may take leads as long as it is due some; so it gets that share of what another gets, whatever order the
policy has, and a lead that was kept from it is not made up for at the next one. Leads wait for the others
by it, as long as those go on taking leads.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from distributor.domain.lead import Lead
from distributor.domain.rep import Rep

AT_WORK: Final = ("available", "full_pipeline", "pace", "wrap_up", "busy")
"""Standings of the members who get leads now or after the one that they have, in full flow."""
MOST_DUE: Final = 3.0
"""How many leads a rep may be due, or may have had too many, at most."""


def share_in_force(rep: Rep, now_ns: int) -> float:
    """The share of the flow that a supervisor's override in force leaves the rep; 1 without one."""
    if rep.override is None or 0 < rep.override_until_ns <= now_ns:
        return 1.0
    return rep.override


def is_at_work(rep: Rep, now_ns: int) -> bool:
    """Whether the rep is there, even if busy, and not paused."""
    here = rep.listed and rep.state in ("ready", "busy", "wrap_up")
    return here and rep.paused_until_ns <= now_ns


def settle(taker: Rep, slowed: Iterable[Rep], others: int, now_ns: int) -> list[Rep]:
    """A lead was given to ``taker``: note what the ``slowed`` reps are due now, and what it has had.

    ``slowed``: those at work with an override in force below 1; ``others``: how many are at work
    without one. Returns the reps whose ``share_due`` changed.
    """
    shares = [(rep, share_in_force(rep, now_ns)) for rep in slowed]
    whole = others + sum([share for _, share in shares])
    changed = [rep for rep, share in shares if share > 0.0]
    for rep, share in shares:
        if share > 0.0:
            rep.share_due = min(rep.share_due + share / whole, MOST_DUE)
        if rep is not taker:
            rep.share_ns = now_ns
    if share_in_force(taker, now_ns) < 1.0:
        taker.share_due = max(taker.share_due - 1.0, -MOST_DUE)
        if taker not in changed:
            changed.append(taker)
    return changed


def waited_in_vain(rep: Rep, lead: Lead, span_ns: int, now_ns: int) -> bool:
    """Whether the lead has waited so long for others than this rep that it need not any more: none of
    them has taken any for ``span_ns``, or some of them may not have this one."""
    taking = not lead.excluded and now_ns < rep.share_ns + span_ns
    return now_ns >= lead.since_ns + span_ns and not taking
