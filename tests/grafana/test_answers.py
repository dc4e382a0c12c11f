"""What panels say of given series, worked out by Prometheus' own tool."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.grafana.conftest import BOARDS
from tests.grafana.live.queries import filled
from tests.real import need_program

OURS = 'job="distributor", instance="a:1"'
BEGAN = "process_start_time_seconds"
TAKEN = "distributor_config_last_reload_success_timestamp_seconds"
ALIVE = f"distributor_build_info{{{OURS}}}"
OTHER = 'job="node", instance="b:2"'


def asked(panel: str, letter: str = "A") -> str:
    (found,) = {
        target["expr"]
        for board in BOARDS
        for one in board["panels"]
        for target in one.get("targets") or ()
        if (one["title"], target["refId"]) == (panel, letter)
    }
    return found


def marks(name: str) -> str:
    (found,) = {
        note["target"]["expr"]
        for board in BOARDS
        for note in board["annotations"]["list"]
        if note["name"] == name
    }
    return found


def vendor(metric: str, more: str = "") -> str:
    return f'distributor_{metric}{{{OURS}, vendor="acme"{more}}}'


def rep_states(**numbers: int) -> dict[str, str]:
    return {
        f'distributor_reps{{{OURS}, team="north", state="{state}"}}': f"{number}x5"
        for state, number in numbers.items()
    }


HELD = f'distributor_reps_throttled{{{OURS}, team="north"}}'
ACCEPTED = vendor("leads_received_total", ', channel="http", result="accepted"')
CONTACTED = vendor("lead_outcomes_total", ', outcome="contacted"')
TESTS = vendor("test_leads_received_total")

CASES: dict[str, tuple[str, dict[str, str], list[float]]] = {
    "a start is no new setting": (
        marks("Settings"),
        {f"{BEGAN}{{{OURS}}}": "100x5", f"{TAKEN}{{{OURS}}}": "102x5"},
        [],
    ),
    "a change is": (
        marks("Settings"),
        {f"{BEGAN}{{{OURS}}}": "100x5", f"{TAKEN}{{{OURS}}}": "160x5"},
        [160_000],
    ),
    "others do not begin": (
        marks("Restarts"),
        {ALIVE: "1x5", f"{BEGAN}{{{OURS}}}": "100x5", f"{BEGAN}{{{OTHER}}}": "70x5"},
        [100_000],
    ),
    "others may be down": (
        asked("Daemon"),
        {ALIVE: "1x5", f"up{{{OURS}}}": "1x5", f"up{{{OTHER}}}": "0x5"},
        [1],
    ),
    "we may not": (
        asked("Daemon"),
        {ALIVE: "1 1 stale", f"up{{{OURS}}}": "1 1 0 0 0 0", f"up{{{OTHER}}}": "1x5"},
        [0],
    ),
    "nobody is there": (asked("Daemon"), {f"up{{{OTHER}}}": "1x5"}, []),
    "a down daemon's alert is shown": (
        asked("Alerts that fire"),
        {
            ALIVE: "1 1 stale",
            'ALERTS{alertname="Down", alertstate="firing", job="distributor"}': "1x5",
            'ALERTS{alertname="Disk", alertstate="firing", job="node"}': "1x5",
        },
        [1],
    ),
    "of the reps at work": (
        asked("Reps", "B"),
        {HELD: "1x5", **rep_states(ready=1, busy=2, wrap_up=1, paused=3, offline=9)},
        [0.25],
    ),
    "nobody at work": (
        asked("Share of reps at work held back"),
        {HELD: "0x5", **rep_states(ready=0, busy=0, wrap_up=0, offline=9)},
        [0],
    ),
    "test leads are not accepted": (
        asked("Leads in, assigned, contacted"),
        {ACCEPTED: "0+3x5", TESTS: "0+1x5"},
        [2],
    ),
    "nor contacted": (
        asked("Contacted, of the accepted"),
        {ACCEPTED: "0+3x5", TESTS: "0+1x5", CONTACTED: "0+1x5"},
        [0.5],
    ),
    "of test leads alone there is no share": (
        asked("Contacted, of the accepted"),
        {ACCEPTED: "0+3x5", TESTS: "0+3x5", CONTACTED: "0x5"},
        [],
    ),
}


@pytest.mark.real
def test_panels_say_what_is_so(tmp_path: Path) -> None:
    """One run for all: starting the tool takes longer than its work."""
    promtool = need_program("promtool", "prometheus")
    tests: list[dict[str, Any]] = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    # The sum: the labels of what comes back are the live test's business.
                    "expr": f"round(sum({filled(expr)}), 0.001)",
                    "eval_time": "5m",
                    "exp_samples": [{"labels": "{}", "value": value} for value in values],
                }
            ],
            "name": name,
        }
        for name, (expr, series, values) in CASES.items()
    ]
    path = tmp_path / "answers.yml"
    path.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run(
        [promtool, "test", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
