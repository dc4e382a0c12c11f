"""What HTTP answers with, where the code makes it of plain dictionaries. The tests hold these
against the answers of a running daemon, field by field."""

from __future__ import annotations

from typing import Any, Final

from distributor.domain.lead import LEAD_STATES, STATUS_MOVES
from distributor.domain.rep import REP_STATES
from tools.docs.schemas import ref

_TEXT: Final = {"type": "string"}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
_TIME: Final = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Final = {"type": ["string", "null"], "format": "date-time"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_SHARE: Final = {"type": "number", "minimum": 0, "maximum": 1}


def _object(properties: dict[str, Any], *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


_LEAD: Final = {
    "lead_key": _TEXT,
    "vendor": _TEXT,
    "lead_id": {"type": "string", "description": "The vendor's own id."},
    "state": {"enum": list(LEAD_STATES)},
    "status": {"enum": [*STATUS_MOVES, None]},
    "pool": _TEXT,
    "rep": _TEXT_OR_NULL,
    "assignment_id": {"type": ["string", "null"], "description": "The live assignment."},
    "attempt": {**_COUNT, "description": "Assignments so far."},
    "score": {"type": ["number", "null"]},
    "received_at": _TIME,
    "contacted_at": _TIME_OR_NULL,
    "test": {"type": "boolean"},
    "reason": {"type": "string", "description": "A code for why it is where it is."},
    "because": _TEXT,
    "lead": {"type": "object", "description": "What the vendor sent, cleaned. Not in lists."},
}
_HISTORY: Final = _list(
    {
        "type": "object",
        "properties": {"at": _TIME, "type": _TEXT, "because": _TEXT},
        "required": ["at", "type", "because"],
        "description": "One thing that happened, with more fields by its type.",
    }
)
_CANDIDATE: Final = _object({"rep": _TEXT, "verdict": _TEXT, "because": _TEXT})
_REP: Final = {
    "id": _TEXT,
    "name": _TEXT,
    "team": _TEXT,
    "skills": _list(_TEXT),
    "state": {
        "enum": [*REP_STATES, "paused"],
        "description": "`wrap_up` also while `wrap_up_seconds` run after a call.",
    },
    "presence": {"enum": list(REP_STATES), "description": "The last report, paused or not."},
    "state_since": _TIME_OR_NULL,
    "flow": {**_SHARE, "description": "1 is full flow, 0 none."},
    "reason": {"type": "string", "description": "A code for the flow."},
    "because": _TEXT,
    "restores": {"type": "string", "description": "What brings full flow back."},
    "held_back_since": _TIME_OR_NULL,
    "window": {**_COUNT, "description": "Open leads that the rep may have."},
    "inflight": {**_COUNT, "description": "Open leads that the rep has."},
    "uncontacted": _COUNT,
    "leads": _list(_TEXT),
    "assignments": _COUNT,
    "contacts": _COUNT,
    "contacts_on_time": _COUNT,
    "free_from": {
        **_TIME_OR_NULL,
        "description": "When the pace or the wrap-up is over, until when the rep gets nothing.",
    },
    "paused_until": {**_TIME_OR_NULL, "description": "null: not paused, or until resumed."},
    "override": {"type": ["number", "null"], "description": "A flow set by a supervisor."},
    "override_until": _TIME_OR_NULL,
    "override_reason": _TEXT,
    "override_by": {"type": "string", "description": "Who set it: the name of the token."},
}

VIEWS: Final[dict[str, Any]] = {
    "LeadView": _object(_LEAD, optional=("lead",)),
    "LeadWithHistory": {
        "allOf": [ref("LeadView"), _object({"history": _HISTORY})],
    },
    "LeadPage": _object({"items": _list(ref("LeadView")), "next": _TEXT_OR_NULL}),
    "Why": _object(
        {
            "lead_key": _TEXT,
            "rep": {"type": ["string", "null"], "description": "Who got the lead; null: nobody."},
            "assignment_id": _TEXT_OR_NULL,
            "reason": _TEXT,
            "because": _TEXT,
            "at": _TIME,
            "policy": _TEXT,
            "numbers": {
                "type": "object",
                "additionalProperties": {"type": "number"},
                "description": "What the choice was made from, by name.",
            },
            "candidates": _list(_CANDIDATE),
        },
        optional=("at", "policy", "numbers"),
    ),
    "RepView": _object(_REP),
    "RepPage": _object({"items": _list(ref("RepView"))}),
    "ExceptionPage": _object({"items": _list(ref("ExceptionCase"))}),
    "EventCount": _object(
        {
            "accepted": {**_COUNT, "description": "Stale ones count here."},
            "duplicate": _COUNT,
            "rejected": _list(
                _object({"index": _COUNT, "event_id": _TEXT_OR_NULL, "reason": _TEXT})
            ),
        }
    ),
    "PresenceTaken": _object(
        {
            "outcome": {
                "type": "string",
                "description": "accepted, or stale for a report older than the last known one.",
            },
            "rep": _TEXT,
            "state": {"enum": list(REP_STATES)},
        }
    ),
    "Health": _object({"status": _TEXT, "reasons": _list(_TEXT)}),
    "Problem": {
        **_object(
            {
                "type": _TEXT,
                "title": _TEXT,
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "One line with the remedy."},
            }
        ),
        "description": "Problem details of RFC 9457.",
    },
}
"""Component -> schema."""
