"""The page that is read at night: it leads nowhere that is not there, and names what exists."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

from distributor.domain.events import Channel
from distributor.observe import rules
from distributor.observe.metrics import THROTTLE_REASONS
from distributor.settings import Settings
from tests.observe.test_rules import ROOT

PAGE = (ROOT / "docs" / "runbooks.md").read_text()
WORDS = " ".join(re.sub(r"```.*?```|`[^`]*`", "", PAGE, flags=re.DOTALL).split())
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text())
    for path in (ROOT / "grafana" / "dashboards").glob("*.json")
}
PAGES = {"Operations", "HTTP", "MQTT"}
NEVER_SEEN = {"status_overdue", "warm_up"}
"""Reasons that no verdict of this version bears."""


def titles(panels: list[dict[str, Any]]) -> set[str]:
    """Of all panels, also of those in rows."""
    return {
        title
        for panel in panels
        for title in (panel.get("title", ""), *titles(panel.get("panels") or []))
    }


def test_every_board_and_panel_that_is_named_exists() -> None:
    """Panels stand in quotes behind the name of their board."""
    board, named = "", set()
    for emphasised, quoted in re.findall(r'\*([a-z]+)\*|"([^"]+)"', WORDS.partition("quotes.")[2]):
        if emphasised:
            board = emphasised
            assert board in BOARDS
        else:
            named.add((board, quoted))
            assert quoted in titles(BOARDS[board]["panels"]), (board, quoted)
    assert {board for board, _ in named} == {"floor", "sla", "intake", "daemon"}
    assert len(named) > 15


def test_the_head_of_the_page_names_every_board() -> None:
    head = WORDS.partition("quotes.")[0]
    assert {name for name in BOARDS if f"*{name}*" in head} == set(BOARDS)
    assert f'"{BOARDS["sla"]["title"].rpartition(" / ")[2]}"' in head


def test_the_page_can_be_copied_anywhere() -> None:
    """Beside the rules, in a wiki: a link to its neighbours here would be dead there."""
    assert re.findall(r"\]\(", PAGE) == []
    pages = set(re.findall(r"pages? \*([A-Z]\w+)\*", WORDS))
    assert pages == PAGES
    assert all((ROOT / "docs" / f"{name.lower()}.md").is_file() for name in pages)
    operations = (ROOT / "docs" / "operations.md").read_text()
    for heading in re.findall(r"\*([^*]+)\* on the page \*Operations\*", WORDS):
        assert f"## {heading}\n" in operations
    names = {alert.name for alert in rules.alerts(Settings())}
    camel = set(re.findall(r"\*([A-Z][a-z]+[A-Z]\w+)\*", WORDS))
    assert camel and camel <= names


def test_the_page_names_nothing_that_cannot_occur() -> None:
    assert set(THROTTLE_REASONS) >= NEVER_SEEN
    for word in NEVER_SEEN:
        assert word not in PAGE
    section = PAGE.partition("## UnreadableMessages")[2].partition("\n## ")[0]
    assert {channel for channel in get_args(Channel) if f"`{channel}`" in section} == {"mqtt"}


def test_leads_that_arrive_at_night_are_spoken_of_where_they_wake_somebody() -> None:
    for name in ("SpeedToContactBudgetBurn", "LeadUnassignedTooLong"):
        section = PAGE.partition(f"## {name}\n")[2].partition("\n## ")[0]
        assert "**At night**" in section and "`active_time_intervals`" in section
        example = (ROOT / "grafana" / "alertmanager" / "alertmanager.yml").read_text()
        assert name in example.partition("active_time_intervals")[0]
