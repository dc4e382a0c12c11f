"""Other worlds than the one that the policy was tuned in, each beside the ordinary shift of its load."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from bench.output import say, table
from bench.simulate.bound import BOUND
from bench.simulate.results import Results, cell

NEIGHBOURS: Final = {
    "other-healthy": "s1-90",  # nobody lags or vanishes: what swings there swings by itself
    "other-handling": "s1-90",
    "other-lrm": "s1-90",
    "groups": "s1-90",
    "s11-20": "s1-90",
    "s11-200": "s1-90",
    "other-bank": "s1-80",
    "other-fire": "s1-80",
    "other-fire-fast": "s1-80",
}
"""Another world -> the ordinary shift beside which it stands."""
POINTS: Final = 3.0
"""A share of the bound's value that is so much below the neighbour's has fallen."""
OSCILLATION: Final = ("swings_healthy", "swings_lagging", "allan_healthy", "allan_lagging")


def needed(policy: str) -> dict[str, list[str]]:
    """Scenario -> what must be run on it: neighbours included."""
    names = list(dict.fromkeys([policy, BOUND]))
    return dict.fromkeys((*NEIGHBOURS.values(), *NEIGHBOURS), names)


def show(results: Results, policy: str) -> list[dict[str, Any]]:
    """Print the tables; the same for JSON. Worlds that were not run are left out."""
    run = [place for place in NEIGHBOURS if place in results.scenarios]
    built = [_judged(results, policy, place) for place in run]
    _show_value(results, policy, run, built)
    _show_oscillation(results, policy, run)
    fallen = [one["scenario"] for one in built if one["falls"]]
    said = ", ".join(fallen) if fallen else "none"
    say(f"more than {POINTS:g} points below its neighbour: {said}")
    return built


def _judged(results: Results, policy: str, place: str) -> dict[str, Any]:
    neighbour = NEIGHBOURS[place]
    here = results.summary(place, policy)
    shares = here.of_pool, results.summary(neighbour, policy).of_pool
    points = 100.0 * (shares[0].mean - shares[1].mean) if shares[0] and shares[1] else None
    return {
        "scenario": place,
        "neighbour": neighbour,
        "dv_of_pool": shares[0].built() if shares[0] else None,
        "dv_of_pool_neighbour": shares[1].built() if shares[1] else None,
        "points": points,
        "falls": points is not None and points < -POINTS,
        "oscillation": {
            name: here.estimates[name].built() if name in here.estimates else None
            for name in OSCILLATION
        },
    }


def _show_value(
    results: Results, policy: str, run: Iterable[str], built: Iterable[dict[str, Any]]
) -> None:
    rows = []
    for place, one in zip(run, built, strict=True):
        here, bound = results.summary(place, policy), results.summary(place, BOUND)
        points = one["points"]
        rows.append(
            (
                place,
                *(cell(here.estimates.get(name), name) for name in ("w60", "dv")),
                cell(bound.estimates.get("dv"), "dv"),
                cell(here.of_pool, "dv"),
                one["neighbour"],
                cell(results.summary(one["neighbour"], policy).of_pool, "dv"),
                "-" if points is None else f"{points:+.1f}",
                "FALLS" if one["falls"] else "holds",
            )
        )
    heads = ("w60", "dv", "pool's dv", "dv of pool", "neighbour", "its dv of pool", "points", "")
    table((policy, *heads), rows)


def _show_oscillation(results: Results, policy: str, run: Sequence[str]) -> None:
    """The worlds and their neighbours, the healthy floor first."""
    places = dict.fromkeys([*run[:1], *(NEIGHBOURS[place] for place in run), *run])
    rows = []
    for place in places:
        here = results.summary(place, policy).estimates
        bound = results.summary(place, BOUND).estimates
        figures = (cell(here.get(name), name) for name in OSCILLATION)
        rows.append((place, *figures, cell(bound.get("allan_healthy"), "allan_healthy")))
    table((policy, *OSCILLATION, "pool's allan_healthy"), rows)
