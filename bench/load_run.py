"""One run of the daemon, or of a bridge in its place: leads in, and when they are at the dialer."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from msgspec import Struct, json

from bench.broker import Mosquitto
from bench.daemon import DaemonProcess, cpu_seconds
from bench.stats import percentile
from bench.wire import Helper, Load, Seen, Sent, Watch, connect, publish_frame, sender, watcher
from distributor.errors import Unavailable

STALLED_SECONDS = 30.0

Kind = Literal["bridge", "bare", "committing"]
"""The bridge on the daemon's own link, on the bare library, and the first with a COMMIT a message."""


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


# -- the daemon ---------------------------------------------------------------------------------


def daemon_run(
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


# -- the bridges --------------------------------------------------------------------------------


def bridge_run(
    kind: Kind, plan: Plan, ours: Run, broker: Mosquitto, file: Path, number: int
) -> Run:
    """As many messages out per message in, of the same sizes as the daemon's. ``file``: where the
    committing one puts its rows. Raises ``Unavailable`` where it does not start or come to an end."""
    topics: list[str] = []
    sizes: list[str] = []
    for topic, count in sorted(ours.messages.items(), key=lambda item: "assign" not in item[0]):
        topics.append(f"bench/out/{len(topics)}")
        sizes.append(str(round(ours.octets[topic] / min(count, plan.messages))))
    ways = {"bridge": [], "bare": ["--bare"], "committing": ["--commit", f"{file}"]}
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.bridge", "--port", str(broker.port), "--client-id",
         f"bench-{kind}-{number}", *ways[kind], "--topics", *topics, "--sizes", *sizes],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise Unavailable(f"the yardstick does not start: {kind}")
        want = Watch(broker.port, ["bench/out/#"], "bench/out/0", by_mark=False, want=plan.messages)
        load = Load(broker.port, "bench/in", plan.messages, plan.batch, plan.rate)
        return _measure(plan, load, want, process.pid, broker.pid, len(topics) - 1, None)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=STALLED_SECONDS)


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
