"""The statements of the hot path, many rows at a time.

A Python thread gives up the interpreter's lock around every step of a statement, and while the loop
is busy it waits up to a switch interval to get it back. So a commit must take few steps: rows go in
groups whose sizes are powers of two, each group one statement with many VALUES, instead of
``executemany``'s one step a row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain

from distributor.store.projection import Row, Rows

_GROUPS = (256, 128, 64, 32, 16, 8, 4, 2, 1)


class Grouped:
    """One kind of statement: ``head``, then a ``row`` of placeholders for each row, then ``tail``."""

    def __init__(self, head: str, columns: int, tail: str = "", row: str = "") -> None:
        row = row or "(" + ",".join("?" * columns) + ")"
        self._sql = {size: f"{head} {','.join([row] * size)} {tail}" for size in _GROUPS}

    def run(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> list[Row]:
        """Execute it for all rows, in order; what it selects, if it selects."""
        results: list[Row] = []
        begin, total = 0, len(rows)
        for size in _GROUPS:
            sql = self._sql[size]
            while total - begin >= size:
                group = rows[begin : begin + size]
                cursor = connection.execute(sql, tuple(chain.from_iterable(group)))
                if cursor.description is not None:
                    results += cursor.fetchall()
                begin += size
        return results


# CROSS JOIN fixes the order: each pair that is asked for is one search of the index.
ORIGINALS = Grouped(
    "WITH asked (a, b) AS (VALUES",
    2,
    ") SELECT a, b, lead_key FROM asked CROSS JOIN leads ON vendor = a AND lead_id = b",
)
SEEN = Grouped(
    "WITH asked (a, b) AS (VALUES",
    2,
    ") SELECT a, b, recorded_ns FROM asked CROSS JOIN events ON source = a AND event_id = b"
    " WHERE outcome <> 'rejected'",
)
CLOSED_LEADS = Grouped(
    "SELECT lead_key, record FROM leads WHERE record IS NOT NULL AND lead_key IN (", 1, ")", row="?"
)

_JOURNAL = Grouped("INSERT INTO journal (seq, at_ns, event, decisions, idle_ticks) VALUES", 5)
_LEADS = Grouped(
    "INSERT INTO leads (lead_key, vendor, lead_id, state, status, pool, rep, assignment_id, attempt,"
    " score, test, received_ns, contacted_ns, since_ns, deadline_ns, reason, because, body, record)"
    " VALUES",
    19,
    "ON CONFLICT (lead_key) DO UPDATE SET state = excluded.state, status = excluded.status,"
    " pool = excluded.pool, rep = excluded.rep, assignment_id = excluded.assignment_id,"
    " attempt = excluded.attempt, contacted_ns = excluded.contacted_ns,"
    " since_ns = excluded.since_ns, deadline_ns = excluded.deadline_ns, reason = excluded.reason,"
    " because = excluded.because, record = excluded.record",
)
_REPS = Grouped(
    "INSERT INTO reps (rep, record) VALUES",
    2,
    "ON CONFLICT (rep) DO UPDATE SET record = excluded.record",
)
_ASSIGNED = Grouped(
    "INSERT INTO assignments (assignment_id, lead_key, rep, attempt, assigned_ns) VALUES", 5
)
_ENDED = "UPDATE assignments SET ended_ns = ?, end_reason = ? WHERE assignment_id = ?"
_EVENTS = Grouped(
    "INSERT OR REPLACE INTO events (source, event_id, type, lead_key, assignment_id, rep, at_ns,"
    " outcome, reason, recorded_ns) VALUES",
    10,
)
_HISTORY = Grouped("INSERT INTO history (lead_key, seq) VALUES", 2)
_REP_HISTORY = Grouped("INSERT INTO rep_history (rep, kind, seq) VALUES", 3)
_FLOOR = "INSERT OR REPLACE INTO floor (id, record) VALUES (?, ?)"
_TARGETS = "INSERT OR REPLACE INTO targets (target, up, reason, at_ns) VALUES (?, ?, ?, ?)"
_DEAD_LETTERS = Grouped(
    "INSERT INTO dead_letters (seq, topic, reason, payload, truncated, at_ns) VALUES", 6
)
_OUTBOX = Grouped(
    "INSERT INTO outbox (id, target, kind, address, order_key, message_id, payload, created_ns,"
    " correlation) VALUES",
    9,
)
_DONE = Grouped("DELETE FROM outbox WHERE id IN (", 1, ")", row="?")
_UNSETTLED = "UPDATE outbox SET state = ?, attempts = ?, next_ns = ?, error = ? WHERE id = ?"


def write_rows(connection: sqlite3.Connection, rows: Rows) -> None:
    """Write the rows inside the transaction that the caller began."""
    _JOURNAL.run(connection, rows.journal)
    _LEADS.run(connection, rows.leads)
    _REPS.run(connection, rows.reps)
    _ASSIGNED.run(connection, rows.assigned)
    if rows.ended:  # After the new ones: an assignment may begin and end in one batch.
        connection.executemany(_ENDED, rows.ended)
    _EVENTS.run(connection, rows.events)
    _HISTORY.run(connection, list(rows.history))
    _REP_HISTORY.run(connection, list(rows.rep_history))
    if rows.floor:
        connection.executemany(_FLOOR, rows.floor)
    if rows.targets:
        connection.executemany(_TARGETS, rows.targets.values())
    _DEAD_LETTERS.run(connection, rows.dead_letters)
    _OUTBOX.run(connection, rows.outbox)
    _DONE.run(connection, rows.done)
    if rows.unsettled:
        connection.executemany(_UNSETTLED, rows.unsettled)
