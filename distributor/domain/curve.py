"""What a minute of waiting costs: conversion against the delay of the first contact.

``worth(delay)`` is the multiplier of a lead's chance to convert when it is first contacted after
``delay`` seconds, relative to a contact two days later. The points are the uplifts that Leads360
published in 2012 (3.5 million leads), joined by straight lines in log-log space. The curve is a weight,
not a causal effect.
"""

from __future__ import annotations

from bisect import bisect_right
from math import exp, log

CURVE_POINTS: tuple[tuple[float, float], ...] = (
    (30.0, 4.91),
    (90.0, 2.60),
    (150.0, 1.98),
    (570.0, 1.62),
    (2_700.0, 1.36),
    (8_100.0, 1.24),
    (39_600.0, 1.17),
    (172_800.0, 1.0),
)
"""(delay in seconds, multiplier)."""

_DELAYS = [log(delay) for delay, _ in CURVE_POINTS]
_WORTHS = [log(worth) for _, worth in CURVE_POINTS]
_GRID_SECONDS = 3600


def _exact(delay: float) -> float:
    if delay <= CURVE_POINTS[0][0]:
        return CURVE_POINTS[0][1]
    if delay >= CURVE_POINTS[-1][0]:
        return CURVE_POINTS[-1][1]
    x = log(delay)
    i = bisect_right(_DELAYS, x)
    share = (x - _DELAYS[i - 1]) / (_DELAYS[i] - _DELAYS[i - 1])
    return exp(_WORTHS[i - 1] + share * (_WORTHS[i] - _WORTHS[i - 1]))


_GRID = [_exact(float(second)) for second in range(_GRID_SECONDS + 2)]
_END = int(CURVE_POINTS[-1][0])
_MINUTES = [_exact(60.0 * minute) for minute in range(_END // 60 + 2)]


def worth(delay: float) -> float:
    """The multiplier after ``delay`` seconds (floor time; a negative delay counts as none).

    It is read from a grid of whole seconds, after the first hour of whole minutes, linearly between
    them: the error is below 0.001.
    """
    if delay <= 30.0:
        return 4.91
    if delay < _GRID_SECONDS:
        second = int(delay)
        low = _GRID[second]
        return low + (delay - second) * (_GRID[second + 1] - low)
    if delay < _END:
        minute = int(delay / 60.0)
        low = _MINUTES[minute]
        return low + (delay / 60.0 - minute) * (_MINUTES[minute + 1] - low)
    return 1.0
