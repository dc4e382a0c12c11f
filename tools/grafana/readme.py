"""``grafana/README.md``: every board and panel, and what it says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tools.grafana.board import Board

_HEAD: Final = """\
# Dashboards

Made by `python -m tools.grafana`. How to put them on the wall is in [docs/grafana.md](../docs/grafana.md).

| file | what it is |
|---|---|
| `dashboards/*.json` | the boards below; every Grafana from version 10 on reads them |
| `provisioning/datasources/distributor.yml` | tells Grafana where Prometheus is |
| `provisioning/dashboards/distributor.yml` | tells Grafana where the boards are |
| `prometheus/prometheus.yml` | what Prometheus scrapes, and how long it keeps it |
| `prometheus/rules.yml` | what Prometheus records and alerts on: `distributor rules` prints it for your settings |
| `prometheus/rules_test.yml` | `promtool test rules` with it: each alert fires, and is silent, when it should |
| `alertmanager/alertmanager.yml` | an example of who is told what |
"""


def readme(boards: Iterable[Board]) -> str:
    """The page."""
    return _HEAD + "".join(_board(board) for board in boards)


def _board(board: Board) -> str:
    parts = [f"\n## {board.title}\n\n`dashboards/{board.name}.json`. {board.about}\n"]
    for row in board.rows:
        parts.append(f"\n### {row.title}\n\n| panel | what it says |\n|---|---|\n")
        parts.extend(
            f"| {placed.panel.title} | {placed.panel.description} |\n" for placed in row.panels
        )
    return "".join(parts)
