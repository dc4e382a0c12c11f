"""A function for each kind of panel that the boards use: title, what it says, queries, and little else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from grafana_foundation_sdk.builders import (
    bargauge,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import common as shared
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models import prometheus as prometheus_models

from tools.grafana import style
from tools.grafana.queries import Query

SOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
TO_REP: Final = (
    "/d/distributor-rep?var-rep=${__field.labels.rep}"
    "&${datasource:queryparam}&${job:queryparam}&${__url_time_range}"
)
"""From a series of a rep to the rep's board, in the same time."""
TO_REP_FROM_CELL: Final = TO_REP.replace("${__field.labels.rep}", "${__value.raw}")
EVERY: Final = "2m"
"""The time between two points of what happens a few times an hour."""
NONE: Final = "none in this time"
_ROOM: Final = 1.5
_TALLEST_BAR: Final = 60
_NARROWEST_COLUMN: Final = 80
_EMPTY_CELL: Final = "-"

Override = tuple[models.MatcherConfig, list[models.DynamicConfigValue]]


class Placed(NamedTuple):
    """A panel and the room that it takes: columns of 24, rows of 30 pixels."""

    panel: models.Panel
    width: int
    height: int


def stat_panel(
    title: str,
    about: str,
    *queries: Query,
    unit: str,
    width: int = 4,
    height: int = 5,
    colours: build.ThresholdsConfig = style.PLAIN,
    mappings: Sequence[models.ValueMap] = (),
    overrides: Sequence[Override] = (),
    last: str | None = None,
    decimals: int | None = None,
    absent: str = "no data",
    names: bool = False,
) -> Placed:
    """Big numbers. ``last``: look at this much time instead of the board's. ``names``: show the series'
    names alone, for info metrics."""
    text = "name" if names else ("value_and_name" if len(queries) > 1 else "auto")
    panel = (
        stat.Panel()
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .text_mode(common.BigValueTextMode(text))
        .reduce_options(_last())
    )
    panel = _common(panel, title, about, queries, unit, overrides).no_value(absent)
    panel = panel.thresholds(colours).mappings(list(mappings))
    panel = panel.color_scheme(build.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    if last:
        panel = panel.time_from(last)
    if decimals is not None:
        panel = panel.decimals(decimals)
    return Placed(panel.build(), width, height)


def bars_panel(
    title: str,
    about: str,
    *queries: Query,
    unit: str,
    width: int = 8,
    height: int = 8,
    colours: build.ThresholdsConfig = style.PLAIN,
    overrides: Sequence[Override] = (),
    most: float | None = None,
    decimals: int | None = None,
    absent: str = "no data",
    to_rep: bool = False,
) -> Placed:
    """A bar for each series, its present value. ``most``: the end of the scale."""
    panel = (
        bargauge.Panel()
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .orientation(common.VizOrientation.HORIZONTAL)
        .value_mode(common.BarGaugeValueMode.TEXT)
        .sizing(common.BarGaugeSizing.MANUAL)
        .max_viz_height(_TALLEST_BAR)
        .reduce_options(_last())
    )
    panel = _common(panel, title, about, queries, unit, overrides).no_value(absent)
    panel = panel.thresholds(colours).min(0)
    panel = panel.color_scheme(build.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    if most is not None:
        panel = panel.max(most)
    if decimals is not None:
        panel = panel.decimals(decimals)
    if to_rep:
        panel = panel.data_links([_link("Open the rep's board", TO_REP)])
    return Placed(panel.build(), width, height)


def lines_panel(
    title: str,
    about: str,
    *queries: Query,
    unit: str,
    width: int = 8,
    height: int = 8,
    colours: build.ThresholdsConfig | None = None,
    overrides: Sequence[Override] = (),
    words: Sequence[str] = (),
    stacked: bool = False,
    most: float | None = None,
    room: float | None = None,
    decimals: int | None = None,
    every: str = "",
    absent: str = "no data",
) -> Placed:
    """Numbers over time. ``colours``: drawn as lines across the panel. ``words``: what the legend's labels
    can say, for their colours. ``stacked``: areas on each other. ``room``: the axis goes at least so far;
    half as far again as the highest line across where it is not said. ``every``: a point counts what
    was since the one before, at least so long. ``absent``: instead of a graph without series."""
    panel = (
        timeseries.Panel()
        .legend(
            shared.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            shared.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
        .line_width(0 if stacked else 2)  # a line of a series at 0 would lie on the series below
        .fill_opacity(70 if stacked else 0)
        .show_points(common.VisibilityMode.NEVER)
        .axis_soft_min(0)
    )
    panel = _common(panel, title, about, queries, unit, [*_coloured(queries, words), *overrides])
    panel = panel.no_value(absent)
    if stacked:
        mode = shared.StackingConfig().mode(common.StackingMode.NORMAL).group("A")
        panel = panel.stacking(mode)
    if colours is not None:
        drawn = shared.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(colours).thresholds_style(drawn)
        room = room or _ROOM * max(step.value or 0 for step in colours.build().steps)
    if most is not None:
        panel = panel.max(most)
    elif room is not None:
        panel = panel.axis_soft_max(room)
    if decimals is not None:
        panel = panel.decimals(decimals)
    if every:
        panel = panel.interval(every).line_interpolation(common.LineInterpolation.STEP_BEFORE)
        if stacked:
            panel = panel.draw_style(common.GraphDrawStyle.BARS)
    return Placed(panel.build(), width, height)


def counts_panel(
    title: str,
    about: str,
    *queries: Query,
    width: int = 8,
    height: int = 8,
    words: Sequence[str] = (),
    apart: bool = False,
) -> Placed:
    """How many in each two minutes, as bars on each other: for what is too rare for a pace. The queries are
    ``queries.counts``. ``apart``: as steps, where one series counts again what another has counted."""
    return lines_panel(
        title,
        about,
        *queries,
        unit=style.COUNT,
        width=width,
        height=height,
        words=words,
        stacked=not apart,
        room=5,
        decimals=0,
        every=EVERY,
        absent=NONE,
    )


def heat_panel(
    title: str, about: str, query: Query, *, unit: str, width: int = 8, height: int = 8
) -> Placed:
    """How a histogram's values lie, over time."""
    panel = (
        heatmap.Panel()
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heat.HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .steps(32)
        )
        .y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(common.AxisPlacement.LEFT))
        .show_legend()
    )
    panel = _common(panel, title, about, (query,), unit, ())
    return Placed(panel.build(), width, height)


def timeline_panel(
    title: str,
    about: str,
    *queries: Query,
    mappings: Sequence[models.ValueMap],
    width: int = 24,
    height: int = 8,
) -> Placed:
    """What each series was over time, in words."""
    panel = (
        statetimeline.Panel()
        .merge_values(True)
        .show_value(common.VisibilityMode.AUTO)
        .row_height(0.8)
        .fill_opacity(80)
        .line_width(0)
    )
    panel = _common(panel, title, about, queries, "none", ()).mappings(list(mappings))
    return Placed(panel.build(), width, height)


class Column(NamedTuple):
    """A table's column: the field as Grafana names it, its heading, and how its values are shown.
    ``wide``: its width in pixels; 0 is an equal share of what the others leave."""

    field: str
    heading: str
    unit: str = ""
    mappings: Sequence[models.ValueMap] = ()
    colours: build.ThresholdsConfig | None = None
    to_rep: bool = False
    absent: str = _EMPTY_CELL
    wide: int = 0


def table_panel(
    title: str,
    about: str,
    *queries: Query,
    columns: Sequence[Column],
    join: str = "",
    unit: str = "none",
    width: int = 24,
    height: int = 9,
    sort: str = "",
    descending: bool = False,
    absent: str = "nothing to show",
) -> Placed:
    """These columns in this order and no others. ``join``: the label by which several queries make up one
    row. ``absent``: instead of rows; an empty cell says its column's own ``absent``."""
    overrides = [_column(column) for column in columns]
    panel = table.Panel().min_width(_NARROWEST_COLUMN)
    panel = _common(panel, title, about, queries, unit, overrides).no_value(absent)
    if join:
        joined = {"byField": join, "mode": "outer"}
        panel.with_transformation(models.DataTransformerConfig("joinByField", options=joined))
    order = {column.field: index for index, column in enumerate(columns)}
    names = {column.field: column.heading for column in columns}
    panel = (
        panel.show_header(True)
        .with_transformation(
            models.DataTransformerConfig(
                id_val="filterFieldsByName", options={"include": {"names": list(names)}}
            )
        )
        .with_transformation(
            models.DataTransformerConfig(
                id_val="organize", options={"indexByName": order, "renameByName": names}
            )
        )
    )
    if sort:
        by = shared.TableSortByFieldState().display_name(sort).desc(descending)
        panel = panel.sort_by([by])
    return Placed(panel.build(), width, height)


def named(field: str, **properties: Any) -> Override:
    """An override of the series or column ``field``; ``properties`` by Grafana's own names."""
    return _override("byName", field, properties)


def of_query(letter: str, **properties: Any) -> Override:
    """An override of what the query with this letter brings."""
    return _override("byFrameRefID", letter, properties)


def as_limit(name: str) -> Override:
    """An override that draws the series ``name`` as a dashed line."""
    matcher, colour = style.colour_by_name(name, style.BAD)
    dash = {"fill": "dash", "dash": [10, 10]}
    return matcher, [
        *colour,
        models.DynamicConfigValue(id_val="custom.lineStyle", value=dash),
        models.DynamicConfigValue(id_val="custom.fillOpacity", value=0),
        models.DynamicConfigValue(
            id_val="custom.stacking", value={"mode": "none", "group": "limit"}
        ),
    ]


def _coloured(queries: Sequence[Query], words: Sequence[str]) -> list[Override]:
    """The colours of the series whose names are known, and of those that end with one of ``words``."""
    plain = [query.legend for query in queries if query.legend in style.COLOURS]
    alone = [word for query in queries if _ALONE.fullmatch(query.legend) for word in words]
    found = [style.colour_of(word) for word in dict.fromkeys([*plain, *alone])]
    if any(_AT_END.search(query.legend) for query in queries):
        found += map(style.colour_by_end, words)
    return found


_ALONE: Final = re.compile(r"{{\w+}}")
_AT_END: Final = re.compile(r": {{\w+}}$")


def _override(kind: str, of: str, properties: dict[str, Any]) -> Override:
    found = []
    for key, value in properties.items():
        plain = value.build() if isinstance(value, build.ThresholdsConfig) else value
        found.append(models.DynamicConfigValue(id_val=key.replace("__", "."), value=plain))
    return models.MatcherConfig(id_val=kind, options=of), found


def _column(column: Column) -> Override:
    properties: dict[str, Any] = {"noValue": column.absent}
    if column.wide:
        properties["custom__width"] = column.wide
    if column.unit:
        properties["unit"] = column.unit
    if column.mappings:
        properties["mappings"] = list(column.mappings)
    if column.colours is not None:
        properties["thresholds"] = column.colours
        properties["custom__cellOptions"] = {"type": "color-text"}
    if column.to_rep:
        properties["links"] = [{"title": "Open ${__value.text}", "url": TO_REP_FROM_CELL}]
    return named(column.heading, **properties)


def _link(title: str, url: str) -> build.DashboardLink:
    return build.DashboardLink(title).url(url)


def _last() -> shared.ReduceDataOptions:
    return shared.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def _common(
    panel: Any,
    title: str,
    about: str,
    queries: Sequence[Query],
    unit: str,
    overrides: Sequence[Override],
) -> Any:
    """What every panel has."""
    panel.title(title).description(about).datasource(SOURCE).unit(unit)
    panel.targets([_target(query, index) for index, query in enumerate(queries)])
    for matcher, properties in overrides:
        panel.with_override(matcher, properties)
    return panel


def _target(query: Query, index: int) -> prometheus.Dataquery:
    target = prometheus.Dataquery().datasource(SOURCE).expr(query.expr).ref_id(chr(65 + index))
    target = target.editor_mode(prometheus_models.QueryEditorMode.CODE)
    target = target.instant() if query.instant else target.range()
    shape = "table" if query.table else ("heatmap" if query.cells else "time_series")
    target = target.format(prometheus_models.PromQueryFormat(shape))
    return target.legend_format(query.legend) if query.legend else target
