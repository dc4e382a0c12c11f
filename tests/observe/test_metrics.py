"""Series from the start, and what the machinery measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from distributor.domain.journal import CommitStats
from distributor.errors import BadConfig
from distributor.intake.directory import Directory
from distributor.observe.families import OTHER
from distributor.observe.metrics import Metrics
from distributor.observe.table import UnknownMetric
from distributor.settings import parse
from tests.observe.conftest import Reader

S = 1_000_000_000
T0 = 1_800_000_000 * S


@pytest.mark.parametrize("result", ["accepted", "duplicate", "rejected", "error"])
@pytest.mark.parametrize("channel", ["mqtt", "http"])
def test_a_configured_vendor_has_all_series_at_zero(
    read: Reader, channel: str, result: str
) -> None:
    """A vendor's silence can only be alerted on if its series exist."""
    assert read("leads_received_total", vendor="acme", channel=channel, result=result) == 0


def test_every_pool_has_both_verdicts_at_zero(read: Reader) -> None:
    for queue in ("default", "spanish"):
        for result in ("met", "missed"):
            labels = {"standard": "speed_to_contact", "queue": queue, "result": result}
            assert read("standard_events_total", **labels) == 0


def test_assignment_results_exist_under_the_pools_own_policy(read: Reader) -> None:
    for result in ("assigned", "no_owner", "deferred", "expired"):
        assert read("assignments_total", queue="spanish", policy="fair", result=result) == 0
        assert read("assignments_total", queue="default", policy="lease", result=result) == 0


def test_a_repeated_event_is_counted_and_a_repeated_presence_is_not(
    metrics: Metrics, read: Reader
) -> None:
    metrics.repeated("contacted")
    metrics.repeated("agent_state")
    assert read("lead_events_total", type="contacted", outcome="duplicate") == 1
    assert ("agent_state", "duplicate") not in metrics.counter("lead_events_total").cells


def test_measures_of_the_machinery_arrive(metrics: Metrics, read: Reader) -> None:
    metrics.commit(CommitStats(12, 0.002))
    metrics.decided(2e-5)
    metrics.acked("http", 0.004)
    metrics.loop_lag(0.003)
    metrics.timer_lateness(0.2)
    metrics.targets(["mqtt"])
    metrics.delivered("mqtt", "done", 0.01)
    metrics.delivered("mqtt", "in_doubt", 0.01)
    metrics.set_aside("vici", "dead", 3)
    metrics.delivered("vici", "dead", 0.01)
    for up in (False, True, True, False, True):
        metrics.connected("mqtt", up)
    metrics.link_totals("mqtt", {"stale_acks": 2})
    metrics.link_totals("mqtt", {"stale_acks": 3})
    assert read("store_commit_seconds_bucket", le="0.0025") == 1
    assert read("store_batch_rows_sum") == 12
    assert read("decision_seconds_bucket", le="2.5e-05") == 1
    assert read("intake_ack_seconds_count", channel="http") == 1
    assert read("event_loop_lag_seconds_count") == 1
    assert read("timer_lateness_seconds_count") == 1
    assert read("outbox_deliveries_total", target="mqtt", result="ok") == 1
    assert read("outbox_deliveries_total", target="mqtt", result="in_doubt") == 1
    assert read("outbox_deliveries_total", target="mqtt", result="dead") == 0
    assert read("delivery_seconds_count", target="mqtt") == 2
    assert read("outbox_set_aside_messages", target="mqtt", state="dead") == 0
    assert read("outbox_set_aside_messages", target="mqtt", state="in_doubt") == 1
    assert read("outbox_set_aside_messages", target="vici", state="dead") == 4
    assert read("intake_connected", peer="mqtt") == 1
    assert read("peer_reconnects_total", peer="mqtt") == 1
    assert read("link_events_total", peer="mqtt", event="stale_acks") == 3


def test_refused_settings_show_and_the_last_good_time_stays(metrics: Metrics, read: Reader) -> None:
    assert read("config_last_reload_successful") == 1
    metrics.reloaded(True, T0)
    metrics.reloaded(False, T0 + S)
    assert read("config_last_reload_successful") == 0
    assert read("config_last_reload_success_timestamp_seconds") == T0 / S


def test_an_unknown_metric_raises(metrics: Metrics) -> None:
    with pytest.raises(UnknownMetric, match="leads_eaten_total"):
        metrics.count("leads_eaten_total")


def test_a_gauge_cannot_be_counted(metrics: Metrics) -> None:
    with pytest.raises(UnknownMetric, match="queue_leads"):
        metrics.count("queue_leads", "default")


def test_wrong_labels_raise(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="intake_refused_total"):
        metrics.count("intake_refused_total", "http", "too", "many")


def test_no_vendor_can_be_called_as_the_others_are(tmp_path: Path) -> None:
    tree = {"http": {}, "reps": [{"id": "a"}], "pools": [{"id": "p"}], "vendors": [{"id": OTHER}]}
    with pytest.raises(BadConfig, match="is no name"):
        parse(tree, tmp_path)
    assert Directory((), {}).vendor(OTHER) is None
