"""What kind of number an expression gives, from the units in the table of metrics: a ratio, seconds, bytes,
a count, a pace. A panel's unit must fit it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import promql_parser as parser

from distributor.observe.table import metric
from tools.grafana import promql, style
from tools.grafana.vocabulary import Series, ours

Words = Mapping[str, Series]

NUMBER: Final = "a plain number"
COUNT: Final = "a count"
RATIO: Final = "a ratio"
SECONDS: Final = "seconds"
MINUTES: Final = "minutes"
BYTES: Final = "bytes"
PER_SECOND: Final = "a pace each second"
PER_MINUTE: Final = "a pace each minute"
FLAG: Final = "0 or 1"
MOMENT: Final = "a moment"
UNKNOWN: Final = ""

UNITS: Final[Mapping[str, frozenset[str]]] = {
    COUNT: frozenset({style.COUNT, style.LEADS, style.REPS, "none"}),
    RATIO: frozenset({style.RATIO, style.TIMES}),
    SECONDS: frozenset({style.SECONDS, style.SHORT_SECONDS}),
    MINUTES: frozenset({style.MINUTES}),
    BYTES: frozenset({style.BYTES}),
    PER_MINUTE: frozenset({style.PER_MINUTE}),
    PER_SECOND: frozenset(),
    FLAG: frozenset({"none"}),
    MOMENT: frozenset(),
}
"""Kind of number -> the units that say so. A pace each second is shown nowhere: people count in minutes."""

_OF_TABLE: Final = {
    "seconds": SECONDS,
    "unix seconds": MOMENT,
    "0 or 1": FLAG,
    "always 1": FLAG,
    "0 to 1": RATIO,
    "bytes": BYTES,
    "score": "",
}
_FOREIGN: Final = {
    "up": FLAG,
    "ALERTS": FLAG,
    "process_start_time_seconds": MOMENT,
    "process_cpu_seconds_total": SECONDS,
    "scrape_duration_seconds": SECONDS,
    "process_resident_memory_bytes": BYTES,
    "process_virtual_memory_bytes": BYTES,
}
_FIRST: Final = frozenset({"sort", "sort_desc", "clamp_min", "clamp_max", "increase", "abs"})
_MINUTE: Final = 60


def dimension(expr: str) -> str:
    """The kind of number that a sound ``expr`` gives, "" where it cannot be told."""
    return _of(promql.parsed(expr))


def bucket_dimension(expr: str) -> str:
    """The kind of number that the edges of an ``expr`` of buckets are."""
    for name in sorted(promql.names(expr)):
        if name.endswith("_bucket"):
            return _base(name)
    return UNKNOWN


def _base(name: str) -> str:
    """Of what a series, or a histogram's edges, are."""
    if name in _FOREIGN:
        return _FOREIGN[name]
    own = ours(name)
    if own:
        return _OF_TABLE.get(metric(own).unit, COUNT)
    return RATIO if ":miss_ratio_" in name else COUNT


def _of(node: Any) -> str:
    if isinstance(node, parser.NumberLiteral):
        return NUMBER
    if isinstance(node, parser.VectorSelector):
        name = node.name or ""
        return COUNT if name.endswith(("_bucket", "_count")) else _base(name)
    if isinstance(node, parser.MatrixSelector):
        return _of(node.vector_selector)
    if isinstance(node, parser.Call):
        return _call(node)
    if isinstance(node, parser.AggregateExpr):
        return COUNT if promql.operator(node) in {"count", "group"} else _of(node.expr)
    if isinstance(node, parser.BinaryExpr):
        return _binary(promql.operator(node), node)
    inner = getattr(node, "expr", None)
    return UNKNOWN if inner is None else _of(inner)


def _call(node: Any) -> str:
    name = node.func.name
    if name == "time":
        return MOMENT
    if name == "histogram_quantile":
        edges = [part for part in promql.names(str(node.args[1])) if part.endswith("_bucket")]
        return _base(edges[0]) if edges else UNKNOWN
    inner = _of(node.args[0]) if node.args else UNKNOWN
    if name == "rate":
        return {COUNT: PER_SECOND, SECONDS: RATIO}.get(inner, UNKNOWN)
    return inner if name in _FIRST or name.endswith("_over_time") else UNKNOWN


def _binary(operator: str, node: Any) -> str:
    left, right = _of(node.lhs), _of(node.rhs)
    if operator in {"and", "or", "unless", "==", "!=", ">", "<", ">=", "<="}:
        return left
    if operator in {"+", "-"}:
        if operator == "-" and left == right == MOMENT:
            return SECONDS
        return right if left == NUMBER else left
    if operator == "/":
        return _divided(left, right, node.rhs)
    if operator == "*":
        if left == PER_SECOND and getattr(node.rhs, "val", None) == _MINUTE:
            return PER_MINUTE
        if NUMBER in (left, right):
            other = right if left == NUMBER else left
            return UNKNOWN if other in (MOMENT, FLAG, PER_SECOND) else other
        return right if left == FLAG else left
    return UNKNOWN


def _divided(left: str, right: str, divisor: Any) -> str:
    if left == right or (left, right) == (RATIO, NUMBER):
        return RATIO
    if left == SECONDS and getattr(divisor, "val", None) == _MINUTE:
        return MINUTES
    return left if right == NUMBER else UNKNOWN
