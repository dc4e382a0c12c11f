"""What a dialer's answer means."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from msgspec import Struct

from distributor.delivery.templates import Calls
from distributor.domain.dialers import WebhookPlan
from distributor.domain.ids import to_seconds

Outcome = Literal["taken", "duplicate", "refused", "busy", "failed", "unknown"]

LATER: Final = (408, 425, 429)
"""Client errors that say nothing against the message."""

GATEWAYS: Final = (502, 504)
"""Answers of something in between: what stands behind it may have taken the message."""

MAX_PAUSE_SECONDS: Final = 3600.0
_SHOWN: Final = 160


class Answer(Struct, frozen=True, gc=False):
    """An outcome, why, and how long the dialer asked to be left alone."""

    outcome: Outcome
    error: str = ""
    pause_seconds: float = 0.0


def classify(plan: WebhookPlan, calls: Calls, reply: tuple[int, str, float]) -> Answer:
    """What the reply to a request means: (status, text, Retry-After)."""
    status, text, pause = reply
    if calls.duplicate is not None and calls.duplicate.search(text):
        return Answer("duplicate")
    said = f"HTTP {status}: {text[:_SHOWN]}"
    if status in plan.success_status:
        if calls.success is None or calls.success.search(text):
            return Answer("taken")
        return Answer("refused", f"the answer does not contain success_body: {said}")
    if status in LATER:
        return Answer("busy", said, pause)
    if status in GATEWAYS:
        return Answer("unknown", said, pause)
    if status >= 500:
        return Answer("failed", said, pause)
    return Answer("refused", said)


def lookup_says(plan: WebhookPlan, calls: Calls, reply: tuple[int, str, float]) -> Answer | None:
    """What a lookup found out: taken, or nothing certain. None: the message was not taken."""
    status, text, pause = reply
    known = status in plan.success_status
    if known and (calls.found is None or calls.found.search(text)):
        return Answer("taken")
    if known or status == 404:
        return None
    return Answer("failed", f"lookup: HTTP {status}: {text[:_SHOWN]}", pause)


def retry_after(text: str, now_ns: int) -> float:
    """Seconds that a ``Retry-After`` header asks for (a number or a date), at most an hour; 0 for
    none or nonsense."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_PAUSE_SECONDS)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return 0.0
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    seconds = when.timestamp() - to_seconds(now_ns)
    return min(max(0.0, seconds), MAX_PAUSE_SECONDS)
