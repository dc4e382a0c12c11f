"""Decisions as metrics.

``project`` is on the hot path of every lead: one dict look-up per decision, then plain arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distributor.domain import decisions as d
from distributor.domain.events import SupervisorActed
from distributor.domain.floor import Floor
from distributor.domain.ids import NANOSECONDS
from distributor.domain.journal import Entry
from distributor.domain.lead import STATUS_MOVES, Lead
from distributor.observe.families import Buckets
from distributor.observe.metrics import OUTCOMES, Metrics
from distributor.observe.standards import MISSED

LeadOf = Callable[[str], Lead | None]
_Handler = Callable[[Any, Entry, LeadOf], None]


class Projection:
    """Counts decisions in ``metrics``, which have taken ``floor``, the one in force."""

    def __init__(self, metrics: Metrics, floor: Floor) -> None:
        self._metrics = metrics
        self._label = metrics.label
        self._bind()
        self._team: dict[str, str] = {}
        self._response: dict[str, Buckets] = {}
        self._held: dict[str, tuple[str, int]] = {}
        self._handlers = self._make_handlers()
        self._take_floor(floor)

    def _bind(self) -> None:
        """Names for the families, so that nothing is looked up by text on the way of a lead."""
        counter, histogram = self._metrics.counter, self._metrics.histogram
        self._received = counter("leads_received_total")
        self._last_message = self._metrics.gauge("intake_last_message_timestamp_seconds")
        self._arrival = histogram("lead_arrival_delay_seconds")
        self._score = histogram("lead_score")
        self._assignments = counter("assignments_total")
        self._ended = counter("assignments_ended_total")
        self._wait = histogram("queue_wait_seconds")
        self._deferrals = counter("throttle_deferrals_total")
        self._speed = histogram("speed_to_contact_seconds")
        self._rep_response = histogram("rep_response_seconds")
        self._standards = counter("standard_events_total")
        self._stages = counter("sla_stage_total")
        self._outcomes = counter("lead_outcomes_total")
        self._events = counter("lead_events_total")
        self._exceptions = counter("exceptions_total")

    def _take_floor(self, floor: Floor) -> None:
        self._scale = floor.flow.time_scale / NANOSECONDS
        self._policy = {pool.id: pool.policy or floor.flow.policy for pool in floor.pools}
        self._team.update({rep.id: rep.team for rep in floor.reps})
        self._response.clear()  # new edges begin the histograms anew

    def project(self, entry: Entry, lead_of: LeadOf) -> None:
        """Count a committed entry. ``lead_of`` gives the record of a lead that the entry touched, as it
        is now, also when it is closed; None counts what can be counted without."""
        handlers = self._handlers
        for decision in entry.decisions:
            handle = handlers[type(decision)]
            if handle is not None:
                handle(decision, entry, lead_of)
        if type(entry.event) is SupervisorActed:
            self._supervised(entry.event, entry.decisions)

    def _make_handlers(self) -> dict[type, _Handler | None]:
        return {
            d.LeadAccepted: self._accepted,
            d.LeadDuplicate: self._duplicate,
            d.LeadRejected: self._rejected,
            d.DeadLettered: self._dead_lettered,
            d.EventRecorded: self._event_recorded,
            d.Assigned: self._assigned,
            d.AssignmentEnded: self._assignment_ended,
            d.AttemptRecorded: self._attempted,
            d.ContactRecorded: self._contacted,
            d.StandardCounted: self._judged,
            d.StatusChanged: self._status_changed,
            d.LeadHeld: self._lead_held,
            d.LeadReleased: self._released,
            d.LeadDeferred: self._deferred,
            d.FloorApplied: self._floor_applied,
            # Nothing counts these; what they change is measured as it is.
            d.LeadRevived: None,
            d.DeliveryAccepted: None,
            d.WorkEnded: None,
            d.LeadRerouted: None,
            d.LeaseRestarted: None,
            d.PresenceChanged: None,
            d.RepControlled: None,
            d.FlowChanged: None,
            d.MemoryRecorded: None,
            d.TargetMarked: None,
            d.EpochBegan: None,
        }

    def _accepted(self, decision: d.LeadAccepted, entry: Entry, _: LeadOf) -> None:
        lead = decision.lead
        vendor = self._label(lead.vendor)
        self._answered(vendor, decision.channel, "accepted", entry.at_ns)
        if decision.submitted_ns:
            delay = (lead.received_ns - decision.submitted_ns) / NANOSECONDS
            self._arrival.observe((vendor,), max(0.0, delay))
        if lead.test:
            self._metrics.counter("test_leads_received_total").add((vendor,))
        elif lead.score is not None:
            self._score.observe((lead.pool,), lead.score)

    def _answered(self, vendor: str, channel: str, result: str, at_ns: int) -> None:
        self._received.cells[vendor, channel, result] += 1
        self._last_message.cells[vendor,] = at_ns / NANOSECONDS

    def _duplicate(self, decision: d.LeadDuplicate, entry: Entry, _: LeadOf) -> None:
        vendor = self._label(decision.vendor)
        self._answered(vendor, decision.channel, "duplicate", entry.at_ns)

    def _rejected(self, decision: d.LeadRejected, entry: Entry, _: LeadOf) -> None:
        result = "error" if decision.retryable else "rejected"
        vendor = self._label(decision.vendor, stranger=True)
        self._answered(vendor, decision.channel, result, entry.at_ns)

    def _dead_lettered(self, decision: d.DeadLettered, _: Entry, __: LeadOf) -> None:
        # An HTTP path begins with a slash; a topic that we subscribe to never does.
        channel = "http" if decision.topic.startswith("/") else "mqtt"
        self._metrics.counter("intake_dead_letters_total").add((channel,))

    def _event_recorded(self, decision: d.EventRecorded, _: Entry, __: LeadOf) -> None:
        # Presence and supervisors' actions are on record in the same form; they have no series here.
        key = (decision.type, decision.outcome)
        if key in self._events.cells:
            self._events.cells[key] += 1

    def _assigned(self, decision: d.Assigned, _: Entry, lead_of: LeadOf) -> None:
        if self._held:
            self._left_desk(decision.lead_key, "assigned", decision.at_ns)
        pool = decision.pool
        if decision.test:
            self._metrics.counter("test_leads_assigned_total").add((pool,))
            return
        self._assignments.add((pool, decision.policy, "assigned"))
        if decision.attempt == 1:
            lead = lead_of(decision.lead_key)
            if lead is not None:
                self._wait.observe((pool,), (decision.at_ns - lead.received_ns) * self._scale)
        if self._team.get(decision.rep) != decision.team:
            self._team[decision.rep] = decision.team
            self._response.pop(decision.rep, None)
        deferrals = self._deferrals.cells
        for code, count in decision.passed_over_counts.items():
            if (code,) in deferrals:
                deferrals[code,] += count

    def _assignment_ended(self, decision: d.AssignmentEnded, _: Entry, lead_of: LeadOf) -> None:
        lead = lead_of(decision.lead_key)
        if lead is not None and lead.test:
            return
        self._ended.add((decision.cause,))
        if decision.cause in ("expired", "recalled") and lead is not None:
            self._assignments.add((lead.pool, self._policy.get(lead.pool, ""), "expired"))

    def _attempted(self, decision: d.AttemptRecorded, _: Entry, lead_of: LeadOf) -> None:
        if decision.response_seconds is None:
            return
        lead = lead_of(decision.lead_key)
        if lead is None or not lead.test:
            self._responded(decision.rep, decision.response_seconds)

    def _contacted(self, decision: d.ContactRecorded, _: Entry, lead_of: LeadOf) -> None:
        if not decision.counted:
            return
        if self._held and not decision.late:
            self._left_desk(decision.lead_key, "assigned", decision.at_ns)
        lead = lead_of(decision.lead_key)
        if lead is not None and lead.test:
            return
        if decision.speed_seconds is not None:
            self._speed.observe((decision.pool,), decision.speed_seconds)
            if lead is not None:
                self._outcomes.add((self._label(lead.vendor), "contacted"))
        # Where a dial was reported, the response was counted then.
        dialled = lead is not None and lead.attempted_ns
        if decision.response_seconds is not None and not dialled:
            self._responded(decision.rep, decision.response_seconds)

    def _responded(self, rep: str, seconds: float) -> None:
        cell = self._response.get(rep)
        if cell is None:
            cell = self._rep_response.at((self._team.get(rep, "default"),))
            self._response[rep] = cell
        cell.observe(seconds)

    def _judged(self, decision: d.StandardCounted, _: Entry, __: LeadOf) -> None:
        if not decision.test:
            result = "met" if decision.met else "missed"
            self._standards.add((decision.standard, decision.pool, result))
            if not decision.met:
                self._stages.add((decision.standard, MISSED))

    def _status_changed(self, decision: d.StatusChanged, _: Entry, lead_of: LeadOf) -> None:
        if self._held:
            result = "closed" if STATUS_MOVES[decision.status] == "close" else "assigned"
            self._left_desk(decision.lead_key, result, decision.at_ns)
        if decision.correction or decision.status not in OUTCOMES:
            return
        lead = lead_of(decision.lead_key)
        if lead is None or not lead.test:
            self._outcomes.add((self._label(decision.vendor), decision.status))

    def _lead_held(self, decision: d.LeadHeld, _: Entry, lead_of: LeadOf) -> None:
        self._held[decision.lead_key] = (decision.kind, decision.at_ns)
        self._exceptions.add((decision.kind, "opened"))
        lead = lead_of(decision.lead_key)
        if lead is not None and not lead.test:
            self._assignments.add((lead.pool, self._policy.get(lead.pool, ""), "no_owner"))

    def _left_desk(self, key: str, result: str, at_ns: int) -> None:
        """A case opened since the start is over. (Older ones are missing here, not in the gauges.)"""
        case = self._held.pop(key, None)
        if case is not None:
            kind, opened_ns = case
            self._exceptions.add((kind, result))
            waited = (at_ns - opened_ns) / NANOSECONDS
            self._metrics.histogram("exception_decision_seconds").observe((kind,), max(0.0, waited))

    def _released(self, decision: d.LeadReleased, entry: Entry, lead_of: LeadOf) -> None:
        if self._held:
            # Who gives a lead from the desk to a rep releases it on the way.
            by_hand = type(entry.event) is SupervisorActed and entry.event.action == "assign"
            result = "assigned" if by_hand else "recycled"
            self._left_desk(decision.lead_key, result, decision.at_ns)
        lead = lead_of(decision.lead_key)
        if lead is None or not lead.test:
            self._metrics.counter("leads_recycled_total").add((decision.reason,))

    def _deferred(self, decision: d.LeadDeferred, _: Entry, __: LeadOf) -> None:
        policy = self._policy.get(decision.pool, "")
        self._assignments.add((decision.pool, policy, "deferred"))

    def _floor_applied(self, decision: d.FloorApplied, _: Entry, __: LeadOf) -> None:
        self._metrics.take_floor(decision.floor)
        self._take_floor(decision.floor)

    def _supervised(self, event: SupervisorActed, decisions: tuple[d.Decision, ...]) -> None:
        answer = decisions[0]
        refused = isinstance(answer, d.EventRecorded) and answer.outcome == "rejected"
        self._metrics.count(
            "operator_actions_total", event.action, "refused" if refused else "done"
        )
