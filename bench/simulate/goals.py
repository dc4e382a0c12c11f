"""The numeric goals of the flow control (flow-control 6), each measured and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import Final

from msgspec import Struct

from bench.output import say, table
from bench.simulate import draws
from bench.simulate.bound import BEST, BOUND
from bench.simulate.results import Results
from bench.simulate.scenario import Scenario

IDLE: Final = "longest_idle"
RANKED: Final = ("longest_idle", "least_loaded", "weighted", "fair", "rotate")
"""The baselines whose ranking must be the same under the other curve."""
REACTION: Final = "reaction"
REACTIONS: Final = (REACTION, "reaction-events")
EPISODES: Final = 150
"""Recovery is noisy: so many lag episodes are to be seen."""
MOST_RUNS: Final = 32
"""No more runs than these are made to see them."""
WITHIN: Final = 0.005
"""The lower limit of a share of the bound's value may lie so much below the goal."""


class Measured(Struct, frozen=True):
    """A figure, and the limit of its 95 % interval on the side of the goal, where there is one."""

    value: float | None
    limit: float | None = None


class Goal(Struct, frozen=True):
    """``least``: the figure may not be below the target; else not above it."""

    name: str
    scenario: str
    what: str
    target: float
    least: bool
    measure: Callable[[Results, str], Measured]

    def verdict(self, found: Measured) -> str:
        if found.value is None:
            return "not measured"
        if not self._passes(found.value, 1e-9):
            return "NOT REACHED"
        if found.limit is not None and not self._passes(found.limit, WITHIN):
            return "mean only"
        return "reached"

    def _passes(self, value: float, slack: float) -> bool:
        return value >= self.target - slack if self.least else value <= self.target + slack


def goals() -> list[Goal]:
    """All that can be measured here. G9, the time of a decision, is the business of ``bench core``."""
    return [*_value(), *_first_minute(), *_scenarios(), *_reaction(), *_people(), *_ranking()]


def needed(policy: str) -> dict[str, list[str]]:
    """Scenario -> what must be run on it for the goals of one policy."""
    found: dict[str, list[str]] = {}
    for goal in goals():
        names = [policy, BOUND]
        if goal.scenario == "s3-burner":
            names.insert(1, BEST)
        if goal.what.startswith("ranking"):
            names[1:1] = RANKED
        if IDLE in goal.what:
            names.insert(1, IDLE)
        found[goal.scenario] = list(dict.fromkeys([*found.get(goal.scenario, ()), *names]))
    return found


def enough(place: str, scenario: Scenario, seeds: Sequence[int]) -> tuple[int, ...]:
    """The seeds to run a scenario on: of the reaction so many more, after the last one, as it takes to see
    enough lag episodes. How many there are is drawn before anything is decided."""
    found = list(seeds)
    if place not in REACTIONS:
        return tuple(found)
    seen = sum(_lag_episodes(scenario, seed) for seed in found)
    while seen < EPISODES and len(found) < MOST_RUNS:
        found.append(max(found) + 1)
        seen += _lag_episodes(scenario, found[-1])
    return tuple(found)


def _lag_episodes(scenario: Scenario, seed: int) -> int:
    shift = draws.shift(scenario, draws.people(scenario, seed), seed)
    return sum(bool(roster.lag[1]) for roster in shift.rosters)


def show(results: Results, policy: str) -> list[dict[str, object]]:
    """Print the table; the same for JSON."""
    rows: list[tuple[str, ...]] = []
    built: list[dict[str, object]] = []
    for goal in goals():
        found = goal.measure(results, policy)
        verdict = goal.verdict(found)
        sign = ">=" if goal.least else "<="
        rows.append(
            (
                goal.name,
                goal.scenario,
                goal.what,
                f"{sign} {goal.target:g}",
                "-" if found.value is None else f"{found.value:.3f}",
                "" if found.limit is None else f"{found.limit:.3f}",
                verdict,
            )
        )
        built.append(
            {
                "goal": goal.name,
                "scenario": goal.scenario,
                "what": goal.what,
                "target": goal.target,
                "value": found.value,
                "limit": found.limit,
                "verdict": verdict,
            }
        )
    table(("goal", "scenario", "what", "target", policy, "95 %", ""), rows)
    _show_episodes(results, policy)
    reached = sum(row[-1] == "reached" for row in rows)
    say(f"{reached} of {len(rows)} reached")
    return built


def _show_episodes(results: Results, policy: str) -> None:
    for place in REACTIONS:
        runs, seeds = results.figures(place, policy), results.seeds[place]
        lags = sum(f.lag_episodes for f in runs)
        absences = sum(len(f.fresh_per_absence) for f in runs)
        few = f"; take more seeds for the {EPISODES} of the goal" if lags < EPISODES else ""
        say(
            f"{place}: seeds {seeds[0]} to {seeds[-1]}, {absences} silent absences, "
            f"{lags} lag episodes{few}"
        )


# -- how each is measured -------------------------------------------------------------------------


def _of_pool(scenario: str) -> Callable[[Results, str], Measured]:
    def measure(results: Results, policy: str) -> Measured:
        found = results.summary(scenario, policy).of_pool
        if found is None:
            return Measured(None)
        return Measured(found.mean, None if found.half is None else found.low)

    return measure


def _mean(scenario: str, key: str) -> Callable[[Results, str], Measured]:
    def measure(results: Results, policy: str) -> Measured:
        found = results.summary(scenario, policy).estimates.get(key)
        return Measured(found.mean if found else None)

    return measure


def _ratio(scenario: str, key: str, other: str) -> Callable[[Results, str], Measured]:
    """A ratio of means."""

    def measure(results: Results, policy: str) -> Measured:
        ours = results.summary(scenario, policy).estimates.get(key)
        theirs = results.summary(scenario, other).estimates.get(key)
        if ours is None or theirs is None or not theirs.mean:
            return Measured(None)
        return Measured(ours.mean / theirs.mean)

    return measure


def _reacted(scenario: str, key: str) -> Callable[[Results, str], Measured]:
    def measure(results: Results, policy: str) -> Measured:
        return Measured(results.summary(scenario, policy).reaction[key])

    return measure


def _goal(
    name: str,
    scenario: str,
    what: str,
    target: float,
    measure: Callable[[Results, str], Measured],
    *,
    least: bool = True,
) -> Goal:
    return Goal(name, scenario, what, target, least, measure)


_Targets = Iterable[tuple[str, float]]


def _value() -> list[Goal]:
    targets: _Targets = [
        ("s1-50", 0.99), ("s1-70", 0.97), ("s1-90", 0.945), ("s1-105", 0.93),
        ("s1-70-history", 0.975), ("s1-90-history", 0.955),
        ("s1-50-events", 0.99), ("s1-70-events", 0.99), ("s1-90-events", 0.99),
        ("s1-105-events", 0.99),
        ("s1-50-events-20-missing", 0.98), ("s1-70-events-20-missing", 0.98),
        ("s1-90-events-20-missing", 0.98), ("s1-105-events-20-missing", 0.98),
    ]  # fmt: skip
    found = [_goal("G1", place, "dv of pool", at, _of_pool(place)) for place, at in targets]
    place = "s1-90-events-20-missing"
    return [*found, _goal("stretch 1", place, "dv of pool", 0.985, _of_pool(place))]


def _first_minute() -> list[Goal]:
    targets: _Targets = [
        ("s1-50", 0.99), ("s1-70", 0.95), ("s1-90", 0.90), ("s1-105", 0.86),
        ("s1-70-history", 0.96), ("s1-90-history", 0.92),
        ("s1-70-events", 0.98), ("s1-90-events", 0.98), ("s1-105-events", 0.97),
        ("s1-70-events-20-missing", 0.98), ("s1-90-events-20-missing", 0.96),
        ("s1-105-events-20-missing", 0.95),
    ]  # fmt: skip
    found = [
        _goal("G2", place, "w60 of pool", at, _ratio(place, "w60", BOUND)) for place, at in targets
    ]
    for place, at in (("s1-90", 1.4), ("s1-105", 2.2)):
        found.append(_goal("G2", place, f"w60 of {IDLE}", at, _ratio(place, "w60", IDLE)))
    return found


def _scenarios() -> list[Goal]:
    targets: _Targets = [
        ("s2-allslow", 0.95), ("s3-burner", 0.95), ("s4-gamer", 0.95), ("s4-gamer-claims", 0.95),
        ("s5-burst", 0.95), ("s6-leave", 0.95), ("s7-sparse", 0.99), ("s8-contact-only", 0.85),
    ]  # fmt: skip
    slow, burner, sparse = "s2-allslow", "s3-burner", "s7-sparse"
    return [
        *(_goal("G3", place, "dv of pool", at, _of_pool(place)) for place, at in targets),
        _goal("G3", slow, "w60", 0.83, _mean(slow, "w60")),
        _goal("G3", slow, f"w60 inside, of {IDLE}", 1.0, _ratio(slow, "w60_allslow", IDLE)),
        _goal("G3", slow, "idle minutes", 0.0, _mean(slow, "idle_minutes"), least=False),
        _goal("G3", burner, f"conv of {BEST}", 0.85, _ratio(burner, "conv", BEST)),
        _goal("G3", burner, f"conv of {IDLE}", 1.1, _ratio(burner, "conv", IDLE)),
        _goal("stretch 2", sparse, "dv of pool", 0.999, _of_pool(sparse)),
        _goal("stretch 2", burner, "dv of pool", 0.967, _of_pool(burner)),
        _goal("stretch 2", burner, "conv", 0.73, _mean(burner, "conv")),
    ]


def _reaction() -> list[Goal]:
    place, told = REACTIONS

    def one(key: str, what: str, at: float, where: str = place, *, least: bool) -> Goal:
        return _goal("G4", where, what, at, _reacted(where, key), least=least)

    return [
        one("fresh_per_absence", "fresh per absence", 2.0, least=False),
        one("fresh_per_absence_p90", "fresh per absence, p90", 3.0, least=False),
        one("fresh_per_absence", "fresh per absence", 1.7, told, least=False),
        one("fresh_per_absence_p90", "fresh per absence, p90", 2.0, told, least=False),
        one("freed_60", "freed in 60 s", 0.7, least=True),
        one("lag_flow", "lag flow, minutes 10-45", 0.25, least=False),
        one("recovery_10_15", "recovery, minutes 10-15", 0.6, least=True),
        one("recovery_15_20", "recovery, minutes 15-20", 0.85, least=True),
    ]


def _people() -> list[Goal]:
    def at_most(name: str, place: str, key: str, at: float, what: str = "") -> Goal:
        return _goal(name, place, what or key.replace("_", " "), at, _mean(place, key), least=False)

    cold = ("s1-50", "s1-70", "s1-90", "s1-105")
    told = ("s1-50-events", "s1-70-events", "s1-90-events", "s1-105-events")
    return [
        *(at_most("G5", p, "never_contacted", 0.0) for p in (*cold[:3], "s7-sparse")),
        *(at_most("G6", p, "reclaims_per_lead", 0.2) for p in cold),
        *(at_most("G6", p, "reclaims_per_lead", 0.1) for p in told),
        *(at_most("G6", p, "recalled_over_3", 0.001) for p in cold),
        at_most("G7", "s1-70", "gini", 0.11),
        at_most("G7", "s1-90", "gini", 0.10),
        at_most("G7", "s1-105", "gini", 0.10),
        at_most("G7", "s1-70-history", "gini", 0.095),
        at_most("G7", "s1-90-history", "gini", 0.095),
        *(
            _goal("G7", p, "share of work, 5th percentile", 0.6, _mean(p, "share_p5"))
            for p in ("s1-70", "s1-90", "s1-105")
        ),
        at_most("G8", "s1-70", "false_throttle", 0.02),
        at_most("G8", "s2-allslow", "false_throttle_allslow", 0.03, "false throttle inside"),
    ]


def _ranking() -> list[Goal]:
    place = "s1-90"

    def swaps(results: Results, policy: str) -> Measured:
        """Pairs of policies that the other curve ranks the other way round."""
        names = [policy, *(name for name in RANKED if name != policy)]
        means = {
            name: (
                fmean(f.dv for f in results.figures(place, name)),
                fmean(f.dv_lrm for f in results.figures(place, name)),
            )
            for name in names
        }
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        return Measured(
            float(
                sum(
                    (means[a][0] - means[b][0]) * (means[a][1] - means[b][1]) < 0.0
                    for a, b in pairs
                )
            )
        )

    return [_goal("G10", place, "ranking swaps under the other curve", 0.0, swaps, least=False)]
