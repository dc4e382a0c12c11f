"""A metric of the table that no code feeds is a promise that nobody keeps."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distributor.domain import decisions as d
from distributor.domain.events import SupervisorActed
from distributor.domain.floor import Floor
from distributor.domain.journal import CommitStats, Entry
from distributor.domain.rep import Flow, Rep
from distributor.observe import metrics as metrics_module
from distributor.observe import table
from distributor.observe.exposition import Exposition
from distributor.observe.metrics import Metrics
from distributor.observe.projection import Projection
from distributor.observe.table import TABLE, Metric
from tests.observe.conftest import NOW_NS, FakeCensus
from tests.observe.test_exposition import parsed
from tests.observe.test_projection import T0, S, a_lead, entry, knows, life

APP = Path(__file__).resolve().parents[2] / "distributor" / "app"
LOOKS_UP = {"counter", "gauge", "histogram", "label"}
"""Methods of ``Metrics`` that measure nothing."""


def a_busy_floor(metrics: Metrics, floor: Floor) -> FakeCensus:
    """Everything that can happen has happened once, and something of everything is there now."""
    census = FakeCensus()
    census.difference = 1
    census.people = [
        Rep("ana", "north", state="ready", window=3, open={"K1": True}, assignments=7, contacts=4,
            contacts_on_time=3, response_seconds=2.5),
        Rep("bob", "north", state="ready", flow=Flow(0.5, "slow_contact", since_ns=NOW_NS)),
    ]  # fmt: skip
    decide(Projection(metrics, floor), floor)
    measure(metrics)
    return census


def decide(projection: Projection, floor: Floor) -> None:
    lead, test = a_lead(score=0.35), a_lead("K2", test=True)
    known = knows(lead, test)
    missed = d.StandardCounted("K1", "default", "speed_to_contact", False, False)
    held = d.LeadHeld("K1", "all_refused", T0, "all refused")
    released = d.LeadReleased("K1", "recycled", T0 + S, 0, "again")
    others = (
        d.LeadDuplicate("acme", "v", "K1", "mqtt"),
        d.LeadRejected("acme", "v", "phone: bad", "mqtt"),
        d.LeadDeferred("K1", "default", "probe", "kept"),
        d.AttemptRecorded("K1", "ana", T0, "no_answer", 5.0),
        d.DeadLettered("leads/in/acme", "no JSON", b"?", False),
    )
    done = d.EventRecorded("", "supervisor:mia", "pause", "", "", "ana", T0, "accepted")
    projection.project(entry(d.FloorApplied(floor), *life(lead), *life(test), missed), known)
    projection.project(entry(held, released, *others), known)
    projection.project(Entry(1, T0, SupervisorActed("pause", "mia", "", "ana"), (done,)), known)


def measure(metrics: Metrics) -> None:
    metrics.decided(1e-5)
    metrics.acked("mqtt", 0.01)
    metrics.commit(CommitStats(0.002, 12))
    metrics.loop_lag(0.001)
    metrics.timer_lateness(0.001)
    metrics.targets(["mqtt"])
    metrics.take_standard_targets({"speed_to_contact": 0.9})
    metrics.delivered("mqtt", "dead", 0.01)
    for up in (True, False, True):
        metrics.connected("mqtt", up)
    metrics.link_totals("mqtt", {"stale_acks": 1})
    metrics.oldest_unacked(2.0)
    metrics.clock_ahead(7200.0)
    metrics.count("intake_refused_total", "http")
    metrics.meet(["bolt"])
    metrics.set_aside("mqtt", "in_doubt", 1)
    metrics.reloaded(True, NOW_NS)


async def unfed(floor: Floor) -> list[str]:
    """The families of the table without any value but 0 after all this."""
    metrics = Metrics(floor, ["acme"])
    census = a_busy_floor(metrics, floor)
    text = b"".join(await Exposition(metrics, census).render())
    moved = {name for (name, _), value in parsed(text).items() if value}
    counted = {"histogram": "_count"}
    return [
        row.name
        for row in metrics_module.TABLE
        if row.full_name + counted.get(row.type, "") not in moved
    ]


async def test_every_metric_of_the_table_is_fed(floor: Floor) -> None:
    assert await unfed(floor) == []


@pytest.mark.parametrize("kind", ["counter", "gauge", "histogram"])
async def test_one_that_nobody_feeds_is_found(floor: Floor, monkeypatch, kind: Any) -> None:
    row = Metric(f"nobody_{kind}", kind, (), "leads", "Nothing.", (1.0,) * (kind == "histogram"))
    monkeypatch.setattr(metrics_module, "TABLE", (*TABLE, row))
    monkeypatch.setitem(table._BY_NAME, row.name, row)
    assert await unfed(floor) == [row.name]


def used_in_the_application() -> Iterator[str]:
    """Names that the daemon asks of its ``metrics`` and its ``projection``."""
    for path in APP.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith(
                ("metrics", "projection")
            ):
                yield node.attr


def test_the_daemon_calls_everything_that_feeds_them() -> None:
    """What is only called by the tests above feeds nothing."""
    feeds = {
        name
        for name, member in (vars(Metrics) | vars(Projection)).items()
        if callable(member) and not name.startswith("_") and name not in LOOKS_UP
    }
    # The projection hands a new floor on.
    assert feeds - set(used_in_the_application()) == {"take_floor"}


def test_every_decision_that_metrics_know_is_projected_above(
    projection: Projection, floor: Floor
) -> None:
    """The busy floor stays complete when a new decision is counted."""
    seen: set[type] = set()
    handlers = projection._handlers
    counted = {kind: handle for kind, handle in handlers.items() if handle is not None}
    for kind, handle in counted.items():

        def noted(decision: Any, entry: Any, lead_of: Any, kind=kind, handle=handle) -> None:
            seen.add(kind)
            handle(decision, entry, lead_of)

        handlers[kind] = noted
    decide(projection, floor)
    assert {kind.__name__ for kind in set(counted) - seen} == set()
