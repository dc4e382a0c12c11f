"""Runs the console blocks of a page as a reader would, and compares what they print.

The page's ports and the letters that begin its lead keys are replaced by the real ones. In what a page
shows, ``...`` stands for anything, and a time for any time. ``distributor run``, ``mosquitto`` and
``mosquitto_sub`` stay in the background until the page is done.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Self

from distributor.domain.events import Started
from distributor.store import journal
from distributor.store.readonly import ReadOnly
from tests.brokers import find_mosquitto, free_port
from tests.real import need_program

TAG, SALT = "7Q2M", "XHD"
"""How lead keys begin and end in the pages."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_PATIENCE_SECONDS = 60.0


class Reader:
    """Somebody who types what a page says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.http = free_port()
        self.broker = free_port()
        self.store: Path | None = None
        self._processes: list[subprocess.Popen[bytes]] = []
        self._logs: list[Path] = []
        self._path = f"{_shims(folder / '.bin')}:{os.environ.get('PATH', '')}:/usr/sbin"
        self.environment = os.environ | {"PATH": self._path, "PYTHONPATH": str(_ROOT)}

    def __enter__(self) -> Self:
        need_program("curl", path=self._path)
        need_program("mosquitto_pub", "mosquitto-clients", self._path)
        return self

    def __exit__(self, *_exc: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            process.wait(timeout=_PATIENCE_SECONDS)

    def type(self, block: str) -> None:
        """Run a block; fails where a command fails or prints something else."""
        for command, shown in commands(block):
            self.run(command, shown)

    def run(self, command: str, shown: str = "") -> str:
        """Run one command in the folder where the reader is now."""
        if command.startswith("cd "):
            self.folder = (self.folder / command[3:]).resolve()
            return ""
        typed = self._real(command)
        if re.match(r"distributor run|mosquitto -c|mosquitto_sub ", command):
            self._start(typed)
            return ""
        found = subprocess.run(
            ["bash", "-o", "pipefail", "-c", typed],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
        printed = self._as_in_the_page(found.stdout)
        assert found.returncode == 0, f"$ {typed}\n{found.stdout}{found.stderr}{self._log()}"
        if "distributor init" in command:
            self.adapt(self.folder / command.rsplit(maxsplit=1)[-1])
        assert same(printed, shown), f"$ {typed}\nprinted:\n{printed}\nthe page says:\n{shown}"
        return printed

    def adapt(self, folder: Path) -> None:
        """Give the files in ``folder`` the free ports."""
        for path in (folder / "distributor.toml", folder / "mosquitto.conf"):
            if path.exists():
                path.write_text(self.ports(path.read_text()))

    def ports(self, text: str) -> str:
        real = {"8080": str(self.http), "1883": str(self.broker)}
        return re.sub("8080|1883", lambda found: real[found[0]], text)

    def get(self, path: str) -> str:
        url = f"http://127.0.0.1:{self.http}{path}"
        with urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS) as answer:
            return str(answer.read().decode())

    def eventually(self, path: str, wanted: str) -> None:
        """What left by MQTT shows over HTTP soon."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        text = ""
        while time.monotonic() < deadline:
            try:
                text = self.get(self._real(path))
            except urllib.error.HTTPError as error:
                text = str(error)  # nobody knows of it yet
            if re.search(wanted, text):
                return
            time.sleep(0.02)
        raise AssertionError(f"{path}: no {wanted!r} in {text}{self._log()}")

    def _real(self, command: str) -> str:
        if self.store is not None:
            tag, salt = self._marks(self.store)
            command = re.sub(rf"{TAG}(\w{{10}}){SALT}", rf"{tag}\g<1>{salt}", command)
        typed = self.ports(command)
        return re.sub(r"^(mosquitto_[ps]ub) ", rf"\1 -p {self.broker} ", typed)

    def _as_in_the_page(self, text: str) -> str:
        if self.store is None:
            return text
        tag, salt = self._marks(self.store)
        return re.sub(rf"{tag}(\w{{10}}){salt}", rf"{TAG}\g<1>{SALT}", text)

    @staticmethod
    def _marks(store: Path) -> tuple[str, str]:
        """How the lead keys of the running daemon begin and end. It is ready before its first entry is
        on disk."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            with closing(ReadOnly(store)) as read:
                begun = [
                    e.event.salt for e in journal.entries(read) if isinstance(e.event, Started)
                ]
                if begun:
                    return journal.identity(read)["tag"], begun[-1]
            assert time.monotonic() < deadline, "nothing was ever written"
            time.sleep(0.02)

    def _start(self, typed: str) -> None:
        words = shlex.split(typed)
        if words[0] == "mosquitto":
            words[0] = find_mosquitto()
        elif words[0] == "mosquitto_sub":
            words[0] = need_program("mosquitto_sub", "mosquitto-clients", self._path)
            # It does not say when it is subscribed: a first one ends then, and leaves its session.
            subprocess.run([*words, "-E"], check=True, timeout=_PATIENCE_SECONDS)
        log = self.folder / f"{Path(words[0]).name}.log"
        self._logs.append(log)
        with log.open("wb") as out:
            self._processes.append(
                subprocess.Popen(
                    words,
                    cwd=self.folder,
                    env=self.environment,
                    stdout=out,
                    stderr=out,
                    executable=None if "/" in words[0] else f"{_shims_of(self._path)}/{words[0]}",
                )
            )
        if words[0] == "distributor":
            self._wait_ready()
            self.store = self.folder / "data" / "distributor.db"
        elif words[0].endswith("mosquitto"):
            self._wait_port(self.broker)

    def first_heard(self) -> str:
        """The first line that ``mosquitto_sub`` printed, awaited."""
        log = self.folder / "mosquitto_sub.log"
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while "\n" not in (text := log.read_text()):
            assert time.monotonic() < deadline, self._log()
            time.sleep(0.02)
        return self._as_in_the_page(text.splitlines()[0])

    def _wait_ready(self) -> None:
        self._wait(lambda: self.get("/readyz"))

    def _wait_port(self, port: int) -> None:
        self._wait(lambda: socket.create_connection(("127.0.0.1", port), timeout=1).close())

    def _wait(self, attempt) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                attempt()
            except (OSError, urllib.error.URLError):
                assert self._processes[-1].poll() is None, self._log()
                assert time.monotonic() < deadline, self._log()
                time.sleep(0.02)
            else:
                return

    def _log(self) -> str:
        return "".join(f"\n{log.name}:\n{log.read_text()}" for log in self._logs)


_ROOT = Path(__file__).resolve().parents[2]


def _shims(folder: Path) -> Path:
    """A ``distributor`` that runs this checkout, and a ``python`` for the pages' Python blocks."""
    folder.mkdir()
    for name, runs in (
        ("distributor", f'"{sys.executable}" -m distributor'),
        ("python", f'"{sys.executable}"'),
    ):
        shim = folder / name
        shim.write_text(f'#!/bin/sh\nexec {runs} "$@"\n')
        shim.chmod(0o755)
    return folder


def _shims_of(path: str) -> str:
    return path.split(":", 1)[0]


def commands(block: str) -> list[tuple[str, str]]:
    """(command, what the page says it prints) in order."""
    found: list[tuple[str, str]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        else:
            command, shown = found[-1]
            found[-1] = (command, f"{shown}{line}\n")
    return found


def same(printed: str, shown: str) -> bool:
    """Whether a command printed what the page shows (which may leave things out)."""
    pattern = re.escape(_TIME.sub("TIME", shown.rstrip())).replace(r"\.\.\.", ".*?")
    return re.fullmatch(pattern, _TIME.sub("TIME", printed.rstrip()), re.DOTALL) is not None
