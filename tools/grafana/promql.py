"""Judges one PromQL expression: does it parse, does everything that it names exist, can it mean anything.

The same rules hold for panels, for annotations and for recording and alert rules; ``panel`` says whether
an expression belongs to a board, where Grafana fills in windows and jobs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

import promql_parser as parser

from tools.grafana.joins import strays
from tools.grafana.vocabulary import Series

Words = Mapping[str, Series]
Labels = frozenset[str]

_WINDOWS: Final = {
    "$__rate_interval": timedelta(seconds=61),
    "$__range": timedelta(seconds=3607),
}
"""Grafana's windows, and the odd durations that stand for them while the text is parsed."""
_RATE = _WINDOWS["$__rate_interval"]
_FIXED: Final = timedelta(days=30)
"""The one window of figures that a panel may fix: the budget's."""
_REMEMBERED: Final = "last_over_time"
"""The function that asks whether something was there: over any window."""
_PLACEHOLDER: Final = "__{}__"

_COUNTER_FUNCTIONS: Final = frozenset({"rate", "increase", "irate"})
_SET: Final = ("and", "or", "unless")
_COMPARE: Final = ("==", "!=", ">", "<", ">=", "<=")


def complaints(expr: str, words: Words, *, panel: bool = True) -> list[str]:
    """What is wrong with ``expr``, a line each; none where it is sound."""
    try:
        tree = parser.parse(_substituted(expr) if panel else expr)
    except ValueError as problem:
        return [f"does not parse: {problem}"]
    left = re.search(r"\$\w+", _substituted(expr) if panel else expr)
    if left:
        return [f"{left[0]}: no such variable here"]
    judge = _Judge(words, panel=panel)
    judge.look(tree)
    return [*judge.found, *(strays(tree) if panel else ())]


def parsed(expr: str) -> Any:
    """The tree of a sound ``expr`` of a board."""
    return parser.parse(_substituted(expr))


def operator(node: Any) -> str:
    """The operator of a binary expression or an aggregation, as it is written."""
    return _OPERATORS.get(_number(node), "")


def kept(expr: str, words: Words) -> Labels:
    """The labels that the result of a sound ``expr`` has."""
    labels = _Judge(words, panel=True).look(parser.parse(_substituted(expr)))
    return labels or frozenset()


def names(expr: str) -> set[str]:
    """The names of all series in a sound ``expr``."""
    found: set[str] = set()

    def note(node: Any) -> None:
        if isinstance(node, parser.VectorSelector) and node.name:
            found.add(node.name)

    parser.walk(parser.parse(_substituted(expr)), note)
    return found


def counts(expr: str, words: Words) -> bool:
    """Whether a sound ``expr`` is about counters."""
    return any(words[name].kind == "counter" for name in names(expr) if name in words)


def values(expr: str, label: str, words: Words) -> frozenset[str]:
    """What a label can be in a sound ``expr``, by its first selector that knows; empty where anything."""
    for found in _selectors(parser.parse(_substituted(expr))):
        series = words.get(found.name)
        if series is None or not series.values.get(label):
            continue
        matchers = [m for m in found.matchers.matchers if m.name == label]
        return frozenset(
            value for value in series.values[label] if all(_lets(m, value) for m in matchers)
        )
    return frozenset()


def _lets(matcher: Any, value: str) -> bool:
    """Whether a matcher lets series with this value through."""
    if matcher.value.startswith("__"):
        return True
    operator = str(matcher.op)
    found = (
        re.fullmatch(matcher.value, value) is not None
        if "Re" in operator
        else matcher.value == value
    )
    return found != ("Not" in operator)


def _substituted(expr: str) -> str:
    """With durations for Grafana's windows and plain words for its variables."""
    for name in sorted(_WINDOWS, key=len, reverse=True):
        text = f"{int(_WINDOWS[name].total_seconds())}s"
        expr = re.sub(rf"{re.escape(name)}\b", text, expr)
    return re.sub(r'"\$(\w+)"', lambda found: f'"{_PLACEHOLDER.format(found[1])}"', expr)


def _operators() -> dict[str, str]:
    """The parser's numbers of operators -> how they are written."""
    binary = ("+", "-", "*", "/", "%", "^", *_COMPARE, *_SET)
    found = {_number(parser.parse(f"a {name} b")): name for name in binary}
    aggregations = ("sum", "min", "max", "avg", "count", "stddev", "stdvar", "group")
    found |= {_number(parser.parse(f"{name}(a)")): name for name in aggregations}
    ranked = ("topk", "bottomk", "quantile")
    return found | {_number(parser.parse(f"{name}(1, a)")): name for name in ranked}


def _number(node: Any) -> str:
    """The number of a node's operator, which the parser shows only in its text."""
    found = re.search(r"op: TokenType\(\s*(\d+)", repr(node))
    assert found is not None
    return found[1]


_OPERATORS: Final = _operators()


class _Judge:
    """Walks one expression. Every ``look`` gives the labels of the part's result, None for a scalar."""

    def __init__(self, words: Words, *, panel: bool) -> None:
        self.words = words
        self.panel = panel
        self.found: list[str] = []

    def look(self, node: Any, within: str = "") -> Labels | None:
        """Judge a part. ``within``: the function whose argument it is."""
        return _LOOKS[type(node)](self, node, within)

    def complain(self, text: str) -> None:
        if text not in self.found:
            self.found.append(text)

    # -- selectors -------------------------------------------------------------------------------

    def vector(self, node: Any, within: str) -> Labels:
        name = node.name or ""
        series = self.words.get(name)
        if series is None:
            self.complain(f"{name or 'a selector without a name'}: no such metric")
            return _ANY
        if series.kind != "gauge" and within not in _COUNTER_FUNCTIONS:
            self.complain(f"{name}: a counter has no meaning outside rate() and increase()")
        if series.kind == "gauge" and within in _COUNTER_FUNCTIONS:
            self.complain(f"{name}: {within}() of a gauge")
        self._matchers(name, series, node.matchers.matchers)
        return series.labels

    def _matchers(self, name: str, series: Series, matchers: list[Any]) -> None:
        if self.panel and not any(
            m.name == "job" and m.value == _PLACEHOLDER.format("job") for m in matchers
        ):
            self.complain(f'{name}: no job=~"$job"')
        for matcher in matchers:
            if matcher.name not in series.labels:
                self.complain(f"{name}: has no label {matcher.name}")
                continue
            possible = series.values.get(matcher.name)
            if possible is not None and not _can_match(matcher, possible):
                text = f'{matcher.name}="{matcher.value}"'
                self.complain(f"{name}: {text} never occurs; {_known(possible)}")

    def matrix(self, node: Any, within: str) -> Labels:
        self._window(node.range, within)
        return self.vector(node.vector_selector, within)

    def subquery(self, node: Any, within: str) -> Labels | None:
        self._window(node.range, "")
        return self.look(node.expr)

    def _window(self, window: timedelta, within: str) -> None:
        if not self.panel or within == _REMEMBERED:
            return
        if within == "rate" and window != _RATE:
            self.complain(f"rate() over {_shown(window)}: use $__rate_interval")
        elif window not in (*_WINDOWS.values(), _FIXED):
            self.complain(f"a window of {_shown(window)}: use $__rate_interval or $__range")

    # -- what is done with them ------------------------------------------------------------------

    def call(self, node: Any, within: str) -> Labels | None:
        name = node.func.name
        if name in {"time", "vector", "scalar"}:
            for argument in node.args:
                self.look(argument)
            return frozenset() if name == "vector" else None
        if name == "histogram_quantile":
            return self._quantile(node.args[1])
        inner = [self.look(argument, name) for argument in node.args]
        labels = [found for found in inner if found is not None]
        if name in {"label_replace", "label_join"} and labels:
            return labels[0] | {node.args[1].val}
        return labels[0] if labels else None

    def _quantile(self, argument: Any) -> Labels:
        series = {found.name for found in _selectors(argument)}
        known = [self.words[name].kind for name in series if name in self.words]
        if any(kind != "bucket" for kind in known):
            self.complain("histogram_quantile() of something that is no _bucket")
        labels = self.look(argument) or frozenset()
        if "le" not in labels:
            self.complain("histogram_quantile() of something without the label le")
        return labels - {"le"}

    def aggregate(self, node: Any, within: str) -> Labels:
        inner = self.look(node.expr)
        if inner is None:
            self.complain("an aggregation of a number")
            inner = frozenset()
        ranked = _OPERATORS.get(_number(node)) in {"topk", "bottomk"}
        given = list(node.modifier.labels) if node.modifier else []
        by = node.modifier is None or str(node.modifier.type).endswith(("By", "Include"))
        for label in given:
            if label not in inner and inner != _ANY:
                self.complain(f"by ({label}): there is no such label")
        result = inner & frozenset(given) if by else inner - frozenset(given)
        if "le" in inner and "le" not in result and not ranked and self._mixes(node.expr):
            self.complain("a sum over le adds up buckets that contain each other")
        return inner if ranked else result

    def _mixes(self, node: Any) -> bool:
        """Whether buckets of several edges are in it."""
        return any(
            self.words[found.name].kind == "bucket"
            and not any(m.name == "le" for m in found.matchers.matchers)
            for found in _selectors(node)
            if found.name in self.words
        )

    def binary(self, node: Any, within: str) -> Labels | None:
        left, right = self.look(node.lhs), self.look(node.rhs)
        if left is None or right is None:
            return right if left is None else left
        operator = _OPERATORS[_number(node)]
        modifier = node.modifier
        on = modifier.matching if modifier else None
        if on is None:
            if left != right and operator != "or" and _ANY not in (left, right):
                sides = f"{_listed(left)} and {_listed(right)}"
                self.complain(
                    f"the sides of {operator} have different labels and never meet: {sides}"
                )
            return left & right if operator == "or" else left
        named = frozenset(on.labels)
        include = str(on.type).endswith("Include")
        for label in sorted(named):
            if label not in left or label not in right:
                self.complain(f"on ({label}): not both sides have that label")
        if operator in _SET:
            return left & right if operator == "or" else left
        return self._matched(modifier, left, right, named if include else left - named)

    def _matched(self, modifier: Any, left: Labels, right: Labels, common: Labels) -> Labels:
        card = str(modifier.card)
        extra = frozenset(modifier.group_labels or ())
        if "ManyToOne" in card:
            self._brought(extra, right)
            return left | extra
        if "OneToMany" in card:
            self._brought(extra, left)
            return right | extra
        return common

    def _brought(self, extra: Labels, side: Labels) -> None:
        for label in sorted(extra - side):
            self.complain(f"group_left ({label}): the other side has no such label")

    def inner(self, node: Any, within: str) -> Labels | None:
        return self.look(node.expr, within)

    def plain(self, node: Any, within: str) -> None:
        return None


_ANY: Final[Labels] = frozenset({"__any__"})
_LOOKS: Final[dict[type, Callable[[_Judge, Any, str], Labels | None]]] = {
    parser.VectorSelector: _Judge.vector,
    parser.MatrixSelector: _Judge.matrix,
    parser.SubqueryExpr: _Judge.subquery,
    parser.Call: _Judge.call,
    parser.AggregateExpr: _Judge.aggregate,
    parser.BinaryExpr: _Judge.binary,
    parser.ParenExpr: _Judge.inner,
    parser.UnaryExpr: _Judge.inner,
    parser.NumberLiteral: _Judge.plain,
    parser.StringLiteral: _Judge.plain,
}


def _selectors(node: Any) -> Iterator[Any]:
    found: list[Any] = []

    def note(part: Any) -> None:
        if isinstance(part, parser.VectorSelector):
            found.append(part)

    parser.walk(node, note)
    return iter(found)


def _can_match(matcher: Any, possible: frozenset[str]) -> bool:
    """Whether the matcher says something: ``=`` and ``=~`` find a value, ``!=`` and ``!~`` leave one out."""
    if matcher.value.startswith("__"):
        return True
    operator = str(matcher.op)
    if "Re" in operator:
        return all(
            any(re.fullmatch(part, v) for v in possible) for part in matcher.value.split("|")
        )
    return matcher.value in possible


def _known(possible: frozenset[str]) -> str:
    return f"there are {', '.join(sorted(possible))}"


def _listed(labels: Labels) -> str:
    return f"({', '.join(sorted(labels))})"


def _shown(window: timedelta) -> str:
    for name, stands in _WINDOWS.items():
        if stands == window:
            return name
    return str(parser.display_duration(window))
