"""When time alone changes where a rep stands: from the memory, by the equations of the estimator."""

from __future__ import annotations

import math
from typing import Final

from policies.lease.estimator import Estimator
from policies.lease.memory import RepMemory
from policies.lease.seat import Seat
from policies.lease.settings import PROMPT_FROM, UNCONFIRMED_BUSY

_FARTHEST: Final = 86400.0
_STEP: Final = 0.05


def enters_ns(estimator: Estimator, seat: Seat) -> int:
    """When a rep without a lead in front can be offered one (E4), from memory alone."""
    m, rate, settings = seat.memory, estimator.rate, estimator.settings
    due = m.next_probe_ns if seat.slowed else 0
    if m.own_contact_ns and seat.rep.sends_states and not seat.queue_open():
        due = max(due, m.own_contact_ns + math.ceil(UNCONFIRMED_BUSY / rate))
    pi = max(1.0 - m.lagging - m.absent, settings.fresh_from)
    if m.busy_ns and not seat.queue_open():
        side = 0.06 if m.side > 0.0 else 0.0
        least = 0.5 if seat.slowed else PROMPT_FROM / (pi * (1.0 - side))
        span = _free_from(estimator, seat, max(settings.free_from, least))
        return max(due, m.busy_ns + math.ceil(span / rate))
    if m.side > 0.0 and not m.busy_ns and not seat.slowed:
        most = 1.0 - PROMPT_FROM / pi
        if m.side > most:
            due = max(due, m.side_ns + math.ceil(60.0 * math.log(m.side / most) / rate))
    return due


def _free_from(estimator: Estimator, seat: Seat, least: float) -> float:
    """The seconds after the contact from which P(free) is ``least`` or more."""
    m = seat.memory
    asked = (m.busy_ns, m.failed_ns, m.handling, m.missed, m.total, m.not_busy, least)
    if seat.free_asked != asked:
        seat.free_asked, seat.free_span = asked, _search_free(estimator, m, least)
    return seat.free_span


def _search_free(estimator: Estimator, m: RepMemory, least: float) -> float:
    free_after = estimator.free_after
    low = 5.0
    if m.failed_ns:
        low = max(low, (m.failed_ns - m.busy_ns) * estimator.rate)
    if free_after(m, low) >= least:
        return low
    high = low + 60.0
    while free_after(m, high) < least:
        low, high = high, 2.0 * high
        if low > _FARTHEST:
            return low
    while high - low > 0.25:
        middle = 0.5 * (low + high)
        if free_after(m, middle) < least:
            low = middle
        else:
            high = middle
    return high


def turns_ns(estimator: Estimator, m: RepMemory, pi: float, now_ns: int) -> int:
    """When drift alone lifts P(responsive) to the next visible step, or back to full flow; 0: never.

    The time of a step follows from the memory alone. It is found to a hundredth of a second, so just
    before a step ``pi`` may stand beyond it already: then that step is still to come.
    """
    limit = estimator.settings.fresh_from
    step = flow_step(pi, limit)
    for shown in (step - _STEP, step):
        target = (shown + 0.5 * _STEP + 1e-6) * limit
        at_ns = _crossing(estimator, m, min(limit, target))
        if not at_ns or at_ns > now_ns:
            return at_ns
    return max(now_ns + 1, _crossing(estimator, m, limit))


def _crossing(estimator: Estimator, m: RepMemory, target: float) -> int:
    """When P(responsive) has drifted up to ``target``; 0: not within a month."""
    rate, responsive = estimator.rate, estimator.responsive
    low, high = 0.0, 60.0
    while responsive(m, m.stamp_ns + math.ceil(high / rate)) < target:
        low, high = high, 2.0 * high
        if low > 30 * _FARTHEST:
            return 0
    while high - low > 0.01:
        middle = 0.5 * (low + high)
        if responsive(m, m.stamp_ns + math.ceil(middle / rate)) < target:
            low = middle
        else:
            high = middle
    return m.stamp_ns + math.ceil(high / rate)


def flow_step(pi: float, limit: float) -> float:
    """The visible flow of a slowed rep: steps of .05, never full."""
    return min(0.95, round(round(pi / limit / _STEP) * _STEP, 2))
