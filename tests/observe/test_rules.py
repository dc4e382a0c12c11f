"""The alert rules follow the settings, and each of them can fire."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from distributor.observe import burn, rules
from distributor.observe.table import TABLE
from distributor.settings import Settings, StandardsSettings, parse
from distributor.settings import SpeedToContactSettings as SpeedToContact

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {"up", "process_start_time_seconds"}
OTHERS_LABELS = {"job", "instance"}


def settings(**tables: Any) -> Settings:
    tree = {"http": {}, "reps": [{"id": "ana"}], "pools": [{"id": "default"}], **tables}
    return parse(tree, ROOT)


WIKI = "https://wiki.example/runbooks?v=1"
OTHER = settings(
    flow={"first_contact_seconds": 45},
    standards={
        "open_hours_per_month": 160,
        "open_hours_per_day": 8,
        "speed_to_contact": {"target": 0.8},
    },
    alerts={"unassigned_seconds": 300, "outbox_seconds": 7.5, "least_leads": 5, "runbooks": WIKI},
)


def standards(target: float, month: float = 220, day: float = 10) -> StandardsSettings:
    return StandardsSettings(month, day, SpeedToContact(target))


def test_the_defaults_are_the_rows_of_the_reference() -> None:
    """220 open hours a month: 2 % in 1 h, 5 % in 3 h, 10 % in an open day of 10 h."""
    rows = burn.rows(standards(0.9))
    assert [row.factor for row in rows] == pytest.approx([4.4, 3.667, 2.2])
    assert [row.budget for row in rows] == [0.02, 0.05, 0.10]
    assert [row.threshold for row in rows] == [0.44, 0.3667, 0.22]


def test_a_day_has_no_more_than_its_open_hours() -> None:
    """A floor that is open for 2 hours a day cannot miss leads for 3."""
    short = burn.rows(standards(0.9, month=44, day=2))
    assert [row.factor for row in short] == pytest.approx([0.88, 1.1, 2.2])
    always = burn.rows(standards(0.99, month=720, day=24))
    assert [row.factor for row in always] == pytest.approx([14.4, 12.0, 3.0])
    assert not any(row.capped for row in always)


def test_a_floor_around_the_clock_has_its_alerts_at_nine_leads_in_ten() -> None:
    """The textbook's 14.4 times would need more leads than come."""
    rows = burn.rows(standards(0.9, month=730, day=24))
    assert [(row.threshold, row.capped) for row in rows] == [
        (0.9, True),
        (0.9, True),
        (0.3042, False),
    ]
    assert [row.factor for row in rows] == pytest.approx([9, 9, 3.042])
    # Nine times the even pace for 1 and 3 hours of 730.
    assert [row.budget for row in rows] == pytest.approx([9 / 730, 27 / 730, 0.10])


def test_a_capped_alert_says_in_a_comment_what_it_spends_and_in_words_only_what_is_true() -> None:
    text = rules.text(
        settings(standards={"open_hours_per_month": 730, "open_hours_per_day": 24})
    ).split("- alert: ")
    hour, three, day, after = text[:4]
    for before, spent in ((hour, "1.23%"), (three, "3.70%")):
        [note] = [line.strip() for line in before.splitlines() if "Nine leads in ten" in line]
        assert note.startswith("# ") and f"{spent} of the month's budget" in note
    assert "Nine" not in day and "Nine" not in after
    assert all("> 0.9\n" in part and "at least 9 times" in part for part in (three, day))
    assert "Nine" not in rules.text(settings())


@given(
    target=st.floats(0.01, 0.9999),
    month=st.floats(1, 744),
    day=st.floats(0.5, 24),
)
@example(target=0.9, month=730, day=24)
@example(target=0.01, month=744, day=24)
@example(target=0.9999, month=220, day=10)
def test_every_alert_can_fire(target: float, month: float, day: float) -> None:
    for row in burn.rows(standards(target, month, day)):
        assert 0 < row.threshold <= 0.9
        assert row.factor == pytest.approx(row.threshold / (1 - target))
        even = min(int(row.long[:-1]) * (24 if row.long == "1d" else 1), day) / month
        # To four figures, as the threshold is rounded.
        assert row.budget == pytest.approx(row.factor * even, rel=1e-3)
        assert len(f"{row.threshold!r}".rstrip("0")) <= 10  # no dust


def test_rows_of_a_target_near_1_stay_apart() -> None:
    rows = burn.rows(standards(0.9999))
    assert [row.threshold for row in rows] == [0.00044, 0.0003667, 0.00022]


@pytest.mark.parametrize(
    "seconds, words",
    [
        (45, "45 seconds"),
        (7.5, "7.5 seconds"),
        (60, "1 minute"),
        (5400, "90 minutes"),
        (7200, "2 hours"),
        (172_800, "2 days"),
        (100_000_000, "100,000,000 seconds"),
        (3_200_000_000, "3,200,000,000 seconds"),
    ],
)
def test_a_limit_reads_well(seconds: float, words: str) -> None:
    text = rules.text(settings(flow={"first_contact_seconds": seconds}))
    head = text.partition("groups:")[0]
    assert f"of the leads within {words};" in head
    assert f"not contacted within {words}:" in text
    assert f") != {seconds}\n" in text  # exact, or the alert would say that its own rules are old
    assert "e+" not in text


def test_thresholds_and_words_come_from_the_settings() -> None:
    text = rules.text(OTHER)
    for expected in (
        "miss_ratio_rate1h > 0.64\n",
        "miss_ratio_rate3h > 0.5333\n",
        "miss_ratio_rate1d > 0.4\n",
        "lead_age_seconds) > 300\n",
        "message_age_seconds) > 7.5\n",
        "oldest_age_seconds) > 900\n",
        "[1h])) > 5\n",
        "offset 1w)) > 5\n",
        "were not contacted within 45 seconds",
        "more than 5 leads",
        '"speed_to_contact"}) != 0.8\n',
        '"speed_to_contact"}) != 45\n',
        f"{WIKI}#down",
    ):
        assert expected in text, expected


@pytest.mark.parametrize("chosen", [settings(), OTHER], ids=["default", "other"])
def test_the_text_is_yaml_with_a_group_of_records_and_one_of_alerts(chosen: Settings) -> None:
    records, alerts = yaml.safe_load(rules.text(chosen))["groups"]
    assert {rule["record"]: rule["expr"] for rule in records["rules"]} == rules.records()
    written = [
        (rule["alert"], rule["expr"], rule["for"], rule["annotations"]["summary"])
        for rule in alerts["rules"]
    ]
    assert written == [(a.name, a.expression, a.hold, a.summary) for a in rules.alerts(chosen)]
    for rule in alerts["rules"]:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["labels"]["scope"] in ("floor", "daemon")
        page = chosen.alerts.runbooks
        assert rule["annotations"]["runbook_url"] == f"{page}#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"].endswith(".")
        assert "\n" not in rule["annotations"]["summary"]


def selectors(node: Any) -> list[Any]:
    """Every selector of a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        return [node]
    parts = [
        getattr(node, name, None) for name in ("lhs", "rhs", "expr", "vector_selector", "param")
    ]
    parts += list(getattr(node, "args", None) or [])
    return [found for part in parts if part is not None for found in selectors(part)]


def used(expression: str) -> dict[str, set[str]]:
    """Metric -> the labels that the expression matches on."""
    return {
        selector.name: {matcher.name for matcher in selector.matchers.matchers}
        for selector in selectors(promql_parser.parse(expression))
    }


def labels_of(name: str) -> set[str] | None:
    """The labels of a metric of ours, or of a recorded one; None for one that does not exist."""
    if name in rules.records():
        return {"queue"}
    for row in TABLE:
        buckets = row.type == "histogram" and name == f"{row.full_name}_bucket"
        if name == row.full_name or buckets:
            return {*row.labels, *(["le"] if buckets else [])}
    return set() if name in NOT_OURS else None


EXPRESSIONS = {
    **rules.records(),
    **{f"{a.name} {a.labels}": a.expression for a in rules.alerts(settings())},
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_metric_and_label_of_a_rule_exists(name: str) -> None:
    found = used(EXPRESSIONS[name])
    assert found
    for metric, labels in found.items():
        known = labels_of(metric)
        assert known is not None, metric
        assert labels <= known | OTHERS_LABELS, metric


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_what_is_grouped_by_is_a_label_of_what_is_grouped(name: str) -> None:
    expression = EXPRESSIONS[name]
    known = set.union(*(labels_of(metric) or set() for metric in used(expression)))
    for group in re.findall(r"(?:by|on) \(([^)]*)\)", expression):
        assert set(group.split(", ")) <= known | OTHERS_LABELS


@pytest.mark.parametrize("alert", rules.alerts(settings()), ids=lambda alert: alert.name)
def test_a_summary_names_only_labels_that_the_alert_has(alert: rules.Alert) -> None:
    """A label that the expression has summed away is an empty place in the sentence."""
    named = set(re.findall(r"\$labels\.(\w+)", alert.summary))
    groups = re.findall(r" by \(([^)]*)\)", alert.expression)
    recorded = {"job", "queue"} if "queue:" in alert.expression else set()
    kept = {label for group in groups for label in group.split(", ")} | recorded
    assert named <= (kept or OTHERS_LABELS), named


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    """In the order in which they stand in the rules, each with the three things that are asked at night."""
    page = (ROOT / "docs" / "runbooks.md").read_text()
    sections = re.split(r"^## (\w+)$", page, flags=re.MULTILINE)[1:]
    written = dict(zip(sections[::2], sections[1::2], strict=True))
    assert list(written) == list(dict.fromkeys(alert.name for alert in rules.alerts(settings())))
    for name, section in written.items():
        for part in ("It means", "Look at", "Do"):
            assert f"**{part}**" in section, (name, part)
        for alert in rules.alerts(settings()):
            if alert.name == name:
                assert alert.severity in section.split("**It means**")[0].lower(), name


def test_thresholds_on_histograms_are_edges() -> None:
    """A quantile is compared with them; between two edges it would be a guess."""
    edges = {row.name: row.edges for row in TABLE}
    assert rules.STALLED_SECONDS in edges["event_loop_lag_seconds"]
    assert rules.SLOW_COMMIT_SECONDS in edges["store_commit_seconds"]
