"""Slips of the pen in a board, and whether the checks see them."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from tests.grafana.conftest import BOARDS
from tools.grafana.lint import lint
from tools.grafana.vocabulary import Series

Json = dict[str, Any]
Change = Callable[[Json], Any]
Words = dict[str, Series]


def expr(find: str, put: str, query: int = 0) -> Change:
    """A change of the text of a query."""

    def change(panel: Json) -> None:
        target = panel["targets"][query]
        assert find in target["expr"], target["expr"]
        target["expr"] = target["expr"].replace(find, put)

    return change


def key(path: str, value: Any, old: str = "") -> Change:
    """A value set at a path of keys; ``old``: the last key before the slip of the pen."""

    def change(panel: Json) -> None:
        at: Any = panel
        *steps, last = path.split("/")
        for step in steps:
            at = at[int(step)] if isinstance(at, list) else at[step]
        if old:
            assert at.pop(old, None) is not None, old
        at[last] = value

    return change


def override(n: int, id_: str) -> Change:
    """A property of an override is forgotten."""

    def change(panel: Json) -> None:
        properties = panel["fieldConfig"]["overrides"][n]["properties"]
        (index,) = [i for i, part in enumerate(properties) if part["id"] == id_]
        del properties[index]

    return change


def without(name: str) -> Change:
    return lambda panel: panel.pop(name)


def assert_found(title: str, change: Change, says: str, words: Words, *, whole: bool) -> None:
    """A mistake in the panel ``title`` is complained of with ``says``. ``whole``: judge the board's other
    panels too."""
    board, index = next(
        (board, index)
        for board in BOARDS
        for index, panel in enumerate(board["panels"])
        if panel["title"] == title
    )
    kept = slice(None) if whole else slice(index, index + 1)
    board = {**board, "panels": deepcopy(board["panels"][kept])}
    (panel,) = [panel for panel in board["panels"] if panel["title"] == title]
    others = [{**other, "panels": []} for other in BOARDS if other["uid"] != board["uid"]]
    before = _about(board, panel, others, words)
    assert not [text for text in before if says in text], before
    change(panel)
    found = _about(board, panel, others, words)
    assert any(says in text for text in found), found


def _about(board: Json, panel: Json, others: list[Json], words: Words) -> list[str]:
    name = f"panel {panel.get('title') or panel['id']!r}"
    return [text for text in lint([board, *others], words) if name in text]


def assert_found_in_board(change: Change, says: str, words: Words) -> None:
    """A mistake in the floor's board, which has no panels here, is complained of."""
    boards = [deepcopy({**board, "panels": []}) for board in BOARDS]
    assert not [text for text in lint(boards, words) if says in text]
    (floor,) = [board for board in boards if board["uid"] == "distributor-floor"]
    change(floor)
    found = lint(boards, words)
    assert any(says in text for text in found), found
