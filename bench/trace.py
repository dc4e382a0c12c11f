"""Recorded floors through the daemon on a mosquitto: is every lead accounted for?"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gzip
import io
import os
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct, structs
from rich.console import Console

from bench import options
from bench.broker import Mosquitto
from bench.output import finish, goal, say, table
from bench.recordings import VARIABLE, folder
from bench.stats import middle
from distributor.demo import make_plan, play
from distributor.demo.broker import ENVIRONMENT
from distributor.demo.summary import Summary

TRACES = (
    "sf_fire_2016-12-31_2017-01-04.trace.csv.gz",
    "anonbank_1999-02-01_14.trace.csv.gz",
)
PROMPT_SECONDS = 60.0


class Recorded(Struct, frozen=True):
    """What the people of the recording did. ``arrivals``: a vendor's repeats included. Seconds are
    from a lead's arrival to its first contact; a contact before its lead counts as none."""

    arrivals: int
    leads: int
    reps: int
    contacted: int
    p50_seconds: float
    within_60_s: int


def recorded(path: Path) -> Recorded:
    """The trace's own numbers."""
    text = path.read_bytes()
    lines = (gzip.decompress(text) if text[:2] == b"\x1f\x8b" else text).decode()
    arrivals, reps = 0, set()
    since: dict[str, datetime] = {}
    waits: dict[str, float] = {}
    for row in csv.DictReader(io.StringIO(lines, newline="")):
        try:
            lead, at = row["lead"], datetime.fromisoformat(row["ts"])
        except ValueError:
            continue  # the replay counts it
        if row["rep"]:
            reps.add(row["rep"])
        if row["event"] == "lead_in":
            arrivals += 1
            since.setdefault(lead, at)
        elif row["event"] == "contact" and lead in since:
            waits.setdefault(lead, (at - since[lead]).total_seconds())
    prompt = sum(wait <= PROMPT_SECONDS for wait in waits.values())
    return Recorded(
        arrivals, len(since), len(reps), len(waits), middle(list(waits.values())), prompt
    )


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trace", metavar="FILE", help=f"one trace (both in the folder of {VARIABLE})"
    )
    parser.add_argument("--time-scale", type=float, metavar="X", default=6000.0, help="(6000)")
    options.add_store_folder(parser)


def run(args: argparse.Namespace) -> int:
    paths = [Path(args.trace)] if args.trace else _both()
    absent = [str(path) for path in paths if not path.is_file()]
    if absent:
        say(
            f"no {' and no '.join(absent)}: name a file with --trace, or the folder with {VARIABLE}"
        )
        return 1
    good, results = True, []
    for path in paths:
        own = recorded(path)
        ours = _replay(path, args.time_scale, args.folder)
        good = _print(path, own, ours, args.time_scale) and good
        results.append(
            {"trace": path.name, "recorded": structs.asdict(own), "replayed": structs.asdict(ours)}
        )
    finish({"time_scale": args.time_scale, "traces": results, "good": good}, as_json=args.json)
    return 0 if good else 1


def _both() -> list[Path]:
    return [folder() / "traces" / name for name in TRACES]


def _replay(path: Path, time_scale: float, folder: str | None) -> Summary:
    """One replay on a broker of its own; what it shows goes to standard error."""
    options: dict[str, Any] = {"seconds": None, "rate": None, "reps": None}
    plan = make_plan(
        argparse.Namespace(trace=path, time_scale=time_scale, prometheus=None, **options)
    )
    with (
        tempfile.TemporaryDirectory(dir=folder) as there,
        Mosquitto(Path(there) / "broker", durable=False) as broker,
        _environment(ENVIRONMENT, f"127.0.0.1:{broker.port}"),
    ):
        return play(plan, Path(there), Console(stderr=True))


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _print(path: Path, own: Recorded, ours: Summary, time_scale: float) -> bool:
    say(f"{path.name}: {own.reps} reps, {ours.seconds:.0f} s at {time_scale:g} times the speed")
    rows = [
        ("leads", own.leads, ours.leads_in),
        ("contacted", own.contacted, ours.contacted),
        ("contacted within 60 s", own.within_60_s, ours.on_time),
        ("still open", "", sum(ours.open.values())),
        ("assignments", "", ours.assignments),
    ]
    table(("", "recorded", "here"), rows)
    minute = 60_000 / time_scale
    say(f"a minute of the floor is {minute:,.3g} ms here: the account counts, not the promptness")
    if ours.late_seconds >= 1.0:
        say(f"the vendors fell behind by up to {ours.late_seconds:.0f} s")
    limits = [
        ("leads lost", ours.lost + max(0, own.leads - ours.leads_in - ours.refused)),
        ("leads with two reps at once", ours.assigned_twice),
        ("arrivals not sent", ours.unsent),
        ("leads without an answer", ours.unanswered),
        ("leads refused", ours.refused),
        ("leads from nowhere", ours.unexpected),
        ("difference in the daemon's ledger", abs(ours.difference)),
    ]
    met = [goal(name, float(found), 0.0, least=False) for name, found in limits]  # say all
    return all(met)
