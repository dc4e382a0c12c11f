"""What a panel would look like that reads well in its JSON: colours, legends, empty cells, room on the axis.

Each rule is a mistake that was seen in a picture of a board.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

from tools.grafana import promql
from tools.grafana.vocabulary import Series

Json = dict[str, Any]
Words = Mapping[str, Series]
Override = tuple[str, str, Mapping[str, Any]]

_LABEL: Final = re.compile(r"\{\{ *(\w+) *\}\}")
_ANYTHING: Final = "x"
"""Stands for the value of a label that can have any."""
_MOST_NAMES: Final = 4
"""So many series of a counter may stand in a legend though they never happened."""


def ugly(panel: Json, words: Words) -> Iterator[str]:
    """What is wrong with the looks of a panel whose queries are sound."""
    if panel["type"] == "timeseries":
        yield from _stack(panel)
        yield from _room(panel)
        yield from _colours(panel, words)
        yield from _legend(panel, words)
    elif panel["type"] == "table":
        yield from _cells(panel)


def _stack(panel: Json) -> Iterator[str]:
    custom = _custom(panel)
    stacked = custom.get("stacking", {}).get("mode", "none") != "none"
    if stacked and custom.get("lineWidth", 1):
        yield "areas on each other have lines: that of a series at 0 lies on the others; lineWidth 0"


def _room(panel: Json) -> Iterator[str]:
    custom, defaults = _custom(panel), panel["fieldConfig"]["defaults"]
    if custom.get("thresholdsStyle", {}).get("mode", "off") == "off":
        return
    line = max(step.get("value") or 0 for step in defaults["thresholds"]["steps"])
    end = defaults.get("max", custom.get("axisSoftMax"))
    if end is None or end <= line:
        yield f"while all is well the line at {line:g} is not on the axis, or at its edge: axisSoftMax"


def _cells(panel: Json) -> Iterator[str]:
    """Grafana puts the panel's ``noValue`` into every empty cell too."""
    config = panel["fieldConfig"]
    own = {name for kind, name, keys in _overrides(panel) if kind == "byName" and "noValue" in keys}
    if "noValue" not in config["defaults"]:
        return
    for change in panel.get("transformations") or ():
        for heading in change["options"].get("renameByName", {}).values():
            if heading not in own:
                yield f"an empty cell of {heading} would say the panel's noValue: give it its own"


# -- series --------------------------------------------------------------------------------------


def _colours(panel: Json, words: Words) -> Iterator[str]:
    """A series whose name is known must have a colour: Grafana's own are green first, red fifth."""
    coloured = [
        (kind, of, keys["color"].get("fixedColor", ""))
        for kind, of, keys in _overrides(panel)
        if "color" in keys
    ]
    found: dict[str, str] = {}
    for target in panel["targets"]:
        legend = target.get("legendFormat") or ""
        if not _LABEL.sub("", legend).strip() and not _closed(target, words):
            continue  # names that nobody knows beforehand
        for name in _names(target, words):
            found[name] = _colour(name, target["refId"], coloured)
    for name, colour in found.items():
        if not colour:
            yield f"the series {name} has no colour of its own"
    for colour, n in Counter(found.values()).items():
        if colour and n > 1:
            same = ", ".join(name for name, other in found.items() if other == colour)
            yield f"series of one colour: {same}"


def _colour(name: str, letter: str, coloured: Sequence[tuple[str, str, str]]) -> str:
    """The colour that the overrides give, the last one that fits."""
    found = ""
    for kind, of, colour in coloured:
        fits = {
            "byName": of == name,
            "byFrameRefID": of == letter,
            "byRegexp": kind == "byRegexp" and re.search(of.strip("/"), name) is not None,
        }
        if fits.get(kind):
            found = colour
    return found


def _legend(panel: Json, words: Words) -> Iterator[str]:
    for target in panel["targets"]:
        closed = _closed(target, words)
        number = len(list(product(*closed.values()))) if closed else 0
        if number > _MOST_NAMES and promql.counts(target["expr"], words):
            if not target["expr"].endswith("> 0"):
                yield (
                    f"query {target['refId']}: {number} series stand in the legend though they may "
                    "never have happened: and ... > 0"
                )


def _closed(target: Json, words: Words) -> dict[str, list[str]]:
    """Label of the legend -> the values that it can have, where they are known."""
    labels = dict.fromkeys(_LABEL.findall(target.get("legendFormat") or ""))
    values = {label: promql.values(target["expr"], label, words) for label in labels}
    return {label: sorted(found) for label, found in values.items() if found}


def _names(target: Json, words: Words) -> Iterator[str]:
    """The names that the target's series can have."""
    closed = _closed(target, words)
    for chosen in product(*closed.values()):
        known = dict(zip(closed, chosen, strict=True))
        yield _LABEL.sub(lambda m: known.get(m[1], _ANYTHING), target.get("legendFormat") or "")  # noqa: B023


def _overrides(panel: Json) -> Iterator[Override]:
    for override in panel["fieldConfig"].get("overrides", ()):
        matcher = override["matcher"]
        keys = {part["id"]: part["value"] for part in override["properties"]}
        yield matcher["id"], matcher["options"], keys


def _custom(panel: Json) -> Json:
    found: Json = panel["fieldConfig"]["defaults"].get("custom", {})
    return found
