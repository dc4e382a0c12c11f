"""What ``verify`` compares with the journal: the tables, the snapshots and the outbox as stored."""

from __future__ import annotations

from collections.abc import Iterator

from distributor.domain.lead import Lead
from distributor.store import snapshots
from distributor.store.projection import Row
from distributor.store.readonly import ReadOnly
from distributor.store.scratch import Table, read_table


def rows(store: ReadOnly, table: Table) -> Iterator[Row]:
    """The rows of a table as they are stored, the key first, in the order of the key."""
    with store.reading() as connection:
        yield from read_table(connection, table)


def complete_snapshots(store: ReadOnly) -> list[int]:
    """After which entries there is a complete snapshot, the newest first."""
    with store.reading() as connection:
        return snapshots.complete_ones(connection)


def snapshot(store: ReadOnly, seq: int) -> tuple[bytes, Iterator[list[Lead]]]:
    """The head of a snapshot, and its leads part by part. Raises ``Damaged``."""
    with store.reading() as connection:
        head, parts = snapshots.read_head(connection, seq)
    return head, _parts(store, seq, parts)


def _parts(store: ReadOnly, seq: int, parts: int) -> Iterator[list[Lead]]:
    with store.reading() as connection:
        for part in range(1, parts + 1):
            yield snapshots.read_part(connection, seq, part)


def stray_message(store: ReadOnly) -> str | None:
    """What is wrong with the first outbox message that no assignment accounts for."""
    found = store.rows(
        "SELECT outbox.id, kind, message_id FROM outbox LEFT JOIN assignments"
        " ON assignment_id = message_id WHERE kind IN ('assign', 'revoke', 'lead', 'lead_revoke')"
        " AND assignment_id IS NULL ORDER BY outbox.id LIMIT 1"
    )
    for row in found:
        return f"message {row['id']} of the outbox: there is no assignment {row['message_id']!r}"
    return None
