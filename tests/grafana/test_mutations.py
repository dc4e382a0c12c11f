"""Somebody makes a mistake in a board: the checks say so, and where."""

from __future__ import annotations

import pytest

from tests.grafana.mutate import (
    Change,
    assert_found,
    assert_found_in_board,
    expr,
    key,
    override,
    without,
)

LAG = "Event loop's lag"
REACHED = "Speed to contact"
INTAKE = "Leads in, assigned, contacted"
SLOWEST = "Slowest ten"
KINDS = "Open cases"
STATES = "Open leads by state"
TROUBLE = "Trouble on the broker's link"


MISTAKES: dict[str, tuple[str, Change, str]] = {
    "typo in fieldConfig": (
        REACHED,
        key("fieldConfig/defaults/custom/lineWidht", 2, "lineWidth"),
        "lineWidht: Grafana knows no such key",
    ),
    "typo in the field's defaults": (
        REACHED,
        key("fieldConfig/defaults/decimls", 1),
        "decimls: Grafana knows no such key",
    ),
    "typo in the options": (
        SLOWEST,
        key("options/orientatoin", "horizontal", "orientation"),
        "orientatoin: Grafana knows no such key",
    ),
    "typo in a query's settings": (
        LAG,
        key("targets/0/legendFromat", "x", "legendFormat"),
        "legendFromat: Grafana knows no such key",
    ),
    "a value that is none of the list": (
        REACHED,
        key("options/legend/displayMode", "lists"),
        "'lists' is no LegendDisplayMode",
    ),
    "a number where a text belongs": (REACHED, key("title", 7), "title: 7 is no str"),
    "bad mode of thresholds": (
        LAG,
        key("fieldConfig/defaults/thresholds/mode", "relative"),
        "'relative' is no mode of thresholds",
    ),
    "thresholds that fall": (
        "Longest waiting lead",
        key("fieldConfig/defaults/thresholds/steps/1/value", 500),
        "its thresholds do not rise",
    ),
    "bad unit": (LAG, key("fieldConfig/defaults/unit", "secs"), "'secs' is no unit"),
    "bad unit in an override": (
        "Reps whose state nobody reports",
        key("fieldConfig/overrides/0/properties/0/value", "sec"),
        "'sec' is no unit",
    ),
    "no unit": (LAG, key("fieldConfig/defaults/unit", ""), "has no unit"),
    "an override of nothing": (
        REACHED,
        key("fieldConfig/overrides/2/properties/1/id", "custom.lineStile"),
        "sets custom.lineStile, which this kind of panel has not",
    ),
    "bad kind of panel": (REACHED, key("type", "graph"), "'graph' is no kind of panel"),
    "unknown metric": (
        LAG,
        expr("event_loop_lag", "event_loop_leg"),
        "distributor_event_loop_leg_seconds_bucket: no such metric",
    ),
    "unknown recorded window": (
        "In time, by pool",
        expr("rate15m", "rate16m"),
        "miss_ratio_rate16m: no such metric",
    ),
    "a histogram without its end": (
        LAG,
        expr("seconds_bucket", "seconds"),
        "distributor_event_loop_lag_seconds: no such metric",
    ),
    "wrong label in a matcher": (
        REACHED,
        expr('queue=~"$queue"', 'pool=~"$queue"'),
        "has no label pool",
    ),
    "wrong label in by()": (
        KINDS,
        expr("by (kind)", "by (kinds)"),
        "by (kinds): there is no such",
    ),
    "wrong label in on()": (
        "What is running",
        expr("on (job, instance)", "on (job, revision, pod)"),
        "on (pod): not both sides have that label",
    ),
    "wrong label brought along": (
        "What is running",
        expr("group_left (version,", "group_left (versions,"),
        "group_left (versions): the other side has no such label",
    ),
    "sides that never meet": (
        "Leads unaccounted for",
        expr("sum(", 'sum by (job) (up{job=~"$job"}) - sum('),
        "the sides of - have different labels",
    ),
    "broken PromQL": (LAG, expr("sum by (le)", "sum by le"), "query A: does not parse"),
    "an empty query": (LAG, key("targets/0/expr", " "), "query A: is empty"),
    "no query": (LAG, key("targets", []), "has no query"),
    'le="60"': (
        REACHED,
        expr('queue=~"$queue"', 'queue=~"$queue", le="60"'),
        'le="60" never occurs',
    ),
    "every process of the house": (
        "Processor",
        expr(' and on (job, instance) distributor_build_info{job=~"$job"}', ""),
        "process_cpu_seconds_total: of everybody's jobs",
    ),
    "every target that is down": (
        "Answers Prometheus",
        expr(' and on (job, instance) last_over_time(distributor_build_info{job=~"$job"}[1d])', ""),
        "up: of everybody's jobs",
    ),
    "a daemon that is down and forgotten": (
        "Daemon",
        expr(
            'last_over_time(distributor_build_info{job=~"$job"}[1d])',
            'distributor_build_info{job=~"$job"}',
        ),
        "up: of everybody's jobs: and on (job, instance) last_over_time",
    ),
    "all but ours": (
        "Memory and store",
        expr("} and on", "} unless on"),
        "process_resident_memory_bytes: of everybody's jobs",
    ),
    "tied by the job alone": (
        "Time of a scrape",
        expr("on (job, instance)", "on (job)"),
        "scrape_duration_seconds: of everybody's jobs",
    ),
    "overlap": (LAG, key("gridPos/y", 1), "lies on"),
    "too wide": (LAG, key("gridPos/w", 25), "does not fit into 24 columns"),
    "wrong label in a legend": (
        KINDS,
        key("targets/0/legendFormat", "{{kinds}}"),
        "the legend names kinds, which the result has not",
    ),
    "a legend that tells nothing apart": (
        KINDS,
        key("targets/0/legendFormat", "cases"),
        "the legend does not name kind",
    ),
    "rate of a gauge": (
        "Leads waiting",
        lambda panel: panel["targets"][0].update(
            expr='sum by (queue) (rate(distributor_queue_leads{job=~"$job"}[$__rate_interval]))'
        ),
        "distributor_queue_leads: rate() of a gauge",
    ),
    "a counter without rate": (
        "Waiting again",
        lambda panel: panel["targets"][0].update(
            expr='sum by (reason) (distributor_leads_recycled_total{job=~"$job"})'
        ),
        "a counter has no meaning outside rate() and increase()",
    ),
    "a quantile without le": (LAG, expr("sum by (le)", "sum"), "without the label le"),
    "a quantile of a count": (
        LAG,
        expr("seconds_bucket", "seconds_count"),
        "histogram_quantile() of something that is no _bucket",
    ),
    "a sum over le": (
        "Spread of decisions",
        lambda panel: panel["targets"][0].update(
            expr='sum(increase(distributor_decision_seconds_bucket{job=~"$job"}[$__rate_interval]))'
        ),
        "adds up buckets that contain each other",
    ),
    "no description": (LAG, without("description"), "has no description"),
    "a description that says nothing": (LAG, key("description", "The lag."), "says nothing"),
    "no title": (LAG, key("title", ""), "has no title"),
    "an id twice": (LAG, key("id", 2), "the id 2 is not its own"),
    "no job": (LAG, expr('{job=~"$job"}', ""), 'no job=~"$job"'),
    "the wrong job": (LAG, expr('job=~"$job"', 'job="distributor"'), 'no job=~"$job"'),
    "a fixed window": (LAG, expr("$__rate_interval", "5m"), "rate() over 5m: use $__rate_interval"),
    "the wrong window": (
        LAG,
        expr("$__rate_interval", "$__range"),
        "rate() over $__range: use $__rate_interval",
    ),
    "a window that Grafana does not have": (
        LAG,
        expr("$__rate_interval", "$__rate"),
        "does not parse",
    ),
    "impossible value of a label": (
        "Leads waiting, and at a rep",
        expr('state="assigned"', 'state="assinged"', 1),
        'state="assinged" never occurs',
    ),
    "impossible value left out": (
        "Open leads by state",
        expr('state!="closed"', 'state!="done"'),
        'state="done" never occurs',
    ),
    "a variable that the board has not": (
        LAG,
        expr('job=~"$job"', 'job=~"$job", instance=~"$team"'),
        "$team: the board has no such variable",
    ),
    "a source of its own": (LAG, key("datasource/uid", "prometheus-1"), "its data source is not"),
    "a query with its own source": (
        LAG,
        key("targets/0/datasource/uid", "prometheus-1"),
        "query A: its data source is not",
    ),
    "a column from nowhere": (
        "What is running",
        key("transformations/0/options/include/names", ["instance", "Value #B"]),
        "the column Value #B comes from no query",
    ),
    "a stack with lines": (
        STATES,
        key("fieldConfig/defaults/custom/lineWidth", 2),
        "areas on each other have lines",
    ),
    "a limit out of sight": (
        "Oldest waiting lead",
        key("fieldConfig/defaults/custom/axisSoftMax", 120),
        "the line at 120 is not on the axis, or at its edge",
    ),
    "an axis of its own making": (
        LAG,
        lambda panel: panel["fieldConfig"]["defaults"]["custom"].pop("axisSoftMax"),
        "the line at 0.25 is not on the axis",
    ),
    "an empty cell that says nobody is there": (
        "The reps now",
        override(4, "noValue"),
        "an empty cell of Why would say the panel's noValue",
    ),
    "a line in green": (
        REACHED,
        override(0, "color"),
        "the series half has no colour of its own",
    ),
    "a state in the colour of another": (
        STATES,
        lambda panel: panel["fieldConfig"]["overrides"].pop(1),
        "the series waiting has no colour of its own",
    ),
    "results by an unknown target in green": (
        "Attempts that failed",
        lambda panel: panel["fieldConfig"]["overrides"].pop(0),
        "the series x: retry has no colour of its own",
    ),
    "two windows in green and yellow": (
        "Burn rate: 1h and 5m",
        lambda panel: panel["fieldConfig"]["overrides"].pop(1),
        "the series x 5m has no colour of its own",
    ),
    "two series of one colour": (
        INTAKE,
        key("fieldConfig/overrides/2/properties/0/value/fixedColor", "#56B4E9"),
        "series of one colour: assigned, contacted",
    ),
    "a legend of what never happened": (
        TROUBLE,
        lambda panel: panel["targets"][0].update(
            expr=panel["targets"][0]["expr"].partition(" and ")[0]
        ),
        "8 series stand in the legend though they may never have happened",
    ),
    "a link to nowhere": (
        "Slowest ten",
        key("fieldConfig/defaults/links/0/url", "/d/distributor-reps?${__url_time_range}"),
        "links to distributor-reps, which is no board",
    ),
    "a link that hands over too much": (
        "Slowest ten",
        key("fieldConfig/defaults/links/0/url", "/d/distributor-rep?var-who=x&${__url_time_range}"),
        "links with who, which distributor-rep has not",
    ),
}


WITH_THE_REST = {"overlap", "an id twice"}
"""Mistakes that the panel's neighbours show."""


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_panel_is_found(mistake: str, words) -> None:
    """Judged is the panel alone, on its board: all boards for each mistake would take a minute."""
    title, change, says = MISTAKES[mistake]
    assert_found(title, change, says, words, whole=mistake in WITH_THE_REST)


BOARD_MISTAKES: dict[str, tuple[Change, str]] = {
    "can be edited": (key("editable", True), "is not read-only"),
    "no description": (key("description", ""), "has no description"),
    "an unknown key": (key("shcemaVersion", 42), "shcemaVersion: Grafana knows no such key"),
    "the uid of another": (key("uid", "distributor-rep"), "2 boards have this uid"),
    "no source": (key("templating/list/0/name", "source"), "has no variable datasource"),
    "one value alone": (key("templating/list/1/multi", False), "must take several values"),
    "all is anything": (key("templating/list/1/allValue", ".*"), "for All must be .+"),
    "stale values": (key("templating/list/1/refresh", 1), "asked for again"),
    "no such label": (
        key("templating/list/1/query/query", "label_values(distributor_build_info, jobs)"),
        "variable job: distributor_build_info has no label jobs",
    ),
    "a bad annotation": (
        key("annotations/list/1/expr", "process_begin_time_seconds * 1000"),
        "annotation Restarts: process_begin_time_seconds: no such metric",
    ),
    "everybody's restarts": (
        key("annotations/list/1/expr", 'process_start_time_seconds{job=~"$job"} * 1000'),
        "annotation Restarts: process_start_time_seconds: of everybody's jobs",
    ),
    "links that lose the time": (key("links/0/keepTime", False), "loses the time"),
}


@pytest.mark.parametrize("mistake", BOARD_MISTAKES)
def test_a_mistake_in_a_board_is_found(mistake: str, words) -> None:
    change, says = BOARD_MISTAKES[mistake]
    assert_found_in_board(change, says, words)
