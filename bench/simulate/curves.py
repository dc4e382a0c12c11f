"""What a delay costs: the default curve and the one of another study, as functions and over arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distributor.domain.curve import CURVE_POINTS, through, worth

Points = tuple[tuple[float, float], ...]

LRM_POINTS: Final[Points] = (
    (60.0, 2.0),
    (300.0, 1.0),
    (600.0, 0.25),
    (900.0, 0.14),
    (1_800.0, 0.0476),
    (3_600.0, 0.03),
    (86_400.0, 0.01),
)
"""(delay in seconds, multiplier), from the second study: for the sensitivity of a ranking."""

POINTS: Final = {"default": CURVE_POINTS, "lrm": LRM_POINTS}


def peak(curve: str) -> float:
    """The worth of a contact without delay."""
    return POINTS[curve][0][1]


def worths(curve: str, delays: NDArray[np.float64]) -> NDArray[np.float64]:
    """The multiplier at each delay: straight lines between the points in log-log space."""
    xs, ys = zip(*POINTS[curve], strict=True)
    inside = np.clip(delays, xs[0], xs[-1])
    return np.asarray(np.exp(np.interp(np.log(inside), np.log(xs), np.log(ys))))


def function(curve: str) -> Callable[[float], float]:
    """The multiplier at one delay. The core's own for the default."""
    return worth if curve == "default" else _lrm


_lrm: Final = through(LRM_POINTS)
