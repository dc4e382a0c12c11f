"""The rules of Prometheus are held to the same judge as the boards."""

from __future__ import annotations

import re

import pytest

from distributor.observe.rules import alerts, records
from distributor.settings import Settings
from tests.docs.pages import DOCS
from tools.grafana.promql import complaints, kept

ALERTS = alerts(Settings())


@pytest.mark.parametrize("name", records())
def test_what_is_recorded_is_sound(name: str, words) -> None:
    expr = records()[name]
    assert complaints(expr, words, panel=False) == []
    assert kept(expr, words) == words[name].labels


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name} {alert.hold}")
def test_an_alert_is_sound(alert, words) -> None:
    assert complaints(alert.expression, words, panel=False) == []
    labels = kept(alert.expression, words) | set(alert.labels)
    assert set(re.findall(r"\$labels\.(\w+)", alert.summary)) <= labels


def test_the_boards_that_runbooks_name_exist(boards) -> None:
    named = set(re.findall(r"\*([a-z]+)\*:", (DOCS / "runbooks.md").read_text()))
    assert named and {f"distributor-{name}" for name in named} <= {b["uid"] for b in boards}
