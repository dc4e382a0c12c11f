"""kill -9 of the daemon under load, again and again: is anything lost or given out twice?"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from msgspec import structs

from bench import options
from bench.output import Progress, finish, say
from bench.stats import middle
from bench.trial import Judgement, Trial


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=options.count, metavar="N", default=30)
    parser.add_argument(
        "--rate", type=options.rate, metavar="R", default=200.0, help="leads/s (200)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    options.add_store_folder(parser)


def run(args: argparse.Namespace) -> int:
    with (
        tempfile.TemporaryDirectory(dir=args.folder) as folder,
        Trial(Path(folder), args.rate) as trial,
    ):
        recoveries = _kill(trial, args.kills, random.Random(args.seed))
        found = trial.judge()
    _print(args.kills, recoveries, found)
    result = {
        "kills": args.kills,
        **structs.asdict(found),
        "recovery_seconds": {"p50": middle(recoveries), "max": max(recoveries, default=0.0)},
        "recoveries": recoveries,
    }
    finish(result, as_json=args.json)
    return 0 if found.good else 1


def _kill(trial: Trial, kills: int, chance: random.Random) -> list[float]:
    """Kill at unforeseeable moments, often before the last recovery's work is through."""
    trial.begin()
    progress = Progress("kills", kills)
    seconds = []
    time.sleep(1.0)
    for number in range(kills):
        time.sleep(chance.uniform(0.02, 1.5))
        trial.daemon.kill()
        seconds.append(trial.daemon.start())
        progress.show(number + 1)
    progress.end()
    return seconds


def _print(kills: int, recoveries: list[float], found: Judgement) -> None:
    say(
        f"{kills} kills: {found.acknowledged:,} leads and {found.acknowledged_events:,} events"
        f" acknowledged, {found.lost} lost, {found.assigned_twice} assigned twice"
    )
    say(
        f"{found.assignments:,} assignments, {found.revocations:,} revocations,"
        f" {found.repeats:,} repeats dropped; {found.unassigned:,} leads never assigned;"
        f" keys changed: {found.keys_changed}; verify: {found.verify}"
    )
    say(
        f"back after a median of {middle(recoveries):.2f} s, at most"
        f" {max(recoveries, default=0.0):.2f} s (start of the process included)"
    )
