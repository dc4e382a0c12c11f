"""The simulated world: the daemon's own core in virtual time, beside a bound (see docs/simulator.md)."""

from __future__ import annotations

import argparse
import os
from argparse import ArgumentTypeError
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import options
from bench.output import finish, say
from bench.simulate import goals, other_worlds, prophet, scenario, tuning
from bench.simulate.bound import BEST, BOUND, CHOICES
from bench.simulate.results import Results
from bench.simulate.runs import split
from bench.simulate.workers import Task, do_all
from distributor.errors import BadConfig

DEFAULT_SCENARIO = "s1-90"
DEFAULT_POLICIES = ("lease", "longest_idle")
ALL = "all"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scenario",
        nargs="+",
        action="extend",
        metavar="NAME|FILE.toml",
        help=f"default {DEFAULT_SCENARIO}; {ALL}: every one in bench/scenarios",
    )
    parser.add_argument(
        "--policy",
        nargs="+",
        action="extend",
        type=_policy,
        metavar="NAME",
        help=f"default {' '.join(DEFAULT_POLICIES)}; NAME:WINDOW for so many open leads a rep; "
        f"the bound {BOUND} is always there, {' and '.join(sorted(set(CHOICES) - {BOUND}))} when named",
    )
    parser.add_argument(
        "--seeds", type=_seeds, metavar="A-B", default="1-8", help="as 1-8 or 1,3,5 (1-8)"
    )
    parser.add_argument(
        "--jobs",
        type=options.count,
        metavar="N",
        default=os.cpu_count() or 1,
        help="processes (one for each core)",
    )
    parser.add_argument(
        "--set",
        type=_setting,
        nargs="+",
        action="extend",
        metavar="NAME=VALUE",
        default=[],
        help="another constant of lease, in these runs alone",
    )
    one = parser.add_mutually_exclusive_group()
    one.add_argument(
        "--goals",
        action="store_true",
        help="the numeric goals of the flow control, for one policy (lease), on their own scenarios",
    )
    one.add_argument(
        "--other-worlds",
        action="store_true",
        help="one policy (lease) in other worlds, each beside the ordinary shift of its load",
    )
    one.add_argument(
        "--prophet",
        action="store_true",
        help="also the value that knowing the whole future could reach (some seconds a run)",
    )
    parser.add_argument("--plot", metavar="DIR", help="draw pictures into this folder")


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
    overrides = dict(args.set)
    tuning.check(overrides)
    plan = _plan(args)
    scenarios = _load(plan, needed=not args.other_worlds and ALL not in (args.scenario or ()))
    seeds = {
        place: goals.enough(place, found, args.seeds) if args.goals else args.seeds
        for place, found in scenarios.items()
    }
    tasks = [
        Task(place, scenarios[place], name, seed, delays=bool(args.plot))
        for place in scenarios
        for name in plan[place]
        for seed in seeds[place]
    ]
    results = Results(scenarios, seeds, do_all(tasks, args.jobs, overrides))
    built = _report(args, results)
    results.show_cost()
    if args.plot:
        _draw(results, Path(args.plot))
    finish(built | {"set": overrides}, as_json=args.json)
    return 0


def _report(args: argparse.Namespace, results: Results) -> dict[str, Any]:
    if args.goals:
        return {"goals": goals.show(results, _judged(args))}
    if args.other_worlds:
        return {"other_worlds": other_worlds.show(results, _judged(args))}
    return _show(results, prophet.foresee(results.scenarios, args.seeds) if args.prophet else None)


def _plan(args: argparse.Namespace) -> Mapping[str, Sequence[str]]:
    """Scenario -> what is run on it."""
    if args.goals or args.other_worlds:
        if args.scenario or len(args.policy or ()) > 1:
            option = "--goals" if args.goals else "--other-worlds"
            problem = "it has its own scenarios, and judges one policy at a time"
            raise BadConfig([f"{option}: {problem}"])
        judged = _judged(args)
        return goals.needed(judged) if args.goals else other_worlds.needed(judged)
    wanted = args.scenario or [DEFAULT_SCENARIO]
    if ALL in wanted:
        wanted = scenario.names()
    bounds = [BEST, BOUND] if args.prophet else [BOUND]
    policies = list(dict.fromkeys([*(args.policy or DEFAULT_POLICIES), *bounds]))
    return dict.fromkeys(wanted, policies)


def _judged(args: argparse.Namespace) -> str:
    """The one policy of a table of goals."""
    return str((args.policy or DEFAULT_POLICIES)[0])


def _load(places: Iterable[str], *, needed: bool) -> dict[str, scenario.Scenario]:
    """The scenarios. Those whose recording is missing are left out aloud, unless all are ``needed``."""
    found = {}
    for place in places:
        try:
            found[place] = scenario.load(place)
        except scenario.NoRecording as error:
            if needed:
                raise
            say(f"left out: {error}")
    return found


def _show(results: Results, foreseen: prophet.Values | None) -> dict[str, Any]:
    built = []
    for place in results.scenarios:
        results.show(place)
        found = results.built(place)
        if foreseen is not None:
            found["prophet"] = prophet.show(results, place, foreseen)
        built.append(found)
    return built[0] if len(built) == 1 else {"scenarios": built}


def _draw(results: Results, folder: Path) -> None:
    from bench.simulate import plots  # noqa: PLC0415  # takes a second to load

    for path in plots.draw_all(results, folder):
        say(f"drew {path}")
