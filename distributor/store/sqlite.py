"""``SQLiteStore``: the journal, the outbox and the snapshots in one SQLite file."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

from distributor.domain.faults import InvariantBroken
from distributor.domain.ids import NANOSECONDS
from distributor.domain.journal import Batch, CommitStats, Entry, Found, SnapshotImage
from distributor.domain.lead import Lead
from distributor.domain.messages import Outgoing
from distributor.errors import BadConfig, Damaged, Fenced, StoreFailed
from distributor.store import snapshots
from distributor.store.codec import unpack_entry, unpack_lead
from distributor.store.connection import (
    Hop,
    Synchronous,
    connect_reader,
    connect_writer,
    lock_store,
)
from distributor.store.place import Place
from distributor.store.projection import Rows, project
from distributor.store.schema import EMPTY, RESTORE, migrate, refuse_strangers
from distributor.store.statements import CLOSED_LEADS, ORIGINALS, SEEN, write_rows

T = TypeVar("T")

REPEATS_KNOWN_NS = 7 * 86_400 * NANOSECONDS
"""How long an ``event_id`` is remembered: a repeat after this counts as new."""

QUICK = 4
"""So few keys are looked up on the spot: some 20 us, a tenth of the way to another thread and back."""
_CHUNK = 1_000
_TAG_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class SQLiteStore:
    """The keeper of one partition's journal (see ``distributor.domain.journal.Journal``).

    ``is_new``: it was made at open. ``tag``: begins every lead key of this store. ``seed``: of the draws. ``epoch``: this owner's
    number, one more than the last one's. ``next_outbox_id``: the first free outbox number at open.
    """

    path: Path
    is_new: bool
    tag: str
    seed: int
    epoch: int
    next_outbox_id: int

    def __init__(self, path: Path, lock: int, writer: Hop, reader: Hop) -> None:
        self.path = path
        self.is_new = False
        self._place: Place | None = None
        self._gone: StoreFailed | None = None
        self._lock: int | None = lock
        self._writer = writer
        self._reader = reader
        self._last_seq = 0
        self._last_at_ns = 0
        self._quick: sqlite3.Connection | None = None

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        synchronous: Synchronous = "full",
        *,
        entropy: Callable[[int], bytes],
    ) -> SQLiteStore:
        """Own the store at ``path``, made with its folders where there is none.

        ``synchronous``: ``full`` survives a power failure, ``normal`` a crash of this process.
        ``entropy``: so many random bytes, asked once in a store's life. Raises ``StoreFailed``:
        another process has it, a newer release wrote it, it is empty, or the disk does not let us;
        ``Damaged``: what the journal needs is gone; ``BadConfig``: this user may not write there.
        """
        place = Path(path).resolve()
        lock = _take(place)
        try:
            _refuse_strangers(place)
        except BaseException:
            os.close(lock)
            raise
        writer = Hop(lambda: connect_writer(place, synchronous))
        store = cls(place, lock, writer, Hop(lambda: connect_reader(place)))
        try:
            await writer.open()
            await writer.run(store._begin, entropy)
            store._place = Place(place)
            await store._reader.open()
            store._quick = connect_reader(place)
        except BaseException as error:
            await store.close()
            if isinstance(error, sqlite3.Error):
                raise _failed(place, error) from error
            raise
        return store

    async def close(self) -> None:
        """Finish what is queued and give the store free; twice is fine."""
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        try:
            if self._place is not None and self._place.wal_kept:
                # The last one to close writes the -wal into the store's file, which is not ours any
                # more: one that only reads cannot.
                await self._writer.close()
            if self._quick is not None:
                self._quick.close()
            await self._reader.close()
            await self._writer.close()
        finally:
            os.close(lock)

    def look(self) -> None:
        """See that the open file is still the one at ``path``; for any thread. Raises ``StoreFailed``
        where it is not, as everything does from then on that would write."""
        if self._place is not None:
            try:
                self._place.look()
            except StoreFailed as error:
                self._gone = error
                raise

    @property
    def last_seq(self) -> int:
        """The newest committed entry's number, 0 for none."""
        return self._last_seq

    async def append(self, batch: Batch, *, expect: int, epoch: int) -> CommitStats:
        """Write the batch in one transaction; durable when this returns.

        Raises ``Fenced`` when ``expect`` or ``epoch`` is not the store's own, ``StoreFailed`` when
        the disk refuses; then nothing of the batch is kept.
        """
        entries = batch.entries
        if entries and (entries[0].seq, entries[-1].seq) != (expect + 1, expect + len(entries)):
            raise InvariantBroken(f"entries must be numbered from {expect + 1} without a gap")
        rows = project(batch)
        at_ns = entries[-1].at_ns if entries else 0
        return await self._write(self._commit, rows, expect, epoch, at_ns)

    async def read(self, after: int) -> AsyncIterator[list[Entry]]:
        """Entries with a greater ``seq``, in order, in chunks of at most 1,000."""
        while chunk := await self._ask(entries_after, after, _CHUNK):
            yield chunk
            after = chunk[-1].seq

    async def lookup(
        self,
        vendor_ids: Sequence[tuple[str, str]],
        event_ids: Sequence[tuple[str, str]],
        lead_keys: Sequence[str],
    ) -> Found:
        """What is known of these as of the last commit. An event id is ``seen`` for seven days of
        the journal's own time.
        """
        if not (vendor_ids or event_ids or lead_keys):
            return Found({}, set(), {})
        if self._quick is not None and len(vendor_ids) + len(event_ids) + len(lead_keys) <= QUICK:
            try:
                return self._find(self._quick, vendor_ids, event_ids, lead_keys)
            except sqlite3.Error as error:
                raise _failed(self.path, error) from error
        return await self._ask(self._find, vendor_ids, event_ids, lead_keys)

    async def put_snapshot(self, image: SnapshotImage) -> None:
        """Keep a snapshot part by part, each in its own short transaction: appends go in between."""
        if image.seq > self._last_seq:
            raise InvariantBroken(f"a snapshot at {image.seq} is ahead of the journal")
        if await self._write(snapshots.is_complete, image.seq):
            return
        await self._clean_snapshots()
        await self._write(snapshots.write_part, image.seq, 0, image.head)
        for part in count(1):
            # Encoded in the reader's thread: commits do not wait for it.
            blob = await self._ask(_encode_part, image.leads, part)
            if not blob:
                break
            await self._write(snapshots.write_part, image.seq, part, blob)
        await self._write(snapshots.complete, image.seq)
        await self._clean_snapshots()

    async def snapshots(self) -> list[int]:
        """After which entries there is a complete snapshot, the newest first."""
        return await self._ask(snapshots.complete_ones)

    async def get_snapshot(self, seq: int) -> SnapshotImage:
        """The complete snapshot after entry ``seq``. Raises ``Damaged`` for one that cannot be read."""
        head, parts = await self._ask(snapshots.read_head, seq)
        leads: list[Lead] = []
        for part in range(1, parts + 1):
            leads += await self._ask(snapshots.read_part, seq, part)
        return SnapshotImage(seq, head, leads)

    async def pending(
        self, target: str, after_id: int, limit: int
    ) -> list[tuple[Outgoing, int, int]]:
        """Undelivered messages of a target with a greater id: (message, attempts, next_ns)."""
        return await self._ask(_pending, target, after_id, limit)

    async def outbox_targets(self) -> list[str]:
        """The targets that undelivered messages wait for, in the order of their names."""
        return await self._ask(_outbox_targets)

    async def set_aside(self) -> list[tuple[str, str, int]]:
        """How many messages are kept for a human: (target, ``dead`` or ``in_doubt``, number)."""
        return await self._ask(_set_aside)

    async def _clean_snapshots(self) -> None:
        while await self._write(snapshots.clean_slice):
            pass

    async def _write(self, function: Callable[..., T], *args: Any) -> T:
        if self._gone is not None:
            raise self._gone
        try:
            return await self._writer.run(function, *args)
        except sqlite3.Error as error:
            raise _failed(self.path, error) from error

    async def _ask(self, function: Callable[..., T], *args: Any) -> T:
        try:
            return await self._reader.run(function, *args)
        except sqlite3.Error as error:
            raise _failed(self.path, error) from error

    # From here on: in the writer's thread.

    def _begin(self, connection: sqlite3.Connection, entropy: Callable[[int], bytes]) -> None:
        migrate(connection)
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("SELECT 1 FROM meta").fetchone() is None:
            if connection.execute("SELECT 1 FROM journal LIMIT 1").fetchone() is not None:
                # New ones would give out lead keys again, and let another owner go on unseen.
                lost = "the row of meta with the store's tag, seed and epoch is missing"
                raise Damaged(f"{self.path}: {lost}: {RESTORE}")
            tag = "".join(_TAG_LETTERS[byte % 36] for byte in entropy(4))
            seed = int.from_bytes(entropy(8), "big") >> 1  # SQLite's integers have a sign.
            connection.execute("INSERT INTO meta VALUES (1, ?, ?, 0)", (tag, seed))
            self.is_new = True
        connection.execute("UPDATE meta SET epoch = epoch + 1")
        connection.execute("COMMIT")
        row = connection.execute("SELECT tag, seed, epoch FROM meta").fetchone()
        self.tag, self.seed, self.epoch = row
        last = connection.execute("SELECT seq, at_ns FROM journal ORDER BY seq DESC LIMIT 1")
        self._last_seq, self._last_at_ns = last.fetchone() or (0, 0)
        highest = connection.execute("SELECT max(id) FROM outbox").fetchone()[0]
        self.next_outbox_id = (highest or 0) + 1
        while snapshots.clean_slice(connection):
            pass

    def _commit(
        self, connection: sqlite3.Connection, rows: Rows, expect: int, epoch: int, at_ns: int
    ) -> CommitStats:
        began = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        try:
            _check_fence(connection, expect, epoch)
            write_rows(connection, rows)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        # Set here and not by the awaiting task: that one may have been cancelled meanwhile.
        self._last_seq = expect + len(rows.journal)
        self._last_at_ns = max(self._last_at_ns, at_ns)
        return CommitStats(len(rows), time.perf_counter() - began)

    def _find(
        self,
        connection: sqlite3.Connection,
        vendor_ids: Sequence[tuple[str, str]],
        event_ids: Sequence[tuple[str, str]],
        lead_keys: Sequence[str],
    ) -> Found:
        oldest = self._last_at_ns - REPEATS_KNOWN_NS
        return Found(
            {
                (vendor, lead_id): key
                for vendor, lead_id, key in ORIGINALS.run(connection, vendor_ids)
            },
            {
                (source, event_id)
                for source, event_id, recorded_ns in SEEN.run(connection, event_ids)
                if recorded_ns >= oldest
            },
            {
                key: unpack_lead(record)
                for key, record in CLOSED_LEADS.run(connection, [(key,) for key in lead_keys])
            },
        )


def entries_after(connection: sqlite3.Connection, after: int, limit: int) -> list[Entry]:
    """The next entries of the journal, in order."""
    rows = connection.execute(
        "SELECT seq, at_ns, event, decisions, idle_ticks FROM journal WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, limit),
    )
    return [unpack_entry(*row) for row in rows]


def _pending(
    connection: sqlite3.Connection, target: str, after_id: int, limit: int
) -> list[tuple[Outgoing, int, int]]:
    rows = connection.execute(
        "SELECT target, kind, address, order_key, message_id, payload, created_ns, correlation, id,"
        " attempts, next_ns FROM outbox WHERE target = ? AND state = 'pending' AND id > ?"
        " ORDER BY id LIMIT ?",
        (target, after_id, limit),
    )
    return [(Outgoing(*row[:9]), row[9], row[10]) for row in rows]


def _outbox_targets(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute(
        "SELECT DISTINCT target FROM outbox WHERE state = 'pending' ORDER BY target"
    )
    return [target for (target,) in rows]


def _set_aside(connection: sqlite3.Connection) -> list[tuple[str, str, int]]:
    rows = connection.execute(
        "SELECT target, state, count(*) FROM outbox WHERE state <> 'pending'"
        " GROUP BY target, state ORDER BY target, state"
    )
    return [(target, state, number) for target, state, number in rows]


def _encode_part(_: sqlite3.Connection, leads: Sequence[Lead], part: int) -> bytes:
    return snapshots.encode_part(leads, part)


def _check_fence(connection: sqlite3.Connection, expect: int, epoch: int) -> None:
    owner = connection.execute("SELECT epoch FROM meta").fetchone()[0]
    if owner != epoch:
        raise Fenced(
            f"epoch {owner} owns the journal, we are {epoch}: another process took it over"
        )
    last = connection.execute("SELECT max(seq) FROM journal").fetchone()[0] or 0
    if last != expect:
        raise Fenced(
            f"the journal is at {last}, we left it at {expect}: another process wrote to it"
        )


_NO_PLACE: Final = frozenset(
    [
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.EISDIR,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENAMETOOLONG,
    ]
)
"""Errors that stay until somebody sets another path, or makes this one fit."""


def _take(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return lock_store(path)
    except OSError as error:
        why = f"{path}: {error.strerror}"
        if error.errno in _NO_PLACE:
            problem = f"store.path: {why}; set it to a place that this user may write"
            raise BadConfig([problem]) from error
        raise StoreFailed(f"{why}: set [store] path to a place we may write") from error


def _refuse_strangers(path: Path) -> None:
    """Before anything is written to it: opening it for writing would change its header already."""
    if not path.exists():
        return
    if not path.stat().st_size:
        raise StoreFailed(f"{path}: {EMPTY}")
    try:
        with closing(connect_reader(path)) as connection:
            refuse_strangers(connection)
    except sqlite3.Error as error:
        raise _failed(path, error) from error
    except StoreFailed as error:
        raise StoreFailed(f"{path}: {error}: set another [store] path") from error


def _failed(path: Path, error: sqlite3.Error) -> StoreFailed:
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    remedy = _REMEDIES.get(primary, "look at the disk and the system's log, then start again")
    kind = Damaged if primary == sqlite3.SQLITE_CORRUPT else StoreFailed
    return kind(f"{path}: {error}: {remedy}")


_REMEDIES: dict[int | None, str] = {
    sqlite3.SQLITE_FULL: f"free space on the disk ({os.strerror(errno.ENOSPC)}), then start again",
    sqlite3.SQLITE_IOERR: "free space or repair the disk, then start again",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for this user",
    sqlite3.SQLITE_CANTOPEN: "make the file and its folder readable and writable for this user",
    sqlite3.SQLITE_NOTADB: "this is no store of ours: set another [store] path",
    sqlite3.SQLITE_CORRUPT: RESTORE,
    sqlite3.SQLITE_BUSY: "stop the other program that writes to the store",
    sqlite3.SQLITE_CONSTRAINT: "this is a defect, report it with the journal",
}
