"""A floor on which one rep goes dark and two become five times slower: who holds which leads up?

The scenario in which real systems were measured (an inbox of each rep's own, first in first out; one lead
at a time; 20 reps; a call of 30 s in the middle). Here the product runs it with its default settings: its engine in
virtual time beside central queues (that give a rep the next lead when the last one is done; that take
a lead back after 15 s; that pause who let two lie; that know what nobody knows), or, with
``--daemon``, the whole daemon over MQTT, faster than life.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean
from typing import Final

import structlog
from msgspec import structs

from bench import dark_daemon, options
from bench.dark_floor import Case, Figures
from bench.dark_queues import BreakerQueue, CentralQueue, KnowingQueue, RecallQueue
from bench.dark_virtual import Maker, lease, play
from bench.output import Progress, finish, goal, say, table

DRAWS: Final = 10
TIME_SCALE: Final = 20.0
BACK_AT: Final = 500.0
CASES: Final = (
    Case(0.80),
    Case(0.80, missed=0.03),
    Case(0.85),
    Case(0.85, missed=0.03),
    Case(0.80, back=BACK_AT),
)
MAKERS: Final[dict[str, Maker]] = {
    "lease": lease,
    "central queue": CentralQueue,
    "recall 15 s": RecallQueue,
    "with a breaker": BreakerQueue,
    "knowing queue": KnowingQueue,
}
SHOWN: Final = (
    "within_60",
    "uncontacted",
    "p50",
    "p95",
    "given_dark",
    "last_at",
    "stuck_dark",
    "held_dark",
    "given_slow",
    "stuck_slow",
)
PEERS: Final = (
    ("round robin (Node-RED)", "83.5, 78.3", "50, 56", "5.0", "54", "21, 24", "876", "22, 25"),
    ("RabbitMQ, prefetch 2", "96.9, 92.2", "2, 3", "11.2", "51, 67", "1", "69", "2"),
    ("RabbitMQ, prefetch 1", "100, 100", "0, 0", "5.2", "17, 38", "0", "-", "1"),
    ("PostgreSQL, pull", "100", "0", "12.3", "29", "0", "-", ".3"),
    ("Asterisk, rrmemory", "97.7", "0", "15", "50", "39", "890", "1"),
)
"""Published measurements of real systems at load .80 without misses, on one or two draws of their own."""

WITHIN_60: Final = 100.0
WITHIN_60_MISSED: Final = 99.5
P95_SECONDS: Final = 38.0
RETURN_SECONDS: Final = 120.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--draws", type=options.count, metavar="N", default=DRAWS, help=f"floors a case ({DRAWS})"
    )
    parser.add_argument(
        "--daemon",
        action="store_true",
        help="the running daemon on a mosquitto, in place of the engine",
    )
    parser.add_argument(
        "--time-scale",
        type=options.rate,
        metavar="X",
        default=TIME_SCALE,
        help=f"with --daemon: so many times as fast as life ({TIME_SCALE:g})",
    )


def run(args: argparse.Namespace) -> int:
    late = 0.0
    if args.daemon:
        quiet = structlog.make_filtering_bound_logger(logging.WARNING)
        structlog.configure(wrapper_class=quiet)

        def through_the_daemon(case: Case, draw: int) -> Figures:
            nonlocal late
            found, seconds = dark_daemon.play(case, draw, args.time_scale)
            late = max(late, seconds)
            return found

        runners: dict[str, Callable[[Case, int], Figures]] = {"lease": through_the_daemon}
    else:
        runners = {name: partial(_virtual, make) for name, make in MAKERS.items()}
    progress = Progress("draws", len(CASES) * len(runners) * args.draws)
    done = 0
    found: dict[str, dict[str, list[Figures]]] = {}
    for case in CASES:
        for name, runner in runners.items():
            runs = found.setdefault(case.name, {}).setdefault(name, [])
            for draw in range(1, args.draws + 1):
                runs.append(runner(case, draw))
                done += 1
                progress.show(done, case.name)
    progress.end()
    _print(found)
    if args.daemon:
        say(f"the vendor was {late:.1f} floor seconds late at most, at {args.time_scale:g} x")
    met = _goals([found[case.name]["lease"] for case in CASES])
    cases = {case: {name: means(runs) for name, runs in by.items()} for case, by in found.items()}
    finish(
        {"draws": args.draws, "daemon": args.daemon, "cases": cases, "goals_met": met},
        as_json=args.json,
    )
    return 0


def _virtual(make: Maker, case: Case, draw: int) -> Figures:
    return play(case, draw, make)


def means(runs: Sequence[Figures]) -> dict[str, float]:
    """The mean of each figure over the runs (of those that have it)."""
    table_of = [structs.asdict(one) for one in runs]
    named = {name: [one[name] for one in table_of if one[name] is not None] for name in table_of[0]}
    return {name: fmean(values) for name, values in named.items() if values}


def _print(found: dict[str, dict[str, list[Figures]]]) -> None:
    rows = []
    for case, by in found.items():
        for name, runs in by.items():
            mean = means(runs)
            back = f"{mean['returned']:.0f}" if "returned" in mean else "-"
            rows.append((case, name, *(f"{mean[key]:.1f}" for key in SHOWN), back))
    table(("case", "who", *SHOWN, "returned"), rows)
    say("Real systems as published, load 0.80 without misses:")
    table(("who", *SHOWN[:7]), PEERS)


def _goals(lease_runs: Sequence[Sequence[Figures]]) -> bool:
    calm, missed, _, _, back = (means(runs) for runs in lease_runs)
    met = [
        goal("within 60 s, load 0.80, %", calm["within_60"], WITHIN_60, least=True),
        goal("p95, load 0.80, s", calm["p95"], P95_SECONDS, least=False),
        goal("within 60 s, 3 % missed, %", missed["within_60"], WITHIN_60_MISSED, least=True),
        goal("held by the dark rep at the end", calm["held_dark"], 0.0, least=False),
        goal("from the return to a contact, s", back["returned"], RETURN_SECONDS, least=False),
    ]
    return all(met)
