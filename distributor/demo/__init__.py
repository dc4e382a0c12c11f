"""``distributor demo``: a whole floor on one machine, to watch.

A broker, the daemon, two vendors, a dialer and its reps. All of them speak to the daemon over MQTT and
HTTP only, as they would from outside.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from distributor.demo.broker import missing_extras
from distributor.demo.plan import DEFAULT_RATE, DEFAULT_REPS, Plan, rep_names
from distributor.demo.prometheus import check_free, find_prometheus
from distributor.demo.trace import read_trace
from distributor.errors import BadConfig, Unavailable
from distributor.observe import logs
from distributor.runtime.clock import Clock

if TYPE_CHECKING:
    from rich.console import Console

    from distributor.demo.summary import Summary

__all__ = ["main", "make_plan", "play"]


def main(args: argparse.Namespace) -> int:
    """Play one demo; 0, or 1 when its account does not balance.

    The store's folder goes at the end, unless something failed.
    """
    problem = missing_extras()
    if problem:
        raise Unavailable(problem)
    from rich.console import Console  # noqa: PLC0415 - an extra

    console = Console()
    plan = make_plan(args)
    if plan.prometheus is not None:
        find_prometheus()
        check_free(plan.prometheus)
    folder = Path(tempfile.mkdtemp(prefix="distributor-demo-"))
    try:
        summary = play(plan, folder, console)
    except BaseException:
        _say(console, f"the log and the store are kept: {folder}")
        raise
    report(summary, plan, console)
    if summary.problems:
        _say(console, f"the log and the store are kept: {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def make_plan(args: argparse.Namespace) -> Plan:
    """The plan that the arguments ask for.

    Raises ``RejectedInput`` for a trace of no use, and ``BadConfig`` for options that a trace decides.
    """
    if args.trace:
        given = [f"--{name}" for name in ("rate", "reps") if getattr(args, name) is not None]
        if given:
            raise BadConfig(
                [f"{' and '.join(given)}: a trace brings its own; leave out, or leave out --trace"]
            )
    trace = read_trace(Path(args.trace)) if args.trace else None
    return Plan(
        seconds=args.seconds,
        rate=args.rate or DEFAULT_RATE,
        reps=trace.reps if trace else rep_names(args.reps or DEFAULT_REPS),
        time_scale=args.time_scale,
        trace=trace,
        prometheus=args.prometheus,
    )


def play(plan: Plan, folder: Path, console: Console) -> Summary:
    """Play one demo with its store and log in ``folder``, shown on ``console``."""
    from distributor.demo.stage import perform  # noqa: PLC0415 - needs the extras

    clock = Clock()
    with io.FileIO(folder / "daemon.log", "ab") as file:
        writer = logs.setup(clock.now_ns, level="info", stream=file)
        try:
            return asyncio.run(perform(plan, folder, console))
        finally:
            writer.close()


def report(summary: Summary, plan: Plan, console: Console) -> None:
    """Print the end of the demo."""
    from distributor.demo.summary import floor_time, lines  # noqa: PLC0415 - needs the extras

    floor = floor_time(summary.seconds * plan.time_scale)
    _say(
        console, f"after {summary.seconds:.0f} s, floor time {floor} at {plan.time_scale:g} x speed"
    )
    if plan.trace is not None and plan.trace.defects:
        found = ", ".join(f"{kind} {count}" for kind, count in sorted(plan.trace.defects.items()))
        _say(console, f"defects of the trace: {found}")
    for line in lines(summary):
        _say(console, line)


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
