"""Decisions become metrics, test leads stay out of people's figures."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from distributor.domain import decisions as d
from distributor.domain.events import SupervisorActed, Ticked
from distributor.domain.floor import Floor, FlowPlan, PoolPlan, RepPlan
from distributor.domain.journal import Entry
from distributor.domain.lead import Lead
from distributor.observe.metrics import Metrics
from distributor.observe.projection import Projection
from tests.observe.conftest import Reader

S = 1_000_000_000
T0 = 1_800_000_000 * S


def a_lead(key: str = "K1", **fields: object) -> Lead:
    lead = Lead(key, "acme", f"v-{key}", "default", "waiting", T0, T0)
    for name, value in fields.items():
        setattr(lead, name, value)
    return lead


def entry(*decisions: d.Decision, at_ns: int = T0) -> Entry:
    return Entry(1, at_ns, Ticked(), decisions)


def assigned(key: str = "K1", **fields: object) -> d.Assigned:
    return replace(
        d.Assigned(
            lead_key=key,
            assignment_id=f"{key}-1",
            rep="ana",
            team="north",
            pool="default",
            policy="lease",
            attempt=1,
            epoch=0,
            at_ns=T0 + 2 * S,
            contact_by_ns=T0 + 62 * S,
            lease_expires_ns=T0 + 600 * S,
            reason="best",
            because="best",
        ),
        **fields,
    )


def contacted(key: str = "K1", **fields: object) -> d.ContactRecorded:
    return replace(
        d.ContactRecorded(
            lead_key=key,
            assignment_id=f"{key}-1",
            rep="ana",
            team="north",
            pool="default",
            at_ns=T0 + 30 * S,
            evidence="dialer",
            counted=True,
            deadline_ns=0,
            speed_seconds=30.0,
            response_seconds=28.0,
            on_time=True,
        ),
        **fields,
    )


def life(lead: Lead) -> tuple[d.Decision, ...]:
    """Everything that a contacted, converted lead brings."""
    return (
        d.LeadAccepted(lead, 1, "mqtt", submitted_ns=T0 - 3 * S),
        assigned(lead.key, test=lead.test, passed_over_counts={"paused": 2, "offline": 9}),
        d.EventRecorded(
            "e1", "dialer", "contacted", lead.key, f"{lead.key}-1", "ana", T0, "accepted"
        ),
        contacted(lead.key),
        d.StandardCounted(lead.key, "default", "speed_to_contact", True, lead.test),
        d.WorkEnded(lead.key, "ana", "call_ended", T0),
        d.StatusChanged(lead.key, "converted", "ana", "acme", T0),
        d.AssignmentEnded(
            lead.key, f"{lead.key}-1", "ana", "closed", T0, False, False, False, "converted"
        ),
    )


def knows(*leads: Lead) -> Callable[[str], Lead | None]:
    return {lead.key: lead for lead in leads}.get


def test_the_life_of_a_lead_is_counted(projection: Projection, read: Reader) -> None:
    lead = a_lead(score=0.35)
    projection.project(entry(*life(lead)), knows(lead))
    assert read("leads_received_total", vendor="acme", channel="mqtt", result="accepted") == 1
    assert read("lead_arrival_delay_seconds_sum", vendor="acme") == 3.0
    assert read("lead_score_bucket", queue="default", le="0.4") == 1
    assert read("intake_last_message_timestamp_seconds", vendor="acme") == T0 / S
    assert read("assignments_total", queue="default", policy="lease", result="assigned") == 1
    assert read("queue_wait_seconds_sum", queue="default") == 2.0
    assert read("throttle_deferrals_total", reason="paused") == 2
    assert read("throttle_deferrals_total", reason="offline") is None
    # No rep is passed over under the name of a flow's reason: a series of it would be 0 for ever.
    assert read("throttle_deferrals_total", reason="slow_contact") is None
    assert read("lead_events_total", type="contacted", outcome="accepted") == 1
    assert read("speed_to_contact_seconds_sum", queue="default") == 30.0
    assert read("rep_response_seconds_sum", team="north") == 28.0
    verdict = {"standard": "speed_to_contact", "queue": "default"}
    assert read("standard_events_total", result="met", **verdict) == 1
    assert read("standard_events_total", result="missed", **verdict) == 0
    assert read("lead_outcomes_total", vendor="acme", outcome="contacted") == 1
    assert read("lead_outcomes_total", vendor="acme", outcome="converted") == 1
    assert read("assignments_ended_total", cause="closed") == 1


def test_a_test_lead_is_received_and_in_no_figure_of_peoples_work(
    projection: Projection, read: Reader
) -> None:
    lead = a_lead(score=0.35, test=True)
    projection.project(entry(*life(lead)), knows(lead))
    assert read("leads_received_total", vendor="acme", channel="mqtt", result="accepted") == 1
    assert read("test_leads_received_total", vendor="acme") == 1
    assert read("test_leads_assigned_total", queue="default") == 1
    assert read("assignments_total", queue="default", policy="lease", result="assigned") == 0
    assert read("speed_to_contact_seconds_count", queue="default") == 0
    assert read("rep_response_seconds_count", team="north") == 0
    verdict = {"standard": "speed_to_contact", "queue": "default"}
    assert read("standard_events_total", result="met", **verdict) == 0
    assert read("lead_outcomes_total", vendor="acme", outcome="converted") == 0
    assert read("lead_score_count", queue="default") == 0
    assert read("queue_wait_seconds_count", queue="default") == 0
    assert read("assignments_ended_total", cause="closed") == 0


def test_answers_are_told_apart(projection: Projection, read: Reader) -> None:
    projection.project(entry(d.LeadDuplicate("acme", "v", "K1", "http")), knows())
    projection.project(entry(d.LeadRejected("acme", "v", "phone: bad", "http")), knows())
    projection.project(entry(d.LeadRejected("acme", "v", "full", "http", True)), knows())
    for result in ("duplicate", "rejected", "error"):
        assert read("leads_received_total", vendor="acme", channel="http", result=result) == 1


def test_a_claimed_contact_that_does_not_count_is_no_contact(
    projection: Projection, read: Reader
) -> None:
    lead = a_lead()
    projection.project(entry(contacted(counted=False)), knows(lead))
    assert read("speed_to_contact_seconds_count", queue="default") == 0
    assert read("lead_outcomes_total", vendor="acme", outcome="contacted") == 0


def test_a_response_is_counted_once_when_a_dial_was_reported(
    projection: Projection, read: Reader
) -> None:
    lead = a_lead(attempted_ns=T0 + 5 * S)
    projection.project(
        entry(d.AttemptRecorded("K1", "ana", T0, "no_answer", 5.0), contacted()), knows(lead)
    )
    assert read("rep_response_seconds_count", team="north") == 1
    assert read("rep_response_seconds_sum", team="north") == 5.0


def test_a_rep_counts_for_the_team_of_the_last_assignment(
    projection: Projection, read: Reader
) -> None:
    lead = a_lead()
    projection.project(entry(contacted(response_seconds=1.0)), knows(lead))
    projection.project(entry(assigned(team="south"), contacted(response_seconds=4.0)), knows(lead))
    assert read("rep_response_seconds_sum", team="north") == 1.0
    assert read("rep_response_seconds_sum", team="south") == 4.0


@pytest.mark.parametrize("cause", ["expired", "recalled"])
def test_a_lease_that_ran_out_is_an_expired_assignment(
    projection: Projection, read: Reader, cause: d.EndCause
) -> None:
    ended = d.AssignmentEnded("K1", "K1-1", "ana", cause, T0, True, True, True, "slow")
    projection.project(entry(ended), knows(a_lead()))
    assert read("assignments_total", queue="default", policy="lease", result="expired") == 1
    assert read("assignments_ended_total", cause=cause) == 1


def test_a_deferred_lead_is_counted(projection: Projection, read: Reader) -> None:
    projection.project(entry(d.LeadDeferred("K1", "spanish", "probe", "kept")), knows())
    assert read("assignments_total", queue="spanish", policy="fair", result="deferred") == 1


@pytest.mark.parametrize(
    ("leaves", "result"),
    [
        (assigned(at_ns=T0 + 90 * S), "assigned"),
        (d.LeadReleased("K1", "recycled", T0 + 90 * S, 0, "again"), "recycled"),
        (d.StatusChanged("K1", "lost", "", "acme", T0 + 90 * S), "closed"),
        (d.StatusChanged("K1", "working", "ana", "acme", T0 + 90 * S), "assigned"),
        (contacted(at_ns=T0 + 90 * S), "assigned"),
    ],
)
def test_a_case_is_opened_and_leaves_the_desk(
    projection: Projection, read: Reader, leaves: d.Decision, result: str
) -> None:
    lead = a_lead()
    projection.project(entry(d.LeadHeld("K1", "all_refused", T0, "nobody")), knows(lead))
    assert read("exceptions_total", kind="all_refused", result="opened") == 1
    assert read("assignments_total", queue="default", policy="lease", result="no_owner") == 1
    projection.project(entry(leaves), knows(lead))
    assert read("exceptions_total", kind="all_refused", result=result) == 1
    assert read("exception_decision_seconds_sum", kind="all_refused") == 90.0


def test_a_call_record_that_comes_late_leaves_a_case_open(
    projection: Projection, read: Reader
) -> None:
    lead = a_lead()
    projection.project(entry(d.LeadHeld("K1", "working_limit", T0, "nothing heard")), knows(lead))
    projection.project(entry(contacted(late=True)), knows(lead))
    assert read("exceptions_total", kind="working_limit", result="assigned") == 0


def test_a_case_that_a_supervisor_gives_to_a_rep_was_assigned(
    projection: Projection, read: Reader
) -> None:
    """Its release on the way is not the answer."""
    lead = a_lead()
    projection.project(entry(d.LeadHeld("K1", "all_refused", T0, "nobody")), knows(lead))
    acted = SupervisorActed("assign", "mia", "knows the customer", rep="ana", lead_key="K1")
    said = d.EventRecorded("", "supervisor:mia", "assign", "K1", "", "ana", T0, "accepted", "")
    released = d.LeadReleased("K1", "supervisor", T0, 0, "by mia")
    projection.project(Entry(2, T0, acted, (said, released, assigned())), knows(lead))
    assert read("exceptions_total", kind="all_refused", result="assigned") == 1
    assert read("exceptions_total", kind="all_refused", result="recycled") == 0


def test_a_recycled_lead_is_counted_by_reason(projection: Projection, read: Reader) -> None:
    projection.project(entry(d.LeadReleased("K1", "callback_due", T0, 0, "due")), knows(a_lead()))
    assert read("leads_recycled_total", reason="callback_due") == 1
    assert read("leads_recycled_total", reason="recycled") == 0


def test_dead_letters_are_counted_by_where_they_came_in(
    projection: Projection, read: Reader
) -> None:
    projection.project(entry(d.DeadLettered("leads/in/acme", "not JSON", b"x", False)), knows())
    projection.project(entry(d.DeadLettered("/v1/leads/acme", "not JSON", b"x", False)), knows())
    assert read("intake_dead_letters_total", channel="mqtt") == 1
    assert read("intake_dead_letters_total", channel="http") == 1


def test_operators_actions_are_counted_with_what_became_of_them(
    projection: Projection, read: Reader
) -> None:
    event = SupervisorActed("pause", "mia", "lunch", rep="ana")
    answer = d.EventRecorded("", "supervisor:mia", "pause", "", "", "ana", T0, "accepted", "lunch")
    done = (answer, d.RepControlled("ana", "pause", "mia", "lunch"))
    refused = d.EventRecorded(
        "", "supervisor:mia", "pause", "", "", "ana", T0, "rejected", "unknown rep"
    )
    projection.project(Entry(1, T0, event, done), knows())
    projection.project(Entry(2, T0, event, (refused,)), knows())
    assert read("operator_actions_total", action="pause", result="done") == 1
    assert read("operator_actions_total", action="pause", result="refused") == 1
    assert read("lead_events_total", type="pause", outcome="accepted") is None


def test_decisions_that_are_no_metric_change_nothing(
    metrics: Metrics, projection: Projection, read: Reader
) -> None:
    before = _all(metrics)
    projection.project(
        entry(d.MemoryRecorded("default", "ana", b"x"), d.EpochBegan(2, "1")), knows()
    )
    assert _all(metrics) == before


def _all(metrics: Metrics) -> list[tuple[str, str, float]]:
    return [
        (sample.name, str(sample.labels), sample.value)
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name.startswith("distributor_")
    ]


def test_a_vendor_without_an_accepted_lead_makes_no_series(
    metrics: Metrics, projection: Projection, read: Reader
) -> None:
    """With no vendors configured a sender chooses the label: it must not choose our memory."""
    vendors = {labels[0] for labels in metrics.counter("leads_received_total").cells}
    for number in range(600):
        projection.project(entry(d.LeadRejected(f"v{number}", "x", "phone", "http")), knows())
    projection.project(entry(d.LeadRejected("acme", "x", "phone", "http")), knows())
    found = {labels[0] for labels in metrics.counter("leads_received_total").cells}
    assert found == vendors | {"(other)"}
    count = {"channel": "http", "result": "rejected"}
    assert read("leads_received_total", vendor="(other)", **count) == 600
    assert read("leads_received_total", vendor="acme", **count) == 1

    lead = a_lead(vendor="v7")
    projection.project(entry(*life(lead)), knows(lead))
    projection.project(entry(d.LeadRejected("v7", "x", "phone", "http")), knows())
    assert read("leads_received_total", vendor="v7", **count) == 1
    assert read("leads_received_total", vendor="v7", channel="mqtt", result="accepted") == 1
    assert read("leads_received_total", vendor="v7", channel="http", result="error") == 0


def test_the_number_of_vendors_is_bounded_and_no_lead_is_lost(
    metrics: Metrics, projection: Projection, read: Reader
) -> None:
    for number in range(2_500):
        lead = a_lead(f"K{number}", vendor=f"v{number}")
        projection.project(entry(*life(lead)), knows(lead))
    for name in ("leads_received_total", "lead_outcomes_total"):
        cells = metrics.counter(name).cells
        assert len({labels[0] for labels in cells}) == 1_001
    assert sum(metrics.counter("leads_received_total").cells.values()) == 2_500
    assert sum(metrics.counter("lead_outcomes_total").cells.values()) == 5_000
    assert len(metrics.histogram("lead_arrival_delay_seconds").cells) == 1_001


def test_new_settings_bring_new_pools_and_a_new_edge(
    projection: Projection, read: Reader, floor: Floor
) -> None:
    lead = a_lead()
    projection.project(entry(contacted()), knows(lead))
    new = Floor(
        digest="d2",
        reps=(RepPlan("ana", team="west"),),
        pools=(*floor.pools, PoolPlan("late")),
        flow=FlowPlan(policy="fair", first_contact_seconds=33.0),
    )
    projection.project(entry(d.FloorApplied(new)), knows())
    assert read("speed_to_contact_seconds_bucket", queue="late", le="33.0") == 0
    assert read("policy_info", policy="fair", revision="d2") == 1
    assert read("policy_info", policy="lease", revision="d1") is None
    projection.project(entry(contacted()), knows(lead))
    assert read("speed_to_contact_seconds_bucket", queue="default", le="33.0") == 1
    assert read("rep_response_seconds_count", team="west") == 1


def test_a_missed_standard_reaches_a_stage_of_its_sla(projection: Projection, read: Reader) -> None:
    """Both the verdict and the stage: the one is the objective, the other is what people act on."""
    stage = {"sla": "speed_to_contact", "stage": "missed"}
    assert read("sla_stage_total", **stage) == 0
    for met, test in ((True, False), (False, True), (False, False)):
        counted = d.StandardCounted("K1", "default", "speed_to_contact", met, test)
        projection.project(entry(counted), knows())
    assert read("sla_stage_total", **stage) == 1


def test_targets_and_limits_follow_the_settings_in_force(
    metrics: Metrics, projection: Projection, read: Reader, floor: Floor
) -> None:
    speed = {"standard": "speed_to_contact"}
    assert read("standard_limit_seconds", **speed) == 75.0
    projection.project(
        entry(d.FloorApplied(replace(floor, flow=FlowPlan(first_contact_seconds=33.0)))), knows()
    )
    assert read("standard_limit_seconds", **speed) == 33.0
    for target in (0.9, 0.8):
        metrics.take_standard_targets({"speed_to_contact": target})
        assert read("standard_target_ratio", **speed) == target


def test_the_same_limit_again_keeps_what_was_counted(
    projection: Projection, read: Reader, floor: Floor
) -> None:
    projection.project(entry(contacted()), knows(a_lead()))
    projection.project(entry(d.FloorApplied(floor)), knows())
    assert read("speed_to_contact_seconds_count", queue="default") == 1


def test_queue_wait_is_measured_in_the_floors_own_time(floor: Floor) -> None:
    fast = replace(floor, flow=FlowPlan(time_scale=10.0))
    metrics = Metrics(fast, [])
    Projection(metrics, fast).project(entry(assigned()), knows(a_lead()))
    assert Reader(metrics)("queue_wait_seconds_sum", queue="default") == pytest.approx(20.0)


def calls_of(act: Callable[[], object]) -> int:
    """How many functions are called, ours and the interpreter's: a measure no busy machine changes."""
    calls = 0

    def count(_frame: object, kind: str, _what: object) -> None:
        nonlocal calls
        calls += kind in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(before)
    return calls


def test_projecting_a_lead_is_cheap_however_much_was_counted_before(projection: Projection) -> None:
    """On the way of every lead."""
    lead = a_lead(score=0.5)
    whole, lead_of = entry(*life(lead)), knows(lead)
    projection.project(whole, lead_of)  # makes the series
    first = calls_of(lambda: projection.project(whole, lead_of))
    for number in range(1_000):
        other = a_lead(f"K{number}", vendor=f"v{number}")
        projection.project(entry(*life(other)), knows(other))
    assert calls_of(lambda: projection.project(whole, lead_of)) == first
    assert first < 100
