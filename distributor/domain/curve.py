"""What a minute of waiting costs: conversion against the delay of the first contact.

``worth(delay)`` is the multiplier of a lead's chance to convert when it is first contacted after
``delay`` seconds, relative to a contact two days later. The points are the uplifts that Leads360
published in 2012 (3.5 million leads), joined by straight lines in log-log space. The curve is a weight,
not a causal effect.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
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

_GRID_SECONDS = 3600


def through(points: Sequence[tuple[float, float]]) -> Callable[[float], float]:
    """The multiplier after a delay by straight lines between ``points`` in log-log space, level before
    the first and after the last. ``points``: (delay in seconds, multiplier), by delay, all above 0."""
    delays = [log(delay) for delay, _ in points]
    worths = [log(worth) for _, worth in points]

    def exact(delay: float) -> float:
        if delay <= points[0][0]:
            return points[0][1]
        if delay >= points[-1][0]:
            return points[-1][1]
        x = log(delay)
        i = bisect_right(delays, x)
        share = (x - delays[i - 1]) / (delays[i] - delays[i - 1])
        return exp(worths[i - 1] + share * (worths[i] - worths[i - 1]))

    return exact


_exact = through(CURVE_POINTS)
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
