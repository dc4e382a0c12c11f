"""Leads as the contract shows them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec

from distributor.store.codec import rfc3339
from distributor.store.readonly import ReadOnly

COLUMNS = (
    "lead_key, vendor, lead_id, state, status, pool, rep, assignment_id, attempt, score, test,"
    " received_ns, contacted_ns, reason, because"
)
"""What ``as_json`` needs of a row; with ``body`` it shows what the vendor sent, too."""

_LIMIT = 1_000


def lead(store: ReadOnly, lead_key: str) -> dict[str, Any] | None:
    """A lead with what the vendor sent (``lead``), without its history; None: unknown."""
    found = store.rows(f"SELECT {COLUMNS}, body FROM leads WHERE lead_key = ?", (lead_key,))
    return as_json(found[0]) if found else None


def page(
    store: ReadOnly,
    *,
    state: str | None = None,
    status: str | None = None,
    pool: str | None = None,
    rep: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> dict[str, Any]:
    """``{"items": [lead, ...], "next": cursor or null}`` in the order of the keys.

    ``limit``: 1 to 1,000. ``after``: the cursor of the page before.
    """
    limit = max(1, min(limit, _LIMIT))
    wanted = {"state": state, "status": status, "pool": pool, "rep": rep}
    given = {name: value for name, value in wanted.items() if value is not None}
    indexed = _best_index(given)
    # A plus keeps SQLite from the index of that filter.
    terms = ["lead_key > ?", *(f"{'' if name == indexed else '+'}{name} = ?" for name in given)]
    if state is not None and state != "closed":
        terms.append("state <> 'closed'")  # What the indexes of open leads ask for.
    rows = store.rows(
        f"SELECT {COLUMNS} FROM leads WHERE {' AND '.join(terms)} ORDER BY lead_key LIMIT ?",
        (after or "", *given.values(), limit + 1),
    )
    items = [as_json(row) for row in rows[:limit]]
    more = len(rows) > limit
    return {"items": items, "next": items[-1]["lead_key"] if more else None}


def _best_index(given: Mapping[str, str]) -> str | None:
    """The filter whose index leaves few leads to look at; None: all of them in the order of the keys.

    No index finds closed leads by their rep or pool: every commit would pay for it, and looking at all
    takes some 0.5 s a million.
    """
    if given.get("state", "closed") != "closed":
        return "rep" if "rep" in given else "state"
    return "status" if "status" in given else None


def as_json(row: sqlite3.Row) -> dict[str, Any]:
    """A row of ``COLUMNS`` as the contract shows a lead."""
    lead = {
        "lead_key": row["lead_key"],
        "vendor": row["vendor"],
        "lead_id": row["lead_id"],
        "state": row["state"],
        "status": row["status"],
        "pool": row["pool"],
        "rep": row["rep"],
        "assignment_id": row["assignment_id"],
        "attempt": row["attempt"],
        "score": row["score"],
        "received_at": rfc3339(row["received_ns"]),
        "contacted_at": rfc3339(row["contacted_ns"]),
        "test": bool(row["test"]),
        "reason": row["reason"],
        "because": row["because"],
    }
    if "body" in row.keys():  # noqa: SIM118 (a Row looks for values, not for names)
        lead["lead"] = msgspec.json.decode(row["body"])
    return lead
