"""What lies there for a human: the cases of the exception desk, messages given up, dead letters."""

from __future__ import annotations

import base64
from typing import Any

from distributor.store.codec import rfc3339
from distributor.store.readonly import ReadOnly


def exceptions(store: ReadOnly) -> list[dict[str, Any]]:
    """The cases on the exception desk, the longest open first."""
    rows = store.rows(
        "SELECT lead_key, reason, since_ns, deadline_ns, because FROM leads"
        " WHERE state = 'exception' AND state <> 'closed' ORDER BY since_ns, lead_key"
    )
    return [
        {
            "lead_key": row["lead_key"],
            "kind": row["reason"],
            "reason": row["reason"],
            "decider": None,
            "opened_at": rfc3339(row["since_ns"]),
            "due_at": rfc3339(row["deadline_ns"]),
            "because": row["because"],
        }
        for row in rows
    ]


def dead_letters(store: ReadOnly, limit: int) -> list[dict[str, Any]]:
    """The newest dead letters, newest first."""
    rows = store.rows(
        "SELECT topic, reason, payload, truncated, at_ns FROM dead_letters"
        " ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return [
        {
            "topic": row["topic"],
            "reason": row["reason"],
            "payload_base64": base64.b64encode(row["payload"]).decode(),
            "truncated": bool(row["truncated"]),
            "at": rfc3339(row["at_ns"]),
        }
        for row in rows
    ]


def set_aside(store: ReadOnly, limit: int) -> list[dict[str, Any]]:
    """The newest outbox messages that were given up (``dead``) or that nobody knows the fate of
    (``in_doubt``), newest first."""
    rows = store.rows(
        "SELECT id, target, state, kind, message_id, order_key, payload, created_ns, attempts,"
        " error FROM outbox WHERE state <> 'pending' ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return [
        {
            "id": row["id"],
            "target": row["target"],
            "state": row["state"],
            "kind": row["kind"],
            "message_id": row["message_id"],
            "lead_key": row["order_key"] or None,
            "payload": row["payload"].decode(),
            "at": rfc3339(row["created_ns"]),
            "attempts": row["attempts"],
            "error": row["error"],
        }
        for row in rows
    ]
