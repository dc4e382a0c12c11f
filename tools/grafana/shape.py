"""Whether a panel's settings fit what its queries bring: units and scales, ways of asking, words.

A panel with such a mistake is valid for Grafana, and says something that is not so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tools.grafana import dimension as d
from tools.grafana import promql, style
from tools.grafana.vocabulary import Series

Json = dict[str, Any]
Words = Mapping[str, Series]

_SPAN: Final = re.compile(r"[1-9]\d*[smhdwMy]")
_SINCE: Final = re.compile(r"now-[1-9]\d*[smhdwMy]")
_QUANTILE: Final = re.compile(r"histogram_quantile\(([^,]+),")
_QUANTILE_WORDS: Final = {"half": 0.5, "nine in ten": 0.9, "99 of 100": 0.99}
_REDUCED: Final = frozenset({"stat", "bargauge"})
_DOWN: Final = frozenset({"down", "refused"})
_CELL_LINK: Final = re.compile(r"var-(\w+)=\$\{__value\.raw\}")
_SERIES_LINK: Final = re.compile(r"var-(\w+)=\$\{__field\.labels\.(\w+)\}")


def misshapen(panel: Json, words: Words) -> Iterator[str]:
    """What does not fit in a panel whose queries are sound."""
    yield from _units(panel)
    yield from _scale(panel)
    yield from _asked(panel)
    yield from _quantiles(panel)
    yield from _flags(panel)
    yield from _joined(panel, words)
    yield from _handed_over(panel)


def board_misshapen(board: Json) -> Iterator[str]:
    """What does not fit in a board."""
    if not _SPAN.fullmatch(board.get("refresh") or ""):
        yield f"refresh {board.get('refresh')!r} is no duration as Grafana writes it: 10s"
    time = board.get("time", {})
    if not _SINCE.fullmatch(time.get("from") or "") or time.get("to") != "now":
        yield f"time {time} is not from now-3h to now"
    titles = Counter(p.get("title") for p in board["panels"] if p.get("type") != "row")
    yield from (f"{n} panels have the title {title}" for title, n in titles.items() if n > 1)


# -- units and scales ----------------------------------------------------------------------------


def _units(panel: Json) -> Iterator[str]:
    for target in panel["targets"]:
        letter = target["refId"]
        heat = target.get("format") == "heatmap"
        kind = (d.bucket_dimension if heat else d.dimension)(target["expr"])
        unit = _heat_unit(panel) if heat else _unit(panel, target)
        if not kind or unit is None or kind == d.NUMBER:
            continue
        if kind == d.MINUTES and "minutes" in (target.get("legendFormat") or ""):
            continue
        if unit not in d.UNITS[kind]:
            yield f"query {letter} gives {kind}, which {unit!r} does not say"


def _unit(panel: Json, target: Json) -> str | None:
    """The unit of what a query brings; None where nobody sees it."""
    config = panel["fieldConfig"]
    name: str = target.get("legendFormat") or ""
    if target.get("format") == "table":
        headings = {
            field: heading
            for change in panel.get("transformations") or ()
            for field, heading in change["options"].get("renameByName", {}).items()
        }
        name = headings.get(f"Value #{target['refId']}", "")
        if not name:
            return None
    unit: str = config["defaults"].get("unit", "")
    for override in config.get("overrides", ()):
        matcher = override["matcher"]
        ours = {("byName", name), ("byFrameRefID", target["refId"])}
        if (matcher["id"], matcher["options"]) in ours:
            for part in override["properties"]:
                unit = part["value"] if part["id"] == "unit" else unit
    return unit


def _heat_unit(panel: Json) -> str:
    return str(panel["options"].get("yAxis", {}).get("unit", ""))


def _scale(panel: Json) -> Iterator[str]:
    """Ratios are 0 to 1 everywhere: 90 would be 9000 %."""
    defaults = panel["fieldConfig"]["defaults"]
    yield from _ratios(defaults.get("unit"), defaults)
    for override in panel["fieldConfig"].get("overrides", ()):
        keys = {part["id"]: part["value"] for part in override["properties"]}
        yield from _ratios(keys.get("unit"), keys)


def _ratios(unit: str | None, keys: Json) -> Iterator[str]:
    if unit != style.RATIO:
        return
    steps = (keys.get("thresholds") or {}).get("steps", ())
    values = [step["value"] for step in steps if step.get("value") is not None]
    for value in (*values, *(keys[key] for key in ("min", "max") if key in keys)):
        if not 0 <= value <= 1:
            yield f"{value:g} on a scale of ratios, which is 0 to 1"


# -- how it is asked -----------------------------------------------------------------------------


def _asked(panel: Json) -> Iterator[str]:
    heat = panel["type"] == "heatmap"
    for target in panel["targets"]:
        letter = target["refId"]
        if bool(target.get("instant")) == bool(target.get("range")):
            yield f"query {letter}: is asked neither for now nor over time, or for both"
        if target.get("hide"):
            yield f"query {letter}: is hidden"
        if heat != (target.get("format") == "heatmap"):
            yield f"query {letter}: format {target.get('format')!r}; heatmaps have heatmap, others not"
        if (panel["type"] == "table") != (target.get("format") == "table"):
            yield f"query {letter}: format {target.get('format')!r}; tables have table, others not"
    calcs = panel["options"].get("reduceOptions", {}).get("calcs")
    if panel["type"] in _REDUCED and calcs != ["lastNotNull"]:
        yield f"shows {calcs} of its series, and not the last value"
    since = panel.get("timeFrom")
    if since is not None and not _SPAN.fullmatch(since):
        yield f"timeFrom {since!r} is no duration as Grafana writes it: 15m"


def _quantiles(panel: Json) -> Iterator[str]:
    for target in panel["targets"]:
        named = _QUANTILE_WORDS.get(target.get("legendFormat") or "")
        for text in _QUANTILE.findall(target["expr"]):
            quantile = float(text)
            if not 0 < quantile < 1:
                yield f"query {target['refId']}: the quantile {text} is not between 0 and 1"
            elif named is not None and quantile != named:
                yield f"query {target['refId']}: is the quantile {text}, and says {target['legendFormat']}"


def _flags(panel: Json) -> Iterator[str]:
    """Where 1 is well, 0 must be the bad word and colour."""
    for mapping in panel["fieldConfig"]["defaults"].get("mappings") or ():
        options = mapping.get("options", {})
        if mapping["type"] != "value" or options.keys() != {"0", "1"}:
            continue
        no, yes = options["0"], options["1"]
        if no.get("color") != style.BAD or yes.get("color") != style.GOOD:
            yield "0 is not mapped to the bad colour and 1 to the good one"
        if no.get("text") not in _DOWN or yes.get("text") in _DOWN:
            yield f"0 is {no.get('text')} and 1 is {yes.get('text')}: the other way round"


# -- tables and links ----------------------------------------------------------------------------


def _joined(panel: Json, words: Words) -> Iterator[str]:
    for change in panel.get("transformations") or ():
        by = change["options"].get("byField")
        for target in panel["targets"] if by else ():
            if by not in promql.kept(target["expr"], words):
                yield f"joined by {by}, which query {target['refId']} does not bring"


def _handed_over(panel: Json) -> Iterator[str]:
    """A link's variable is filled from the column, or the label, of its own name."""
    config = panel["fieldConfig"]
    for link in config["defaults"].get("links") or ():
        for variable, label in _SERIES_LINK.findall(link["url"]):
            if variable != label:
                yield f"a link fills {variable} from the label {label}"
    fields = {
        heading: field
        for change in panel.get("transformations") or ()
        for field, heading in change["options"].get("renameByName", {}).items()
    }
    for override in config.get("overrides", ()):
        of = override["matcher"]["options"]
        for part in override["properties"]:
            for link in part["value"] if part["id"] == "links" else ():
                for variable in _CELL_LINK.findall(link["url"]):
                    if fields.get(of, of) != variable:
                        yield f"a link fills {variable} from the column {of}"
