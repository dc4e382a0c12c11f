"""The running daemon beside a bare bridge: same broker, same messages in and out, taken in turns."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from msgspec import Struct, json, structs

from bench import fsync, options
from bench.broker import Mosquitto
from bench.daemon import DaemonProcess, cpu_seconds, wide_floor
from bench.output import Progress, finish, goal, say, table
from bench.stats import middle, percentile
from bench.wire import Helper, Load, Seen, Sent, Watch, connect, publish_frame, sender, watcher
from distributor.errors import Unavailable

REPS = 1_000
STALLED_SECONDS = 30.0
ASSIGN_BATCH = 100
GOAL_SHARE = 0.6
GOAL_LEADS = 8_000.0


class Plan(Struct, frozen=True):
    """What one run sends and expects."""

    leads: int
    batch: int
    rate: float
    http: bool
    results: bool
    rep_topics: bool
    assign_batch: int

    @property
    def messages(self) -> int:
        return self.leads // self.batch


class Run(Struct, frozen=True):
    """One run of the daemon or of the bridge. Latency: sent by the vendor until at the dialer."""

    leads_per_second: float
    taken_per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_seconds_per_1000: float
    broker_cpu_share: float
    sender_cpu_share: float
    watcher_cpu_share: float
    process_cpu_share: float
    octets: dict[str, int]
    messages: dict[str, int]
    missing: int
    repeats: int


class Meter:
    """CPU seconds of several processes, between two looks."""

    def __init__(self, **pids: int) -> None:
        self._pids = pids
        self._before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        self._begun = perf_counter()

    def read(self) -> tuple[dict[str, float], float]:
        """(CPU seconds by name, seconds that passed)."""
        used = {name: cpu_seconds(pid) - self._before[name] for name, pid in self._pids.items()}
        return used, perf_counter() - self._begun


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
    parser.add_argument(
        "--folder",
        type=options.folder,
        metavar="DIR",
        help="where the store is (a temporary folder)",
    )
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
            pairs = _pairs(args.pairs, plan, tables, broker, Path(folder))
        later = fsync.measure(Path(folder))
    return _report(args, plan, tables, pairs, (disk, later))


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


def _pairs(
    count: int, plan: Plan, tables: Mapping[str, Any], broker: Mosquitto, folder: Path
) -> list[tuple[Run, Run]]:
    progress = Progress("pairs", 2 * count)
    found = []
    for number in range(count):
        progress.show(2 * number, "daemon")
        ours = _daemon_run(plan, tables, broker, folder / f"run{number}", number)
        progress.show(2 * number + 1, "bridge")
        bridge = _bridge_run(plan, ours, broker, number)
        progress.end()
        found.append((ours, bridge))
        ratio = ours.leads_per_second / bridge.leads_per_second
        say(
            f"pair {number + 1}: daemon {ours.leads_per_second:,.0f} leads/s, p50"
            f" {ours.p50_ms:.1f} p99 {ours.p99_ms:.1f} ms | bridge"
            f" {bridge.leads_per_second:,.0f} leads/s, p50 {bridge.p50_ms:.1f}"
            f" p99 {bridge.p99_ms:.1f} ms | {ratio:.2f}"
        )
    return found


# -- the daemon ---------------------------------------------------------------------------------


def _daemon_run(
    plan: Plan, tables: Mapping[str, Any], broker: Mosquitto, folder: Path, number: int
) -> Run:
    options = {
        "results": plan.results,
        "rep_topics": plan.rep_topics,
        "assign_batch": plan.assign_batch,
    }
    daemon = DaemonProcess(
        folder, broker.port, tables, mqtt=options, client_id=f"distributor-{number}"
    )
    prefix = tables.get("mqtt", {}).get("topic_prefix", "leads")
    topics = [f"{prefix}/dialer/assign", f"{prefix}/rep/+/lead", f"{prefix}/in/+/result"]
    want = Watch(broker.port, topics, f"{prefix}/dialer/assign", by_mark=True, want=plan.leads)
    load = Load(
        port=daemon.http_port if plan.http else broker.port,
        topic="/v1/leads/bench" if plan.http else f"{prefix}/in/bench",
        count=plan.messages,
        per_message=plan.batch,
        rate=plan.rate,
        http=plan.http,
    )
    with daemon:
        daemon.start()
        _sign_on(daemon, broker.port, prefix)
        assert daemon.process is not None
        # The result of an HTTP request is its answer: no message.
        others = int(plan.rep_topics) + int(plan.results and not plan.http)
        run = _measure(plan, load, want, daemon.process.pid, broker.pid, others, daemon)
        daemon.stop()
    return run


def _sign_on(daemon: DaemonProcess, port: int, prefix: str) -> None:
    """Every rep of the floor is ready; returns once the daemon knows."""
    names = [rep["id"] for rep in json.decode(daemon.get("/v1/reps")[1])["items"]]
    link = connect(port, "bench-reps")
    body = b'{"state":"ready"}'
    for index, name in enumerate(names):
        link.sendall(publish_frame(f"{prefix}/rep/{name}/presence", body, index + 1))
    deadline = time.monotonic() + STALLED_SECONDS
    while time.monotonic() < deadline:
        reps = json.decode(daemon.get("/v1/reps")[1])["items"]
        if all(rep["state"] == "ready" for rep in reps):
            link.close()
            return
        time.sleep(0.1)
    raise Unavailable(f"the reps do not become ready: {daemon.tail()}")


# -- the bridge ---------------------------------------------------------------------------------


def _bridge_run(plan: Plan, ours: Run, broker: Mosquitto, number: int) -> Run:
    """As many messages out per message in, of the same sizes as the daemon's."""
    topics: list[str] = []
    sizes: list[str] = []
    for kind, count in sorted(ours.messages.items(), key=lambda item: "assign" not in item[0]):
        topics.append(f"bench/out/{len(topics)}")
        sizes.append(str(round(ours.octets[kind] / min(count, plan.messages))))
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.bridge", "--port", str(broker.port), "--client-id",
         f"bench-bridge-{number}", "--topics", *topics, "--sizes", *sizes],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        process.stdout.readline()
        want = Watch(broker.port, ["bench/out/#"], "bench/out/0", by_mark=False, want=plan.messages)
        load = Load(broker.port, "bench/in", plan.messages, plan.batch, plan.rate)
        return _measure(plan, load, want, process.pid, broker.pid, len(topics) - 1, None)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


# -- one run ------------------------------------------------------------------------------------


def _measure(
    plan: Plan,
    load: Load,
    want: Watch,
    pid: int,
    broker_pid: int,
    others: int,
    daemon: DaemonProcess | None,
) -> Run:
    with watcher(want) as eyes, sender(load) as hand:
        eyes.hear()
        hand.hear()
        meter = Meter(process=pid, broker=broker_pid, sender=hand.pid, watcher=eyes.pid)
        hand.say("go")
        _until_all(eyes, want.want, want.want * others, daemon)
        used, passed = meter.read()
        if not hand.heard(STALLED_SECONDS):
            raise Unavailable("the sender does not come to an end")
        sent: Sent = hand.hear()
        seen: Seen = eyes.ask("report")
    return _figures(plan, want, sent, seen, used, passed)


def _until_all(eyes: Helper, main: int, others: int, daemon: DaemonProcess | None) -> None:
    """Until everything arrived; raises when nothing moves any more."""
    last, since = (-1, -1), time.monotonic()
    while True:
        time.sleep(0.1)
        found, messages, _ = eyes.ask("count")
        # With arrays, the number of messages on the main topic is the daemon's own choice.
        if found >= main and messages >= others:
            return
        if (found, messages) != last:
            last, since = (found, messages), time.monotonic()
        elif time.monotonic() - since > STALLED_SECONDS:
            tail = "" if daemon is None else daemon.tail()
            raise Unavailable(f"{found} of {main} arrived, then nothing: {tail}")


def _figures(
    plan: Plan, want: Watch, sent: Sent, seen: Seen, used: Mapping[str, float], passed: float
) -> Run:
    per_mark = plan.batch if want.by_mark else 1
    arrived = [(at, i) for i, at in enumerate(seen.at) if at >= 0]
    latencies = [(at - sent.at[i // per_mark]) * 1e3 for at, i in arrived]
    seconds = seen.ended - sent.begun
    return Run(
        leads_per_second=plan.leads / seconds,
        taken_per_second=plan.leads / (sent.ended - sent.begun),
        p50_ms=percentile(latencies, 0.5),
        p99_ms=percentile(latencies, 0.99),
        max_ms=max(latencies),
        cpu_seconds_per_1000=used["process"] / plan.leads * 1000,
        broker_cpu_share=used["broker"] / passed,
        sender_cpu_share=used["sender"] / passed,
        watcher_cpu_share=used["watcher"] / passed,
        process_cpu_share=used["process"] / passed,
        octets=seen.octets,
        messages=seen.messages,
        missing=len(seen.at) - len(arrived),
        repeats=seen.repeats,
    )


# -- the report ---------------------------------------------------------------------------------


def _report(
    args: argparse.Namespace,
    plan: Plan,
    tables: Mapping[str, Any],
    pairs: list[tuple[Run, Run]],
    disks: tuple[fsync.Disk, fsync.Disk],
) -> int:
    ours, bridges = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    names = ("leads_per_second", "taken_per_second", "p50_ms", "p99_ms", "cpu_seconds_per_1000",
             "process_cpu_share", "broker_cpu_share", "sender_cpu_share", "watcher_cpu_share")  # fmt: skip
    rows, ratios = [], {}
    for name in names:
        mine = middle([getattr(run, name) for run in ours])
        theirs = middle([getattr(run, name) for run in bridges])
        ratios[name] = middle([getattr(a, name) / max(1e-9, getattr(b, name)) for a, b in pairs])
        rows.append((name, f"{mine:,.4g}", f"{theirs:,.4g}", f"{ratios[name]:.2f}"))
    say("")
    table(("median of " + str(len(pairs)), "daemon", "bridge", "ratio"), rows)
    before, after = disks
    say(
        f"fsync of 4 KiB before / after: median {before.median_ms:.2f} / {after.median_ms:.2f} ms,"
        f" p99 {before.p99_ms:.2f} / {after.p99_ms:.2f} ms"
    )
    met = _goals(plan, ours, bridges, ratios, disks)
    missing = sum(run.missing for run in ours)
    if missing:
        say(f"LOST: {missing} leads were never assigned")
    result = {
        "plan": structs.asdict(plan),
        "policy": tables.get("flow", {}).get("policy", "lease"),
        "daemon": [structs.asdict(run) for run in ours],
        "bridge": [structs.asdict(run) for run in bridges],
        "leads_per_second": middle([run.leads_per_second for run in ours]),
        "bridge_leads_per_second": middle([run.leads_per_second for run in bridges]),
        "p50_seconds": middle([run.p50_ms for run in ours]) / 1e3,
        "p99_seconds": middle([run.p99_ms for run in ours]) / 1e3,
        "bridge_p50_seconds": middle([run.p50_ms for run in bridges]) / 1e3,
        "bridge_p99_seconds": middle([run.p99_ms for run in bridges]) / 1e3,
        "cpu_seconds_per_1000": middle([run.cpu_seconds_per_1000 for run in ours]),
        "ratios": ratios,
        "fsync": [structs.asdict(disk) for disk in disks],
        "goals_met": met,
    }
    finish(result, as_json=args.json)
    return 0 if not missing else 1


def _goals(
    plan: Plan,
    ours: list[Run],
    bridges: list[Run],
    ratios: Mapping[str, float],
    disks: tuple[fsync.Disk, fsync.Disk],
) -> bool:
    if plan.rate:
        return _latency_goals(ours, bridges, disks)
    if plan.batch > 1:
        # Over MQTT "taken" is the broker's word: what was sent has been taken and committed.
        rate = middle([run.leads_per_second for run in ours])
        return goal("leads/s taken, committed, assigned and sent", rate, GOAL_LEADS, least=True)
    return goal("share of the bridge's rate", ratios["leads_per_second"], GOAL_SHARE, least=True)


def _latency_goals(
    ours: list[Run], bridges: list[Run], disks: tuple[fsync.Disk, fsync.Disk]
) -> bool:
    half = max(disk.median_ms for disk in disks)
    tail = max(disk.p99_ms for disk in disks)
    p50 = middle([run.p50_ms for run in bridges]) + 2 * half
    p99 = 3 * middle([run.p99_ms for run in bridges]) + 2 * tail
    first = goal(
        "median ms, bridge + 2 x fsync median", middle([r.p50_ms for r in ours]), p50, least=False
    )
    last = goal(
        "p99 ms, 3 x bridge + 2 x fsync p99", middle([r.p99_ms for r in ours]), p99, least=False
    )
    return first and last
