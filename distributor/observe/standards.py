"""The floor's standards: their limits and targets, and the histograms that are read against them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from distributor.domain.floor import FlowPlan
from distributor.observe.table import metric
from distributor.settings import StandardsSettings

HISTOGRAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "speed_to_contact": ("speed_to_contact_seconds", "rep_response_seconds"),
}
"""Standard -> the histograms of which the share within its limit is asked."""

LIMIT_KEYS: Final = {"speed_to_contact": "flow.first_contact_seconds"}

STANDARDS: Final = tuple(HISTOGRAMS)

MISSED: Final = "missed"
"""The stage of an SLA that a lead reaches at the limit."""


def limits(flow: FlowPlan) -> dict[str, float]:
    """Standard -> its limit in seconds of the floor's own time."""
    return {"speed_to_contact": flow.first_contact_seconds}


def targets(standards: StandardsSettings) -> dict[str, float]:
    """Standard -> the share of leads, 0 to 1, that are to meet it."""
    return {"speed_to_contact": standards.speed_to_contact.target}


def unreadable(flow: FlowPlan) -> list[str]:
    """The problems, a line each, of limits that are no bucket's edge: the share within the limit could
    only be guessed between two edges."""
    return [
        f"{LIMIT_KEYS[standard]}: {limit:g} is no bucket's edge of {row.full_name}; "
        "mark the metric as judged in distributor/observe/table.py"
        for standard, limit in limits(flow).items()
        for row in map(metric, HISTOGRAMS[standard])
        if limit not in row.edges_for(flow)
    ]
