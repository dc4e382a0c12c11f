"""``distributor run``: the daemon as a process, with its signals."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING

import structlog

from distributor.app.daemon import Daemon
from distributor.observe import logs
from distributor.runtime.clock import Clock
from distributor.settings.reload import watch

if TYPE_CHECKING:
    from pathlib import Path

    from distributor.settings import Settings

log = structlog.get_logger(__name__)

SWITCH_SECONDS = 0.0001
GARBAGE_THRESHOLDS = (10_000, 50, 100)


def run(settings: Settings, config_path: Path) -> int:
    """Run until SIGTERM or SIGINT; 0 after an orderly stop. A service that fails is raised."""
    # The writer thread must get its turn beside a busy loop: with the default of 5 ms a commit can
    # wait for seconds.
    sys.setswitchinterval(SWITCH_SECONDS)
    # Nearly all we make ends by reference count; the collector only costs pauses.
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    clock = Clock()
    writer = logs.setup(clock.now_ns, level=settings.log.level, style=settings.log.format)
    try:
        asyncio.run(_serve(settings, config_path, clock))
    finally:
        writer.close()
    return 0


async def _serve(settings: Settings, config_path: Path, clock: Clock) -> None:
    daemon = Daemon(settings, clock=clock)
    asked = _stop_on_signals()
    await daemon.start()
    following = asyncio.create_task(  # noqa: TID251 - a service of this process, ended below
        watch(config_path, lambda: daemon.settings, daemon.take_settings, daemon.refuse_settings),
        name="settings",
    )
    waiting = asyncio.create_task(asked.wait(), name="stop asked")  # noqa: TID251
    ends: set[asyncio.Future[object]] = {waiting, following, daemon.failed}  # type: ignore[arg-type]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for task in (waiting, following):
        task.cancel()
    ended = await asyncio.gather(waiting, following, return_exceptions=True)
    await daemon.stop()
    if daemon.failed.done():
        raise daemon.failed.result()
    for error in ended:
        if isinstance(error, Exception):  # not a cancellation: the watch itself failed
            raise error


def _stop_on_signals() -> asyncio.Event:
    """The first SIGTERM or SIGINT asks for an orderly stop, the second one ends at once."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if asked.is_set():
            os._exit(1)
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return asked
