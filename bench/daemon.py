"""The daemon as a subprocess: its configuration, its start and end, and what it uses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

import psutil  # type: ignore[import-untyped]

from bench.broker import free_port
from distributor.errors import Unavailable

_START_SECONDS = 60.0


def toml(tables: Mapping[str, Any]) -> str:
    """TOML text of tables of plain values and lists of such tables."""
    lines: list[str] = []
    for name, value in tables.items():
        many = value if isinstance(value, list) else [value]
        head = f"[[{name}]]" if isinstance(value, list) else f"[{name}]"
        for item in many:
            lines.append(head)
            lines += [f"{key} = {_inline(field)}" for key, field in item.items()]
            lines.append("")
    return "\n".join(lines)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_inline(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    return json.dumps(value)


def wide_floor(reps: int) -> dict[str, Any]:
    """Many reps with room for everything, so that choosing one is never the bottleneck."""
    return {
        "flow": {"policy": "lease", "window": 1_000, "lease_seconds": 86_400},
        "reps": [{"id": f"rep{number:04d}"} for number in range(reps)],
        "pools": [{"id": "default"}],
    }


class DaemonProcess:
    """``distributor run`` in a folder, wired to a broker. ``tables`` is the rest of the file."""

    def __init__(
        self,
        folder: Path,
        broker_port: int,
        tables: Mapping[str, Any],
        *,
        mqtt: Mapping[str, Any] | None = None,
        client_id: str = "distributor",
    ) -> None:
        self.folder = folder
        self.http_port = free_port()
        self.store = folder / "distributor.db"
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "distributor.toml"
        self._mqtt = {**(mqtt or {}), "port": broker_port, "client_id": client_id}
        self.write(tables)
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "daemon.log"

    def write(self, tables: Mapping[str, Any]) -> None:
        """Write the configuration, at once as a whole."""
        everything: dict[str, Any] = dict(tables)
        everything["store"] = {**everything.get("store", {}), "path": str(self.store)}
        everything["mqtt"] = {**everything.get("mqtt", {}), **self._mqtt}
        everything["http"] = {"port": self.http_port}
        everything.setdefault("log", {"level": "warning"})
        new = self.config.with_suffix(".new")
        new.write_text(toml(everything))
        new.replace(self.config)

    def launch(self, **more: Any) -> None:
        """Start it and return at once."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "distributor", "run", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                **more,
            )

    def start(self) -> float:
        """Start it; the seconds until it says that it is ready."""
        begun = time.monotonic()
        self.launch()
        self.wait_ready(begun + _START_SECONDS)
        return time.monotonic() - begun

    def wait_ready(self, deadline: float) -> None:
        """Until ``/readyz`` says 200. Raises with the log's end when it does not in time."""
        while True:
            try:
                if self.get("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            if not self.alive or time.monotonic() > deadline:
                raise Unavailable(f"the daemon does not start: {self.tail()}")
            time.sleep(0.005)

    def tail(self, size: int = 2_000) -> str:
        """The end of its log."""
        return self.log.read_text()[-size:] if self.log.exists() else ""

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def get(self, path: str, timeout: float = 10.0) -> tuple[int, bytes]:
        """GET over HTTP: (status, body)."""
        return self.call("GET", path, timeout=timeout)

    def call(
        self, method: str, path: str, body: object = None, *, timeout: float = 30.0
    ) -> tuple[int, bytes]:
        """A request with a JSON body: (status, body of the answer)."""
        link = HTTPConnection("127.0.0.1", self.http_port, timeout=timeout)
        try:
            data = None if body is None else json.dumps(body)
            link.request(method, path, data, {"Content-Type": "application/json"})
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    def signal(self, number: int) -> None:
        """Send a signal to the process, where it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        self.signal(signal.SIGKILL)
        self.wait(10)

    def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM; the exit code of the orderly stop."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds: float) -> int:
        """The exit code."""
        assert self.process is not None
        return self.process.wait(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.alive:
            self.kill()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
