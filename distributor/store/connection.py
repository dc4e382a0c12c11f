"""A connection with its own thread, and the lock that keeps a second daemon off the store."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import aiosqlite

from distributor.errors import StoreFailed

T = TypeVar("T")
Synchronous = Literal["full", "normal"]

_PRAGMAS = (
    "PRAGMA cache_size = -65536",
    "PRAGMA temp_store = memory",
    "PRAGMA mmap_size = 268435456",
)


class Hop:
    """One SQLite connection on aiosqlite's thread; ``run`` takes a whole function there at once.

    Awaiting every statement costs ten times as much as one hop for a whole transaction. aiosqlite
    has the hop only as its private ``_execute``: should a release drop it, a thread of asyncio's
    takes its place.
    """

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        self._raw: sqlite3.Connection | None = None
        self._failure: Exception | None = None
        self._connector = connector
        self._turn = asyncio.Lock()
        self._connection = aiosqlite.Connection(self._connect, iter_chunk_size=64)

    def _connect(self) -> sqlite3.Connection:
        try:
            self._raw = self._connector()
        except Exception as error:  # noqa: BLE001 - ``open`` raises it
            # aiosqlite does not wait for the thread of a connection that failed, and the thread
            # reports to a loop that may be closed by then. An empty one is closed in order.
            self._failure = error
            return sqlite3.connect(":memory:", check_same_thread=False)
        return self._raw

    async def open(self) -> None:
        """Start the thread and connect. Raises ``sqlite3.Error``; then the thread is done."""
        await self._connection
        if self._failure is not None:
            await self._connection.close()
            raise self._failure

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """``function(connection, *args)`` in the connection's thread, first come, first served."""
        if self._raw is None:
            raise StoreFailed("the store is closed: open it again")
        one_hop = getattr(self._connection, "_execute", None)
        if one_hop is not None:
            result: T = await one_hop(function, self._raw, *args)
            return result
        async with self._turn:
            return await asyncio.to_thread(function, self._raw, *args)

    async def close(self) -> None:
        """Finish what is queued and close; twice is fine."""
        self._raw = None
        await self._connection.close()


def connect_writer(path: Path, synchronous: Synchronous) -> sqlite3.Connection:
    """The one connection that writes: WAL, and the durability that the operator chose."""
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    return _prepared(
        connection,
        "PRAGMA journal_mode = WAL",
        f"PRAGMA synchronous = {synchronous}",
        # A checkpoint is what a slow commit waits for; 16 MiB between two, and no huge file after.
        "PRAGMA wal_autocheckpoint = 4000",
        "PRAGMA journal_size_limit = 67108864",
    )


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, beside whoever owns the store."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    return _prepared(connection)


def _prepared(connection: sqlite3.Connection, *pragmas: str) -> sqlite3.Connection:
    try:
        for pragma in (*pragmas, *_PRAGMAS):
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


def lock_store(path: Path) -> int:
    """Take the store for this process: the descriptor of the held lock file (``path`` + ``.lock``).

    The system drops the lock when the process ends, however it ends. Raises ``StoreFailed``.
    """
    name = f"{path}.lock"
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreFailed(
            f"{path}: another process uses this store (it holds {name}): "
            "stop it first, or set another [store] path"
        ) from error
    return descriptor
