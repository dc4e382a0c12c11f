"""One example of each message, as it stands on the wire. The tests decode them with the code's own decoders."""

from __future__ import annotations

from typing import Any, Final

_KEY: Final = "7Q2M000000001FXHD"
_ASSIGNMENT: Final = f"{_KEY}-1"

LEAD: Final[dict[str, Any]] = {
    "id": "1001",
    "submitted_at": "2026-11-21T09:00:58.900-05:00",
    "first_name": "Rosa",
    "last_name": "Diaz",
    "phone": "(212) 555-0187",
    "email": "rosa@example.com",
    "postal_code": "10001",
    "state": "NY",
    "language": "es",
    "product": "auto",
    "score": 0.7,
    "consent": {"tcpa": True, "text_shown": "I agree to be called."},
    "attributes": {"vehicles": 2, "insured": False},
}

EXAMPLES: Final[dict[str, Any]] = {
    "Lead": LEAD,
    "UnifiedReply": {
        "outcome": "accepted",
        "reason": None,
        "lead_id": "1001",
        "lead_key": _KEY,
        "retryable": False,
    },
    "Event": {
        "event_id": "call-88121",
        "type": "contacted",
        "assignment_id": _ASSIGNMENT,
        "rep": "ana",
        "at": "2026-11-21T14:01:12.300Z",
        "evidence": "dialer",
    },
    "Presence": {"state": "ready", "at": "2026-11-21T14:00:00Z", "reason": "back from lunch"},
    "Assignment": {
        "type": "assign",
        "assignment_id": _ASSIGNMENT,
        "lead_key": _KEY,
        "lead": {
            "id": "1001",
            "first_name": "Rosa",
            "last_name": "Diaz",
            "phone": "+12125550187",
            "language": "es",
            "product": "auto",
        },
        "rep": "ana",
        "team": "north",
        "pool": "default",
        "policy": "lease",
        "attempt": 1,
        "assigned_at": "2026-11-21T14:00:59.250Z",
        "contact_by": "2026-11-21T14:01:59.100Z",
        "lease_expires_at": "2026-11-21T14:10:59.250Z",
        "because": "Ana Alvarez: free now, usually picks up in 9 s, 96% chance of a prompt pick-up.",
    },
    "Revocation": {
        "type": "revoke",
        "assignment_id": _ASSIGNMENT,
        "lead_key": _KEY,
        "rep": "ana",
        "revoked_at": "2026-11-21T14:01:40.700Z",
        "because": "Moved Ana Alvarez → Ben Brandt: 41 s unanswered; worth 0.92, price 0.59; "
        "waiting 6 s more would be worse.",
    },
    "ExceptionCase": {
        "lead_key": _KEY,
        "kind": "all_refused",
        "reason": "all_refused",
        "decider": None,
        "opened_at": "2026-11-21T14:05:00.000Z",
        "due_at": None,
        "because": "every signed-on rep was asked once: ana, ben",
    },
    "DeadLetter": {
        "topic": "leads/dialer/event",
        "reason": "payload: not JSON at byte 1; send a JSON object or array",
        "payload_base64": "e2hlbGxv",
        "truncated": False,
        "at": "2026-11-21T14:00:59.250Z",
    },
    "DaemonStatus": {"state": "online", "version": "0.1.0", "at": "2026-11-21T14:00:00.000Z"},
}

ACTIONS: Final[dict[str, Any]] = {
    "RepAction": {"reason": "training", "until": "2026-11-21T17:00:00Z"},
    "OverrideAction": {
        "flow": 0.5,
        "reason": "first week",
        "until": "2026-11-27T17:00:00Z",
    },
    "AssignAction": {"rep": "ana", "reason": "asked for her", "force": False},
    "RecycleAction": {"reason": "wrong team"},
    "CloseAction": {"status": "invalid", "reason": "prank"},
}
