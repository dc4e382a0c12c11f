"""The running daemon beside bare bridges: same broker, same messages in and out, taken in turns.

The bridge stands on the daemon's own MQTT link, which reads and writes in bulk. Where a message
carries one lead there is a second one on the bare library, for what the link adds to it, and at a
given rate a third that commits each message before it goes on, for what the disk takes."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import fsync, options
from bench.broker import Mosquitto
from bench.daemon import wide_floor
from bench.load_report import Report, Round
from bench.load_run import Kind, Plan, Run, bridge_run, daemon_run
from bench.output import Progress, say

REPS = 1_000
ASSIGN_BATCH = 100


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=options.config,
        metavar="FILE",
        help="a floor of your own; reps all sign on",
    )
    parser.add_argument("--leads", type=options.count, metavar="N", help="leads a run")
    parser.add_argument(
        "--rate", type=options.rate, metavar="R", default=0.0, help="leads/s (flood)"
    )
    parser.add_argument("--transport", choices=("mqtt", "http"), default="mqtt")
    parser.add_argument(
        "--batch", type=options.count, metavar="N", default=1, help="leads a message (1)"
    )
    parser.add_argument(
        "--pairs", type=options.count, metavar="N", default=5, help="daemon and bridge (5)"
    )
    parser.add_argument(
        "--policy", type=options.policy, metavar="NAME", help="in place of the configured one"
    )
    options.add_store_folder(parser)
    parser.add_argument(
        "--durable-broker", action="store_true", help="mosquitto saves at every change: 0.6 k/s"
    )


def run(args: argparse.Namespace) -> int:
    tables = args.config or wide_floor(REPS)
    if args.policy:
        tables["flow"] = {**tables.get("flow", {}), "policy": args.policy}
    plan = _plan(args, tables)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        disk = fsync.measure(Path(folder))
        _introduce(plan, tables, disk, args)
        with Mosquitto(Path(folder) / "broker", durable=args.durable_broker) as broker:
            rounds = _rounds(args.pairs, plan, tables, broker, Path(folder))
        later = fsync.measure(Path(folder))
    policy = tables.get("flow", {}).get("policy", "lease")
    return Report(plan, policy, rounds).tell((disk, later), args)


def _plan(args: argparse.Namespace, tables: Mapping[str, Any]) -> Plan:
    many = args.batch > 1
    mqtt = tables.get("mqtt", {})
    default = 60_000 if many else 20_000
    if args.rate:
        default = round(args.rate * 10)
    leads = max(1, (args.leads or default) // args.batch) * args.batch
    return Plan(
        leads=leads,
        batch=args.batch,
        rate=args.rate,
        http=args.transport == "http",
        results=mqtt.get("results", not many),
        rep_topics=mqtt.get("rep_topics", not many),
        assign_batch=mqtt.get("assign_batch", ASSIGN_BATCH if many else 1),
    )


def _introduce(
    plan: Plan, tables: Mapping[str, Any], disk: fsync.Disk, args: argparse.Namespace
) -> None:
    flow = tables.get("flow", {})
    pace = f"{plan.rate:g} leads/s" if plan.rate else "as fast as they are taken"
    say(
        f"{plan.leads:,} leads a run, {plan.batch} a message, over {args.transport}, {pace};"
        f" results={plan.results} rep_topics={plan.rep_topics} assign_batch={plan.assign_batch}"
    )
    say(
        f"policy {flow.get('policy', 'lease')}, {len(tables.get('reps', []))} reps of window"
        f" {flow.get('window', 1):,}, store synchronous="
        f"{tables.get('store', {}).get('synchronous', 'full')};"
        f" broker autosave_on_changes={args.durable_broker}"
    )
    if plan.http:
        say("the bridge is fed over MQTT: there is no bare bridge of HTTP")
    say(f"fsync of 4 KiB: median {disk.median_ms:.2f} ms, p99 {disk.p99_ms:.2f} ms")


def _rounds(
    count: int, plan: Plan, tables: Mapping[str, Any], broker: Mosquitto, folder: Path
) -> list[Round]:
    """The daemon and its yardsticks in turns, ``count`` times."""
    kinds = _yardsticks(plan)
    progress = Progress("runs", (1 + len(kinds)) * count)
    found = []
    for number in range(count):
        done = number * (1 + len(kinds))
        progress.show(done, "daemon")
        ours = daemon_run(plan, tables, broker, folder / f"run{number}", number)
        theirs = {}
        for step, kind in enumerate(kinds, done + 1):
            progress.show(step, kind)
            theirs[kind] = bridge_run(kind, plan, ours, broker, folder / f"{number}.db", number)
        progress.end()
        found.append(Round(ours, theirs))
        say(_line(number, found[-1]))
    return found


def _yardsticks(plan: Plan) -> tuple[Kind, ...]:
    kinds: tuple[Kind, ...] = ("bridge",)
    if plan.batch == 1 and not plan.http:
        kinds += ("bare",)
    if plan.rate:
        kinds += ("committing",)
    return kinds


def _line(number: int, one: Round) -> str:
    runs: list[tuple[str, Run]] = [("daemon", one.daemon), *one.yardsticks.items()]
    texts = [
        f"{name} {run.leads_per_second:,.0f} leads/s, p50 {run.p50_ms:.1f} p99 {run.p99_ms:.1f} ms"
        for name, run in runs
    ]
    shares = " ".join(f"{one.ratio('leads_per_second', kind):.2f}" for kind in one.yardsticks)
    return f"round {number + 1}: {' | '.join(texts)} | {shares}"
