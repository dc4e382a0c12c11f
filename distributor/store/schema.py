"""The tables, and the numbered migrations that make them.

``PRAGMA user_version`` holds the number of migrations that a file has seen. A migration that was
released is frozen: a change of the tables is a new one at the end.

The journal is the record; every other table but ``outbox`` and ``snapshots`` is made from it for
those who ask. ``history`` and ``rep_history`` only say *where* in the journal a lead or a rep is
spoken of, so that nothing is written twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from distributor.errors import Damaged, StoreFailed

_VERSION_1 = (
    # tag: begins every lead key of this store. epoch: grows with each process that owns it.
    """CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        tag TEXT NOT NULL,
        seed INTEGER NOT NULL,
        epoch INTEGER NOT NULL
    )""",
    """CREATE TABLE journal (
        seq INTEGER PRIMARY KEY,
        at_ns INTEGER NOT NULL,
        event BLOB NOT NULL,
        decisions BLOB NOT NULL,
        idle_ticks BLOB
    )""",
    # record: the whole lead, kept while it is closed so that a late event can revive it.
    """CREATE TABLE leads (
        lead_key TEXT PRIMARY KEY,
        vendor TEXT NOT NULL,
        lead_id TEXT NOT NULL,
        state TEXT NOT NULL,
        status TEXT,
        pool TEXT NOT NULL,
        rep TEXT,
        assignment_id TEXT,
        attempt INTEGER NOT NULL,
        score REAL,
        test INTEGER NOT NULL,
        received_ns INTEGER NOT NULL,
        contacted_ns INTEGER NOT NULL,
        since_ns INTEGER NOT NULL,
        deadline_ns INTEGER NOT NULL,
        reason TEXT NOT NULL,
        because TEXT NOT NULL,
        body BLOB NOT NULL,
        record BLOB,
        UNIQUE (vendor, lead_id)
    ) WITHOUT ROWID""",
    # Of open leads alone: small, so that a commit dirties few pages of them.
    "CREATE INDEX leads_by_state ON leads (state) WHERE state <> 'closed'",
    "CREATE INDEX leads_by_rep ON leads (rep) WHERE state <> 'closed' AND rep IS NOT NULL",
    # A lead has no status until somebody worked on it: new leads cost nothing here.
    "CREATE INDEX leads_by_status ON leads (status) WHERE status IS NOT NULL",
    """CREATE TABLE assignments (
        assignment_id TEXT PRIMARY KEY,
        lead_key TEXT NOT NULL,
        rep TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        assigned_ns INTEGER NOT NULL,
        ended_ns INTEGER,
        end_reason TEXT
    ) WITHOUT ROWID""",
    # recorded_ns: when we took it, which is what the seven days of deduplication count from.
    """CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        event_id TEXT,
        type TEXT NOT NULL,
        lead_key TEXT NOT NULL,
        assignment_id TEXT NOT NULL,
        rep TEXT NOT NULL,
        at_ns INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        reason TEXT NOT NULL,
        recorded_ns INTEGER NOT NULL,
        UNIQUE (source, event_id)
    )""",
    """CREATE TABLE history (
        lead_key TEXT NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (lead_key, seq)
    ) WITHOUT ROWID""",
    # kind: presence, control or flow.
    """CREATE TABLE rep_history (
        rep TEXT NOT NULL,
        kind TEXT NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (rep, kind, seq)
    ) WITHOUT ROWID""",
    "CREATE TABLE reps (rep TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID",
    # The settings in force, and what is known of each delivery target: who asks why a lead waits
    # needs both.
    "CREATE TABLE floor (id INTEGER PRIMARY KEY CHECK (id = 1), record BLOB NOT NULL)",
    """CREATE TABLE targets (
        target TEXT PRIMARY KEY,
        up INTEGER NOT NULL,
        reason TEXT NOT NULL,
        at_ns INTEGER NOT NULL
    ) WITHOUT ROWID""",
    # state: pending, dead (given up for a human) or in_doubt (nobody knows whether it was taken).
    """CREATE TABLE outbox (
        id INTEGER PRIMARY KEY,
        target TEXT NOT NULL,
        kind TEXT NOT NULL,
        address TEXT NOT NULL,
        order_key TEXT NOT NULL,
        message_id TEXT NOT NULL,
        payload BLOB NOT NULL,
        created_ns INTEGER NOT NULL,
        correlation BLOB NOT NULL,
        state TEXT NOT NULL DEFAULT 'pending',
        attempts INTEGER NOT NULL DEFAULT 0,
        next_ns INTEGER NOT NULL DEFAULT 0,
        error TEXT NOT NULL DEFAULT ''
    )""",
    "CREATE INDEX outbox_by_target ON outbox (target) WHERE state = 'pending'",
    "CREATE INDEX outbox_set_aside ON outbox (target, state) WHERE state <> 'pending'",
    """CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY,
        seq INTEGER NOT NULL,
        topic TEXT NOT NULL,
        reason TEXT NOT NULL,
        payload BLOB NOT NULL,
        truncated INTEGER NOT NULL,
        at_ns INTEGER NOT NULL
    )""",
    # part 0 is the head; complete is set there once every part is written.
    """CREATE TABLE snapshots (
        seq INTEGER NOT NULL,
        part INTEGER NOT NULL,
        complete INTEGER NOT NULL DEFAULT 0,
        blob BLOB NOT NULL,
        PRIMARY KEY (seq, part)
    )""",
)

# A table without rowid keeps a quarter of a page of each row at most: with its record every closed
# lead took a page more. The indexes name the key that they had by themselves before.
_VERSION_2 = (
    """CREATE TABLE leads_2 (
        lead_key TEXT NOT NULL PRIMARY KEY,
        vendor TEXT NOT NULL,
        lead_id TEXT NOT NULL,
        state TEXT NOT NULL,
        status TEXT,
        pool TEXT NOT NULL,
        rep TEXT,
        assignment_id TEXT,
        attempt INTEGER NOT NULL,
        score REAL,
        test INTEGER NOT NULL,
        received_ns INTEGER NOT NULL,
        contacted_ns INTEGER NOT NULL,
        since_ns INTEGER NOT NULL,
        deadline_ns INTEGER NOT NULL,
        reason TEXT NOT NULL,
        because TEXT NOT NULL,
        body BLOB NOT NULL,
        record BLOB,
        UNIQUE (vendor, lead_id)
    )""",
    "INSERT INTO leads_2 SELECT * FROM leads ORDER BY lead_key",
    "DROP TABLE leads",
    "ALTER TABLE leads_2 RENAME TO leads",
    "CREATE INDEX leads_by_state ON leads (state, lead_key) WHERE state <> 'closed'",
    "CREATE INDEX leads_by_rep ON leads (rep, lead_key) WHERE state <> 'closed' AND rep NOT NULL",
    "CREATE INDEX leads_by_status ON leads (status, lead_key) WHERE status IS NOT NULL",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_1, _VERSION_2)
"""Migration n (from 1) brings a file from version n - 1 to version n."""


RESTORE = "restore the store from a backup, its old -wal and -shm files removed first"
EMPTY = "the file is empty (0 bytes): restore it from a backup, or remove it to begin a new store"
NO_RIGHTS = "permission denied: run it as the daemon's user"
_FORBIDDEN = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)

APPLICATION_ID = 0x4C454144
"""In the file's header ("LEAD"): it tells a store of ours from any other SQLite file."""


def version(connection: sqlite3.Connection) -> int:
    """The version of the tables in the file, 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(
    connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> None:
    """Bring the tables to the newest version, one transaction a migration.

    Raises ``StoreFailed`` for a file that a newer release has written, and for one that is not ours.
    """
    refuse_strangers(connection)
    found = version(connection)
    if found > len(migrations):
        raise StoreFailed(
            f"the store has schema {found}, this release knows {len(migrations)}: "
            "run the release that wrote it, or a newer one"
        )
    for number in range(found + 1, len(migrations) + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in migrations[number - 1]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def unusable(path: Path, error: Exception) -> StoreFailed:
    """What to raise where the file at ``path`` cannot be opened for reading because of ``error``."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Damaged(f"{path}: {error}: check [store] path, or {RESTORE}")
    if code in _FORBIDDEN:  # the file, its -wal and -shm, or the folder where these would be made
        return StoreFailed(f"{path}: {NO_RIGHTS}")
    return StoreFailed(f"{path}: {error}: check [store] path")


def refuse_strangers(connection: sqlite3.Connection) -> None:
    """Another program's tables stay what they are. Raises ``StoreFailed``."""
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    used = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None
    if mark != APPLICATION_ID and (mark or used):
        raise StoreFailed("this is another program's database")
