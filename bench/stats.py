"""Small statistics of measured samples."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from statistics import median


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least ``share`` (0..1) of all do not exceed; 0 for none."""
    if not samples:
        return 0.0
    ordered = sorted(samples)
    return ordered[min(len(ordered), max(1, ceil(len(ordered) * share))) - 1]


def middle(samples: Sequence[float]) -> float:
    """The median; 0 for no samples."""
    return float(median(samples)) if samples else 0.0
