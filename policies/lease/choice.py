"""Which rep gets the lead (E6): value now against fairness, and skill a little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from distributor.domain.curve import worth
from distributor.domain.lead import Lead
from distributor.domain.policy import PoolView
from policies.lease.roster import SHARE_UNIT, Offer, Roster
from policies.lease.settings import FAIRNESS, PEAK, PLENTY_FAIRNESS, SLOW_OUTCOME

Ranked = tuple[float, Offer]
"""(score, candidate)."""
_USUAL: Final = 240.0 / SHARE_UNIT


def expected_worth(offer: Offer, age: float) -> float:
    """V: the value to expect of a lead of ``age`` given to this candidate now (per unit of quality)."""
    p, _, lag, _ = offer
    return p * worth(age + lag) + (1.0 - p) * worth(age + lag + SLOW_OUTCOME)


def rank(
    roster: Roster, offers: Sequence[Offer], age: float, *, stale: bool, plenty: bool = False
) -> list[Ranked]:
    """The candidates for a lead of ``age``, best first. ``plenty``: most reps are free.

    A fresh lead goes to trusted reps first; a stale one to those of whom it would tell something.
    """
    trusted_from = roster.estimator.settings.preferred_from
    allowed = roster.mean_share + 0.3
    weight = PLENTY_FAIRNESS if plenty else FAIRNESS
    fairness, unit, level = weight / (SHARE_UNIT * allowed), 1.0 / PEAK, roster.level
    seats, judge = roster.seats, roster.judge
    ranked = []
    for offer in offers:
        p, pi, lag, index = offer
        seat = seats[index]
        share: float = seat.share
        if seat.rep.window > 1:
            share += len(seat.rep.open) * seat.handling / _USUAL
        at = age + lag
        expected = p * worth(at) + (1.0 - p) * worth(at + SLOW_OUTCOME)
        judged, merit, fair_share = seat.judged
        if judged != level:
            merit, fair_share = judge(seat, level)
        score = merit * expected * unit - fairness * share / fair_share + weight
        ranked.append(((pi >= trusted_from) is stale, -score, index, offer))
    ranked.sort()
    return [(-score, offer) for _, score, _, offer in ranked]


def permitted(
    pool: PoolView, roster: Roster, lead: Lead, ranked: Sequence[Ranked], limit: int
) -> list[Ranked]:
    """The first ``limit`` of ``ranked`` who may have the lead; a known relationship goes first."""
    found: list[Ranked] = []
    for entry in ranked:
        seat = roster.seats[entry[1][3]]
        known = bool(lead.prefers) and lead.prefers == seat.rep.id
        if (len(found) < limit or known) and pool.may_take(seat.rep, lead):
            found.insert(0 if known else len(found), entry)
        elif len(found) >= limit and not lead.prefers:
            break
    return found[:limit]
