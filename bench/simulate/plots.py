"""Pictures of the results: speed to contact, the flow of lagging reps, policies and the bound by load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from msgspec import structs

from bench.simulate.bound import BOUND
from bench.simulate.metrics import BEFORE_BINS, LAG_BINS, RECOVERY_BIN, Figures, pooled
from bench.simulate.results import Results
from bench.simulate.scenario import Scenario
from bench.simulate.summary import Estimate

_SIZE: Final = (8.0, 4.5)
_BIN_MINUTES: Final = 5
_LOAD_ROOM: Final = 0.4
"""Of the room between two loads, what the policies stand side by side in."""


def draw_all(results: Results, folder: Path) -> list[Path]:
    """Every picture that the results are enough for. Makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for place in results.scenarios:
        made.append(_delays(results, place, folder))
        if any(f.lag_episodes for f in results.figures(place, BOUND)):
            made.append(_lag(results, place, folder))
    if len(_loads(results)) > 1:
        made.append(_by_load(results, folder))
    return made


def _called(place: str) -> str:
    """The name of a scenario, also of one from a file."""
    return Path(place).stem if place.endswith(".toml") else place


def _axes(title: str, x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def _mark(axes: Any, x: float, text: str, height: float) -> None:
    """A dotted line with its meaning beside it, at a height from 0 to 1."""
    axes.axvline(x, color="grey", linestyle=":")
    axes.annotate(
        text, (x, height), xycoords=("data", "axes fraction"), xytext=(4, 0),
        textcoords="offset points", color="dimgrey", fontsize=9,
    )  # fmt: skip


def _save(figure: Figure, axes: Any, path: Path) -> Path:
    axes.legend()
    figure.savefig(path, dpi=120)
    return path


def _delays(results: Results, place: str, folder: Path) -> Path:
    """The share of leads contacted within each delay."""
    figure, axes = _axes(
        f"{_called(place)}: speed to contact", "seconds after arrival", "share contacted"
    )
    for name in results.policies(place):
        delays = np.sort(np.concatenate([f.delays for f in results.figures(place, name)]))
        shares = np.arange(1, len(delays) + 1) / max(1, len(delays))
        axes.step(np.maximum(1.0, delays), shares, where="post", label=name)
    axes.set_xscale("log")
    axes.set_xlim(1.0, 86_400.0)
    axes.set_ylim(0.0, 1.0)
    _mark(axes, 60.0, "60 s", 0.02)
    return _save(figure, axes, folder / f"delay-{_called(place)}.png")


def _lag(results: Results, place: str, folder: Path) -> Path:
    """Fresh leads to a lagging rep, as a share of what it got before the lag."""
    episodes = sum(f.lag_episodes for f in results.figures(place, BOUND))
    figure, axes = _axes(
        f"{_called(place)}: a lagging rep's fresh leads ({episodes} episode{'s' * (episodes > 1)})",
        "minutes after the onset of the lag (bins of 5 minutes)",
        "flow, as a share of the half hour before",
    )
    end = RECOVERY_BIN * _BIN_MINUTES
    for name in results.policies(place):
        flows = lag_flows(results.figures(place, name))
        minutes = [_BIN_MINUTES * (i - BEFORE_BINS + 0.5) for i in range(len(flows))]
        axes.plot(minutes, [np.nan if f is None else f for f in flows], marker="o", label=name)
    axes.axvspan(0, end, color="grey", alpha=0.15, label="lagging")
    axes.axhline(1.0, color="grey", linewidth=0.8)
    axes.set_ylim(bottom=0.0)
    axes.set_xticks(range(-BEFORE_BINS * _BIN_MINUTES, end + 31, 15))
    begin = LAG_BINS[0] * _BIN_MINUTES
    _mark(axes, begin, f"lag_flow: minutes {begin} to {end}", 0.95)
    return _save(figure, axes, folder / f"lag-{_called(place)}.png")


def lag_flows(runs: Sequence[Figures]) -> list[float | None]:
    """The flow in each bin from half an hour before the onset, over all runs."""
    bins = [(*figures.lag_before, *figures.lag_bins) for figures in runs]
    return [pooled(column).value for column in zip(*bins, strict=True)]


def _loads(results: Results) -> list[str]:
    """The scenarios that are ordinary in everything but their load, by load."""
    found = {
        place: world
        for place, world in results.scenarios.items()
        if structs.replace(world, load=Scenario().load) == Scenario()
    }
    return sorted(found, key=lambda place: found[place].load)


def _by_load(results: Results, folder: Path) -> Path:
    """The first minute, by load, with 95 % intervals. The policies stand side by side at each load."""
    places = _loads(results)
    seeds = len(results.seeds)
    runs = f"{seeds} runs, 95 % intervals" if seeds > 1 else "1 run"
    figure, axes = _axes(
        f"Contacted within 60 s ({runs})",
        "load (the policies side by side at each)",
        "share of leads (w60)",
    )
    loads = [results.scenarios[place].load for place in places]
    shared = [
        n for n in results.policies(places[0]) if all(n in results.policies(p) for p in places)
    ]
    for name, shift in zip(shared, _shifts(loads, len(shared)), strict=True):
        found = [results.summary(place, name).estimates["w60"] for place in places]
        axes.errorbar(
            [load + shift for load in loads],
            [one.mean for one in found],
            yerr=np.transpose([within(one) for one in found]),
            marker="o",
            capsize=3,
            label=name,
        )
    axes.set_xticks(loads)
    axes.set_ylim(0.0, 1.02)  # the ends of intervals at 1 are seen
    return _save(figure, axes, folder / "load.png")


def _shifts(loads: Sequence[float], count: int) -> list[float]:
    """How far each of so many policies stands beside the load, so that none hides another."""
    room = _LOAD_ROOM * min(np.diff(loads), default=0.0)
    return [room * ((i + 0.5) / count - 0.5) for i in range(count)]


def within(share: Estimate) -> tuple[float, float]:
    """How far a share's interval goes below and above its mean: not out of 0 to 1, where no share is."""
    low, high = max(0.0, share.low), min(1.0, share.high)
    return share.mean - low, high - share.mean
