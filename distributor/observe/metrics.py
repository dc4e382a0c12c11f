"""Decisions, and what the machinery measures, as metrics.

``project`` is on the hot path of every lead: one dict look-up per decision, then plain arithmetic.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any, Literal, TypeVar, get_args

from prometheus_client import CollectorRegistry, ProcessCollector

from distributor import __version__
from distributor.domain import decisions as d
from distributor.domain.events import LEAD_EVENT_TYPES, Channel, SupervisorActed, SupervisorAction
from distributor.domain.floor import Floor
from distributor.domain.ids import NANOSECONDS
from distributor.domain.journal import CommitStats, Entry
from distributor.domain.lead import LEAD_STATES, STATUS_MOVES, Lead
from distributor.domain.rep import REP_STATES
from distributor.observe.families import OTHER, Buckets, Counter, Gauge, Histogram
from distributor.observe.standards import MISSED, STANDARDS, limits
from distributor.observe.table import TABLE, UnknownMetric, metric

PerRep = Literal["all", "held_back", "off"]
DeliveryResult = Literal["done", "retry", "dead", "in_doubt"]
LeadOf = Callable[[str], Lead | None]

CHANNELS: tuple[str, ...] = get_args(Channel)
RESULTS = ("accepted", "duplicate", "rejected", "error")
ASSIGNMENT_RESULTS = ("assigned", "no_owner", "deferred", "expired")
OUTCOMES = ("contacted", "qualified", "converted", "lost")
EXCEPTION_RESULTS = ("opened", "assigned", "recycled", "closed")
SHOWN_STATES = (*REP_STATES, "paused")
THROTTLE_REASONS = (
    "slow_contact",
    "full_pipeline",
    "status_overdue",
    "paused",
    "manual",
    "warm_up",
    "held_back",
)
"""Why a rep gets less than full flow."""
DEFERRAL_REASONS = ("held_back", "paused", "full_pipeline")
"""Verdicts on a passed-over rep that the throttle, or a human's hand on it, is the cause of: they say that
the rep was held back, and not why."""

_DELIVERY_LABELS = {"done": "ok", "retry": "retry", "dead": "dead", "in_doubt": "in_doubt"}
NO_REVISION = "unknown"
"""A package knows its version, and not the commit that it was built from; the label is relied on."""
SET_ASIDE = ("dead", "in_doubt")
_MAX_VENDORS = 1_000
"""Vendors that have series of their own without being configured, the configured ones counted in."""
_FamilyT = TypeVar("_FamilyT", Counter, Gauge, Histogram)
_Handler = Callable[[Any, Entry, LeadOf], None]


class Metrics:
    """All families of the table, with their series at 0 from the start.

    ``vendors``: the configured vendor ids; others get their series with their first accepted lead.
    ``per_rep``: for which reps the per-rep families are written. One instance per event loop, used
    on its thread alone.
    """

    def __init__(
        self,
        floor: Floor,
        vendors: Iterable[str],
        per_rep: PerRep = "all",
    ) -> None:
        self.per_rep: PerRep = per_rep
        self.families: dict[str, Counter | Gauge | Histogram] = {
            row.name: self._family(row.name, floor) for row in TABLE if not row.per_rep
        }
        self.registry = CollectorRegistry(auto_describe=False)
        self.process = ProcessCollector(registry=self.registry)
        for family in self.families.values():
            self.registry.register(family)
        self._bind()
        self._vendors: set[str] = set()
        self._was_up: set[str] = set()
        self._team: dict[str, str] = {}
        self._response: dict[str, Buckets] = {}
        self._held: dict[str, tuple[str, int]] = {}
        self._handlers = self._make_handlers()
        self._create_fixed()
        self.meet(vendors)
        self.take_floor(floor)

    @staticmethod
    def _family(name: str, floor: Floor) -> Counter | Gauge | Histogram:
        row = metric(name)
        if row.type == "histogram":
            return Histogram(row, row.edges_for(floor.flow))
        return Counter(row) if row.type == "counter" else Gauge(row)

    def counter(self, name: str) -> Counter:
        """The fleet-wide counter ``name`` (without prefix). Raises ``UnknownMetric``."""
        return self._typed(name, Counter)

    def gauge(self, name: str) -> Gauge:
        """The fleet-wide gauge ``name`` (without prefix). Raises ``UnknownMetric``."""
        return self._typed(name, Gauge)

    def histogram(self, name: str) -> Histogram:
        """The fleet-wide histogram ``name`` (without prefix). Raises ``UnknownMetric``."""
        return self._typed(name, Histogram)

    def _typed(self, name: str, kind: type[_FamilyT]) -> _FamilyT:
        family = self.families.get(metric(name).name)
        if not isinstance(family, kind):
            raise UnknownMetric(f"{name}: is no fleet-wide {kind.__name__.lower()} in the table")
        return family

    # -- series from the start -------------------------------------------------------------------

    def _bind(self) -> None:
        """Names for the families of the hot path, so that it looks nothing up by text."""
        self._received = self.counter("leads_received_total")
        self._last_message = self.gauge("intake_last_message_timestamp_seconds")
        self._arrival = self.histogram("lead_arrival_delay_seconds")
        self._score = self.histogram("lead_score")
        self._assignments = self.counter("assignments_total")
        self._ended = self.counter("assignments_ended_total")
        self._wait = self.histogram("queue_wait_seconds")
        self._deferrals = self.counter("throttle_deferrals_total")
        self._speed = self.histogram("speed_to_contact_seconds")
        self._rep_response = self.histogram("rep_response_seconds")
        self._standards = self.counter("standard_events_total")
        self._stages = self.counter("sla_stage_total")
        self._outcomes = self.counter("lead_outcomes_total")
        self._events = self.counter("lead_events_total")
        self._exceptions = self.counter("exceptions_total")
        self._decision = self.histogram("decision_seconds").at(())
        self._ack = self.histogram("intake_ack_seconds")
        self._lag = self.histogram("event_loop_lag_seconds").at(())
        self._lateness = self.histogram("timer_lateness_seconds").at(())
        self._commit = self.histogram("store_commit_seconds").at(())
        self._rows = self.histogram("store_batch_rows").at(())
        self._deliveries = self.counter("outbox_deliveries_total")
        self._delivery = self.histogram("delivery_seconds")

    def _create_fixed(self) -> None:
        """Series whose labels are known without any settings."""
        self._create("leads_in_state", LEAD_STATES)
        for channel in CHANNELS:
            self._ack.create((channel,))
            self.counter("intake_dead_letters_total").create((channel,))
        self._create("intake_refused_total", ("http",))  # from the broker we stop reading instead
        self._create("leads_recycled_total", get_args(d.ReleaseReason))
        self._create("assignments_ended_total", get_args(d.EndCause))
        self._create("lead_events_total", LEAD_EVENT_TYPES, get_args(d.EventOutcome))
        self._create("throttle_deferrals_total", DEFERRAL_REASONS)
        self._create("sla_stage_total", STANDARDS, (MISSED,))
        kinds = get_args(d.HoldKind)
        self._create("exceptions_total", kinds, EXCEPTION_RESULTS)
        self._create("exceptions_open", kinds)
        self._create("exceptions_oldest_age_seconds", kinds)
        for kind in kinds:
            self.histogram("exception_decision_seconds").create((kind,))
        self._create("operator_actions_total", get_args(SupervisorAction), ("done", "refused"))
        running = (__version__, platform.python_version(), NO_REVISION)
        self.gauge("build_info").set(running, 1)
        self.gauge("config_last_reload_successful").set((), 1)

    def _create(self, name: str, *values: Iterable[str]) -> None:
        family = self.families[name]
        for labels in product(*values):
            family.create(labels)

    def meet(self, vendors: Iterable[str]) -> None:
        """Make the series of configured vendors at 0."""
        for vendor in vendors:
            if vendor not in self._vendors:
                self._meet(vendor)

    def _meet(self, vendor: str) -> None:
        self._vendors.add(vendor)
        self._create("leads_received_total", (vendor,), CHANNELS, RESULTS)
        self._create("lead_outcomes_total", (vendor,), OUTCOMES)
        self._create("test_leads_received_total", (vendor,))
        self._last_message.create((vendor,))
        self._arrival.create((vendor,))

    def _label(self, vendor: str, *, stranger: bool = False) -> str:
        """What to count a vendor under. One that is not configured has series of its own once a lead of it
        was taken, and while there are not too many; a ``stranger`` has had none taken."""
        if vendor in self._vendors:
            return vendor
        if stranger or len(self._vendors) >= _MAX_VENDORS:
            vendor = OTHER
        if vendor not in self._vendors:
            self._meet(vendor)
        return vendor

    def take_floor(self, floor: Floor) -> None:
        """Make the series of new pools and teams, and take the standards' limits, also as edges. Called
        for every ``FloorApplied``; a new limit begins the judged histograms anew."""
        for standard, limit in limits(floor.flow).items():
            self.gauge("standard_limit_seconds").set((standard,), limit)
        self._scale = floor.flow.time_scale / NANOSECONDS
        for family in (self._speed, self._rep_response):
            family.set_edges(family.row.edges_for(floor.flow))
        self._policy = {pool.id: pool.policy or floor.flow.policy for pool in floor.pools}
        for pool, policy in self._policy.items():
            self._create("assignments_total", (pool,), (policy,), ASSIGNMENT_RESULTS)
            self._create("standard_events_total", STANDARDS, (pool,), ("met", "missed"))
            for name in ("queue_leads", "queue_oldest_lead_age_seconds"):
                self.gauge(name).create((pool,))
            self.counter("test_leads_assigned_total").create((pool,))
            for waits in (self._wait, self._speed, self._score):
                waits.create((pool,))
        for team in {team.id: None for team in floor.teams} | {r.team: None for r in floor.reps}:
            self._rep_response.create((team,))
            self._create("reps", (team,), SHOWN_STATES)
            self._create("reps_available", (team,))
            self._create("reps_throttled", (team,))
            self._create("reps_without_state_reports", (team,))
        self._team.update({rep.id: rep.team for rep in floor.reps})
        self._response.clear()
        self.gauge("policy_info").replace({(floor.flow.policy, floor.digest): 1})

    def take_standard_targets(self, targets: Mapping[str, float]) -> None:
        """The standards' targets in force (standard -> share of the leads)."""
        for standard, target in targets.items():
            self.gauge("standard_target_ratio").set((standard,), target)

    # -- decisions -------------------------------------------------------------------------------

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
            self.counter("test_leads_received_total").add((vendor,))
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
        self.counter("intake_dead_letters_total").add((channel,))

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
            self.counter("test_leads_assigned_total").add((pool,))
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
            self.histogram("exception_decision_seconds").observe((kind,), max(0.0, waited))

    def _released(self, decision: d.LeadReleased, entry: Entry, lead_of: LeadOf) -> None:
        if self._held:
            # Who gives a lead from the desk to a rep releases it on the way.
            by_hand = type(entry.event) is SupervisorActed and entry.event.action == "assign"
            result = "assigned" if by_hand else "recycled"
            self._left_desk(decision.lead_key, result, decision.at_ns)
        lead = lead_of(decision.lead_key)
        if lead is None or not lead.test:
            self.counter("leads_recycled_total").add((decision.reason,))

    def _deferred(self, decision: d.LeadDeferred, _: Entry, __: LeadOf) -> None:
        policy = self._policy.get(decision.pool, "")
        self._assignments.add((decision.pool, policy, "deferred"))

    def _floor_applied(self, decision: d.FloorApplied, _: Entry, __: LeadOf) -> None:
        self.take_floor(decision.floor)

    def _supervised(self, event: SupervisorActed, decisions: tuple[d.Decision, ...]) -> None:
        answer = decisions[0]
        refused = isinstance(answer, d.EventRecorded) and answer.outcome == "rejected"
        self.count("operator_actions_total", event.action, "refused" if refused else "done")

    # -- measures of the machinery ---------------------------------------------------------------

    def count(self, name: str, *labels: str, amount: float = 1) -> None:
        """Count on a rare path, by name (without prefix). Raises ``UnknownMetric`` for a name that is no
        counter of the table."""
        self.counter(name).add(labels, amount)

    def decided(self, seconds: float) -> None:
        """The core took so long for one event."""
        self._decision.observe(seconds)

    def acked(self, channel: Channel, seconds: float) -> None:
        """From the receipt of a submission to its acknowledgement after the commit."""
        self._ack.observe((channel,), seconds)

    def repeated(self, event_type: str) -> None:
        """An event came again; nothing of it is on record."""
        if (event_type, "duplicate") in self._events.cells:  # presence has no series here
            self._events.cells[event_type, "duplicate"] += 1

    def commit(self, stats: CommitStats) -> None:
        """One transaction is on disk."""
        self._commit.observe(stats.seconds)
        self._rows.observe(stats.rows)

    def loop_lag(self, seconds: float) -> None:
        """The event loop was so late for a timer."""
        self._lag.observe(seconds)

    def timer_lateness(self, seconds: float) -> None:
        """A deadline of the core was handled so late."""
        self._lateness.observe(seconds)

    def delivered(self, target: str, result: DeliveryResult, seconds: float) -> None:
        """One attempt to deliver an outbox message, and what became of it."""
        self._deliveries.add((target, _DELIVERY_LABELS[result]))
        self._delivery.observe((target,), seconds)
        if result in SET_ASIDE:
            self.set_aside(target, result, 1)

    def set_aside(self, target: str, state: str, messages: int) -> None:
        """So many messages more of the target are kept for a human."""
        gauge = self.gauge("outbox_set_aside_messages")
        gauge.set((target, state), gauge.cells.get((target, state), 0) + messages)

    def targets(self, names: Iterable[str]) -> None:
        """The outbox's targets: their series begin at 0."""
        for name in names:
            self._create("outbox_deliveries_total", (name,), _DELIVERY_LABELS.values())
            self._delivery.create((name,))
            self._create("outbox_messages", (name,))
            self._create("outbox_set_aside_messages", (name,), SET_ASIDE)
            self._create("outbox_oldest_message_age_seconds", (name,))

    def connected(self, peer: str, up: bool) -> None:
        """A peer (``mqtt`` or a dialer's id) takes messages, or does not. The first call makes the
        peer's series."""
        gauge, reconnects = self.gauge("intake_connected"), self.counter("peer_reconnects_total")
        reconnects.create((peer,))
        if up:
            if peer in self._was_up and not gauge.cells[peer,]:
                reconnects.add((peer,))
            self._was_up.add(peer)
        gauge.set((peer,), int(up))

    def link_totals(self, peer: str, totals: Mapping[str, int]) -> None:
        """What a link has counted since it was made (event -> total), as of now."""
        cells = self.counter("link_events_total").cells
        for event, total in totals.items():
            cells[peer, event] = total

    def oldest_unacked(self, seconds: float) -> None:
        """The age of the oldest message that the broker gave us and we have not acknowledged."""
        self.gauge("intake_oldest_unacknowledged_age_seconds").set((), seconds)

    def clock_ahead(self, seconds: float) -> None:
        """By how much our time is ahead of the machine's clock."""
        self.gauge("clock_ahead_seconds").set((), seconds)

    def reloaded(self, ok: bool, at_ns: int) -> None:
        """New settings were taken into force, or refused."""
        self.gauge("config_last_reload_successful").set((), int(ok))
        if ok:
            seconds = at_ns / NANOSECONDS
            self.gauge("config_last_reload_success_timestamp_seconds").set((), seconds)
