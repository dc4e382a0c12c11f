"""The files that users take, and rules of other settings, in Prometheus' own checker."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from distributor import starter
from distributor.observe import rules
from distributor.settings import load
from tests.observe.test_rules import OTHER, ROOT, settings
from tests.real import need_program

PROMETHEUS = ROOT / "grafana" / "prometheus"
UNIT_TEST_FILES = ("rules_test.yml", "rules_week_test.yml")
UNIT_TESTS: list[dict[str, Any]] = [
    test
    for name in UNIT_TEST_FILES
    for test in yaml.safe_load((PROMETHEUS / name).read_text())["tests"]
]

ALERTMANAGER: dict[str, Any] = yaml.safe_load(
    (ROOT / "grafana" / "alertmanager" / "alertmanager.yml").read_text()
)


def promtool(*words: str | Path, code: int = 0) -> str:
    """What it prints; fails where it answers with another code."""
    done = subprocess.run(
        [need_program("promtool", "prometheus"), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    return said


def test_the_committed_rules_are_those_of_the_starter_configuration(tmp_path: Path) -> None:
    """After a change: distributor rules --config FILE > grafana/prometheus/rules.yml"""
    starter.write(tmp_path / "floor")
    text = rules.text(load(tmp_path / "floor" / "distributor.toml"))
    assert (PROMETHEUS / "rules.yml").read_text() == text


@pytest.mark.real
def test_the_committed_files_are_good() -> None:
    promtool("check", "rules", PROMETHEUS / "rules.yml")
    promtool("check", "config", PROMETHEUS / "prometheus.yml")


@pytest.mark.real
@pytest.mark.parametrize("name", UNIT_TEST_FILES)
def test_the_unit_tests_of_the_committed_rules_pass(name: str) -> None:
    promtool("test", "rules", PROMETHEUS / name)


# -- whether they would notice ---------------------------------------------------------------------


def run(folder: Path, tests: list[dict[str, Any]], code: int, text: str | None = None) -> str:
    """Run unit tests against the committed rules, or against ``text``."""
    committed = (PROMETHEUS / "rules.yml").read_text()
    (folder / "rules.yml").write_text(committed if text is None else text)
    whole = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (folder / "rules_test.yml").write_text(yaml.safe_dump(whole))
    return promtool("test", "rules", folder / "rules_test.yml", code=code)


def about(alert: str) -> list[dict[str, Any]]:
    """Copies of the unit tests that are about the alert."""
    found = [
        test
        for test in UNIT_TESTS
        if alert in {case["alertname"] for case in test.get("alert_rule_test", ())}
    ]
    assert found, alert
    copies: list[dict[str, Any]] = yaml.safe_load(yaml.safe_dump(found))
    return copies


@pytest.mark.real
@pytest.mark.parametrize("wrong", ["a summary", "a label", "no alert", "one alert too many"])
def test_a_wrong_expectation_makes_promtool_answer_1(tmp_path: Path, wrong: str) -> None:
    [test] = about("ConfigRejected")
    silent, loud, _ = test["alert_rule_test"]
    run(tmp_path, [test], code=0)
    if wrong == "a summary":
        loud["exp_alerts"][0]["exp_annotations"]["summary"] = "All is well."
    elif wrong == "a label":
        loud["exp_alerts"][0]["exp_labels"]["severity"] = "page"
    elif wrong == "no alert":
        loud["exp_alerts"] = []
    else:
        silent["exp_alerts"] = loud["exp_alerts"]
    assert "FAILED" in run(tmp_path, [test], code=1)


@pytest.mark.real
@pytest.mark.parametrize(
    "alert, right, wrong",
    [
        ("SpeedToContactBudgetBurn", "rate1h > 0.44", "rate1h > 1.44"),
        ("SpeedToContactBudgetBurn", "rate3h > 0.3667", "rate3h > 1.2"),
        ("LeadUnassignedTooLong", "> 120", "> 1200"),
        ("EverybodyThrottled", "> 0.5", ">= 0.5"),
        ("EverybodyThrottled", ">= 2", ">= 1"),
        ("EverybodyThrottled", "ready|busy|wrap_up", "ready"),
        ("LeadUnassignedTooLong", "max by", "min by"),
        ("ExceptionUndecided", "max by", "avg by"),
        ("PeerDisconnected", "min by (job, instance, peer)", "max by (job, peer)"),
        ("MessagesSetAside", "[3d]", "[15m]"),
        ("UnreadableMessages", "[12h]", "[15m]"),
        ("RulesOutOfDate", "!= 0.9", "!= 0.95"),
        ("RulesOutOfDate", "!= 60", "!= 45"),
        (
            "DaemonRestarting",
            "and on (job, instance) last_over_time(distributor_build_info[15m])",
            "",
        ),
        ("Down", "or up", "unless up"),
        ("StoreSlow", "_seconds_bucket[5m]", "_second_bucket[5m]"),
        ("ConfigRejected", "== 0", "== 1"),
        ("Down", 'up{job="distributor"} ', "up "),
        ("Down", "[1d]", "[1m]"),
    ],
)
def test_a_wrong_rule_is_noticed(tmp_path: Path, alert: str, right: str, wrong: str) -> None:
    before, name, after = (PROMETHEUS / "rules.yml").read_text().partition(f"alert: {alert}\n")
    assert right in after.partition("annotations")[0] or alert == "SpeedToContactBudgetBurn"
    spoiled = before + name + after.replace(right, wrong, 1)
    assert "FAILED" in run(tmp_path, about(alert), code=1, text=spoiled)


def outcomes(alert: str) -> Iterator[tuple[tuple[Any, ...], ...]]:
    """For each moment at which the alert is looked at: severity and window of those that fire."""
    for test in UNIT_TESTS:
        for case in test.get("alert_rule_test", ()):
            if case["alertname"] == alert:
                labels = [expected["exp_labels"] for expected in case["exp_alerts"]]
                yield tuple((one["severity"], one.get("long")) for one in labels)


def test_every_alert_is_seen_to_fire_and_to_be_silent() -> None:
    for alert in rules.alerts(settings()):
        seen = list(outcomes(alert.name))
        assert () in seen, alert.name
        fired = {one for moment in seen for one in moment}
        assert (alert.severity, alert.labels.get("long")) in fired, (alert.name, alert.labels)


# -- other settings --------------------------------------------------------------------------------

EVENTS = 'distributor_standard_events_total{job="d", queue="default", standard="speed_to_contact"'
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'


def missed(of_ten: int) -> list[dict[str, str]]:
    """Ten leads every 15 s for five hours, so many of them missed."""
    return [
        {"series": f'{EVENTS}, result="met"}}', "values": f"0+{10 - of_ten}x1200"},
        {"series": f'{EVENTS}, result="missed"}}', "values": f"0+{of_ten}x1200"},
    ]


def expects(series: list[dict[str, str]], at: str, **firing: int) -> dict[str, Any]:
    samples = [{"labels": f'{{alertname="{name}"}}', "value": n} for name, n in firing.items()]
    found = {"eval_time": at, "expr": FIRING, "exp_samples": samples}
    return {"interval": "15s", "input_series": series, "promql_expr_test": [found]}


@pytest.mark.real
def test_rules_of_other_settings_fire_at_their_own_thresholds(tmp_path: Path) -> None:
    """A target of 0.8 and a month of 160 hours: 0.64 in 1 h, 0.5333 in 3 h, 0.4 in a day of 8 h."""
    (tmp_path / "rules.yml").write_text(rules.text(OTHER))
    promtool("check", "rules", tmp_path / "rules.yml")
    waiting = 'distributor_queue_oldest_lead_age_seconds{job="d", queue="default"}'
    outbox = 'distributor_outbox_oldest_message_age_seconds{job="d", target="cloud"}'
    tests = [
        expects(missed(10), "4h", SpeedToContactBudgetBurn=3),
        expects(missed(6), "4h", SpeedToContactBudgetBurn=2),
        expects(missed(5), "4h", SpeedToContactBudgetBurn=1),
        expects(missed(4), "4h"),
        expects([{"series": waiting, "values": "300x40"}], "8m"),
        expects([{"series": waiting, "values": "301x40"}], "8m", LeadUnassignedTooLong=1),
        expects([{"series": outbox, "values": "7.5x40"}], "8m"),
        expects([{"series": outbox, "values": "8x40"}], "8m", OutboxStuck=1),
    ]
    whole = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "rules_test.yml").write_text(yaml.safe_dump(whole))
    promtool("test", "rules", tmp_path / "rules_test.yml")


# -- who is told -----------------------------------------------------------------------------------


def routes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("routes", ()):
        yield from routes(child)


def test_the_alertmanager_s_example_routes_what_the_rules_have() -> None:
    receivers = {receiver["name"] for receiver in ALERTMANAGER["receivers"]}
    labels = {"severity": set(), "scope": set(), "alertname": set()}
    for alert in rules.alerts(settings()):
        labels["severity"].add(alert.severity)
        labels["scope"].add(alert.scope)
        labels["alertname"].add(alert.name)
    used = []
    for route in routes(ALERTMANAGER["route"]):
        assert route["receiver"] in receivers
        used += route.get("matchers", [])
    for rule in ALERTMANAGER["inhibit_rules"]:
        used += rule["source_matchers"] + rule["target_matchers"]
    assert used
    for matcher in used:
        name, _, value = matcher.partition(" = ")
        assert value.strip('"') in labels[name], matcher


def test_the_alertmanager_s_example_has_no_secret_and_calls_nobody() -> None:
    """What is invented would be taken for real; the lines to fill in are comments."""
    for receiver in ALERTMANAGER["receivers"]:
        assert list(receiver) == ["name"]
    text = (ROOT / "grafana" / "alertmanager" / "alertmanager.yml").read_text()
    assert "password_file" in text
    assert "password:" not in text
