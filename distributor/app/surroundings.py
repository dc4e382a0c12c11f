"""What the machine does to a running daemon: its clock is set, its store's file is taken away."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from distributor.observe.rules import CLOCK_AHEAD_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributor.store.sqlite import SQLiteStore

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
TELL_SECONDS = 60.0
"""So often the log says again that our time is ahead."""
_REMEDY = (
    "deadlines keep their pace, and times are recorded and told so much later; what is ahead shrinks by"
    " 36 s an hour, and by the whole time that the daemon is stopped: see Operations, the clock"
)


async def watch_store(store: SQLiteStore, every_seconds: float = LOOK_SECONDS) -> None:
    """Look again and again whether the store's file is still in its place. Runs until it is cancelled;
    raises ``StoreFailed`` where it is not."""
    while True:
        await asyncio.to_thread(store.look)
        await asyncio.sleep(every_seconds)


async def watch_clock(
    ahead_seconds: Callable[[], float],
    report: Callable[[float], None],
    every_seconds: float = LOOK_SECONDS,
) -> None:
    """Report again and again by how many seconds our time is ahead of the machine's clock, and say so in
    the log, once a minute. Runs until it is cancelled."""
    told: float | None = None
    while True:
        ahead = ahead_seconds()
        report(ahead)
        if ahead < CLOCK_AHEAD_SECONDS:
            told = None
        elif told is None or monotonic() - told >= TELL_SECONDS:
            told = monotonic()
            seconds = round(ahead, 1)
            problem = f"the store's time is {seconds:,} s ahead of the clock"
            log.error("clock_behind", seconds=seconds, problem=problem, remedy=_REMEDY)
        await asyncio.sleep(every_seconds)
