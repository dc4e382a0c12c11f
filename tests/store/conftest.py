from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from distributor.domain.journal import Batch
from distributor.store.reader import StoreReader
from distributor.store.sqlite import SQLiteStore

from . import builders as b

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


@pytest.fixture
def tell(store: SQLiteStore):
    """Append decisions as one entry of the running daemon's store."""

    async def append(*decisions: object, leads=(), reps=(), outgoing=(), settlements=()) -> None:
        seq = store.last_seq
        batch = Batch([b.tick(seq + 1, *decisions)], leads, reps, outgoing, settlements)
        await store.append(batch, expect=seq, epoch=store.epoch)

    return append


@pytest.fixture
def reader(store: SQLiteStore):
    reader = StoreReader(store.path)
    yield reader
    reader.close()


@pytest.fixture
async def one_assigned(store: SQLiteStore):
    batch = Batch([b.received(1, 1, b.assign(1))], [b.assigned(1)])
    await store.append(batch, expect=0, epoch=store.epoch)
