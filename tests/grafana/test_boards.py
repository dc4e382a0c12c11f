"""The committed files are what the code makes, and the boards are sound."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import example, given, reject
from hypothesis import strategies as st

from distributor.domain.floor import FlowPlan
from distributor.errors import BadConfig
from distributor.observe.table import PREFIX, TABLE, Metric
from distributor.settings import AlertSettings, Settings
from distributor.settings.model import SpeedToContactSettings, StandardsSettings
from tests.docs.pages import ROOT, blocks
from tools.grafana import lint as rules
from tools.grafana.__main__ import main
from tools.grafana.board import Board, Row, encoded
from tools.grafana.files import boards as all_boards
from tools.grafana.files import made
from tools.grafana.style import BAD, GOOD, WARN
from tools.grafana.vocabulary import vocabulary

GRAFANA = ROOT / "grafana"
MADE = made(Settings(), GRAFANA)
CONFIG = """\
[http]
port = 8080
[flow]
first_contact_seconds = 300
[standards.speed_to_contact]
target = 0.8
[alerts]
unassigned_seconds = 600
[[reps]]
id = "ana"
[[pools]]
id = "default"
"""


@pytest.mark.parametrize("path", MADE, ids=lambda path: str(path.relative_to(GRAFANA)))
def test_a_made_file_is_up_to_date(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == MADE[path], f"{path.name} is stale: run python -m tools.grafana"


def test_nothing_lies_beside_the_made_boards() -> None:
    there = {
        path
        for folder in ("dashboards", "provisioning")
        for path in (GRAFANA / folder).rglob("*.*")
    }
    assert there <= set(MADE)


def test_the_boards_are_sound(boards: list[dict[str, Any]], words) -> None:
    assert rules.lint(boards, words) == []


def test_the_boards_are_those_that_links_and_pages_name(boards: list[dict[str, Any]]) -> None:
    names = ("floor", "rep", "sla", "intake", "daemon")
    assert {board["uid"] for board in boards} == {f"distributor-{name}" for name in names}


def test_a_metric_on_no_board_is_found(boards: list[dict[str, Any]], monkeypatch) -> None:
    row = Metric("nobody_shows_it", "gauge", (), "leads", "Nothing.")
    monkeypatch.setattr(rules, "TABLE", (*TABLE, row))
    assert rules.unplaced(boards) == [PREFIX + row.name]


def test_the_wall_has_few_numbers(boards: list[dict[str, Any]]) -> None:
    """What a supervisor cannot take in at a glance does not belong in the first row."""
    (floor,) = [board for board in boards if board["uid"] == "distributor-floor"]
    stats = [panel for panel in floor["panels"] if panel["type"] == "stat"]
    assert 4 <= len(stats) <= 7
    assert sum(len(panel["targets"]) for panel in stats) <= 12
    assert {panel["gridPos"]["y"] for panel in stats} == {1}
    assert sum(panel["gridPos"]["w"] for panel in stats) == 24


def test_no_words_of_the_wall_mean_a_dead_daemon_too(boards: list[dict[str, Any]]) -> None:
    """Nothing comes back both where nothing happened and where nobody answers: the words send to the sign
    that tells them apart."""
    (floor,) = [board for board in boards if board["uid"] == "distributor-floor"]
    panels = {
        panel["title"]: panel["fieldConfig"]["defaults"]
        for panel in floor["panels"][1:]
        if panel["type"] != "row"
    }
    assert panels["Daemon"]["noValue"] == "no data"
    said = [p["noValue"] for p in panels.values() if p.get("noValue", "").startswith("nobody")]
    assert len(said) == 2 and all("see Daemon above" in text for text in said)


def test_colours_are_told_apart_by_everybody(boards: list[dict[str, Any]]) -> None:
    text = json.dumps(boards)
    assert {GOOD, WARN, BAD} <= set(re.findall(r"#[0-9A-F]{6}", text))
    assert not re.search(r'"(?:dark-|semi-dark-|light-)?(?:red|green)"', text)


def test_the_writer_writes_what_changed_and_nothing_else(tmp_path: Path, capsys) -> None:
    assert main([str(tmp_path)]) == 0
    written = {Path(line) for line in capsys.readouterr().out.split()}
    assert written == {tmp_path / path.relative_to(GRAFANA) for path in MADE}
    (tmp_path / "README.md").write_text("old")
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'README.md'}\n"
    assert main(["--check", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


def test_the_boards_follow_the_settings(tmp_path: Path, capsys) -> None:
    config = tmp_path / "distributor.toml"
    config.write_text(CONFIG)
    assert main(["--config", str(config), str(tmp_path)]) == 0
    assert main(["--config", str(config), "--check", str(tmp_path)]) == 0
    floor = json.loads((tmp_path / "dashboards" / "floor.json").read_text())
    panels = {panel["title"]: panel for panel in floor["panels"]}
    assert values(panels["In 5 min"]) == [None, 0.6, 0.8]
    assert values(panels["Longest waiting lead"]) == [None, 300, 600]


def values(panel: dict[str, Any]) -> list[float | None]:
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    return [None if step.get("value") is None else round(step["value"], 6) for step in steps]


def test_no_column_is_pushed_out_of_its_table() -> None:
    """A column that wants at least so much takes it on top of the equal share of the others: the last is
    cut. One with a width leaves the others less."""
    for path in sorted((GRAFANA / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for override in panel.get("fieldConfig", {}).get("overrides", ()):
                ids = {one["id"] for one in override["properties"]}
                assert "custom.minWidth" not in ids, (path.name, panel["title"])


def test_the_check_names_board_and_panel(tmp_path: Path, capsys) -> None:
    assert main([str(tmp_path)]) == 0
    capsys.readouterr()
    path = tmp_path / "dashboards" / "daemon.json"
    path.write_text(path.read_text().replace("distributor_store_bytes", "distributor_store_bites"))
    assert main(["--check", str(tmp_path)]) == 1
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == (
        "Distributor / Daemon: panel 'Memory and store': query B: distributor_store_bites: no such metric"
    )


def test_where_no_boards_are_the_check_says_so(tmp_path: Path, capsys) -> None:
    assert main(["--check", str(tmp_path)]) == 1
    assert "no boards; make them" in capsys.readouterr().err


def test_the_readme_lists_every_panel() -> None:
    text = (GRAFANA / "README.md").read_text()
    for board in all_boards(Settings()):
        for row in board.rows:
            for placed in row.panels:
                assert f"| {placed.panel.title} | {placed.panel.description} |" in text


def test_grafana_can_read_the_provisioning(boards: list[dict[str, Any]]) -> None:
    (source,) = read("datasources")["datasources"]
    assert source["isDefault"] is False  # nor may its name be that of another
    assert source["name"] == "Distributor"
    for board in boards:
        variable, *_ = board["templating"]["list"]
        assert variable["current"]["value"] == source["uid"]
    assert (source["type"], source["uid"]) == ("prometheus", "distributor-prometheus")
    (provider,) = read("dashboards")["providers"]
    assert provider["type"] == "file" and provider["options"]["path"]


def read(kind: str) -> Any:
    found = yaml.safe_load((GRAFANA / "provisioning" / kind / "distributor.yml").read_text())
    assert found["apiVersion"] == 1
    return found


def test_rates_get_windows_that_hold_samples() -> None:
    """``$__rate_interval`` is made of the source's interval: it must be the one that we scrape at."""
    (source,) = read("datasources")["datasources"]
    config = yaml.safe_load((GRAFANA / "prometheus" / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]


@given(
    flow=st.floats(1, 1e5),
    target=st.floats(0.5, 0.99),
    unassigned=st.floats(1, 1e5),
    other=st.floats(1, 1e5),
)
@example(flow=300.0, target=0.9, unassigned=120.0, other=30.0)
@example(flow=120.0, target=0.9, unassigned=120.0, other=30.0)
@hypothesis.settings(max_examples=10, deadline=None)
def test_boards_are_sound_with_all_settings(flow, target, unassigned, other) -> None:
    wanted = Settings(
        flow=FlowPlan(first_contact_seconds=flow),
        standards=StandardsSettings(speed_to_contact=SpeedToContactSettings(target=target)),
        alerts=AlertSettings(
            unassigned_seconds=unassigned, outbox_seconds=other, exception_seconds=other
        ),
    )
    try:
        found = [json.loads(encoded(board)) for board in all_boards(wanted)]
    except BadConfig:
        reject()
    assert rules.lint(found, vocabulary(wanted)) == []


def test_boards_with_complaints_are_not_written(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("tools.grafana.__main__.lint", lambda *_: ["Floor: panel 'X': is bad"])
    assert main([str(tmp_path / "out")]) == 1
    assert capsys.readouterr().out == "Floor: panel 'X': is bad\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    ["README.md", "provisioning/datasources/distributor.yml", "prometheus/rules.yml"],
)
def test_the_check_sees_a_stale_file(name: str, tmp_path: Path, capsys) -> None:
    assert main([str(tmp_path)]) == 0
    path = tmp_path / name
    path.write_text(path.read_text() + "# more\n")
    capsys.readouterr()
    assert main(["--check", str(tmp_path)]) == 1
    assert f"{name}: is not what these settings make" in capsys.readouterr().out
    path.unlink()
    assert main(["--check", str(tmp_path)]) == 1
    assert f"{name}: is missing" in capsys.readouterr().out


def test_the_check_judges_rules(tmp_path: Path, capsys) -> None:
    assert main([str(tmp_path)]) == 0
    path = tmp_path / "prometheus" / "rules.yml"
    path.write_text(
        path.read_text().replace("_oldest_lead_age_seconds", "_eldest_lead_age_seconds")
    )
    capsys.readouterr()
    assert main(["--check", str(tmp_path)]) == 1
    assert (
        "rules.yml: LeadUnassignedTooLong: distributor_queue_eldest_lead_age_seconds: no such metric"
        in capsys.readouterr().out
    )


def test_help_says_what_is_checked(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "compare every made file" in said and "rules" in said


def test_settings_that_cannot_be_kept_are_told(tmp_path: Path, capsys) -> None:
    config = tmp_path / "distributor.toml"
    config.write_text(CONFIG.replace("target = 0.8", "target = 1.0"))
    assert main(["--config", str(config), str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("standards.speed_to_contact.target: ")
    assert not (tmp_path / "dashboards").exists()


def test_the_panel_in_the_page_is_one(words) -> None:
    (block,) = blocks(ROOT / "docs" / "grafana.md", "python")
    found: dict[str, Any] = {}
    exec(block.text, found)
    board = Board("try", "Try", "One panel.", (Row("Row", (found["waiting"],)),), ("job", "queue"))
    tried = json.loads(encoded(board))
    assert [text for text in rules.lint([tried], words) if "on no board" not in text] == []
