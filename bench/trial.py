"""A daemon under load whose promises are all written down, and the judgement at the end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Self

from msgspec import Struct

from bench.actors import VENDOR, Dialer, HttpVendor, MqttVendor
from bench.broker import Mosquitto
from bench.daemon import DaemonProcess
from distributor.errors import Unavailable

REPS = [f"rep{number:02d}" for number in range(20)]
SETTLE_SECONDS = 40.0


class Judgement(Struct, frozen=True):
    """``acknowledged``: leads and events that somebody was told are safe. ``lost``: those of them
    that the store does not have. ``assigned_twice``: leads with two live assignments at a time, as
    the dialer saw it (repeats dropped) or as the store has it."""

    acknowledged: int
    acknowledged_events: int
    lost: int
    assigned_twice: int
    keys_changed: int
    stored: int
    assignments: int
    revocations: int
    repeats: int
    unassigned: int
    verify: str

    @property
    def good(self) -> bool:
        """Whether everything that must be 0 is 0."""
        bad = self.lost or self.assigned_twice or self.keys_changed or self.verify != "agrees"
        return not bad


class Trial:
    """Broker, daemon, two vendors and a dialer. Use as a context; ``judge`` ends the load."""

    def __init__(self, folder: Path, rate: float = 200.0) -> None:
        self.folder = folder
        self.broker = Mosquitto(folder / "broker", durable=False)
        tables: dict[str, Any] = {
            "flow": {"policy": "lease", "window": 20, "lease_seconds": 3},
            "reps": [{"id": rep} for rep in REPS],
            "pools": [{"id": "default"}],
        }
        self.broker.start()
        self.daemon = DaemonProcess(folder / "daemon", self.broker.port, tables)
        self._rate = rate

    def begin(self) -> None:
        """Start the daemon, sign the reps on, and let the load run."""
        self.daemon.start()
        self.dialer = Dialer(self.broker.port)
        self.dialer.sign_on(REPS)
        self.over_mqtt = MqttVendor(self.broker.port, self._rate * 0.75)
        self.over_http = HttpVendor(self.daemon.http_port, self._rate * 0.25)

    def judge(self) -> Judgement:
        """End the load, let the daemon finish and stop, and compare its store with the promises."""
        self.over_mqtt.stop()
        self.over_http.stop()
        self._settle()
        self.dialer.close()
        code = self.daemon.stop()
        if code:
            raise Unavailable(f"the daemon's orderly stop gave {code}: {self.daemon.tail()}")
        return self._compare()

    def _settle(self) -> None:
        """Until nothing new comes to the dialer, or it has been long enough."""
        deadline = time.monotonic() + SETTLE_SECONDS
        seen, since = -1, time.monotonic()
        while time.monotonic() < deadline:
            if self.dialer.assignments != seen or self.dialer.waiting:
                seen, since = self.dialer.assignments, time.monotonic()
            elif time.monotonic() - since > 4.0:
                return
            time.sleep(0.1)

    def _compare(self) -> Judgement:
        leads = {row["lead_id"] for row in self._export("leads") if row["vendor"] == VENDOR}
        events = {row["event_id"] for row in self._export("events")}
        given = self._export("assignments")
        live = Counter(row["lead_key"] for row in given if row["ended_at"] is None)
        promised = self.over_mqtt.acknowledged | set(self.over_http.keys)
        told = {mark for mark in self.dialer.acknowledged if not mark.startswith("presence:")}
        twice = {key for key, _, _ in self.dialer.assigned_twice}
        twice |= {key for key, count in live.items() if count > 1}
        return Judgement(
            acknowledged=len(promised),
            acknowledged_events=len(told),
            lost=len(promised - leads) + len(told - events),
            assigned_twice=len(twice),
            keys_changed=self.over_http.changed,
            stored=len(leads),
            assignments=self.dialer.assignments,
            revocations=self.dialer.revocations,
            repeats=self.dialer.repeats,
            unassigned=len(leads) - len({row["lead_key"] for row in given}),
            verify=self._verify(),
        )

    def _export(self, what: str) -> list[dict[str, Any]]:
        answer = self._command("export", what, "--format", "ndjson")
        if answer.returncode:
            raise Unavailable(f"export {what}: {answer.stderr.decode()}")
        return [json.loads(line) for line in answer.stdout.splitlines()]

    def _verify(self) -> str:
        answer = self._command("verify")
        return "agrees" if answer.returncode == 0 else answer.stderr.decode().strip()[:300]

    def _command(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        store = ["--store", str(self.daemon.store)]
        line = [sys.executable, "-m", "distributor", *words, *store]
        return subprocess.run(line, capture_output=True, check=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.daemon.alive:
            self.daemon.kill()
        self.broker.kill()
