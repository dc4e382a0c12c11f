"""A loop that runs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.runtime.loop import Loop


@pytest.fixture
async def loop() -> AsyncIterator[Loop]:
    made = Loop()
    await made.begin()
    yield made
    await made.end()
    assert made.task.exception() is None
