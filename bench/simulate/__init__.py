"""The simulated world: the daemon's own core in virtual time, beside a bound (see docs/simulator.md)."""

from __future__ import annotations

import argparse
import os
from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from typing import Any

from bench import options
from bench.output import finish, say, table
from bench.simulate import scenario, tuning
from bench.simulate.bound import CHOICES
from bench.simulate.crew import Task, do_all
from bench.simulate.runs import Ran, split
from bench.simulate.scenario import Scenario
from bench.simulate.summary import COLUMNS, Estimate, Summary, summarise

BOUND = "pool"
DEFAULT_SCENARIO = "s1-90"
DEFAULT_POLICIES = ("lease", "longest_idle")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scenario",
        action="append",
        metavar="NAME|FILE.toml",
        help=f"may be given again; default {DEFAULT_SCENARIO}, 'all' for those that come along",
    )
    parser.add_argument(
        "--policy",
        type=_policy,
        action="append",
        metavar="NAME",
        help="may be given again; NAME:WINDOW for so many open leads a rep; default lease and "
        "longest_idle",
    )
    parser.add_argument("--seeds", type=_seeds, metavar="A-B", default="1-8", help="(1-8)")
    parser.add_argument("--jobs", type=options.count, metavar="N", default=os.cpu_count() or 1)
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        metavar="NAME=VALUE",
        default=[],
        help="another constant for lease, in these runs only",
    )


def _policy(text: str) -> str:
    if text in CHOICES:
        return text
    try:
        name, window = split(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text}: give NAME or NAME:WINDOW") from error
    if window is not None and window < 1:
        raise ArgumentTypeError(f"{text}: the window must be 1 or more")
    options.policy(name)
    return text


def _seeds(text: str) -> tuple[int, ...]:
    found: list[int] = []
    for part in text.split(","):
        low, dash, high = part.partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            raise ArgumentTypeError(f"{text}: give seeds as 1-8 or 1,3,5")
        found.extend(range(int(low), int(high if dash else low) + 1))
    if not found:
        raise ArgumentTypeError(f"{text}: give at least one seed, the smaller one first")
    return tuple(dict.fromkeys(found))


def _setting(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise ArgumentTypeError(f"{text}: give NAME=NUMBER") from None


def run(args: argparse.Namespace) -> int:
    wanted = args.scenario or [DEFAULT_SCENARIO]
    if "all" in wanted:
        wanted = scenario.names()
    scenarios = {name: scenario.load(name) for name in dict.fromkeys(wanted)}
    policies = list(dict.fromkeys([*(args.policy or DEFAULT_POLICIES), BOUND]))
    overrides = dict(args.set)
    tuning.check(overrides)
    tasks = [
        Task(place, world, name, seed)
        for place, world in scenarios.items()
        for name in policies
        for seed in args.seeds
    ]
    found = do_all(tasks, args.jobs, overrides)
    results = [
        _report(place, world, policies, args.seeds, found, overrides)
        for place, world in scenarios.items()
    ]
    _print_cost(found)
    finish(results[0] if len(results) == 1 else {"scenarios": results}, as_json=args.json)
    return 0


def _report(
    place: str,
    world: Scenario,
    policies: Sequence[str],
    seeds: Sequence[int],
    found: Mapping[tuple[str, str, int], Ran],
    overrides: Mapping[str, float],
) -> dict[str, Any]:
    bound = [found[place, BOUND, seed].figures for seed in seeds]
    summaries = {
        name: summarise([found[place, name, seed].figures for seed in seeds], bound)
        for name in policies
    }
    say(
        f"{place}: {world.reps} reps, {sum(f.leads for f in bound) / len(bound):,.0f} leads, "
        f"{len(seeds)} runs"
    )
    table(("", *COLUMNS, "dv/pool"), [_row(name, s) for name, s in summaries.items()])
    return {
        "scenario": place,
        "seeds": list(seeds),
        "set": dict(overrides),
        "policies": {name: summary.built() for name, summary in summaries.items()},
    }


def _row(name: str, summary: Summary) -> list[str]:
    cells = [_cell(summary.estimates.get(column), column) for column in COLUMNS]
    return [name, *cells, _cell(summary.of_pool, "dv")]


def _cell(found: Estimate | None, column: str) -> str:
    if found is None:
        return "-"
    digits = 0 if column.startswith("p") else 3
    text = f"{found.mean:.{digits}f}"
    return text if found.half is None else f"{text}±{found.half:.{digits}f}"


def _print_cost(found: Mapping[tuple[str, str, int], Ran]) -> None:
    ran = [one for one in found.values() if one.core_events]
    if not ran:
        return
    events = sum(one.agenda_events + one.core_events for one in ran)
    seconds, core = sum(one.seconds for one in ran), sum(one.core_seconds for one in ran)
    say(
        f"{events / seconds:,.0f} events/s of each process ({core / seconds:.0%} of the time in the "
        f"core), {seconds / len(ran):.2f} s a run of a policy"
    )
