"""``distributor run``: the daemon as a process, with its signals."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from distributor.app.daemon import Daemon
from distributor.observe import logs
from distributor.runtime.clock import Clock
from distributor.settings.reload import Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from distributor.settings import Settings

log = structlog.get_logger(__name__)

SWITCH_SECONDS = 0.0001
GARBAGE_THRESHOLDS = (1_000, 20, 100)
MOST_FILES = 65_536


def run(settings: Settings, config_path: Path) -> int:
    """Run until SIGTERM or SIGINT; 0 after an orderly stop. A service that fails is raised."""
    # The writer thread must get its turn beside a busy loop: with the default of 5 ms a commit can
    # wait for seconds.
    sys.setswitchinterval(SWITCH_SECONDS)
    # Nearly all we make ends by reference count. On a large floor a pass costs a microsecond and more for
    # each young object, so passes are many and short: none holds the loop for long.
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    _raise_file_limit()
    clock = Clock()
    writer = logs.setup(clock.wall_ns, level=settings.log.level, style=settings.log.format)
    try:
        asyncio.run(_serve(settings, config_path, clock))
    finally:
        writer.close()
    return 0


def _raise_file_limit() -> None:
    """As many files as we may have: shells give a thousand, and connections need one each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):  # some systems keep a limit of their own
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _serve(settings: Settings, config_path: Path, clock: Clock) -> None:
    watch = Watch(config_path)
    asked = _listen_to_signals(watch.again)
    waiting = asyncio.create_task(asked.wait(), name="stop asked")  # noqa: TID251 - ended below
    try:
        daemon = await _recovered(settings, clock, waiting)
        if daemon is not None:
            await daemon.open()
            await _until_asked(daemon, watch, waiting)
    finally:
        waiting.cancel()


async def _recovered(
    settings: Settings, clock: Clock, waiting: asyncio.Task[object]
) -> Daemon | None:
    """Recover. None where a stop was asked for meanwhile: a long recovery need not be finished."""
    recovery = Daemon.recover(settings, clock=clock)
    recovering = asyncio.create_task(recovery, name="recovery")  # noqa: TID251 - ended below
    await asyncio.wait({waiting, recovering}, return_when=asyncio.FIRST_COMPLETED)
    if recovering.done():
        return recovering.result()  # or raises what stopped it
    recovering.cancel()
    await asyncio.wait({recovering})
    if not recovering.cancelled():
        await recovering.result().abandon()
    log.info("stopped", during="recovery")
    return None


async def _until_asked(daemon: Daemon, watch: Watch, waiting: asyncio.Task[object]) -> None:
    """Serve until a stop is asked for or a service fails, which is raised after the stop."""
    follow = watch.run(lambda: daemon.settings, daemon.take_settings, daemon.refuse_settings)
    following = asyncio.create_task(follow, name="settings")  # noqa: TID251 - ended below
    ends: set[asyncio.Future[object]] = {waiting, following, daemon.failed}  # type: ignore[arg-type]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    following.cancel()
    (ended,) = await asyncio.gather(following, return_exceptions=True)
    await daemon.stop()
    if daemon.failed.done():
        raise daemon.failed.result()
    if isinstance(ended, Exception):  # not a cancellation: the watch itself failed
        raise ended


def _listen_to_signals(reload: Callable[[], None]) -> asyncio.Event:
    """The first SIGTERM or SIGINT asks for an orderly stop, the second one ends at once; SIGHUP asks
    for a reload."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if asked.is_set():
            os._exit(1)
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    loop.add_signal_handler(signal.SIGHUP, reload)
    # Held back since the start of the command; what came meanwhile arrives now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    return asked
