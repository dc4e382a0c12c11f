"""The loop's lag is what a sleeper loses."""

from __future__ import annotations

import asyncio
import contextlib
import time

from distributor.observe.loop_lag import watch_loop_lag


async def test_a_blocked_loop_is_reported() -> None:
    lags: list[float] = []
    reported = asyncio.Event()

    def report(seconds: float) -> None:
        lags.append(seconds)
        reported.set()

    task = asyncio.create_task(watch_loop_lag(report, 0.01))
    await reported.wait()
    reported.clear()
    time.sleep(0.08)  # the fault under test: somebody holds up the loop
    await reported.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert max(lags) > 0.05
    assert min(lags) >= 0
