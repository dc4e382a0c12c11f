"""What the surroundings can do to the daemon: broker away, process stopped, disk full, clock set back."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection
from pathlib import Path

from msgspec import Struct, structs

from bench import options
from bench.disk import is_small_disk, leave_room, mounted, resize
from bench.output import finish, say
from bench.trial import Judgement, Trial
from distributor.errors import Unavailable

BEFORE_SECONDS = 2.0
AWAY_SECONDS = 5.0
STOPPED_SECONDS = 60.0
AFTER_SECONDS = 3.0
DISK_BYTES = 4 << 20
FAKETIME = (
    "usr/lib/*/faketime/libfaketime.so.1",
    "usr/lib*/faketime/libfaketime.so.1",
    "usr/local/lib*/faketime/libfaketime.so.1",
)
"""Where systems put the library."""
BACK_SECONDS = 3600.0


class Seen(Struct, frozen=True):
    """``happened``: what was seen while a fault lasted. ``unmet``: what should have happened."""

    happened: str
    unmet: list[str] = []


class Outcome(Struct, frozen=True):
    """A fault and what came of it. ``judgement`` None: skipped, and ``happened`` says why."""

    fault: str
    happened: str
    unmet: list[str]
    judgement: Judgement | None

    @property
    def good(self) -> bool:
        """Whether all went as it should; a fault that was skipped speaks against nobody."""
        return not self.unmet and (self.judgement is None or self.judgement.good)


def broker_away(trial: Trial) -> Seen:
    """The broker stops in order and comes back; HTTP must stay open meanwhile."""
    before = len(trial.over_http.keys)
    trial.broker.stop()
    time.sleep(AWAY_SECONDS)
    taken = len(trial.over_http.keys) - before
    ready, body = trial.daemon.get("/readyz")
    trial.broker.start()
    took = _until(lambda: trial.daemon.get("/readyz")[0] == 200)
    return Seen(
        f"{AWAY_SECONDS:g} s without a broker: {taken} leads taken over HTTP, readyz {ready}"
        f" ({body.decode(errors='replace')[:120].strip()}), ready {took:.1f} s after it was back",
        _unmet({"leads are taken over HTTP": taken > 0, "readyz says 503": ready == 503}),
    )


def stopped(trial: Trial) -> Seen:
    """SIGSTOP: nothing runs for a while, and everybody waits."""
    trial.daemon.signal(signal.SIGSTOP)
    time.sleep(STOPPED_SECONDS)
    trial.daemon.signal(signal.SIGCONT)
    took = _until(lambda: trial.daemon.get("/readyz")[0] == 200)
    return Seen(f"stood still for {STOPPED_SECONDS:g} s, ready {took:.1f} s later")


def disk_full(trial: Trial) -> Seen:
    """The disk takes no more: the daemon must end itself, and come back once there is room."""
    daemon = trial.daemon
    daemon.stop()
    limit = daemon.store.stat().st_size + DISK_BYTES
    small = is_small_disk(daemon.folder)
    if small:
        leave_room(daemon.folder, DISK_BYTES)
        daemon.launch()
    else:
        daemon.launch(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    begun = time.monotonic()
    code = daemon.wait(120)
    lived = time.monotonic() - begun
    said = [line for line in daemon.tail().splitlines() if "distributor:" in line][-1:]
    time.sleep(1.0)
    if small:
        resize(daemon.folder)
    took = daemon.start()
    how = "a tmpfs" if small else "a limit on the size of files, for we may not mount"
    return Seen(
        f"{DISK_BYTES >> 20} MB left ({how}): ended itself after {lived:.1f} s with exit {code}"
        f" {said}, back after {took:.1f} s",
        _unmet({"it ends with exit 1": code == 1, "it says why": bool(said)}),
    )


def clock_back(trial: Trial) -> Seen:
    """The system's clock is an hour behind after a restart."""
    trial.daemon.stop()
    more = {
        "LD_PRELOAD": str(faketime()),
        "FAKETIME": f"-{BACK_SECONDS:.0f}",
        "DONT_FAKE_MONOTONIC": "1",
    }
    trial.daemon.launch(env={**os.environ, **more})
    trial.daemon.wait_ready(time.monotonic() + 60)
    behind = _seconds_behind(trial.daemon.http_port)
    time.sleep(AWAY_SECONDS)
    return Seen(
        f"its clock {behind:,.0f} s behind ours, for {AWAY_SECONDS:g} s of load",
        _unmet({"its clock goes back": abs(behind - BACK_SECONDS) < BACK_SECONDS / 2}),
    )


def faketime() -> Path | None:
    """The library that gives a process another time; None where it is not installed."""
    found = (path for pattern in FAKETIME for path in sorted(Path("/").glob(pattern)))
    return next(found, None)


def _seconds_behind(port: int) -> float:
    """How far a server's clock is behind ours, by the date of its answer."""
    link = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        link.request("GET", "/healthz")
        theirs = parsedate_to_datetime(link.getresponse().headers["Date"])
    finally:
        link.close()
    return (datetime.now(UTC) - theirs).total_seconds()


def _unmet(expected: Mapping[str, bool]) -> list[str]:
    return [what for what, met in expected.items() if not met]


FAULTS: dict[str, Callable[[Trial], Seen]] = {
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
    raise Unavailable(f"not in order again within {seconds:g} s")


def _suffer(name: str, folder: Path, rate: float) -> Outcome:
    if name == "clock_back" and faketime() is None:
        return Outcome(name, "skipped: libfaketime is not there (package faketime)", [], None)
    with ExitStack() as stack:
        if name == "disk_full":
            stack.enter_context(mounted(folder / "daemon"))
        trial = stack.enter_context(Trial(folder, rate))
        trial.daemon.log = folder / "daemon.log"  # it has room where the store has none
        trial.begin()
        time.sleep(BEFORE_SECONDS)
        seen = FAULTS[name](trial)
        time.sleep(AFTER_SECONDS)
        return Outcome(name, seen.happened, seen.unmet, trial.judge())


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fault", action="append", choices=tuple(FAULTS), help="default: all")
    parser.add_argument(
        "--rate", type=options.rate, metavar="R", default=150.0, help="leads/s (150)"
    )
    options.add_store_folder(parser)


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
        for what in outcome.unmet:
            say(f"    NOT SO: {what}")
    good = all(outcome.good for outcome in outcomes)
    finish({"faults": [structs.asdict(o) | {"judgement": o.judgement and structs.asdict(o.judgement)}
                       for o in outcomes], "good": good}, as_json=args.json)  # fmt: skip
    return 0 if good else 1
