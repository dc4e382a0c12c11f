"""A board that Grafana would draw without a word, and that says what is not so: the checks see it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.grafana.conftest import BOARDS
from tests.grafana.mutate import Change, assert_found, assert_found_in_board, expr, key
from tools.grafana import dimension as d
from tools.grafana.lint import lint

LAG = "Event loop's lag"
REACHED = "Speed to contact"
TAKEN = "Delivered"
SHARE = "Contacted, of the accepted"
MEMORY = "Memory and store"
TABLE = "Held back: who, why, for how long"
HEAT = "Spread of decisions"
SIGN = "Answers Prometheus"
UNIT = "fieldConfig/defaults/unit"
WORDS = "fieldConfig/defaults/mappings/0/options"


def swapped(panel: dict[str, Any]) -> None:
    options = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    options["0"], options["1"] = options["1"], options["0"]


def said(path: str, old: str, new: str) -> Change:
    """A part of a text is replaced, wherever it stands in an override."""

    def change(panel: dict[str, Any]) -> None:
        for override in panel["fieldConfig"]["overrides"]:
            for part in override["properties"]:
                if part["id"] == path:
                    for link in part["value"]:
                        link["url"] = link["url"].replace(old, new)

    return change


MISTAKES: dict[str, tuple[str, Change, str]] = {
    "percent of 0 to 1": (SHARE, key(UNIT, "percent"), "gives a ratio, which 'percent' does not"),
    "seconds of memory": (MEMORY, key(UNIT, "s"), "query A gives bytes, which 's' does not say"),
    "a count in seconds": ("Leads waiting", key(UNIT, "s"), "gives a count, which 's' does not"),
    "milliseconds": (LAG, key(UNIT, "ms"), "gives seconds, which 'ms' does not say"),
    "a pace each second": (TAKEN, expr(" * 60", ""), "gives a pace each second, which"),
    "a count each minute": (
        TAKEN,
        expr("rate(", "increase("),
        "gives a count, which 'suffix: /min' does not say",
    ),
    "minutes as seconds": ("Oldest case", expr(" / 60", ""), "gives seconds, which 'suffix: min'"),
    "the unit of one number": (
        "Reps",
        key("fieldConfig/overrides/0/properties/0/value", "s"),
        "query B gives a ratio, which 's' does not say",
    ),
    "the unit of a column": (
        TABLE,
        key("fieldConfig/overrides/3/properties/1/value", "s"),
        "query A gives a ratio, which 's' does not say",
    ),
    "the unit of a heat map": (HEAT, key("options/yAxis/unit", "bytes"), "gives seconds, which"),
    "a moment as a span": (
        "Settings taken",
        lambda panel: panel["targets"][0].update(
            expr='max(distributor_config_last_reload_success_timestamp_seconds{job=~"$job"})'
        ),
        "gives a moment, which",
    ),
    "a target of 90": (
        "In time, by pool",
        key("fieldConfig/defaults/max", 100),
        "100 on a scale of ratios",
    ),
    "thresholds of percent": (
        "Open files, of the most allowed",
        key("fieldConfig/defaults/thresholds/steps/1/value", 80),
        "80 on a scale of ratios",
    ),
    "a quantile of 99": (LAG, expr("0.99", "99"), "the quantile 99 is not between 0 and 1"),
    "half that is nine in ten": (
        REACHED,
        expr("0.5", "0.9"),
        "is the quantile 0.9, and says half",
    ),
    "a heat map of lines": (HEAT, key("targets/0/format", "time_series"), "heatmaps have heatmap"),
    "lines of a table": (LAG, key("targets/0/format", "table"), "tables have table"),
    "asked for nothing": (LAG, key("targets/0/range", False), "asked neither for now nor over"),
    "asked twice": (LAG, key("targets/0/instant", True), "or for both"),
    "a hidden query": (LAG, key("targets/0/hide", True), "query A: is hidden"),
    "the greatest of all": (
        "Slowest ten",
        key("options/reduceOptions/calcs", ["max"]),
        "shows ['max'] of its series",
    ),
    "a time of its own": (
        "In the first minute",
        key("timeFrom", "15 min"),
        "timeFrom '15 min' is no duration",
    ),
    "up is down": (SIGN, swapped, "0 is up and 1 is down: the other way round"),
    "down in blue": (
        SIGN,
        key(f"{WORDS}/0/color", "#0072B2"),
        "0 is not mapped to the bad colour",
    ),
    "joined by what one side has": (
        TABLE,
        key("transformations/0/options/byField", "team"),
        "joined by team, which query B does not bring",
    ),
    "a rep's board for a team": (
        TABLE,
        said("links", "var-rep=", "var-team="),
        "a link fills team from the column Rep",
    ),
    "a rep's board for a pool": (
        "Slowest ten",
        key(
            "fieldConfig/defaults/links/0/url",
            "/d/distributor-rep?var-rep=${__field.labels.queue}&${__url_time_range}",
        ),
        "a link fills rep from the label queue",
    ),
    "above the board": (LAG, key("gridPos/y", -1), "does not fit into 24 columns"),
    "a closed row": ("Inside", key("collapsed", True), "is closed: nobody sees"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_panel_that_says_what_is_not_so_is_found(mistake: str, words) -> None:
    title, change, says = MISTAKES[mistake]
    assert_found(title, change, says, words, whole=False)


BOARD_MISTAKES: dict[str, tuple[Change, str]] = {
    "refreshed never": (key("refresh", "5 s"), "refresh '5 s' is no duration"),
    "since the future": (key("time/from", "now+1h"), "is not from now-3h to now"),
    "marks that Grafana asks otherwise": (
        key("annotations/list/2/target/expr", "up"),
        "its query and its target ask different things",
    ),
    "marks of everybody": (
        key("annotations/list/2/target/expr", 'up{job=~"$job"} * 1000'),
        "up: of everybody's jobs",
    ),
}


@pytest.mark.parametrize("mistake", BOARD_MISTAKES)
def test_a_board_that_says_what_is_not_so_is_found(mistake: str, words) -> None:
    change, says = BOARD_MISTAKES[mistake]
    assert_found_in_board(change, says, words)


def test_a_title_twice_is_found(words) -> None:
    board, *_ = deepcopy(BOARDS)
    board["panels"][2]["title"] = board["panels"][1]["title"]
    assert any("2 panels have the title" in text for text in lint([board], words))


@pytest.mark.parametrize(
    ("expr", "kind"),
    [
        ("sum(distributor_reps)", d.COUNT),
        ("1 - sum(distributor_reps) / (sum(distributor_reps) > 0)", d.RATIO),
        ("time() - max(distributor_intake_last_message_timestamp_seconds)", d.SECONDS),
        ("rate(process_cpu_seconds_total[1m])", d.RATIO),
        ("rate(distributor_decision_seconds_count[1m])", d.PER_SECOND),
        ("rate(distributor_decision_seconds_count[1m]) * 60", d.PER_MINUTE),
        ("histogram_quantile(0.9, rate(distributor_decision_seconds_bucket[1m]))", d.SECONDS),
        ("histogram_quantile(0.9, rate(distributor_store_batch_rows_bucket[1m]))", d.COUNT),
        ("max(distributor_exceptions_oldest_age_seconds) / 60", d.MINUTES),
        ("min(up) and on (job) distributor_store_bytes", d.FLAG),
        ("process_start_time_seconds * 1000", d.UNKNOWN),
        ("rate(distributor_decision_seconds_count[1m]) * 3600", d.UNKNOWN),
    ],
)
def test_what_kind_of_number_an_expression_gives(expr: str, kind: str) -> None:
    assert d.dimension(expr) == kind
