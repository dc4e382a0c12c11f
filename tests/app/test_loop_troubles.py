"""What the loop complains of is told once a minute, or as ever."""

from __future__ import annotations

import asyncio
import errno
import logging

import pytest
import structlog

from distributor.app import loop_troubles
from distributor.app.loop_troubles import LoopTroubles


async def test_the_lack_of_files_is_one_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(loop_troubles.time, "monotonic", lambda: now)
    loop, troubles = asyncio.get_running_loop(), LoopTroubles()
    context = {"message": "accept", "exception": OSError(errno.EMFILE, "Too many open files")}
    with structlog.testing.capture_logs() as lines:
        for _ in range(100):
            troubles(loop, context)
        now += 61
        troubles(loop, context)
    assert [line["event"] for line in lines] == ["no_files_left"] * 2
    assert "LimitNOFILE" in lines[0]["remedy"]


async def test_anything_else_is_told_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "asyncio"):
        LoopTroubles()(asyncio.get_running_loop(), {"message": "a task was never awaited"})
    assert "a task was never awaited" in caplog.text
