"""What is wrong with the boards' JSON, a line for each complaint that names board and panel.

``python -m tools.grafana --check`` prints it. Nothing here asks Grafana or Prometheus.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

from grafana_foundation_sdk.models import units

from distributor.observe.table import TABLE
from tools.grafana import looks, promql, shape, typed
from tools.grafana.vocabulary import Series, ours

Json = dict[str, Any]
Words = Mapping[str, Series]

COLUMNS: Final = 24
SOURCE: Final = "${datasource}"
_UNITS: Final = frozenset(v for k, v in vars(units).items() if not k.startswith("_"))
_OWN_UNITS: Final = ("suffix:", "prefix:", "time:", "si:", "count:", "currency:")
_PROPERTIES: Final = frozenset(
    {
        *("unit", "color", "thresholds", "noValue", "mappings", "links", "decimals", "min", "max"),
        "displayName",
    }
)
_TRANSFORMATIONS: Final = frozenset(
    {"joinByField", "filterFieldsByName", "organize", "merge", "sortBy"}
)
_LEAST_DESCRIPTION: Final = 40
_LABEL_VALUES: Final = re.compile(r"label_values\((.+), *([a-z_]+)\)")


def lint(boards: Sequence[Json], words: Words) -> list[str]:
    """Everything that is wrong with these boards, and between them."""
    found = [text for board in boards for text in _board(board, words)]
    for key in ("uid", "title"):
        counted = Counter(board.get(key) for board in boards)
        found += [f"{value}: {n} boards have this {key}" for value, n in counted.items() if n > 1]
    found += _links(boards)
    found += [f"{name}: is on no board" for name in unplaced(boards)]
    return found


def unplaced(boards: Sequence[Json]) -> list[str]:
    """Metrics of the table that no query of a board names."""
    placed: set[str] = set()
    for board in boards:
        for expr in _expressions(board):
            try:
                placed |= {ours(name) for name in promql.names(expr)}
            except ValueError:
                continue
    return [row.full_name for row in TABLE if row.name not in placed]


def _expressions(board: Json) -> Iterator[str]:
    for panel in board.get("panels", ()):
        for target in panel.get("targets") or ():
            yield target.get("expr", "")
    for annotation in board["annotations"]["list"]:
        yield annotation.get("expr", "")


# -- one board -----------------------------------------------------------------------------------


def _board(board: Json, words: Words) -> Iterator[str]:
    name = board.get("title") or board.get("uid") or "a board"
    for text in _shell(board, words):
        yield f"{name}: {text}"
    panels = board.get("panels", [])
    counted = Counter(panel.get("id") for panel in panels)
    for panel in panels:
        where = f"{name}: panel {panel.get('title') or panel.get('id')!r}"
        if not panel.get("id") or counted[panel["id"]] > 1:
            yield f"{where}: the id {panel.get('id')} is not its own"
        check = _row if panel.get("type") == "row" else _panel
        yield from (f"{where}: {text}" for text in check(panel, board, words))
    for one, other in combinations(panels, 2):
        if _overlap(one["gridPos"], other["gridPos"]):
            yield f"{name}: panel {one.get('title')!r}: lies on panel {other.get('title')!r}"


def _shell(board: Json, words: Words) -> Iterator[str]:
    for key in ("uid", "title", "description", "tags", "refresh"):
        if not board.get(key):
            yield f"has no {key}"
    if board.get("editable") is not False:
        yield "is not read-only"
    if any(link.get("type") != "dashboards" or not link.get("keepTime") for link in board["links"]):
        yield "a link to other boards does not go by tag or loses the time"
    yield from typed.board_strangers(board)
    yield from shape.board_misshapen(board)
    variables = board["templating"]["list"]
    if not any(v["name"] == "datasource" and v["type"] == "datasource" for v in variables):
        yield "has no variable datasource"
    for variable in variables:
        if variable["type"] == "query":
            yield from (
                f"variable {variable['name']}: {text}" for text in _variable(variable, words)
            )
    for annotation in board["annotations"]["list"]:
        asked = annotation.get("target", {}).get("expr", "")
        if asked != annotation["expr"]:
            yield f"annotation {annotation['name']}: its query and its target ask different things"
        for expr in dict.fromkeys((annotation["expr"], asked)):
            for text in _expression(expr, board, words):
                yield f"annotation {annotation['name']}: {text}"


def _variable(variable: Json, words: Words) -> Iterator[str]:
    if not variable.get("label"):
        yield "has no label"
    if not (variable.get("multi") and variable.get("includeAll")):
        yield "must take several values and All"
    if variable.get("allValue") != ".+":
        yield "its value for All must be .+"
    if variable.get("refresh") != 2:
        yield "must be asked for again when the time changes"
    query = _LABEL_VALUES.fullmatch(variable["query"].get("query", ""))
    if query is None:
        yield "its query is no label_values(metric, label)"
        return
    selector, label = query.groups()
    name = selector.partition("{")[0]
    if name not in words or label not in words[name].labels:
        yield f"{name} has no label {label}"
    elif label != "job" and 'job=~"$job"' not in selector:
        yield 'its query has no job=~"$job"'


def _links(boards: Sequence[Json]) -> Iterator[str]:
    """Data links that lead nowhere, or hand over a variable that is not there."""
    known = {b["uid"]: {v["name"] for v in b["templating"]["list"]} for b in boards if b.get("uid")}
    for board in boards:
        for panel in board["panels"]:
            for url in _urls(panel):
                where = f"{board.get('title')}: panel {panel.get('title')!r}"
                uid, _, query = url.removeprefix("/d/").partition("?")
                if uid not in known:
                    yield f"{where}: links to {uid}, which is no board"
                    continue
                if "${__url_time_range}" not in query:
                    yield f"{where}: a link that loses the time"
                for name in re.findall(r"var-(\w+)=|\$\{(\w+):queryparam\}", query):
                    if "".join(name) not in known[uid]:
                        yield f"{where}: links with {''.join(name)}, which {uid} has not"


def _urls(panel: Json) -> Iterator[str]:
    config = panel.get("fieldConfig", {})
    for link in config.get("defaults", {}).get("links", ()):
        yield link["url"]
    for override in config.get("overrides", ()):
        for part in override["properties"]:
            if part["id"] == "links":
                yield from (link["url"] for link in part["value"])


def _overlap(one: Json, other: Json) -> bool:
    across = one["x"] < other["x"] + other["w"] and other["x"] < one["x"] + one["w"]
    down = one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"]
    return bool(across and down)


# -- one panel -----------------------------------------------------------------------------------


def _row(panel: Json, board: Json, words: Words) -> Iterator[str]:
    if not panel.get("title"):
        yield "has no title"
    if panel.get("collapsed"):
        yield "is closed: nobody sees what is in it"


def _panel(panel: Json, board: Json, words: Words) -> Iterator[str]:
    kind = panel.get("type", "")
    if kind not in typed.panel_types():
        yield f"{kind!r} is no kind of panel"
        return
    if not panel.get("title"):
        yield "has no title"
    if len(panel.get("description") or "") < _LEAST_DESCRIPTION:
        yield "has no description, or one that says nothing"
    if (panel.get("datasource") or {}).get("uid") != SOURCE:
        yield f"its data source is not {SOURCE}"
    place = panel["gridPos"]
    if (
        place["x"] < 0
        or place["y"] < 0
        or place["w"] < 1
        or place["h"] < 1
        or place["x"] + place["w"] > COLUMNS
    ):
        yield f"does not fit into {COLUMNS} columns"
    yield from typed.strangers(panel)
    yield from _fields(panel)
    wrong = list(_queries(panel, board, words))
    yield from wrong or (*shape.misshapen(panel, words), *looks.ugly(panel, words))


def _fields(panel: Json) -> Iterator[str]:
    """Units, thresholds, overrides and transformations."""
    config = panel.get("fieldConfig", {})
    defaults = config.get("defaults", {})
    yield from _unit(defaults.get("unit"))
    yield from _steps(defaults.get("thresholds"))
    for override in config.get("overrides", ()):
        for part in override["properties"]:
            key = part["id"]
            if key.startswith("custom."):
                if not typed.custom_key_known(panel["type"], key.removeprefix("custom.")):
                    yield f"an override sets {key}, which this kind of panel has not"
            elif key not in _PROPERTIES:
                yield f"an override sets {key}, which Grafana does not know"
            if key == "unit":
                yield from _unit(part["value"])
            elif key == "thresholds":
                yield from _steps(part["value"])
    for change in panel.get("transformations") or ():
        if change["id"] not in _TRANSFORMATIONS:
            yield f"{change['id']} is no transformation"


def _unit(unit: str | None) -> Iterator[str]:
    if not unit:
        yield "has no unit"
    elif unit not in _UNITS and not unit.startswith(_OWN_UNITS):
        yield f"{unit!r} is no unit"


def _steps(thresholds: Json | None) -> Iterator[str]:
    if not thresholds:
        return
    if thresholds.get("mode") not in {"absolute", "percentage"}:
        yield f"{thresholds.get('mode')!r} is no mode of thresholds"
    first, *rest = [step.get("value") for step in thresholds["steps"]]
    if first is not None or rest != sorted(set(rest)):
        yield "its thresholds do not rise from the first, which has no value"


def _queries(panel: Json, board: Json, words: Words) -> Iterator[str]:
    targets = panel.get("targets") or ()
    if not targets:
        yield "has no query"
    if len({target.get("refId") for target in targets}) < len(targets):
        yield "two queries have the same letter"
    brought: set[str] = set()
    for target in targets:
        letter = target.get("refId")
        if (target.get("datasource") or {}).get("uid") != SOURCE:
            yield f"query {letter}: its data source is not {SOURCE}"
        wrong = list(_expression(target.get("expr") or "", board, words))
        yield from (f"query {letter}: {text}" for text in wrong)
        if wrong:
            return
        labels = promql.kept(target["expr"], words)
        if target.get("format") == "table":
            brought |= {*labels, f"Value #{letter}", "Value"}
        else:
            yield from (f"query {letter}: {text}" for text in _legend(target, labels))
    if brought:
        yield from _columns(panel, brought)


def _expression(expr: str, board: Json, words: Words) -> Iterator[str]:
    if not expr.strip():
        yield "is empty"
        return
    known = {variable["name"] for variable in board["templating"]["list"]}
    for name in re.findall(r'"\$(\w+)"', expr):
        if name not in known:
            yield f"${name}: the board has no such variable"
    yield from promql.complaints(expr, words)


def _legend(target: Json, labels: frozenset[str]) -> Iterator[str]:
    shown = set(re.findall(r"\{\{ *(\w+) *\}\}", target.get("legendFormat") or ""))
    for label in sorted(shown - labels):
        yield f"the legend names {label}, which the result has not"
    for label in sorted(labels - shown - {"job", "instance"}):
        yield f"the legend does not name {label}: series look alike"


def _columns(panel: Json, brought: set[str]) -> Iterator[str]:
    for change in panel.get("transformations") or ():
        options = change["options"]
        wanted = [*options.get("include", {}).get("names", ()), *options.get("renameByName", ())]
        wanted += [options["byField"]] if "byField" in options else []
        for name in dict.fromkeys(wanted):
            if name not in brought:
                yield f"the column {name} comes from no query"
