"""What a dialer's answer means.

Most client errors speak of the message: ``refused``. Those of ``ABOUT_THE_REQUEST`` speak of what every
message has in common, its address and its credentials: ``misdirected``.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from distributor.delivery.templates import Calls
from distributor.domain.dialers import WebhookPlan
from distributor.domain.ids import to_seconds
from distributor.domain.messages import OutgoingKind

Outcome = Literal["taken", "duplicate", "refused", "misdirected", "busy", "failed", "unknown"]

LATER: Final = (408, 425, 429)
"""Client errors that say nothing against the message."""

GATEWAYS: Final = (502, 504)
"""Answers of something in between: what stands behind it may have taken the message."""

_CREDENTIALS: Final = "check its headers and the dialer's secret"
_ADDRESS: Final = "check its url and method"
_FORM: Final = "check the Content-Type in its headers, and its body"

ABOUT_THE_REQUEST: Final = {
    401: _CREDENTIALS,
    402: "see to the account at the dialer",
    403: _CREDENTIALS,
    404: _ADDRESS,
    405: _ADDRESS,
    406: _FORM,
    407: _CREDENTIALS,
    415: _FORM,
    421: _ADDRESS,
}
"""Client errors that any message would get, and the remedy. So is every 3xx."""

_SHOWN: Final = 160
_SHOWN_LOCATION: Final = 100


class Reply(NamedTuple):
    """A dialer's answer: ``pause_seconds`` and ``location`` are its ``Retry-After`` and ``Location``."""

    status: int
    text: str
    pause_seconds: float = 0.0
    location: str = ""


class Answer(Struct, frozen=True, gc=False):
    """An outcome, why, and how long the dialer asked to be left alone. ``cause``: the same for the same
    trouble, however its words differ from one message to the next."""

    outcome: Outcome
    error: str = ""
    pause_seconds: float = 0.0
    cause: str = ""


def classify(
    plan: WebhookPlan, calls: Calls, reply: Reply, kind: OutgoingKind = "assign"
) -> Answer:
    """What the reply to the request of a message of this kind means."""
    status, text, pause, _ = reply
    if calls.duplicate is not None and calls.duplicate.search(text):
        return Answer("duplicate")
    cause = f"HTTP {status}"
    said = _said(cause, text)
    if status in plan.success_status:
        if calls.success is None or calls.success.search(text):
            return Answer("taken")
        return Answer("refused", f"the answer does not contain success_body: {said}", 0.0, cause)
    if status in LATER:
        return Answer("busy", said, pause, cause)
    if status in GATEWAYS:
        return Answer("unknown", said, pause, cause)
    if status >= 500:
        return Answer("failed", said, pause, cause)
    remedy = _remedy(reply)
    # A dialer that does not know a lead (any more) says so to its revocation.
    if not remedy or (status == 404 and kind == "revoke"):
        return Answer("refused", said, 0.0, cause)
    call = f"dialers[{plan.id}].{kind}"
    return Answer("misdirected", _said(f"{cause} to {call}: {remedy}", text), pause, cause)


def _said(head: str, text: str) -> str:
    text = text[:_SHOWN].strip()
    return f"{head}: {text}" if text else head


def _remedy(reply: Reply) -> str:
    """What to do about a reply that any message would get; "" for any other."""
    if not 300 <= reply.status < 400:
        return ABOUT_THE_REQUEST.get(reply.status, "")
    # What stands behind the question mark may be a lead's, or a secret.
    to = reply.location.partition("?")[0][:_SHOWN_LOCATION]
    if not to:
        return _ADDRESS
    return f"it moved to {to} and redirects are not followed: set its url to where it is now"


def lookup_says(plan: WebhookPlan, calls: Calls, reply: Reply) -> Answer | None:
    """What a lookup found out: taken, or nothing certain. None: the message was not taken."""
    status, text, pause, _ = reply
    known = status in plan.success_status
    if known and (calls.found is None or calls.found.search(text)):
        return Answer("taken")
    if known or status == 404:
        return None
    cause = f"lookup: HTTP {status}"
    remedy = _remedy(reply)
    about = f" to dialers[{plan.id}].lookup: {remedy}" if remedy else ""
    return Answer("failed", _said(cause + about, text), pause, cause)


def retry_after(text: str, now_ns: int) -> float:
    """Seconds that a ``Retry-After`` header asks for (a number or a date); 0 for none or nonsense."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return 0.0
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, when.timestamp() - to_seconds(now_ns))
