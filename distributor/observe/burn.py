"""How fast a month's budget of missed standards may be spent before somebody is told.

The textbook's factor of 14.4 cannot be reached here: with a target of 90 % a floor that misses every
lead burns 10 times too fast. So the factors follow from the hours in which the floor is open, and where
even those could not be reached, nine leads in ten missed are enough.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from distributor.settings import StandardsSettings

Severity = Literal["page", "ticket"]

WINDOWS: Final = ("5m", "15m", "1h", "2h", "3h", "1d")
"""The windows over which the share of missed leads is recorded."""

MOST_MISSED: Final = 0.9
"""No alert waits for a larger share of missed leads: one above 1 could never fire."""

_HOURS: Final = {"1h": 1.0, "3h": 3.0, "1d": 24.0}


class Row(Struct, frozen=True):
    """One way to spend too fast: more than ``budget`` of a month's misses within ``long``, and still so
    in ``short``. ``threshold``: the share of missed leads, 0 to 1, that makes it so. ``factor``: how many
    times the even pace that is, ``threshold / (1 - target)``. ``capped``: the threshold is
    ``MOST_MISSED``, since the budget that was wished for could hardly be spent so fast.
    """

    severity: Severity
    long: str
    short: str
    hold: str
    budget: float
    factor: float
    threshold: float
    capped: bool = False


_ROWS: Final[tuple[tuple[Severity, str, str, str, float], ...]] = (
    ("page", "1h", "5m", "2m", 0.02),
    ("page", "3h", "15m", "5m", 0.05),
    ("ticket", "1d", "2h", "30m", 0.10),
)


def rows(standards: StandardsSettings) -> tuple[Row, ...]:
    """The rows for these hours and this target."""
    left = round(1 - standards.speed_to_contact.target, 12)
    made = []
    for severity, long, short, hold, wished in _ROWS:
        # What the window's share of the month would spend at the even pace.
        even = _open_hours(long, standards) / standards.open_hours_per_month
        threshold = _plain(wished / even * left)
        capped = threshold > MOST_MISSED
        if capped:
            threshold = MOST_MISSED
        factor = threshold / left
        budget = factor * even if capped else wished
        assert 0 < threshold < 1, f"an alert that cannot fire: {threshold} of the leads"
        made.append(Row(severity, long, short, hold, budget, factor, threshold, capped))
    return tuple(made)


def _open_hours(window: str, standards: StandardsSettings) -> float:
    """Hours of the window in which leads can be contacted; a day has no more than its open ones."""
    return min(_HOURS[window], standards.open_hours_per_day)


def _plain(share: float) -> float:
    """To four figures: what people read, and fine enough for a target of 0.9999."""
    return float(f"{share:.4g}")
