"""The table is the only source of metrics, and the page is made from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from distributor.domain.events import Ticked
from distributor.domain.floor import Floor, FlowPlan
from distributor.observe import table
from distributor.observe.standards import unreadable
from distributor.observe.table import TABLE, UnknownMetric, markdown, metric
from distributor.runtime.inbox import Inbox, Submission
from distributor.settings import Settings, to_floor
from tests.observe.test_rules import settings

ROOT = Path(__file__).resolve().parents[2]

CONTRACT = {
    "leads_received_total": ("vendor", "channel", "result"),
    "lead_conservation_difference": (),
    "leads_in_state": ("state",),
    "queue_leads": ("queue",),
    "queue_oldest_lead_age_seconds": ("queue",),
    "assignments_total": ("queue", "policy", "result"),
    "speed_to_contact_seconds": ("queue",),
    "rep_response_seconds": ("team",),
    "standard_events_total": ("standard", "queue", "result"),
    "rep_inflight_leads": ("rep", "team"),
    "rep_window_leads": ("rep", "team"),
    "rep_throttle_ratio": ("rep", "team"),
    "rep_throttle_reason_info": ("rep", "reason"),
    "rep_throttle_since_timestamp_seconds": ("rep", "team"),
    "sla_stage_total": ("sla", "stage"),
    "exceptions_open": ("kind",),
    "outbox_messages": ("target",),
    "outbox_oldest_message_age_seconds": ("target",),
    "decision_seconds": (),
    "store_commit_seconds": (),
    "build_info": ("version", "python", "revision"),
}


@pytest.mark.parametrize("name", CONTRACT)
def test_what_outside_checks_rely_on_is_in_the_table(name: str) -> None:
    assert metric(name).labels == CONTRACT[name]


def test_refused_intake_is_said_to_be_counted_as_it_is_counted() -> None:
    """A request or message of three leads that finds no room counts three."""
    inbox = Inbox(limit=1)
    assert inbox.offer(Submission([Ticked()]))
    assert not inbox.offer(Submission([Ticked()] * 3))
    inbox.open = False
    assert not inbox.offer(Submission([Ticked()]))
    assert inbox.refused == 4
    row = metric("intake_refused_total")
    assert (row.unit, row.meaning.split(" refused")[0]) == ("events", "Leads and events")


def test_names_are_unique() -> None:
    names = [row.name for row in TABLE]
    assert len(names) == len(set(names))


def test_counters_and_only_counters_end_in_total() -> None:
    assert [
        row.name for row in TABLE if row.name.endswith("_total") != (row.type == "counter")
    ] == []


def test_edges_rise_and_belong_to_histograms_alone() -> None:
    for row in TABLE:
        assert bool(row.edges) == (row.type == "histogram"), row.name
        assert list(row.edges) == sorted(set(row.edges)), row.name


def test_a_metric_that_is_not_described_is_refused() -> None:
    with pytest.raises(UnknownMetric, match="leads_eaten_total"):
        metric("leads_eaten_total")


@pytest.mark.parametrize("name", ["speed_to_contact_seconds", "rep_response_seconds"])
def test_the_standards_limit_is_an_edge(name: str) -> None:
    """A share on time read from a histogram needs an edge at exactly the limit."""
    edges = metric(name).edges_for(FlowPlan(first_contact_seconds=42.5))
    assert 42.5 in edges
    assert list(edges) == sorted(set(edges))


def test_a_limit_that_is_an_edge_already_is_not_doubled() -> None:
    row = metric("speed_to_contact_seconds")
    assert len(row.edges_for(FlowPlan(first_contact_seconds=60.0))) == len(row.edges)


def test_a_limit_that_is_no_edge_is_named_with_the_key_and_the_metric(monkeypatch) -> None:
    """A histogram that nobody marked: the share within the limit would be a guess between two edges."""
    assert unreadable(FlowPlan(first_contact_seconds=42.5)) == []
    row = replace(metric("speed_to_contact_seconds"), judged=False)
    monkeypatch.setitem(table._BY_NAME, row.name, row)
    assert unreadable(FlowPlan(first_contact_seconds=60.0)) == []
    [problem] = unreadable(FlowPlan(first_contact_seconds=42.5))
    assert problem.startswith(
        "flow.first_contact_seconds: 42.5 is no bucket's edge of distributor_s"
    )


def test_the_page_is_the_tables() -> None:
    """After a change of the table: python -m distributor.observe.table > docs/metrics.md"""
    assert (ROOT / "docs" / "metrics.md").read_text() == markdown()


def test_the_page_names_every_metric_once_in_its_sections() -> None:
    page = markdown().split("## Buckets")[0]
    for row in TABLE:
        assert page.count(f"| `{row.full_name}` |") == 1, row.name


def test_the_revision_of_the_policy_says_which_settings_it_covers() -> None:
    """It is the floor's digest: what is not in there can change without it."""
    digest = to_floor(settings()).digest
    assert to_floor(settings(alerts={"least_leads": 7}, log={"level": "debug"})).digest == digest
    assert to_floor(settings(flow={"lease_seconds": 77})).digest != digest
    meaning = metric("policy_info").meaning
    for part in set(Floor.__struct_fields__) - {"digest"}:
        assert f"[{part}]" in meaning
    for section in set(Settings.__struct_fields__) - set(Floor.__struct_fields__):
        assert f"[{section}]" not in meaning
