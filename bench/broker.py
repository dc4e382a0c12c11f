"""A mosquitto of one's own on a free port, for benches and tests."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from distributor.errors import Unavailable

_START_SECONDS = 10.0

MAX_INFLIGHT = 1_000
"""Unanswered QoS 1 messages that the broker takes from a client, and sends one ahead."""

RECOMMENDED = f"""\
persistence true
persistence_location {{folder}}/
autosave_on_changes true
autosave_interval 1
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages {MAX_INFLIGHT}
set_tcp_nodelay true
"""
"""The configuration for production, with ``{folder}`` for the data."""


_FIRST_PORT = 10_000
_OUTGOING_FROM = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUALLY_FROM = 32_768
_chance = random.SystemRandom()
"""Not the seeded source, which gives two runs with one seed the same ports."""
_given_out: set[int] = set()


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens to, and that no outgoing connection will take before
    somebody does: it lies below those the system gives to them. No port is given out twice."""
    end = _outgoing_from()
    for _ in range(1_000):
        port = _chance.randrange(_FIRST_PORT, end) if end > _FIRST_PORT + 1_000 else 0
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            port = int(probe.getsockname()[1])
        if port not in _given_out:
            _given_out.add(port)
            return port
    raise Unavailable(f"no free port between {_FIRST_PORT} and {end}")


def _outgoing_from() -> int:
    """The first port of outgoing connections."""
    try:
        return int(_OUTGOING_FROM.read_text().split()[0])
    except OSError:
        return _USUALLY_FROM


def find_mosquitto() -> str | None:
    """Path of the mosquitto binary; None when there is none."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Mosquitto:
    """One mosquitto process. ``extra`` is added to the configuration; ``durable=False`` leaves
    out the autosave on every change, which costs much of the rate. ``acl`` and ``tls`` are the
    text of an access list and lines for the listener."""

    def __init__(
        self,
        folder: Path,
        *,
        extra: str = "",
        durable: bool = True,
        acl: str | None = None,
        tls: str = "",
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self._binary = find_mosquitto()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        text = RECOMMENDED.format(folder=folder)
        if not durable:
            text = text.replace("autosave_on_changes true\nautosave_interval 1\n", "")
        text += f"listener {self.port} 127.0.0.1\nallow_anonymous true\n{tls}"
        if os.geteuid() == 0:
            text += "user root\n"  # else it drops to a user who cannot write here
        if acl is not None:
            (folder / "acl").write_text(acl)
            (folder / "acl").chmod(0o600)
            text += f"acl_file {folder}/acl\n"
        self.config = text + extra
        self._config_path = folder / "mosquitto.conf"

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The running process's id."""
        assert self._process is not None, "the broker is not started"
        return self._process.pid

    def start(self) -> None:
        """Start and return once the port answers."""
        if self._binary is None:
            raise Unavailable("mosquitto is not installed (Debian package: mosquitto)")
        self._config_path.write_text(self.config)
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, "-c", str(self._config_path)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if not self.running or time.monotonic() > deadline:
                    log_text = (self.folder / "mosquitto.log").read_text()
                    raise Unavailable(f"mosquitto does not start: {log_text}") from None
                time.sleep(0.01)
            else:
                return

    def stop(self) -> None:
        """SIGTERM: the broker saves its state and says goodbye."""
        self._end(kill=False)

    def kill(self) -> None:
        """SIGKILL: what was not saved is gone."""
        self._end(kill=True)

    def restart(self) -> None:
        """Stop in order and start again on the same port with the same data."""
        self.stop()
        self.start()

    def forget(self) -> None:
        """Throw away sessions and messages (while stopped)."""
        for path in self.folder.glob("mosquitto.db*"):
            path.unlink()

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        else:
            process.terminate()
        process.wait(timeout=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._end(kill=True)
