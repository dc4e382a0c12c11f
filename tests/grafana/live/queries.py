"""What boards and rules ask, as it can be asked of a Prometheus after a run of half a minute."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser as promql
import yaml

ROOT = Path(__file__).resolve().parents[3]
DASHBOARDS = ROOT / "grafana" / "dashboards"
RULES = ROOT / "grafana" / "prometheus" / "rules.yml"
BOARDS = {"floor", "rep", "sla", "intake", "daemon"}

# Long enough for the whole run; the longest name first, or $__rate_interval would lose its end.
INTERVALS = {"$__rate_interval": "2m", "$__interval": "2m", "$__range": "5m"}
COMPARISONS = {">", "<", ">=", "<=", "==", "!="}
SETS = {"and", "or", "unless"}
_VARIABLE = re.compile(r"\$(?:\{\w+(?::\w+)?\}|\w+)")
_LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_VALUES = re.compile(r"label_values\((?:(.*),\s*)?(\w+)\)", re.DOTALL)
_OFFSET = re.compile(r"\boffset -?\w+")


class Query(NamedTuple):
    """An expression, where it stands, and the labels that every series of its result must have."""

    where: str
    expression: str
    labels: tuple[str, ...] = ()


def filled(text: str) -> str:
    """An expression without Grafana's variables."""
    for name, value in INTERVALS.items():
        braced = "${" + name[1:] + "}"
        text = text.replace(name, value).replace(braced, value)
    return _VARIABLE.sub(".+", text)


def of_board(path: Path) -> Iterator[Query]:
    """Everything that a board asks: variables, annotations, the targets of its panels."""
    board = json.loads(path.read_text())
    for variable in board.get("templating", {}).get("list", []):
        if variable["type"] == "query":
            asked = variable["query"]
            text = asked["query"] if isinstance(asked, dict) else asked
            found = _VALUES.fullmatch(text.strip())
            assert found, f"{path.stem}: variable {variable['name']}: {text} is no label_values()"
            where = f"{path.stem}: variable {variable['name']}"
            yield Query(where, filled(found[1] or "up"), (found[2],))
    for note in board.get("annotations", {}).get("list", []):
        target = note.get("target") or {}
        if text := target.get("expr") or note.get("expr"):
            legend = tuple(_LEGEND.findall(target.get("legendFormat") or ""))
            yield Query(f"{path.stem}: annotation {note['name']}", filled(text), legend)
    for panel in _panels(board["panels"]):
        for target in panel.get("targets") or []:
            where = f"{path.stem}: {panel['title']} ({target.get('refId')})"
            legend = tuple(_LEGEND.findall(target.get("legendFormat") or ""))
            yield Query(where, filled(target["expr"]), legend)


def _panels(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels") or [])


class Rule(NamedTuple):
    """A rule: ``record`` or ``alert`` is its name, the other one empty."""

    record: str
    alert: str
    expression: str

    @property
    def where(self) -> str:
        return f"rules.yml: {self.record or self.alert}"


def of_rules(text: str) -> Iterator[Rule]:
    for group in yaml.safe_load(text)["groups"]:
        for rule in group["rules"]:
            yield Rule(rule.get("record", ""), rule.get("alert", ""), rule["expr"].strip())


def watched(expression: str) -> str:
    """What an alert looks at, without its limits and without a look a week back: it has data also
    where the alert is silent, with the same matching of labels as the alert itself."""
    return _OFFSET.sub("", _watched(promql.parse(expression)))


def _watched(node: Any) -> str:
    if isinstance(node, promql.ParenExpr):
        return f"({_watched(node.expr)})"
    if not isinstance(node, promql.BinaryExpr):
        return str(node)
    op = str(node.op)
    if op in COMPARISONS:
        if isinstance(node.rhs, promql.NumberLiteral):
            return _watched(node.lhs)
        if isinstance(node.lhs, promql.NumberLiteral):
            return _watched(node.rhs)
        op = "-"  # of two vectors: they must match
    elif op == "unless":
        return _watched(node.lhs)
    elif op not in SETS:
        return str(node)
    matching = str(node.modifier.matching or "") if node.modifier is not None else ""
    return f"({_watched(node.lhs)}) {op} {matching} ({_watched(node.rhs)})"
