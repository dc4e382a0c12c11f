"""A board of rows of panels: numbers and places, variables, links, annotations, and the JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prometheus_models

from tools.grafana import style
from tools.grafana.panels import SOURCE, Placed
from tools.grafana.queries import RATE, J, T, m, running

COLUMNS: Final = 24
TAG: Final = "distributor"
SOURCE_NAME: Final = "Distributor"
SOURCE_UID: Final = f"{TAG}-prometheus"
"""Of the source that we provision."""
_STARTED: Final = 5
"""Seconds from the process' start in which it has taken its settings."""


class Row(NamedTuple):
    """Panels under one heading, placed from left to right and then below."""

    title: str
    panels: Sequence[Placed]


class Board(NamedTuple):
    """``name``: of the file, and of the uid after ``distributor-``. ``variables``: in their order, see
    ``_VARIABLES``. ``since``: the time shown at first, ``refresh``: how often it is asked for again."""

    name: str
    title: str
    about: str
    rows: Sequence[Row]
    variables: Sequence[str]
    since: str = "now-3h"
    refresh: str = "10s"

    @property
    def uid(self) -> str:
        """What links name the board by."""
        return f"{TAG}-{self.name}"


_VARIABLES: Final = {
    "job": ("Daemon", "label_values(distributor_build_info, job)"),
    "queue": ("Pool", f"label_values({m('queue_leads')}, queue)"),
    "team": ("Team", f"label_values({m('reps')}, team)"),
    "rep": (
        "Rep",
        f"label_values({m('rep_throttle_ratio', T)}, rep)",
    ),
    "vendor": ("Vendor", f"label_values({m('leads_received_total')}, vendor)"),
}
"""Name -> (label, query). All of them take several values, and "All" is ``.+``."""


def encoded(board: Board) -> str:
    """The board as the JSON file that Grafana reads."""
    text = json.dumps(built(board), cls=JSONEncoder, sort_keys=True)
    return json.dumps(_tidied(json.loads(text)), indent=2, sort_keys=True) + "\n"


def built(board: Board) -> models.Dashboard:
    """The board in the SDK's types."""
    made = (
        build.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags([TAG])
        .readonly()
        .refresh(board.refresh)
        .time(board.since, "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .variables([_source(), *(_variable(name) for name in board.variables)])
        .link(
            build.DashboardLink("Boards")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(False)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for annotation in _annotations():
        made.annotation(annotation)
    found = made.build()
    found.panels = _placed(board.rows)
    found.version = 1
    return found


def _placed(rows: Sequence[Row]) -> list[models.Panel | models.RowPanel]:
    """All panels with their numbers and places; the builder's own numbers are missing or 0."""
    found: list[models.Panel | models.RowPanel] = []
    top = 0
    for row in rows:
        place = models.GridPos(x=0, y=top, w=COLUMNS, h=1)
        found.append(
            models.RowPanel(
                title=row.title, id_val=len(found) + 1, collapsed=False, grid_pos=place, panels=[]
            )
        )
        top += 1
        left = tallest = 0
        for placed in row.panels:
            if left + placed.width > COLUMNS:
                top, left, tallest = top + tallest, 0, 0
            placed.panel.id_val = len(found) + 1
            placed.panel.grid_pos = models.GridPos(x=left, y=top, w=placed.width, h=placed.height)
            found.append(placed.panel)
            left += placed.width
            tallest = max(tallest, placed.height)
        top += tallest
    return found


def _source() -> build.DatasourceVariable:
    """The provisioned source; where there is none, Grafana takes another of the type."""
    return (
        build.DatasourceVariable("datasource")
        .label("Data source")
        .type("prometheus")
        .current(models.VariableOption(selected=True, text=SOURCE_NAME, value=SOURCE_UID))
    )


def _variable(name: str) -> build.QueryVariable:
    label, query = _VARIABLES[name]
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
    )


def _annotations() -> list[build.AnnotationQuery]:
    reloads = m("config_last_reload_success_timestamp_seconds")
    began = f"process_start_time_seconds{{{J}}}"
    # The start takes settings too.
    taken = f"{reloads} and on (job, instance) {reloads} - on (job, instance) {began} > {_STARTED}"
    overrides = (
        f"sum by (action) (increase({m('operator_actions_total', J, result='done')}[{RATE}])) > 0"
    )
    return [
        _annotation("Settings", style.SKY, f"({taken}) * 1000", "New settings", at_value=True),
        _annotation(
            "Restarts", style.BAD, f"({running(began)}) * 1000", "The daemon began", at_value=True
        ),
        _annotation("Overrides", style.QUIET, overrides, "A supervisor: {{action}}"),
    ]


def _annotation(
    name: str, colour: str, expr: str, text: str, *, at_value: bool = False
) -> build.AnnotationQuery:
    target = (
        prometheus.Dataquery()
        .expr(expr)
        .ref_id("Anno")
        .range()
        .editor_mode(prometheus_models.QueryEditorMode.CODE)
        .legend_format(text)
    )
    return (
        build.AnnotationQuery()
        .name(name)
        .datasource(SOURCE)
        .enable(True)
        .icon_color(colour)
        .expr(expr)
        .target(target)
        .title_format(text)
        .use_value_for_time(at_value)
    )


_DATA_LINK: Final = ("title", "url", "targetBlank")


def _tidied(board: dict[str, Any]) -> dict[str, Any]:
    """Without what the SDK writes against our will: links and switches hidden in a menu, and a board's
    link where a data link is meant."""
    for item in (*board["links"], *board["annotations"]["list"]):
        item.pop("placement", None)
    for panel in board["panels"]:
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        if links := defaults.get("links"):
            defaults["links"] = [{key: link[key] for key in _DATA_LINK} for link in links]
    return board
