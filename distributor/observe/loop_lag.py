"""How late the event loop is: what every other latency suffers from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def watch_loop_lag(report: Callable[[float], None], every_seconds: float = 0.1) -> None:
    """Sleep again and again, and report by how many seconds each sleep was too long. Runs until it is
    cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every_seconds
        await asyncio.sleep(every_seconds)
        report(max(0.0, loop.time() - due))
