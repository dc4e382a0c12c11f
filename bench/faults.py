"""What the surroundings can do to the daemon: broker away, process stopped, disk full, clock set back."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct, structs

from bench.output import finish, say
from bench.trial import Judgement, Trial

BEFORE_SECONDS = 2.0
AWAY_SECONDS = 5.0
STOPPED_SECONDS = 60.0
AFTER_SECONDS = 3.0
DISK_BYTES = 4 << 20
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


class Outcome(Struct, frozen=True):
    """``happened``: what was seen while the fault lasted. ``judgement`` None: skipped, and why."""

    fault: str
    happened: str
    judgement: Judgement | None


def broker_away(trial: Trial) -> str:
    """The broker stops in order and comes back; HTTP must stay open meanwhile."""
    before = len(trial.over_http.keys)
    trial.broker.stop()
    time.sleep(AWAY_SECONDS)
    taken = len(trial.over_http.keys) - before
    ready, body = trial.daemon.get("/readyz")
    trial.broker.start()
    took = _until(lambda: trial.daemon.get("/readyz")[0] == 200)
    return (
        f"{AWAY_SECONDS:g} s without a broker: {taken} leads taken over HTTP, readyz {ready}"
        f" ({body.decode(errors='replace')[:120].strip()}), ready {took:.1f} s after it was back"
    )


def stopped(trial: Trial) -> str:
    """SIGSTOP: nothing runs for a while, and everybody waits."""
    trial.daemon.signal(signal.SIGSTOP)
    time.sleep(STOPPED_SECONDS)
    trial.daemon.signal(signal.SIGCONT)
    took = _until(lambda: trial.daemon.get("/readyz")[0] == 200)
    return f"stood still for {STOPPED_SECONDS:g} s, ready {took:.1f} s later"


def disk_full(trial: Trial) -> str:
    """No file may grow any more (a limit of the process): it must end itself, and come back."""
    trial.daemon.stop()
    limit = trial.daemon.store.stat().st_size + DISK_BYTES

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    trial.daemon.launch(preexec_fn=small_disk)
    begun = time.monotonic()
    assert trial.daemon.process is not None
    code = trial.daemon.process.wait(120)
    lived = time.monotonic() - begun
    said = [line for line in trial.daemon.tail().splitlines() if "distributor:" in line][-1:]
    time.sleep(1.0)
    took = trial.daemon.start()
    return f"ended itself after {lived:.1f} s with exit {code} {said}, back after {took:.1f} s"


def clock_back(trial: Trial) -> str:
    """The system's clock is an hour behind after a restart."""
    trial.daemon.stop()
    more = {"LD_PRELOAD": FAKETIME, "FAKETIME": "-3600", "DONT_FAKE_MONOTONIC": "1"}
    trial.daemon.launch(env={**os.environ, **more})
    trial.daemon.wait_ready(time.monotonic() + 60)
    time.sleep(AWAY_SECONDS)
    return f"an hour back for {AWAY_SECONDS:g} s of load"


FAULTS: dict[str, Callable[[Trial], str]] = {
    "broker_away": broker_away,
    "stopped": stopped,
    "disk_full": disk_full,
    "clock_back": clock_back,
}


def _until(done: Callable[[], bool], seconds: float = 60.0) -> float:
    """Seconds until ``done``; an error of the connection means not yet."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        try:
            if done():
                return time.monotonic() - begun
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"not in order again within {seconds:g} s")


def _suffer(name: str, folder: Path, rate: float) -> Outcome:
    if name == "clock_back" and not Path(FAKETIME).exists():
        return Outcome(name, f"skipped: {FAKETIME} is not there (package faketime)", None)
    with Trial(folder, rate) as trial:
        trial.begin()
        time.sleep(BEFORE_SECONDS)
        happened = FAULTS[name](trial)
        time.sleep(AFTER_SECONDS)
        return Outcome(name, happened, trial.judge())


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fault", action="append", choices=tuple(FAULTS), help="default: all")
    parser.add_argument("--rate", type=float, metavar="R", default=150.0, help="leads/s (150)")
    parser.add_argument("--folder", metavar="DIR", help="where the store is (a temporary folder)")


def run(args: argparse.Namespace) -> int:
    outcomes = []
    for name in args.fault or list(FAULTS):
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            outcome = _suffer(name, Path(folder), args.rate)
        outcomes.append(outcome)
        say(f"{name}: {outcome.happened}")
        found = outcome.judgement
        if found is not None:
            say(
                f"    {found.acknowledged:,} leads and {found.acknowledged_events:,} events"
                f" acknowledged, {found.lost} lost, {found.assigned_twice} assigned twice;"
                f" verify: {found.verify}"
            )
    good = all(outcome.judgement is None or outcome.judgement.good for outcome in outcomes)
    finish({"faults": [structs.asdict(o) | {"judgement": o.judgement and structs.asdict(o.judgement)}
                       for o in outcomes], "good": good}, as_json=args.json)  # fmt: skip
    return 0 if good else 1
