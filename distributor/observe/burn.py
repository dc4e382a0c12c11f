"""How fast a month's budget of missed standards may be spent before somebody is told.

The textbook's factor of 14.4 cannot be reached here: with a target of 90 % a floor that misses every
lead burns 10 times too fast. So the factors follow from the hours in which the floor is open.
"""

from __future__ import annotations

import math
from typing import Final, Literal

from msgspec import Struct

from distributor.errors import BadConfig
from distributor.settings import StandardsSettings

Severity = Literal["page", "ticket"]

WINDOWS: Final = ("5m", "15m", "1h", "2h", "3h", "1d")
"""The windows over which the share of missed leads is recorded."""

_HOURS: Final = {"1h": 1.0, "3h": 3.0, "1d": 24.0}


class Row(Struct, frozen=True):
    """One way to spend too fast: more than ``budget`` of a month's misses within ``long``, and still so
    in ``short``. ``factor``: how many times the even pace that is. ``threshold``: the share of missed
    leads, 0 to 1, that makes it so."""

    severity: Severity
    long: str
    short: str
    hold: str
    budget: float
    factor: float
    threshold: float


_ROWS: Final[tuple[tuple[Severity, str, str, str, float], ...]] = (
    ("page", "1h", "5m", "2m", 0.02),
    ("page", "3h", "15m", "5m", 0.05),
    ("ticket", "1d", "2h", "30m", 0.10),
)


def rows(standards: StandardsSettings) -> tuple[Row, ...]:
    """The rows for these hours and this target. Raises BadConfig where a floor that misses every lead
    would not reach one of them: it would be an alert that cannot fire."""
    left = 1 - standards.speed_to_contact.target
    made = []
    for severity, long, short, hold, budget in _ROWS:
        factor = budget * standards.open_hours_per_month / _open_hours(long, standards)
        made.append(Row(severity, long, short, hold, budget, factor, round(factor * left, 4)))
    hardest = max(made, key=lambda row: row.threshold)
    if hardest.threshold >= 1:
        raise BadConfig([_unreachable(hardest, standards)])
    return tuple(made)


def _open_hours(window: str, standards: StandardsSettings) -> float:
    """Hours of the window in which leads can be contacted; a day has no more than its open ones."""
    return min(_HOURS[window], standards.open_hours_per_day)


def _unreachable(row: Row, standards: StandardsSettings) -> str:
    target = standards.speed_to_contact.target
    # The next better values; at these very ones it would take exactly all leads.
    least = (math.floor(round((1 - 1 / row.factor) * 1000, 6)) + 1) / 1000
    hours = math.ceil(round(standards.open_hours_per_month / row.threshold, 6)) - 1
    return (
        f"standards.speed_to_contact.target: at {target:g} even missing every lead for {row.long} spends "
        f"less than {row.budget:.0%} of the month's budget, so that alert could never fire; raise it to "
        f"{least:g}, or lower standards.open_hours_per_month ({standards.open_hours_per_month:g}) to "
        f"{hours:g} if the floor is open for less"
    )
