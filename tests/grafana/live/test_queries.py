"""The means of the live test, by themselves."""

import json

import pytest

from tests.grafana.live.queries import Query, filled, of_board, watched


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rate(x[$__rate_interval])", "rate(x[2m])"),
        ("increase(x[${__interval}])", "increase(x[2m])"),
        ("increase(x[$__range:30s])", "increase(x[5m:30s])"),
        ('x{job=~"$job", rep=~"${rep:regex}"}', 'x{job=~".+", rep=~".+"}'),
    ],
)
def test_variables_are_filled_in(text, expected):
    assert filled(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max by (queue) (x) > 120", "max by (queue)(x{})"),
        ("0 < x", "x{}"),
        ("a > 1 and on (job) b > 2", "(a{}) and on (job) (b{})"),
        ("a > on (job) b", "(a{}) - on (job) (b{})"),
        ("increase(x[15m] offset 1w) > 20", "increase(x{}[15m] )"),
        ("a > 1 unless b", "a{}"),
    ],
)
def test_what_an_alert_looks_at_is_left_without_its_limits(text, expected):
    assert " ".join(watched(text).split()) == expected


def test_a_board_is_read_with_its_variables_and_the_panels_of_closed_rows(tmp_path):
    panel = {
        "title": "P",
        "targets": [{"refId": "A", "expr": "x", "legendFormat": "{{ team }}: y"}],
    }
    board = {
        "templating": {
            "list": [
                {"type": "datasource", "name": "datasource"},
                {"type": "query", "name": "job", "query": {"query": "label_values(up, job)"}},
            ]
        },
        "annotations": {"list": [{"name": "N", "target": {"expr": "y"}}]},
        "panels": [{"type": "row", "title": "R", "panels": [panel]}],
    }
    path = tmp_path / "board.json"
    path.write_text(json.dumps(board))
    assert list(of_board(path)) == [
        Query("board: variable job", "up", ("job",)),
        Query("board: annotation N", "y"),
        Query("board: P (A)", "x", ("team",)),
    ]
