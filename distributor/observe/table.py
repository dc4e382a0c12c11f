"""The one table of metrics. What is not in it cannot be emitted; ``docs/metrics.md`` is made from it.

``python -m distributor.observe.table`` prints the page.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from distributor.domain.floor import FlowPlan

MetricType = Literal["counter", "gauge", "histogram"]

PREFIX: Final = "distributor_"


class Metric(Struct, frozen=True):
    """One family. ``name`` has no prefix. ``edges`` are the upper bounds of a histogram's buckets,
    in ``unit``. ``per_rep``: one series or more for every rep, written by hand at scrape.
    ``judged``: a standard's limit is added to the edges, so that the share on time can be read."""

    name: str
    type: MetricType
    labels: tuple[str, ...]
    unit: str
    meaning: str
    edges: tuple[float, ...] = ()
    per_rep: bool = False
    judged: bool = False

    @property
    def full_name(self) -> str:
        """The name as Prometheus sees it."""
        return PREFIX + self.name

    def edges_for(self, flow: FlowPlan) -> tuple[float, ...]:
        """The bucket edges on this floor, rising. A standard's limit is always one of them."""
        limits = {flow.first_contact_seconds} if self.judged else set()
        return tuple(sorted({*map(float, self.edges), *map(float, limits)}))


class UnknownMetric(LookupError):
    """Nobody described this metric in the table: our own mistake."""


_RESPONSE = (
    *(1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400),
    86400,
)
_WAIT = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200)
_DECISION = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1)
_ACK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
_LAG = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_LATENESS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ARRIVAL = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400)
_SCORE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_DELIVERY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_COMMIT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
_HUMAN = (10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


def _counter(name: str, labels: str, unit: str, meaning: str, *, per_rep: bool = False) -> Metric:
    return Metric(name, "counter", tuple(labels.split()), unit, meaning, per_rep=per_rep)


def _gauge(name: str, labels: str, unit: str, meaning: str, *, per_rep: bool = False) -> Metric:
    return Metric(name, "gauge", tuple(labels.split()), unit, meaning, per_rep=per_rep)


def _histogram(
    name: str,
    labels: str,
    unit: str,
    meaning: str,
    edges: tuple[float, ...],
    *,
    judged: bool = False,
) -> Metric:
    return Metric(name, "histogram", tuple(labels.split()), unit, meaning, edges, judged=judged)


_INTAKE = (
    _counter(
        "leads_received_total",
        "vendor channel result",
        "leads",
        "Leads by the answer that their vendor got: accepted, duplicate, rejected or error. "
        "Test leads are among them. A vendor that is not configured is `(other)` until a lead of it is "
        "accepted, and beyond 1,000 vendors.",
    ),
    _counter(
        "test_leads_received_total", "vendor", "leads", "Accepted leads that were marked as a test."
    ),
    _histogram(
        "lead_arrival_delay_seconds",
        "vendor",
        "seconds",
        "From the vendor's own time to our receipt.",
        _ARRIVAL,
    ),
    _histogram(
        "intake_ack_seconds",
        "channel",
        "seconds",
        "From receipt to durable and acknowledged.",
        _ACK,
    ),
    _gauge(
        "intake_last_message_timestamp_seconds",
        "vendor",
        "unix seconds",
        "When the vendor was last heard of, 0 for never since the start.",
    ),
    _gauge(
        "intake_connected",
        "peer",
        "0 or 1",
        "Whether the peer is there: the broker's connection is up (0 until the first one), the dialer "
        "takes messages (1 until it fails).",
    ),
    _gauge(
        "intake_oldest_unacknowledged_age_seconds",
        "",
        "seconds",
        "Age of the oldest message from the broker that is not acknowledged yet, or 0.",
    ),
    _counter(
        "intake_dead_letters_total",
        "channel",
        "messages",
        "Messages and items kept as dead letters because they mean nothing to us.",
    ),
    _counter(
        "intake_refused_total",
        "channel",
        "events",
        "Leads and events refused because the inbox was full or closed.",
    ),
    _counter(
        "link_events_total",
        "peer event",
        "events",
        "What happened on the link to the peer, as the link counts it (stale_acks: acknowledgements "
        "not sent because their connection was gone; the broker repeats those messages; "
        "refused_publishes: messages on topics that the broker forbids us; too_large_publishes: messages "
        "larger than it takes; taken_over: connections that it ended because somebody else came under our "
        "client_id; unheard_assignments: assignments that no dialer was subscribed to). Of the peer `http`: "
        "displaced_connections: connections that waited for a request and made room for a new one; "
        "turned_away_connections: new ones for which there was no room.",
    ),
    _counter(
        "peer_reconnects_total",
        "peer",
        "connections",
        "Times that the peer was there again after a loss.",
    ),
    _histogram(
        "lead_score",
        "queue",
        "score",
        "Score of accepted leads, where the vendor sent one.",
        _SCORE,
    ),
)

_LEDGER = (
    _gauge(
        "leads_in_state",
        "state",
        "leads",
        "Every lead ever accepted, by its present state. Test leads are among them.",
    ),
    _gauge(
        "lead_conservation_difference",
        "",
        "leads",
        "Leads received less leads accounted for. Anything but 0 is a fault of ours.",
    ),
    _gauge("queue_leads", "queue", "leads", "Leads that wait in the pool."),
    _gauge(
        "queue_oldest_lead_age_seconds",
        "queue",
        "seconds",
        "Age of the pool's oldest waiting lead, 0 when none waits: since its arrival, or since its latest release"
        " (a callback that was due, a recycled lead).",
    ),
    _counter("leads_recycled_total", "reason", "leads", "Leads that wait in a pool again."),
)

_DECISIONS = (
    _histogram(
        "queue_wait_seconds",
        "queue",
        "seconds",
        "From receipt to the first assignment.",
        _WAIT,
    ),
    _counter(
        "assignments_total",
        "queue policy result",
        "decisions",
        "What was decided about waiting leads: assigned, no_owner (sent to the exception desk), "
        "deferred (kept waiting on purpose) or expired (taken back without contact).",
    ),
    _counter(
        "assignments_ended_total", "cause", "assignments", "Assignments that ended, by the cause."
    ),
    _counter(
        "test_leads_assigned_total",
        "queue",
        "assignments",
        "Assignments of test leads, which no other figure of people's work contains.",
    ),
    _histogram("decision_seconds", "", "seconds", "Time to decide about one event.", _DECISION),
    _histogram(
        "timer_lateness_seconds", "", "seconds", "From a deadline to its handling.", _LATENESS
    ),
)

_WORK = (
    _histogram(
        "speed_to_contact_seconds",
        "queue",
        "seconds",
        "From receipt to contact, of the leads that were contacted: for the shape only; the share "
        "on time is in distributor_standard_events_total.",
        _RESPONSE,
        judged=True,
    ),
    _histogram(
        "rep_response_seconds",
        "team",
        "seconds",
        "From assignment to the first attempt, or to contact where no attempt was reported.",
        _RESPONSE,
        judged=True,
    ),
    _counter(
        "standard_events_total",
        "standard queue result",
        "leads",
        "One verdict for every lead, at its contact or at the limit: met or missed.",
    ),
    _counter(
        "lead_outcomes_total",
        "vendor outcome",
        "leads",
        "Contacts, and statuses qualified, converted and lost as reported (corrections not counted).",
    ),
    _counter(
        "lead_events_total",
        "type outcome",
        "events",
        "What reps and dialers reported: accepted, stale, duplicate or rejected.",
    ),
    _counter(
        "throttle_deferrals_total",
        "reason",
        "leads",
        "Times that an assigned lead passed over a rep: held_back by the throttle, paused by a supervisor, or "
        "with a full_pipeline.",
    ),
    _gauge("reps", "team state", "reps", "Reps by state; wrap_up also while wrap_up_seconds run."),
    _gauge(
        "reps_available", "team", "reps", "Reps who are ready, not paused and not in a wrap-up."
    ),
    _gauge("reps_throttled", "team", "reps", "Available reps with less than full flow."),
    _gauge(
        "reps_without_state_reports",
        "team",
        "reps",
        "Reps at work of whom no dialer ever reported busy or wrap-up: when they are free is guessed.",
    ),
    _gauge(
        "unreported_state_cost_ratio",
        "",
        "0 to 1",
        "Estimated share of the leads' value that this guessing costs: 0.04 for a whole floor in the"
        " simulator, in proportion to the reps at work.",
    ),
)

_REPS = (
    _gauge("rep_inflight_leads", "rep team", "leads", "Leads in the rep's pipeline.", per_rep=True),
    _gauge("rep_window_leads", "rep team", "leads", "The pipeline's limit.", per_rep=True),
    _gauge(
        "rep_throttle_ratio", "rep team", "0 to 1", "The rep's flow: 1 full, 0 none.", per_rep=True
    ),
    _gauge(
        "rep_throttle_reason_info",
        "rep reason",
        "always 1",
        "Why a rep is held back; only for reps who are.",
        per_rep=True,
    ),
    _gauge(
        "rep_throttle_since_timestamp_seconds",
        "rep team",
        "unix seconds",
        "Since when a rep is held back for this reason; only for reps who are.",
        per_rep=True,
    ),
    _gauge("rep_state", "rep state", "0 or 1", "1 for the rep's present state.", per_rep=True),
    _counter("rep_assignments_total", "rep", "leads", "Leads assigned to the rep.", per_rep=True),
    _counter(
        "rep_contacts_total",
        "rep on_time",
        "leads",
        "The rep's contacts, by whether they came within the standard's limit: counted from the lead's arrival,"
        " or from its latest release (a callback that was due, a recycled lead).",
        per_rep=True,
    ),
    _gauge(
        "rep_speed_to_contact_smoothed_seconds",
        "rep",
        "seconds",
        "From assignment to contact, smoothed over the rep's last contacts; absent before the first.",
        per_rep=True,
    ),
)

_SLAS = (
    _gauge(
        "standard_target_ratio",
        "standard",
        "0 to 1",
        "Share of the leads that are to meet the standard, as configured.",
    ),
    _gauge(
        "standard_limit_seconds",
        "standard",
        "seconds",
        "The standard's limit; always an edge of the histograms that are read against it.",
    ),
    _counter(
        "sla_stage_total",
        "sla stage",
        "leads",
        "Leads that reached a stage of an SLA: missed, at the limit of the speed-to-contact standard.",
    ),
    _gauge("exceptions_open", "kind", "cases", "Leads that wait for a human to decide."),
    _gauge(
        "exceptions_oldest_age_seconds", "kind", "seconds", "Age of the oldest open case, or 0."
    ),
    _counter(
        "exceptions_total",
        "kind result",
        "cases",
        "Cases opened, and how they left the desk: assigned, recycled or closed.",
    ),
    _histogram(
        "exception_decision_seconds", "kind", "seconds", "From a case's opening to its end.", _HUMAN
    ),
    _counter(
        "operator_actions_total",
        "action result",
        "actions",
        "Actions of supervisors and deciders: done or refused.",
    ),
)

_MACHINE = (
    _gauge("outbox_messages", "target", "messages", "Messages not yet taken by the target."),
    _gauge(
        "outbox_oldest_message_age_seconds", "target", "seconds", "Age of the oldest of them, or 0."
    ),
    _gauge(
        "outbox_set_aside_messages",
        "target state",
        "messages",
        "Messages that are kept for a human: dead (given up) or in_doubt (nobody knows whether it was "
        "taken, and it is not repeated).",
    ),
    _counter(
        "outbox_deliveries_total",
        "target result",
        "messages",
        "Attempts to deliver: ok, retry, dead (given up for a human) or in_doubt (nobody knows "
        "whether it was taken, and it is not repeated).",
    ),
    _histogram("delivery_seconds", "target", "seconds", "Time of one attempt.", _DELIVERY),
    _histogram("store_commit_seconds", "", "seconds", "Time of one transaction.", _COMMIT),
    _histogram("store_batch_rows", "", "rows", "Rows written by one transaction.", _ROWS),
    _gauge("store_bytes", "", "bytes", "Size of the store on disk."),
    _histogram(
        "event_loop_lag_seconds", "", "seconds", "How late the event loop was for a timer.", _LAG
    ),
    _gauge(
        "clock_ahead_seconds",
        "",
        "seconds",
        "By how much the daemon's time is ahead of the machine's clock, which was set back; 0: they agree.",
    ),
    _gauge(
        "build_info",
        "version python revision",
        "always 1",
        "What is running; the revision is unknown in this version.",
    ),
    _gauge(
        "policy_info",
        "policy revision",
        "always 1",
        "The policy in force; revision: a digest of the settings that decisions depend on ([flow], "
        "[[teams]], [[reps]], [[pools]]); the others do not change it.",
    ),
    _gauge("config_last_reload_successful", "", "0 or 1", "Whether the newest settings were good."),
    _gauge(
        "config_last_reload_success_timestamp_seconds",
        "",
        "unix seconds",
        "When settings were last taken into force.",
    ),
)

TABLE: Final[tuple[Metric, ...]] = (
    *_INTAKE,
    *_LEDGER,
    *_DECISIONS,
    *_WORK,
    *_REPS,
    *_SLAS,
    *_MACHINE,
)

_BY_NAME: Final = {metric.name: metric for metric in TABLE}


def metric(name: str) -> Metric:
    """The row of ``name`` (without prefix). Raises ``UnknownMetric``."""
    found = _BY_NAME.get(name)
    if found is None:
        raise UnknownMetric(f"{name}: no such metric; describe it in distributor/observe/table.py")
    return found


_SECTIONS: Final = (
    ("Intake", _INTAKE),
    ("Ledger and waiting leads", _LEDGER),
    ("Decisions", _DECISIONS),
    ("Work", _WORK),
    ("One rep", _REPS),
    ("SLAs, exceptions, operators", _SLAS),
    ("The daemon", _MACHINE),
)

_HEAD: Final = """\
# Metrics

Made from the table in `distributor/observe/table.py` by `python -m distributor.observe.table`.

`GET /metrics` answers in the Prometheus text format. Every name begins with `distributor_`; the
families of the process itself (`process_*`) come on top. Each family has HELP and TYPE from the start.
`queue` is the id of a pool. Durations are seconds of the floor's own time where people's work is
measured (`time_scale` applied), and of the wall clock where the daemon, the desk or another machine is.

Test leads are counted in `leads_received_total` and `leads_in_state`, and by themselves in the `test_*`
metrics; they wait apart, so `queue_leads` and the figures of people's work do not contain them.
"""

_REP_NOTE: Final = """\
`[metrics] per_rep` says for whom these are written: `all`, `held_back` (only reps with less than full
flow, or paused) or `off`. The team's totals above are always there.
"""


def markdown() -> str:
    """The page ``docs/metrics.md``."""
    parts = [_HEAD]
    for title, rows in _SECTIONS:
        parts.append(f"\n## {title}\n\n")
        if rows is _REPS:
            parts.append(_REP_NOTE + "\n")
        parts.append("| metric | type | labels | unit | meaning |\n|---|---|---|---|---|\n")
        parts.extend(_row(row) for row in rows)
    parts.append(
        "\n## Buckets\n\nThe limit of the speed-to-contact standard (`[flow] first_contact_seconds`) is"
        " always an edge\nof the histograms marked with *.\n\n| metric | upper edges |\n|---|---|\n"
    )
    parts.extend(_edges_row(row) for row in TABLE if row.type == "histogram")
    return "".join(parts)


def _row(row: Metric) -> str:
    labels = ", ".join(row.labels)
    return f"| `{row.full_name}` | {row.type} | {labels} | {row.unit} | {row.meaning} |\n"


def _edges_row(row: Metric) -> str:
    edges = ", ".join(f"{edge:g}" for edge in row.edges)
    return f"| `{row.full_name}`{' *' if row.judged else ''} | {edges} |\n"


if __name__ == "__main__":
    print(markdown(), end="")
