"""What can be asked of Prometheus: every series' name, its type, its labels, and the values of those labels
that are closed lists. Read from the table of metrics and from the series that a fresh daemon has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from msgspec import Struct, field

from distributor.domain.floor import Floor, PoolPlan, TeamPlan
from distributor.domain.messages import BROKER_TARGET
from distributor.mqtt.values import LinkCounters
from distributor.observe.families import number
from distributor.observe.metrics import SHOWN_STATES, THROTTLE_REASONS, Metrics
from distributor.observe.rules import records
from distributor.observe.table import PREFIX, TABLE, Metric
from distributor.settings import Settings, to_floor

Kind = Literal["counter", "gauge", "bucket"]
Values = Mapping[str, frozenset[str]]

SCRAPED: Final = frozenset({"job", "instance"})
"""Labels that Prometheus adds to everything that it scrapes."""

_OPEN: Final = frozenset(
    {"vendor", "queue", "policy", "team", "rep", "peer", "target", "version", "python", "revision"}
)
"""Labels whose values come from settings and from the world."""


class Series(Struct, frozen=True):
    """What one name stands for. ``values``: label -> every value that it can have, for closed lists."""

    kind: Kind
    labels: frozenset[str]
    values: Values = field(default_factory=dict)


def vocabulary(settings: Settings) -> dict[str, Series]:
    """Name -> series, for a daemon with these settings and a Prometheus with our rules."""
    floor = to_floor(settings)
    metrics = Metrics(_peopled(floor), ["acme"])
    metrics.targets([BROKER_TARGET])
    metrics.connected(BROKER_TARGET, up=True)
    found: dict[str, Series] = {}
    for row in TABLE:
        found |= dict(_of_row(row, _values(row, metrics), floor))
    return found | _recorded() | _foreign()


def _peopled(floor: Floor) -> Floor:
    """The floor with one team and one pool, so that every family has its first series."""
    return Floor(
        digest="", teams=(TeamPlan(id="north"),), pools=(PoolPlan(id="default"),), flow=floor.flow
    )


def _of_row(row: Metric, values: Values, floor: Floor) -> Iterator[tuple[str, Series]]:
    labels = SCRAPED | frozenset(row.labels)
    if row.type != "histogram":
        yield row.full_name, Series(row.type, labels, values)
        return
    edges = frozenset([*map(number, row.edges_for(floor.flow)), "+Inf"])
    yield f"{row.full_name}_bucket", Series("bucket", labels | {"le"}, {**values, "le": edges})
    for end in ("_sum", "_count"):
        yield row.full_name + end, Series("counter", labels, values)


def _values(row: Metric, metrics: Metrics) -> Values:
    """The values of the row's closed labels."""
    if row.name in _BY_HAND:
        return _BY_HAND[row.name]
    seen: dict[str, set[str]] = defaultdict(set)
    for labels in metrics.families[row.name].cells:
        for label, value in zip(row.labels, labels, strict=True):
            seen[label].add(value)
    return {label: frozenset(found) for label, found in seen.items() if label not in _OPEN}


_STATES: Final = {"state": frozenset(SHOWN_STATES)}
_EVENTS: Final = frozenset(
    {
        *LinkCounters.__struct_fields__,
        *("ignored_response_topics", "unheard_assignments"),
        *("displaced_connections", "turned_away_connections"),
    }
)
_BY_HAND: Final[Mapping[str, Values]] = {
    "link_events_total": {"event": _EVENTS},
    "rep_inflight_leads": {},
    "rep_window_leads": {},
    "rep_throttle_ratio": {},
    "rep_throttle_reason_info": {"reason": frozenset(THROTTLE_REASONS)},
    "rep_throttle_since_timestamp_seconds": {},
    "rep_state": _STATES,
    "rep_assignments_total": {},
    "rep_contacts_total": {"on_time": frozenset({"true", "false"})},
    "rep_speed_to_contact_smoothed_seconds": {},
}
"""Families that a fresh daemon has no series of."""


def _recorded() -> dict[str, Series]:
    labels = frozenset({"job", "queue"})
    return {name: Series("gauge", labels) for name in records()}


def _foreign() -> dict[str, Series]:
    """Series of the process, of Prometheus itself, and of its alerts."""
    gauges = (
        *("process_resident_memory_bytes", "process_virtual_memory_bytes", "process_open_fds"),
        *("process_max_fds", "process_start_time_seconds", "up", "scrape_duration_seconds"),
    )
    found = {name: Series("gauge", SCRAPED) for name in gauges}
    found["process_cpu_seconds_total"] = Series("counter", SCRAPED)
    alerts = {"alertname", "alertstate", "severity", "scope", "long", "short"}
    alerts |= {label for row in TABLE for label in row.labels}
    states = {"alertstate": frozenset({"firing", "pending"})}
    found["ALERTS"] = Series("gauge", SCRAPED | alerts, states)
    return found


LASTING: Final = frozenset({"up", "ALERTS"})
"""Series that are of use when the daemon is down."""
FOREIGN: Final = frozenset(_foreign())
"""Series that others' jobs have too."""


def ours(name: str) -> str:
    """The metric of the table that a series belongs to, without prefix; "" for others'."""
    short = name.removeprefix(PREFIX)
    known = {row.name: row for row in TABLE}
    for end in ("", "_bucket", "_sum", "_count"):
        base = short.removesuffix(end)
        if short != name and short.endswith(end) and base in known:
            return base
    return ""
