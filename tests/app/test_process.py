"""``distributor run`` and its signals, also before it is ready."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from distributor.app import process as process_module
from tests.brokers import free_port

PROGRAM = """
import asyncio, os, pathlib, signal, sys
import distributor.app.daemon as daemon
import distributor.cli as cli

real_load, real_recover = cli.load, daemon.recover

def load(*args, **more):
    if "early" in sys.argv:
        os.kill(os.getpid(), signal.SIGHUP)
    return real_load(*args, **more)

async def recover(*args):
    print("recovering", flush=True)
    while not pathlib.Path("go").exists():  # the test is another process: no event to wait for
        await asyncio.sleep(0.01)
    return await real_recover(*args)

cli.load, daemon.recover = load, recover
sys.exit(cli.main(["run", "--config", "distributor.toml"]))
"""


@pytest.fixture
def start(tmp_path):
    """Starts a daemon whose recovery waits for the file ``go``, and waits until it recovers."""
    (tmp_path / "distributor.toml").write_text(
        f"http = {{ port = {free_port()} }}\nreps = [{{ id = 'ana' }}]\npools = [{{ id = 'p' }}]\n"
    )
    started = []

    def starter(*words):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        read_until(process, "recovering")
        return process

    yield starter
    for process in started:
        process.kill()
        process.communicate()


def read_until(process, word):
    """The lines of the log up to the one with ``word``."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError("".join([*lines, process.stderr.read()]))


def ended(process):
    """The exit code of a process that must end soon, and what it said on standard error."""
    _, errors = process.communicate(timeout=10)
    return process.returncode, errors


@pytest.mark.parametrize("when", ["early", "recovering"])
def test_a_sighup_before_the_daemon_is_ready_reloads_when_it_is(start, tmp_path, when):
    process = start(when)
    if when == "recovering":
        process.send_signal(signal.SIGHUP)
    (tmp_path / "go").touch()

    read_until(process, '"ready"')
    read_until(process, "settings_taken")

    process.send_signal(signal.SIGTERM)
    assert ended(process) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_during_recovery_is_soon_and_orderly(start, tmp_path, number):
    process = start()
    process.send_signal(number)
    assert ended(process) == (0, "")

    (tmp_path / "go").touch()  # the store is free, and good
    process = start()
    read_until(process, '"ready"')
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (0, "")


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_store_that_is_taken_away_ends_the_daemon_with_a_line_that_says_so(start, tmp_path, how):
    """It would go on acknowledging into a file that nobody finds again. That it made a new store it said
    before: a wrong path and a disk that is not mounted show that way."""
    daemon = start()
    (tmp_path / "go").touch()
    log = read_until(daemon, '"ready"')
    store = tmp_path / "data" / "distributor.db"
    (said,) = [json.loads(line) for line in log if "new_store_made" in line]
    assert (said["level"], said["store"]) == ("warning", str(store))
    if how == "replaced":
        (tmp_path / "copy.db").write_bytes(store.read_bytes())
        (tmp_path / "copy.db").replace(store)
    else:
        store.unlink()

    out, errors = daemon.communicate(timeout=60)

    assert daemon.returncode == 1
    (line,) = errors.splitlines()
    what = "is gone" if how == "removed" else "was replaced"
    assert line.startswith(f"distributor: store.path: {store} {what}")
    assert "service_failed" in out


def test_as_many_files_as_may_be_are_asked_for(monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(process_module, "MOST_FILES", soft)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    try:
        process_module._raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
