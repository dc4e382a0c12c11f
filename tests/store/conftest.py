from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from distributor.store.sqlite import SQLiteStore

Opener = Callable[[], Awaitable[SQLiteStore]]


def fixed_entropy(count: int) -> bytes:
    return bytes(range(count))


@pytest.fixture
async def open_store(tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens the test's store, again and again where the test closes it."""
    opened: list[SQLiteStore] = []

    async def opener() -> SQLiteStore:
        store = await SQLiteStore.open(
            tmp_path / "data" / "store.db", "normal", entropy=fixed_entropy
        )
        opened.append(store)
        return store

    yield opener
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: Opener) -> SQLiteStore:
    return await open_store()
