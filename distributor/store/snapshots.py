"""Snapshots: the head and the leads in parts, each part small enough not to hold up a commit.

A snapshot counts only once its head is marked complete, which is the last thing written. The newest
two are kept, so that there is one even while another is being written over a failing disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from distributor.domain.lead import Lead
from distributor.errors import Damaged
from distributor.store.codec import pack, unpack_leads

LEADS_A_PART = 2_000
_KEPT = 2
_PARTS_A_SLICE = 8


def encode_part(leads: Sequence[Lead], part: int) -> bytes:
    """The ``part``-th slice of the leads, from 1; empty past the end."""
    begin = (part - 1) * LEADS_A_PART
    return pack(leads[begin : begin + LEADS_A_PART]) if begin < len(leads) else b""


def write_part(connection: sqlite3.Connection, seq: int, part: int, blob: bytes) -> None:
    """Write one part in a transaction of its own."""
    connection.execute(
        "INSERT INTO snapshots (seq, part, blob) VALUES (?, ?, ?)", (seq, part, blob)
    )


def complete(connection: sqlite3.Connection, seq: int) -> None:
    """From now on the snapshot counts."""
    connection.execute("UPDATE snapshots SET complete = 1 WHERE seq = ? AND part = 0", (seq,))


def is_complete(connection: sqlite3.Connection, seq: int) -> bool:
    """Whether there is a finished snapshot at ``seq``."""
    sql = "SELECT 1 FROM snapshots WHERE seq = ? AND part = 0 AND complete = 1"
    return connection.execute(sql, (seq,)).fetchone() is not None


def complete_ones(connection: sqlite3.Connection) -> list[int]:
    """Where the finished snapshots stand, the newest first."""
    rows = connection.execute(
        "SELECT seq FROM snapshots WHERE part = 0 AND complete = 1 ORDER BY seq DESC"
    )
    return [int(seq) for (seq,) in rows]


def read_head(connection: sqlite3.Connection, seq: int) -> tuple[bytes, int]:
    """(head, number of parts of leads) of a finished snapshot."""
    row = connection.execute(
        "SELECT blob, (SELECT max(part) FROM snapshots WHERE seq = ?1) FROM snapshots"
        " WHERE seq = ?1 AND part = 0",
        (seq,),
    ).fetchone()
    return bytes(row[0]), int(row[1])


def read_part(connection: sqlite3.Connection, seq: int, part: int) -> list[Lead]:
    """The leads of one part. Raises ``Damaged``."""
    sql = "SELECT blob FROM snapshots WHERE seq = ? AND part = ?"
    row = connection.execute(sql, (seq, part)).fetchone()
    try:
        if row is None:
            raise ValueError("it is missing")
        return unpack_leads(row[0])
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise Damaged(f"snapshot {seq}: its part {part} cannot be read: {error}") from error


def clean_slice(connection: sqlite3.Connection) -> bool:
    """Delete a few parts of unfinished and superseded snapshots. False when none are left."""
    # Heads go first: a snapshot that lacks parts must not look complete.
    deleted = connection.execute(
        "DELETE FROM snapshots WHERE rowid IN (SELECT rowid FROM snapshots WHERE seq NOT IN"
        " (SELECT seq FROM snapshots WHERE part = 0 AND complete = 1 ORDER BY seq DESC LIMIT ?)"
        " ORDER BY part LIMIT ?)",
        (_KEPT, _PARTS_A_SLICE),
    )
    return deleted.rowcount > 0
