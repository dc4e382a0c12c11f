"""``distributor export``: all rows of one database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Literal

from distributor.store import leads
from distributor.store.codec import rfc3339
from distributor.store.readonly import CHUNK, ReadOnly

ExportKind = Literal["leads", "prospects", "events", "assignments"]

_LEAD = f"{leads.COLUMNS}, body"
_PROSPECT = "status IN ('qualified', 'converted')"


def export(store: ReadOnly, kind: ExportKind) -> Iterator[dict[str, Any]]:
    """All rows of one database, in slices: a running daemon is not held up.

    ``prospects`` are the leads that are qualified or converted. Raises ``ValueError``.
    """
    if kind == "leads":
        return map(leads.as_json, _pages(store, "leads", "lead_key", _LEAD))
    if kind == "prospects":
        return map(leads.as_json, _pages(store, "leads", "lead_key", _LEAD, _PROSPECT))
    if kind == "assignments":
        return map(_assignment, _pages(store, "assignments", "assignment_id", "*"))
    if kind == "events":
        return map(_event, _pages(store, "events", "id", "*"))
    raise ValueError(f"export {kind}: one of leads, prospects, events, assignments")


def _pages(
    store: ReadOnly, table: str, key: str, columns: str, term: str = "1"
) -> Iterator[sqlite3.Row]:
    sql = f"SELECT {columns} FROM {table} WHERE {key} > ? AND {term} ORDER BY {key} LIMIT ?"
    after: str | int = 0 if key == "id" else ""
    while rows := store.rows(sql, (after, CHUNK)):
        yield from rows
        after = rows[-1][key]


def _assignment(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "assignment_id": row["assignment_id"],
        "lead_key": row["lead_key"],
        "rep": row["rep"],
        "attempt": row["attempt"],
        "assigned_at": rfc3339(row["assigned_ns"]),
        "ended_at": rfc3339(row["ended_ns"] or 0),
        "end_reason": row["end_reason"],
    }


def _event(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "event_id": row["event_id"],
        "source": row["source"],
        "type": row["type"],
        "lead_key": row["lead_key"] or None,
        "assignment_id": row["assignment_id"] or None,
        "rep": row["rep"] or None,
        "at": rfc3339(row["at_ns"]),
        "outcome": row["outcome"],
        "reason": row["reason"] or None,
    }
