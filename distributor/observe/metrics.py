"""The families of the table with their series from the start, and what the machinery measures."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Literal, TypeVar, get_args

from prometheus_client import CollectorRegistry, ProcessCollector

from distributor import __version__
from distributor.domain import decisions as d
from distributor.domain.events import LEAD_EVENT_TYPES, Channel, SupervisorAction
from distributor.domain.floor import Floor
from distributor.domain.ids import NANOSECONDS
from distributor.domain.journal import CommitStats
from distributor.domain.lead import LEAD_STATES
from distributor.domain.rep import REP_STATES
from distributor.observe.families import OTHER, Counter, Gauge, Histogram
from distributor.observe.standards import MISSED, STANDARDS, limits
from distributor.observe.table import TABLE, UnknownMetric, metric

PerRep = Literal["all", "held_back", "off"]
DeliveryResult = Literal["done", "retry", "dead", "in_doubt"]

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
        self._events = self.counter("lead_events_total")
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
        self._create("intake_last_message_timestamp_seconds", (vendor,))
        self._create("lead_arrival_delay_seconds", (vendor,))

    def label(self, vendor: str, *, stranger: bool = False) -> str:
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
        """Make the series of new pools and teams, and take the standards' limits, also as edges. A new limit
        begins the judged histograms anew."""
        for standard, limit in limits(floor.flow).items():
            self.gauge("standard_limit_seconds").set((standard,), limit)
        for name in ("speed_to_contact_seconds", "rep_response_seconds"):
            family = self.histogram(name)
            family.set_edges(family.row.edges_for(floor.flow))
        for pool in floor.pools:
            self._create_of_pool(pool.id, pool.policy or floor.flow.policy)
        for team in {team.id: None for team in floor.teams} | {r.team: None for r in floor.reps}:
            self._create("rep_response_seconds", (team,))
            self._create("reps", (team,), SHOWN_STATES)
            self._create("reps_available", (team,))
            self._create("reps_throttled", (team,))
            self._create("reps_without_state_reports", (team,))
        self.gauge("policy_info").replace({(floor.flow.policy, floor.digest): 1})

    def _create_of_pool(self, pool: str, policy: str) -> None:
        self._create("assignments_total", (pool,), (policy,), ASSIGNMENT_RESULTS)
        self._create("standard_events_total", STANDARDS, (pool,), ("met", "missed"))
        for name in (
            "queue_leads",
            "queue_oldest_lead_age_seconds",
            "test_leads_assigned_total",
            "queue_wait_seconds",
            "speed_to_contact_seconds",
            "lead_score",
        ):
            self._create(name, (pool,))

    def take_standard_targets(self, targets: Mapping[str, float]) -> None:
        """The standards' targets in force (standard -> share of the leads)."""
        for standard, target in targets.items():
            self.gauge("standard_target_ratio").set((standard,), target)

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
