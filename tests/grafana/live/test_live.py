"""Boards, rules and metrics against a real Prometheus that scrapes a running daemon, on a floor on which
every state occurs. One test: the run takes half a minute and is shared by all that is asked of it."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from bench.states import StatesFloor
from bench.states_story import PAUSED, STOPPED, play
from distributor.demo.eyes import Labels
from distributor.demo.prometheus import BadQuery
from distributor.observe.table import PREFIX, TABLE
from tests.grafana.live.queries import (
    BOARDS,
    DASHBOARDS,
    RULES,
    Query,
    of_board,
    of_rules,
    unfiltered,
    watched,
)
from tests.real import need_program

ALWAYS_ZERO = {
    "clock_ahead_seconds": "nobody sets the machine's clock",
    "lead_conservation_difference": "anything but 0 is a fault of ours",
    "intake_refused_total": "it needs ten thousand events at once",
}
"""Families with no sample but 0 on this floor, and why."""

BY_CHANCE = {
    "intake_oldest_unacknowledged_age_seconds": "a scrape must meet a message under way",
}
"""Families that are other than 0 only by chance."""

NEVER = {
    ("assignments_ended_total", "cause", "waiting_limit"): "a waiting lead is with nobody",
    ("exceptions_open", "kind", "no_pool"): "this version takes one pool only",
    ("exceptions_total", "kind", "no_pool"): "this version takes one pool only",
    ("intake_dead_letters_total", "channel", "http"): "HTTP tells the sender instead",
}
"""Label values that do not occur, and why."""

CLOSED = {
    *("state", "result", "reason", "cause", "outcome", "action", "stage", "on_time", "channel"),
    "type",
}
"""Labels of which every value must occur; ``kind`` besides, where cases are counted."""

NOTHING = {
    "intake: Not taken (B)": "it needs ten thousand events at once",
    "intake: Trouble on the broker's link (A)": "the broker is away before the first scrape alone",
}
"""Queries that find nothing to show on this floor, and why: they are asked without their filter."""

TOLD: dict[str, dict[str, str]] = {
    "rep: State (A)": {PAUSED: "paused", STOPPED: ""},
    "rep: Held back, and why (A)": {
        PAUSED: "paused by a supervisor",
        STOPPED: "set by a supervisor",
    },
    **{
        f"floor: Held back: who, why, for how long ({letter})": {PAUSED: "", STOPPED: ""}
        for letter in "ABCE"
    },
}
"""Queries that must tell of reps who get nothing at all, and the word that their panel shows ("" any)."""

SILENT = {"Down", "DaemonRestarting", "LeadConservationBroken"}
"""Alerts that this floor must not raise."""

RAISED = {"ConfigRejected"}
"""Alerts that must fire at its end: the last change of its settings is a bad one."""


@pytest.mark.real
@pytest.mark.long
def test_every_state_is_seen_and_every_board_and_rule_finds_it(tmp_path):
    """Metrics, boards and rules in one run, with all complaints at once."""
    promtool = need_program("promtool", "prometheus")
    for program in ("prometheus", "mosquitto"):
        need_program(program)
    rules = RULES.read_text()
    with StatesFloor(tmp_path, rules=rules) as floor:
        at = play(floor)
        complaints = [
            *_unseen_families(floor),
            *_unseen_values(floor),
            *_lint(promtool, floor.text),
            *_boards(floor, at),
            *_stopped(floor, at),
            *_others(floor, at),
            *_rules(floor, at, rules),
        ]
    assert not complaints, "\n" + "\n".join(complaints)


def test_the_boards_and_the_rules_are_where_the_live_test_looks():
    assert {path.stem for path in DASHBOARDS.glob("*.json")} >= BOARDS
    assert RULES.exists()


# -- metrics -----------------------------------------------------------------------------------


def _unseen_families(floor: StatesFloor) -> Iterator[str]:
    there = {name for name, _ in floor.series}
    seen = {name for name, _ in floor.seen}
    for row in TABLE:
        name = row.full_name + ("_count" if row.type == "histogram" else "")
        if name not in there:
            yield f"{row.full_name}: in the table, and never in /metrics"
        elif row.name in BY_CHANCE:
            continue
        elif name not in seen and row.name not in ALWAYS_ZERO:
            yield f"{row.full_name}: 0 at every scrape, whatever happened on the floor"
        elif name in seen and row.name in ALWAYS_ZERO:
            yield f"{row.full_name}: was not 0, take it from ALWAYS_ZERO"


def _unseen_values(floor: StatesFloor) -> Iterator[str]:
    """Every value of a closed label belongs to something that happened."""
    there, seen = _label_values(floor.series), _label_values(floor.seen)
    exempt = ALWAYS_ZERO.keys() | BY_CHANCE.keys()
    unseen = {value for value in there - seen if value[0] not in exempt}
    for family, label, value in sorted(unseen - NEVER.keys()):
        yield f'{PREFIX}{family}{{{label}="{value}"}}: 0 at every scrape'
    for family, label, value in sorted(NEVER.keys() - unseen):
        yield f'{PREFIX}{family}{{{label}="{value}"}}: occurs or is gone, take it from NEVER'


def _label_values(series: set[tuple[str, Labels]]) -> set[tuple[str, str, str]]:
    families = {
        row.full_name + ("_count" if row.type == "histogram" else ""): row.name for row in TABLE
    }
    return {
        (families[name], label, value)
        for name, labels in series
        for label, value in labels
        if name in families and (label in CLOSED or (label == "kind" and name in _CASES))
    }


_CASES = {f"{PREFIX}exceptions_open", f"{PREFIX}exceptions_total"}


def _lint(promtool: str, text: str) -> Iterator[str]:
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    if done.returncode or done.stdout or done.stderr:
        yield f"promtool check metrics: {done.stdout}{done.stderr}"


# -- boards and rules --------------------------------------------------------------------------


def _boards(floor: StatesFloor, at: float) -> Iterator[str]:
    for path in sorted(DASHBOARDS.glob("*.json")):
        for query in of_board(path):
            asked = query.expression
            if query.where in NOTHING:
                asked = unfiltered(asked)
            yield from _complaint(floor, at, query._replace(expression=asked))


def _stopped(floor: StatesFloor, at: float) -> Iterator[str]:
    """Those who get nothing must not vanish with their 0."""
    queries = {query.where: query for path in DASHBOARDS.glob("*.json") for query in of_board(path)}
    for where, reps in TOLD.items():
        query = queries[where]
        values = {
            series["metric"].get("rep", ""): series["value"][1]
            for series in floor.prometheus.query(query.expression, at)
        }
        for rep, word in reps.items():
            if rep not in values:
                yield f"{where}: nothing about {rep}\n    {query.expression}"
            elif word and query.words.get(values[rep]) != word:
                yield f"{where}: {rep} is {values[rep]}, which is not {word}"


ANSWERS = ("daemon: Answers Prometheus (A)", "floor: Daemon (A)")


def _others(floor: StatesFloor, at: float) -> Iterator[str]:
    """With all jobs chosen, nothing is of a job that is not ours, be it well or dead."""
    there = {series["value"][1] for series in floor.prometheus.query('up{job="others"}', at)}
    if there != {"0", "1"}:
        yield f"the job of others is not as it should be: {there}"
    queries = [query for path in DASHBOARDS.glob("*.json") for query in of_board(path)]
    for query in queries:
        for series in floor.prometheus.query(query.expression, at):
            instance = series["metric"].get("instance", floor.instance)
            if not instance.endswith(floor.instance):
                yield f"{query.where}: shows {instance}\n    {query.expression}"
            if query.where in ANSWERS and series["value"][1] != "1":
                yield f"{query.where}: says {series['value'][1]}\n    {query.expression}"
    missing = set(ANSWERS) - {query.where for query in queries}
    yield from (f"{where}: is on no board" for where in sorted(missing))


def _rules(floor: StatesFloor, at: float, text: str) -> Iterator[str]:
    names = set()
    for rule in of_rules(text):
        names.add(rule.alert)
        if rule.record:
            yield from _complaint(floor, at, Query(rule.where, rule.expression))
            yield from _complaint(floor, at, Query(f"{rule.where}, as recorded", rule.record))
            continue
        yield from _complaint(floor, at, Query(rule.where, watched(rule.expression)))
        try:
            raised = floor.prometheus.query(rule.expression, at)
        except BadQuery as error:
            yield f"{rule.where}: {error}\n    {rule.expression}"
            continue
        if raised and rule.alert in SILENT:
            yield f"{rule.where}: must be silent\n    {rule.expression}\n    {_shown(raised)}"
        if not raised and rule.alert in RAISED:
            yield f"{rule.where}: must fire\n    {rule.expression}"
    yield from (f"rules.yml: no alert {name}" for name in sorted((SILENT | RAISED) - names))
    for group in floor.prometheus.ask("rules")["groups"]:
        for rule in group["rules"]:
            if rule["health"] != "ok":
                yield f"rules.yml: {rule['name']}: {rule['health']}: {rule.get('lastError')}"


def _complaint(floor: StatesFloor, at: float, query: Query) -> Iterator[str]:
    """What is wrong with the result of a query, if anything."""
    try:
        result = floor.prometheus.query(query.expression, at)
    except BadQuery as error:
        yield f"{query.where}: {error}\n    {query.expression}"
        return
    problem = ""
    if not result:
        problem = "no data"
    elif not any(math.isfinite(float(series["value"][1])) for series in result):
        problem = "no number"
    else:
        without = {
            label for label in query.labels for series in result if not series["metric"].get(label)
        }
        if without:
            problem = f"the legend's {', '.join(sorted(without))} is not in the result"
    if problem:
        yield f"{query.where}: {problem}\n    {query.expression}\n    {_shown(result)}"


def _shown(result: list[dict[str, Any]]) -> str:
    few = "; ".join(f"{series['metric']} {series['value'][1]}" for series in result[:5])
    return f"{len(result)} series: {few}" if result else "nothing came back"
