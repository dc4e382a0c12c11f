"""Finds series that other people's jobs have too (``up``, the process', the scrape's) and that no match with
one of ours confines to the daemon: with "All" chosen, every target of Prometheus would count.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import promql_parser as parser

from distributor.observe.table import PREFIX
from tools.grafana.vocabulary import FOREIGN, LASTING

_TARGET: Final = frozenset({"job", "instance"})
_ALERT: Final = frozenset({"job"})
"""Alerts are about jobs; few keep the instance."""

Tie = tuple[frozenset[str], bool]
"""Labels by which something is matched with a series of ours, and whether that outlives the daemon."""


def strays(tree: Any) -> Iterator[str]:
    """A line for each series that is not ours and not tied to one that is."""
    found = dict(_walk(tree, ()))
    for name, lasting in found.items():
        series = f"{PREFIX}build_info"
        if lasting:
            series = f"last_over_time({series})"
        yield f"{name}: of everybody's jobs: and on (job, instance) {series}"


def _walk(node: Any, ties: tuple[Tie, ...]) -> Iterator[tuple[str, bool]]:
    if isinstance(node, parser.BinaryExpr):
        yield from _walk(node.lhs, (*ties, *_tie(node, node.rhs)))
        yield from _walk(node.rhs, (*ties, *_tie(node, node.lhs)))
    elif isinstance(node, parser.VectorSelector):
        if node.name in FOREIGN and not any(_holds(node.name, tie) for tie in ties):
            yield node.name, node.name in LASTING
    else:
        for child in _children(node):
            yield from _walk(child, ties)


def _holds(name: str, tie: Tie) -> bool:
    labels, outlives = tie
    wanted = _ALERT if name == "ALERTS" else _TARGET
    return wanted <= labels and (outlives or name not in LASTING)


def _tie(node: Any, other: Any) -> Iterator[Tie]:
    """What the other side of an operator confines this one to."""
    loose = str(node.op) in {"or", "unless"}
    matching = node.modifier.matching if node.modifier else None
    if loose or matching is None or not str(matching.type).endswith("Include"):
        return
    parts = list(_parts(other))
    if any(
        isinstance(p, parser.VectorSelector) and (p.name or "").startswith(PREFIX) for p in parts
    ):
        outlives = any(
            isinstance(p, parser.Call) and p.func.name == "last_over_time" for p in parts
        )
        yield frozenset(matching.labels), outlives


def _parts(node: Any) -> Iterator[Any]:
    yield node
    for child in _children(node):
        yield from _parts(child)


def _children(node: Any) -> tuple[Any, ...]:
    if isinstance(node, parser.BinaryExpr):
        return node.lhs, node.rhs
    if isinstance(node, parser.Call):
        return tuple(node.args)
    if isinstance(node, parser.MatrixSelector):
        return (node.vector_selector,)
    inner = getattr(node, "expr", None)
    return () if inner is None else (inner,)
