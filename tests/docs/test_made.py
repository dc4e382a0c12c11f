"""What is made from the code is what the code says now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from distributor.domain.lead import LEAD_STATES, LEAD_TRANSITIONS, MOVE_MEANINGS, STATUS_MOVES
from tests.docs.pages import DOCS
from tools.docs import documents, keys
from tools.docs.__main__ import main
from tools.docs.documents import made

MADE = made(DOCS)


@pytest.mark.parametrize("path", MADE, ids=lambda path: path.name)
def test_a_made_document_is_up_to_date(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == MADE[path], f"{path.name} is stale: run python -m tools.docs"


def test_every_page_with_made_blocks_is_made() -> None:
    """A marker in a page that nobody fills would go stale in silence."""
    marked = {path.name for path in DOCS.glob("*.md") if "<!-- made: " in path.read_text()}
    assert marked == set(documents.PAGES)


def test_every_made_block_is_used_once() -> None:
    text = "".join((DOCS / name).read_text() for name in documents.PAGES)
    used = re.findall(r"<!-- made: (.*) -->", text)
    assert sorted(used) == sorted(documents._blocks())
    assert text.count("<!-- end -->") == len(used)


def test_the_writer_writes_what_changed_and_nothing_else(tmp_path: Path, capsys) -> None:
    for name in documents.PAGES:
        (tmp_path / name).write_text((DOCS / name).read_text())
    (tmp_path / "cli.md").write_text("<!-- made: help run -->\nold\n<!-- end -->\n")
    assert main([str(tmp_path)]) == 0
    written = capsys.readouterr().out.split()
    assert {Path(name).name for name in written} == {"asyncapi.yaml", "openapi.yaml", "cli.md"}
    assert "usage: distributor run" in (tmp_path / "cli.md").read_text()
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


def test_a_key_without_a_meaning_stops_the_writer(monkeypatch) -> None:
    monkeypatch.delitem(keys.MEANINGS["LogSettings"], "level")
    with pytest.raises(KeyError, match="level"):
        keys.key_tables()


def test_no_meaning_is_left_over() -> None:
    """A key that was removed from the code is removed from its table of meanings too."""
    for kind in keys.TABLES.values():
        assert set(keys.MEANINGS[kind.__name__]) == {field.name for field in keys.keys_of(kind)}
    assert set(keys.MEANINGS) == {kind.__name__ for kind in keys.TABLES.values()}


def test_the_diagram_has_every_move_of_the_table() -> None:
    text = (DOCS / "lead-life.md").read_text()
    for state, moves in LEAD_TRANSITIONS.items():
        for move, target in moves.items():
            assert re.search(rf"^    {state} --> {target}: .*\b{move}\b", text, re.MULTILINE)
    for move in MOVE_MEANINGS:
        assert f"| `{move}` |" in text
    for status, move in STATUS_MOVES.items():
        assert f"| `{status}` | `{move}` |" in text
    for state in LEAD_STATES:
        assert f"| `{state}` |" in text
