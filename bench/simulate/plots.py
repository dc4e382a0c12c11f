"""Pictures of the results: speed to contact, the flow of lagging reps, policies and the bound by load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from msgspec import structs

from bench.simulate.bound import BOUND
from bench.simulate.metrics import LAG_BINS, RECOVERY_BIN, Figures, pooled
from bench.simulate.results import Results
from bench.simulate.scenario import Scenario

_SIZE = (8.0, 4.5)
_BIN_MINUTES = 5


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
    axes.axvline(60.0, color="grey", linestyle=":")
    axes.set_xscale("log")
    axes.set_xlim(1.0, 86_400.0)
    axes.set_ylim(0.0, 1.0)
    return _save(figure, axes, folder / f"delay-{_called(place)}.png")


def _lag(results: Results, place: str, folder: Path) -> Path:
    """Fresh leads to a lagging rep, as a share of what it got before the lag."""
    figure, axes = _axes(
        f"{_called(place)}: a lagging rep's fresh leads",
        "minutes after the onset of the lag",
        "flow, as a share of before",
    )
    end = RECOVERY_BIN * _BIN_MINUTES
    for name in results.policies(place):
        runs = results.figures(place, name)
        flows = _flows(runs)
        minutes = [_BIN_MINUTES * (i + 0.5) for i in range(len(flows))]
        axes.plot(minutes, [np.nan if f is None else f for f in flows], marker="o", label=name)
    axes.axvspan(0, end, color="grey", alpha=0.15, label="lagging")
    axes.axvline(LAG_BINS[0] * _BIN_MINUTES, color="grey", linestyle=":")
    axes.axhline(1.0, color="grey", linewidth=0.8)
    axes.set_ylim(bottom=0.0)
    return _save(figure, axes, folder / f"lag-{_called(place)}.png")


def _flows(runs: Sequence[Figures]) -> list[float | None]:
    """The flow in each bin, over all runs."""
    return [
        pooled([f.lag_bins[place] for f in runs]).value for place in range(len(runs[0].lag_bins))
    ]


def _loads(results: Results) -> list[str]:
    """The scenarios that are ordinary in everything but their load, by load."""
    found = {
        place: world
        for place, world in results.scenarios.items()
        if structs.replace(world, load=Scenario().load) == Scenario()
    }
    return sorted(found, key=lambda place: found[place].load)


def _by_load(results: Results, folder: Path) -> Path:
    """The first minute, by load, with 95 % intervals."""
    places = _loads(results)
    figure, axes = _axes("Contacted within 60 s", "load", "share of leads (w60)")
    shared = [
        n for n in results.policies(places[0]) if all(n in results.policies(p) for p in places)
    ]
    for name in shared:
        found = [results.summary(place, name).estimates["w60"] for place in places]
        axes.errorbar(
            [results.scenarios[place].load for place in places],
            [one.mean for one in found],
            yerr=[one.half or 0.0 for one in found],
            marker="o",
            capsize=3,
            label=name,
        )
    axes.set_ylim(0.0, 1.0)
    return _save(figure, axes, folder / "load.png")
