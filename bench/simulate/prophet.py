"""What a dispatcher could reach who knows the whole future: a linear programme over bins (3.4).

Leads and reps flow like water: a bin of 30 s has as much capacity as the reps who are there have in it,
and any part of a lead may take any part of it. What a single lead happens to take, the skills of the
groups and whose turn it is do not count. So it is a bound of the value, loose by what whole leads and
single reps cost, and by what chance does to a shift's work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array

from bench.output import Progress, say, table
from bench.simulate import curves, draws
from bench.simulate.draws import SECOND, Leads, Person, Roster, Shift
from bench.simulate.results import Results, cell
from bench.simulate.scenario import Scenario
from bench.simulate.summary import estimate
from distributor.errors import DistributorError

BIN: Final = 30.0
DELAYS: Final = np.array([*range(10), *range(12, 61, 3), *range(75, 241, 15)])
"""Bins that a lead may wait; after two hours it is as good as never contacted."""
SOONEST: Final = 10.0
"""Seconds to contact within the bin of the arrival."""

Values = Mapping[tuple[str, int], float]
"""By scenario and seed."""
Floats = NDArray[np.float64]


def value(scenario: Scenario, seed: int) -> float:
    """The most that the measured leads could be worth, as ``dv``. Raises ``DistributorError`` where
    the solver fails."""
    crew = draws.people(scenario, seed)
    return best(scenario, crew, draws.shift(scenario, crew, seed))


def best(scenario: Scenario, crew: tuple[Person, ...], shift: Shift) -> float:
    """As ``value``, for people and a shift that are given."""
    room = capacity(scenario, crew, shift.rosters)
    when, quality, supply = _groups(scenario, shift.leads)
    if not len(supply):
        return 0.0
    group, wait = (
        found.ravel() for found in np.indices((len(supply), len(DELAYS)), dtype=np.int64)
    )
    contact = when[group] + DELAYS[wait]
    inside = contact < len(room)
    group, contact, wait = group[inside], contact[inside], wait[inside]
    # Whoever is never contacted is worth the end of the curve: what counts is how much more.
    least = curves.POINTS[scenario.curve][-1][1]
    worth = curves.worths(scenario.curve, np.maximum(SOONEST, BIN * DELAYS)) - least
    gains = quality[group] * worth[wait]
    total = float((supply * quality).sum())
    gained = _most(gains, group, supply, contact, room)
    return (gained + least * total) / (curves.peak(scenario.curve) * total)


def _groups(scenario: Scenario, leads: Leads) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Bin of arrival, quality and number of the leads that are alike."""
    at = np.array(leads.at, dtype=np.float64) / SECOND
    counted = at < (scenario.measured_seconds or np.inf)
    bins = (at[counted] // BIN).astype(np.int64)
    kinds = np.stack([bins, np.array(leads.quality)[counted]])
    found, counts = np.unique(kinds, axis=1, return_counts=True)
    return found[0].astype(np.int64), found[1], counts.astype(np.float64)


def _most(
    gains: Floats,
    group: NDArray[np.int64],
    supply: Floats,
    contact: NDArray[np.int64],
    room: Floats,
) -> float:
    """The highest sum of gains: of each group no more than there are, in each bin no more than fit."""
    used = np.arange(len(gains))
    rows = np.concatenate([group, len(supply) + contact])
    limits = np.concatenate([supply, room])
    limited = coo_array(
        (np.ones(len(rows)), (rows, np.concatenate([used, used]))),
        shape=(len(limits), len(gains)),
    )
    solved = linprog(-gains, A_ub=limited.tocsr(), b_ub=limits, method="highs")
    if not solved.success:
        raise DistributorError(f"prophet: the linear programme failed: {solved.message}")
    return float(-solved.fun)


# -- capacity -------------------------------------------------------------------------------------


def capacity(scenario: Scenario, crew: tuple[Person, ...], rosters: tuple[Roster, ...]) -> Floats:
    """Leads that the reps who are there can handle in each bin, to the end of the drain."""
    edges = np.arange(int(np.ceil(scenario.end_seconds / BIN)) + 1) * BIN
    edges[-1] = scenario.end_seconds
    total = np.zeros(len(edges))
    for person, roster in zip(crew, rosters, strict=True):
        cuts = _cuts(scenario, roster)
        rates = [_rate(scenario, person, roster, at) for at in (cuts[:-1] + cuts[1:]) / 2.0]
        done = np.concatenate([[0.0], np.cumsum(np.diff(cuts) * rates)])
        total += np.interp(edges, cuts, done)
    return np.diff(total)


def _cuts(scenario: Scenario, roster: Roster) -> Floats:
    """When a rep's rate may change, in seconds; between two of them it does not."""
    spans = (*roster.away, *roster.lag, *roster.absent, roster.leaves)
    slow = scenario.allslow_window or ()
    end = scenario.end_seconds
    return np.unique(np.clip([0.0, *(at / SECOND for at in spans), *slow, end], 0.0, end))


def _rate(scenario: Scenario, person: Person, roster: Roster, at: float) -> float:
    """Leads a second that a rep handles at a time: none while away."""
    if _is_out(roster, at):
        return 0.0
    lag, handling = 1.0, 1.0
    if _within(roster.lag, at):
        lag, handling = scenario.lag_factor, scenario.lag_handling
    slow = scenario.allslow_window
    if slow and slow[0] <= at < slow[1]:
        lag, handling = lag * scenario.allslow_lag, handling * scenario.allslow_handling
    side = scenario.side_share * scenario.side_mean
    return 1.0 / (person.handling * handling + side + scenario.pickup_waiting * lag)


def _is_out(roster: Roster, at: float) -> bool:
    """As in the world: who has silently gone by the begin of a break takes none."""
    if _within(roster.absent, at) or (roster.leaves and at >= roster.leaves / SECOND):
        return True
    return _within(roster.away, at) and not _within(roster.absent, roster.away[0] / SECOND)


def _within(span: tuple[int, int], at: float) -> bool:
    return span[0] <= at * SECOND < span[1]


# -- beside the policies --------------------------------------------------------------------------


def foresee(scenarios: Mapping[str, Scenario], seeds: Sequence[int]) -> Values:
    """The bound of every scenario and seed: a few seconds each."""
    progress = Progress("foreseeing", len(scenarios) * len(seeds))
    found: dict[tuple[str, int], float] = {}
    try:
        for place, scenario in scenarios.items():
            for seed in seeds:
                found[place, seed] = value(scenario, seed)
                progress.show(len(found), f"{place} {seed}")
    finally:
        progress.end()
    return found


def show(results: Results, place: str, values: Values) -> dict[str, Any]:
    """Print each policy's value beside that of the prophet, run by run; the same for JSON."""
    most = [values[place, seed] for seed in results.seeds[place]]
    of_prophet = {
        name: estimate(
            figures.dv / bound if bound else None
            for figures, bound in zip(results.figures(place, name), most, strict=True)
        )
        for name in results.policies(place)
    }
    dv = estimate(most)
    say(f"{place}, beside a prophet who knows the whole future")
    table(
        ("", "dv", "of prophet"),
        [
            ("prophet", cell(dv, "dv"), ""),
            *(
                (name, cell(results.summary(place, name).estimates.get("dv"), "dv"), cell(s, "dv"))
                for name, s in of_prophet.items()
            ),
        ],
    )
    return {
        "dv": dv.built() if dv else None,
        "dv_of_prophet": {name: s.built() if s else None for name, s in of_prophet.items()},
    }
