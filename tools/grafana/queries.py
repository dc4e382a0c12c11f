"""PromQL as the boards write it. Every selector has the job; every rate has ``$__rate_interval``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from distributor.observe.table import PREFIX

J: Final = 'job=~"$job"'
S: Final = f'{J}, queue=~"$queue"'
T: Final = f'{J}, team=~"$team"'
P: Final = f'{J}, rep=~"$rep"'
PT: Final = f'{J}, team=~"$team", rep=~"$rep"'
V: Final = f'{J}, vendor=~"$vendor"'
STANDARD: Final = 'standard="speed_to_contact"'
ON_TIME: Final = f"{J}, {STANDARD}"

RATE: Final = "$__rate_interval"
SHOWN: Final = "$__range"
"""The time that the panel shows."""
MONTH: Final = "30d"
"""The window of the budget: the one fixed window of the boards."""

SEEN: Final = "1d"
"""A daemon that was seen in this time and is not there now is down, and not gone."""


class Query(NamedTuple):
    """One query of a panel. ``name``: the override and legend of a single series. ``instant``: the last
    value only. ``table``: for tables, ``cells``: for heatmaps."""

    expr: str
    legend: str = ""
    instant: bool = False
    table: bool = False
    cells: bool = False


def now(expr: str, legend: str = "") -> Query:
    """The value at the end of the shown time."""
    return Query(expr, legend, instant=True)


def cell(expr: str) -> Query:
    """A column of a table."""
    return Query(expr, instant=True, table=True)


def m(name: str, labels: str = J, **equal: str) -> str:
    """A selector of one of our metrics, by its name in the table; ``equal``: labels with one value."""
    more = "".join(f', {label}="{value}"' for label, value in equal.items())
    return f"{PREFIX}{name}{{{labels}{more}}}"


def running(selected: str) -> str:
    """Of what others' targets have too (series of the process, of the scrape), ours: those of a daemon that
    runs."""
    return f"{selected} and on (job, instance) {m('build_info')}"


def up() -> str:
    """Which daemons answer: 1 or 0. One that is down has no series of its own, so it is known by the last
    day's."""
    seen = f"last_over_time({m('build_info')}[{SEEN}])"
    return f"up{{{J}}} and on (job, instance) {seen}"


def rate(name: str, labels: str = J, by: str = "", *, times: int = 1) -> str:
    """A counter's pace each second, or ``times`` that, summed ``by`` labels."""
    total = f"{_sum(by)}(rate({m(name, labels)}[{RATE}]))"
    return f"{total} * {times}" if times != 1 else total


def per_minute(name: str, labels: str = J, by: str = "") -> str:
    """A counter's pace each minute."""
    return rate(name, labels, by, times=60)


def grown(name: str, labels: str = J, by: str = "", *, over: str = SHOWN) -> str:
    """By how much a counter grew in the shown time."""
    return f"{_sum(by)}(increase({m(name, labels)}[{over}]))"


def counts(name: str, labels: str = J, by: str = "") -> str:
    """How often in each step of the shown time, see ``happened``."""
    return f"{grown(name, labels, by, over=RATE)} and {happened(name, labels, by)}"


def happened(name: str, labels: str = J, by: str = "") -> str:
    """To be put behind ``and``: what never happened in the shown time stays out of the legend."""
    return f"{_sum(by)}(increase({m(name, labels)}[{SHOWN}] @ end())) > 0"


def tally(name: str, labels: str = J, by: str = "") -> str:
    """How often in the shown time, the most frequent first, without what never happened."""
    return f"sort_desc({grown(name, labels, by)} > 0)"


def each(
    name: str, labels: str, label: str, values: Iterable[str], *, instant: bool = False
) -> tuple[Query, ...]:
    """A query for each value of a label, where their order says something."""
    return tuple(
        Query(f"sum({m(name, labels, **{label: value})})", value, instant=instant)
        for value in values
    )


def share(part: str, whole: str) -> str:
    """A ratio; no value instead of NaN where there is nothing to divide by."""
    return f"{part} / ({whole} > 0)"


def quantile(q: float, name: str, labels: str = J, by: str = "") -> str:
    """A quantile of a histogram, at the pace of now."""
    groups = f"{by}, le" if by else "le"
    return f"histogram_quantile({q:g}, sum by ({groups}) (rate({m(name + '_bucket', labels)}[{RATE}])))"


def quantile_shown(q: float, name: str, labels: str = J, by: str = "") -> str:
    """A quantile of a histogram over the shown time."""
    groups = f"{by}, le" if by else "le"
    window = f"increase({m(name + '_bucket', labels)}[{SHOWN}])"
    return f"histogram_quantile({q:g}, sum by ({groups}) ({window}))"


def cells(name: str, labels: str = J) -> Query:
    """The rows of a heatmap: a histogram's buckets."""
    expr = f"sum by (le) (increase({m(name + '_bucket', labels)}[{RATE}]))"
    return Query(expr, "{{le}}", cells=True)


def target() -> str:
    """The share of leads to be contacted in time, as the daemon has it."""
    return f"min({m('standard_target_ratio', ON_TIME)})"


def limit() -> str:
    """The speed-to-contact standard in seconds, as the daemon has it."""
    return f"min({m('standard_limit_seconds', ON_TIME)})"


def held_back(labels: str) -> str:
    """The reps at work with less than full flow, one series each."""
    return (
        f"{m('rep_throttle_ratio', labels)} < 1 unless on (job, instance, rep) "
        f"{m('rep_state', J, state='offline')} == 1"
    )


def _sum(by: str) -> str:
    return f"sum by ({by}) " if by else "sum"
