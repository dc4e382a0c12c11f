"""Figures of several runs: means with their 95 % intervals, and shares of the bound, run by run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Any, Final

from msgspec import Struct
from scipy.special import stdtrit

from bench.simulate.metrics import Figures, pooled
from bench.stats import percentile

COLUMNS: Final = (
    "w60", "w300", "p50", "p95", "p99", "dv", "never_contacted", "reclaims_per_lead", "gini",
    "false_throttle",
)  # fmt: skip
"""What other systems rely on."""
MORE: Final = (
    "conv", "dv_lrm", "over_1h", "lowest_share", "share_p5", "recalled_over_3", "w60_allslow",
    "false_throttle_allslow", "idle_minutes", "swings_healthy", "swings_lagging", "allan_healthy",
    "allan_lagging", "held",
)  # fmt: skip


class Estimate(Struct, frozen=True):
    """A mean over runs, with half the width of its 95 % interval (None: one run tells nothing)."""

    mean: float
    half: float | None
    runs: int

    @property
    def low(self) -> float:
        return self.mean - (self.half or 0.0)

    @property
    def high(self) -> float:
        return self.mean + (self.half or 0.0)

    def built(self) -> dict[str, float | None]:
        """For JSON."""
        unsure = self.half is None
        return {
            "mean": self.mean,
            "low": None if unsure else self.low,
            "high": None if unsure else self.high,
        }


def estimate(samples: Iterable[float | None]) -> Estimate | None:
    """The mean and its interval by Student's t; runs without a figure do not count."""
    known = [float(sample) for sample in samples if sample is not None]
    if not known:
        return None
    half = None
    if len(known) > 1:
        quantile = float(stdtrit(len(known) - 1, 0.975))
        half = quantile * stdev(known) / sqrt(len(known))
    return Estimate(fmean(known), half, len(known))


def counts(runs: Sequence[Figures]) -> list[int]:
    """Fresh leads of every silent absence of every run."""
    return sorted(count for figures in runs for count in figures.fresh_per_absence)


class Summary(Struct, frozen=True):
    """One policy, or the bound, on one scenario. ``of_pool``: its dv over the bound's, in each run."""

    estimates: Mapping[str, Estimate]
    of_pool: Estimate | None
    reaction: Mapping[str, float | None]

    def built(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = {
            name: self.estimates[name].built() if name in self.estimates else None
            for name in (*COLUMNS, *MORE)
        }
        found["dv_of_pool"] = self.of_pool.built() if self.of_pool else None
        return found | dict(self.reaction)


def summarise(runs: Sequence[Figures], bound: Sequence[Figures]) -> Summary:
    """``bound``: the bound's runs, seed by seed the same worlds."""
    estimates = {
        name: found
        for name in (*COLUMNS, *MORE)
        if (found := estimate(getattr(figures, name) for figures in runs)) is not None
    }
    shares = [r.dv / b.dv for r, b in zip(runs, bound, strict=True) if b.dv] if bound else []
    return Summary(estimates, estimate(shares), _reaction(runs))


def _reaction(runs: Sequence[Figures]) -> dict[str, float | None]:
    found = counts(runs)
    reaction: dict[str, float | None] = {
        "fresh_per_absence": fmean(found) if found else None,
        "fresh_per_absence_p50": percentile(found, 0.5) if found else None,
        "fresh_per_absence_p90": percentile(found, 0.9) if found else None,
        "freed_60": pooled([figures.freed_60 for figures in runs]).value,
        "lag_flow": pooled([figures.lag_flow for figures in runs]).value,
    }
    for place in range(len(runs[0].recovery)):
        name = f"recovery_{5 * place}_{5 * place + 5}"
        reaction[name] = pooled([figures.recovery[place] for figures in runs]).value
    return reaction
