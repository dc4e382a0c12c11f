"""The judge of expressions, as panels and as rules are judged."""

from __future__ import annotations

import pytest

from distributor.domain.floor import Floor, FlowPlan, PoolPlan, TeamPlan
from distributor.observe.metrics import Metrics
from distributor.settings import Settings
from tools.grafana.promql import complaints, kept, names
from tools.grafana.vocabulary import vocabulary

EVENTS = "distributor_standard_events_total"

SOUND_RULES = [
    f'sum by (job, queue) (rate({EVENTS}{{standard="speed_to_contact", result="missed"}}[5m]))',
    (
        "queue:distributor_speed_to_contact:miss_ratio_rate1h > 0.44 and "
        "queue:distributor_speed_to_contact:miss_ratio_rate5m > 0.44 and on (job, queue) "
        f'sum by (job, queue) (increase({EVENTS}{{standard="speed_to_contact"}}[1h])) > 20'
    ),
    (
        "sum by (job, vendor) (increase(distributor_leads_received_total[15m])) == 0 and on (job, vendor) "
        "sum by (job, vendor) (increase(distributor_leads_received_total[15m] offset 1w)) > 20"
    ),
    (
        "histogram_quantile(0.99, sum by (job, le) (rate(distributor_event_loop_lag_seconds_bucket[5m]))) "
        "> 0.25"
    ),
    'up{job="distributor"} == 0',
    (
        "1 - sum by (job) (rate(distributor_speed_to_contact_seconds_bucket"
        '{le="60.0"}[5m])) / sum by (job) (rate(distributor_speed_to_contact_seconds_count[5m]))'
    ),
]
UNSOUND_RULES = {
    "distributor_lead_conservation_differenz != 0": "no such metric",
    "sum by (team) (rate(distributor_leads_received_total[5m])) > 1": "by (team): there is no such",
    "distributor_reps_throttled / distributor_reps > 0.5": "have different labels and never meet",
    f'rate({EVENTS}{{result="miss"}}[5m]) > 0': 'result="miss" never occurs; there are met, missed',
    "rate(distributor_queue_leads[5m]) > 0": "rate() of a gauge",
    f"{EVENTS} > 0": "outside rate()",
    'distributor_queue_leads{queue=~"$queue"} > 0': "$queue: no such variable here",
    "increase(distributor_leads_received_total[$__range]) > 0": "does not parse",
    'sum(rate(distributor_queue_wait_seconds_bucket{le="60"}[5m])) > 0': 'le="60" never occurs',
}


@pytest.mark.parametrize("expr", SOUND_RULES)
def test_a_sound_rule_has_no_complaint(expr: str, words) -> None:
    assert complaints(expr, words, panel=False) == []


@pytest.mark.parametrize("expr", UNSOUND_RULES)
def test_an_unsound_rule_is_told_why(expr: str, words) -> None:
    found = complaints(expr, words, panel=False)
    assert any(UNSOUND_RULES[expr] in text for text in found), found


@pytest.mark.parametrize(
    ("expr", "labels"),
    [
        ("sum by (state) (distributor_reps)", {"state"}),
        ("sum without (state) (distributor_reps)", {"job", "instance", "team"}),
        ("topk(3, sum by (team, state) (distributor_reps))", {"team", "state"}),
        ("sum(distributor_reps)", set()),
        (
            "time() - max by (vendor) (distributor_intake_last_message_timestamp_seconds)",
            {"vendor"},
        ),
        (
            "distributor_build_info * on (job, instance) group_left (policy) distributor_policy_info",
            {"job", "instance", "version", "python", "revision", "policy"},
        ),
        ("distributor_reps * ignoring (state) distributor_reps", {"job", "instance", "team"}),
        (
            (
                "histogram_quantile(0.9, sum by (team, le) "
                "(rate(distributor_rep_response_seconds_bucket[$__rate_interval])))"
            ),
            {"team"},
        ),
        ("vector(1)", set()),
    ],
)
def test_the_labels_that_a_result_keeps(expr: str, labels: set[str], words) -> None:
    assert kept(expr, words) == labels


def test_the_names_in_an_expression(words) -> None:
    """Digits and colons belong to names: else the recorded windows go unchecked."""
    expr = 'queue:distributor_speed_to_contact:miss_ratio_rate15m{job=~"$job"} / up'
    assert names(expr) == {"queue:distributor_speed_to_contact:miss_ratio_rate15m", "up"}


def test_a_limit_is_an_edge_that_can_be_asked_for() -> None:
    words = vocabulary(Settings(flow=FlowPlan(first_contact_seconds=75)))
    expr = 'sum(rate(distributor_speed_to_contact_seconds_bucket{le="75.0"}[5m]))'
    assert complaints(expr, words, panel=False) == []


def test_no_series_of_a_fresh_daemon_is_missing_in_the_vocabulary(words) -> None:
    floor = Floor(digest="x", teams=(TeamPlan(id="a"),), pools=(PoolPlan(id="b"),))
    for family in Metrics(floor, ["acme"]).registry.collect():
        for sample in family.samples:
            if not sample.name.startswith("process_"):
                assert set(sample.labels) <= words[sample.name].labels, sample
