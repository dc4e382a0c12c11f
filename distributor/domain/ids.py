"""Names, keys and time as plain values.

Time is an integer count of nanoseconds since the Unix epoch (suffix ``_ns``). Durations that people
configure are float seconds (suffix ``_seconds``).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

NANOSECONDS = 1_000_000_000

NAME_PATTERN = r"^[A-Za-z0-9._:\-]{1,64}$"
"""Our own names (vendor, rep, team, pool, event_id): 1 to 64 characters."""

_NAME = re.compile(NAME_PATTERN)
_BASE36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_KEY_DIGITS = 10
_PAIR = [high + low for high in _BASE36 for low in _BASE36]
_PAIRS = len(_PAIR)


def is_name(text: str) -> bool:
    """Whether ``text`` may be one of our own names (a trailing newline is refused too)."""
    return _NAME.fullmatch(text) is not None


def lead_key(tag: str, number: int, salt: str = "") -> str:
    """The key of the ``number``-th lead of the store called ``tag``.

    ``tag``, ten base-36 digits and ``salt``: keys sort by age and stay within the 20 letters and digits
    that a ViciDial ``vendor_lead_code`` holds. Two stores have different tags, and two processes on one
    store different salts: a store that was put back from a copy counts on from an earlier number.
    """
    high, low = divmod(number, _PAIRS * _PAIRS)
    return f"{tag}{_digits(high)}{_PAIR[low // _PAIRS]}{_PAIR[low % _PAIRS]}{salt}"


@lru_cache(maxsize=16)
def _digits(high: int) -> str:
    """All but the last four digits: the same for more than a million leads in a row."""
    digits = []
    for _ in range(_KEY_DIGITS - 4):
        high, rest = divmod(high, 36)
        digits.append(_BASE36[rest])
    return "".join(reversed(digits))


def assignment_id(key: str, attempt: int) -> str:
    """The id of the ``attempt``-th assignment of a lead: unique because attempts only grow."""
    return f"{key}-{attempt}"


def lead_key_of(assignment: str) -> str:
    """The lead key inside an assignment id (the whole text when it has none)."""
    return assignment.rpartition("-")[0] or assignment


def to_ns(seconds: float) -> int:
    """Seconds as integer nanoseconds."""
    return round(seconds * NANOSECONDS)


def to_seconds(ns: int) -> float:
    """Nanoseconds as float seconds."""
    return ns / NANOSECONDS


def moment(at_ns: int, now_ns: int = 0) -> str:
    """An instant for people, in UTC and to the nearest second: ``03:57:46Z`` where ``now_ns`` is of the
    same day, ``2026-11-21 03:57:46Z`` else."""
    at = _second(at_ns)
    same_day = at.date() == _second(now_ns).date()
    return at.strftime("%H:%M:%SZ" if same_day else "%Y-%m-%d %H:%M:%SZ")


def _second(at_ns: int) -> datetime:
    return datetime.fromtimestamp((at_ns + NANOSECONDS // 2) // NANOSECONDS, UTC)
