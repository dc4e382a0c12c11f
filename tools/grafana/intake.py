"""Vendors and the door: what comes in, how it is taken, and where it goes."""

from __future__ import annotations

from tools.grafana import panels as p
from tools.grafana import queries as q
from tools.grafana import style
from tools.grafana.board import Board, Row
from tools.grafana.limits import Limits, span
from tools.grafana.panels import Placed

_EVENTS = (
    *("failed_attempts", "lost_sessions", "stale_acks", "refused_publishes", "lost_publishes"),
    *("handler_errors", "unheard_assignments", "taken_over"),
)
"""Of what the link counts, that which should be rare."""
_CHANNELS = ("http", "mqtt")
_SILENCE = 900
"""Seconds without a message after which an alert on a vendor fires."""
_TROUBLE = f'{q.J}, event=~"{"|".join(_EVENTS)}"'


def intake(limits: Limits) -> Board:
    """The board."""
    return Board(
        name="intake",
        title="Distributor / Intake and vendors",
        about="What vendors send and what becomes of it, how the door stands, and where leads go from "
        "there.",
        variables=("job", "vendor", "queue"),
        since="now-6h",
        refresh="30s",
        rows=(
            Row("Vendors", _vendors()),
            Row("The door", _door()),
            Row("Where leads go", _ways(limits)),
        ),
    )


def _vendors() -> tuple[Placed, ...]:
    refused = q.rate("leads_received_total", f'{q.V}, result!="accepted"', "vendor")
    accepted = q.grown("leads_received_total", f'{q.V}, result="accepted"', "vendor")
    tests = q.grown("test_leads_received_total", q.V, "vendor")
    last = q.m("intake_last_message_timestamp_seconds", q.V)
    return (
        p.lines_panel(
            "Leads by vendor",
            "Messages each minute, whatever their answer, test leads among them. A line at 0 in open hours: "
            "the vendor has stopped, or cannot reach us.",
            q.Query(q.per_minute("leads_received_total", q.V, "vendor"), "{{vendor}}"),
            unit=style.PER_MINUTE,
            room=1,
        ),
        p.lines_panel(
            "Refused or duplicate",
            "Share of a vendor's leads that were not taken. Duplicates: the vendor repeats itself; rejected: "
            "its fields are wrong, the reply says which; error: it was told to try later.",
            q.Query(q.share(refused, q.rate("leads_received_total", q.V, "vendor")), "{{vendor}}"),
            unit=style.RATIO,
            most=1,
        ),
        p.bars_panel(
            "Silent for",
            "Since the vendor's last message, as far back as the daemon's start. A full bar is "
            f"{span(_SILENCE)}: compare with the vendor's usual pace beside it; an alert fires when one with "
            "leads a week ago has none for so long.",
            q.now(f"time() - (max by (vendor) ({last}) > 0)", "{{vendor}}"),
            unit=style.SECONDS,
            colours=style.steps(style.GOOD, (_SILENCE, style.WARN)),
            most=_SILENCE,
            absent="nobody was heard since the start",
        ),
        p.lines_panel(
            "Age on arrival",
            "From the vendor's own time to our receipt: nine in ten leads were younger than this. An old "
            "lead is hard to reach however fast we are; speak with the vendor.",
            q.Query(q.quantile(0.9, "lead_arrival_delay_seconds", q.V, "vendor"), "{{vendor}}"),
            unit=style.SECONDS,
        ),
        p.heat_panel(
            "Score",
            "Scores of accepted leads, where the vendor sent one. A band that moves: the vendor has changed "
            "what it sends.",
            q.cells("lead_score", q.S),
            unit="none",
        ),
        p.bars_panel(
            "Contacted, of the accepted",
            "Contacts in the shown time beside the leads accepted in it, by vendor, without test leads (leads "
            "at the edges may count on one side alone). No share is right for every vendor, so none is coloured: one below the "
            "others has bad numbers, or leads that come too late.",
            q.now(
                # Half a lead is what rounding leaves of none.
                q.grown("lead_outcomes_total", f'{q.V}, outcome="contacted"', "vendor")
                + f" / (({accepted} - {tests}) > 0.5)",
                "{{vendor}}",
            ),
            unit=style.RATIO,
            most=1,
            absent="no leads yet",
        ),
        p.counts_panel(
            "Outcomes",
            "Leads of the chosen vendors that were contacted, qualified, converted or lost in each two "
            "minutes (more where a day is shown), as reps reported (corrections not counted). What a "
            "vendor's leads are worth: choose it at the top.",
            q.Query(q.counts("lead_outcomes_total", q.V, "outcome"), "{{outcome}}"),
            width=12,
            words=("contacted", "qualified", "converted", "lost"),
            apart=True,
        ),
        p.counts_panel(
            "Test leads",
            "Test leads taken, and assignments of them, in each two minutes (more where a day is shown). "
            "They are in no figure of people's work.",
            q.Query(q.counts("test_leads_received_total", q.V), "received"),
            q.Query(q.counts("test_leads_assigned_total", q.S), "assigned"),
            width=12,
            apart=True,
        ),
    )


def _door() -> tuple[Placed, ...]:
    return (
        p.stat_panel(
            "Connected",
            "The broker's connection and each dialer. down: the daemon tries again by itself, leads are "
            "taken over HTTP and wait meanwhile; look after the peer. More: docs/operations.md.",
            q.now(f"min by (peer) ({q.m('intake_connected')})", "{{peer}}"),
            unit="none",
            width=6,
            height=6,
            colours=style.steps(style.BAD, (1, style.GOOD)),
            mappings=(style.UP,),
            absent="no peers",
        ),
        p.stat_panel(
            "Oldest unacknowledged",
            "Age of the oldest message that the broker gave us and that is not on disk yet. Above some "
            "seconds: the disk is slow, or the daemon stands; see the daemon's board.",
            q.now(f"max({q.m('intake_oldest_unacknowledged_age_seconds')})"),
            unit=style.SECONDS,
            width=6,
            height=6,
            colours=style.at_most(2, 10),
        ),
        p.lines_panel(
            "Receipt to acknowledgement",
            "From receipt to durable and acknowledged, 99 of 100 faster than this. It holds one commit; the "
            "disk is most of it.",
            q.Query(q.quantile(0.99, "intake_ack_seconds", q.J, "channel"), "{{channel}}"),
            unit=style.SECONDS,
            width=12,
            height=6,
            words=_CHANNELS,
            room=0.1,
        ),
        p.counts_panel(
            "Not taken",
            "In each two minutes (more where a day is shown): dead letters (they mean nothing to us; kept, "
            "the log says why) and messages refused because the inbox was full or closed (senders try "
            "again). docs/operations.md says how to read them.",
            q.Query(q.counts("intake_dead_letters_total"), "dead letters"),
            q.Query(q.counts("intake_refused_total"), "refused"),
            width=12,
        ),
        p.counts_panel(
            "Trouble on the broker's link",
            "In each two minutes (more where a day is shown). unheard_assignments: no dialer is subscribed, nobody gets those leads; "
            "refused_publishes: the broker forbids a topic, the log says which; taken_over: another "
            "daemon has our client_id; failed_attempts, "
            "lost_publishes: the broker is away or comes and goes; lost_sessions: it forgot what was queued "
            "for us; stale_acks: it repeats those messages, harmless; handler_errors: a fault of ours.",
            q.Query(q.counts("link_events_total", _TROUBLE, "event"), "{{event}}"),
            width=12,
            words=_EVENTS,
        ),
    )


def _ways(limits: Limits) -> tuple[Placed, ...]:
    return (
        p.lines_panel(
            "Leads waiting",
            "Leads in each pool that no rep has yet. It grows while reps are ready: see what is decided about them.",
            q.Query(f"sum by (queue) ({q.m('queue_leads', q.S)})", "{{queue}}"),
            unit=style.COUNT,
            room=10,
            decimals=0,
        ),
        p.lines_panel(
            "Oldest waiting lead",
            "How long the lead that waits longest has waited, in each pool; the line is where an alert fires.",
            q.Query(f"max by (queue) ({q.m('queue_oldest_lead_age_seconds', q.S)})", "{{queue}}"),
            unit=style.SHORT_SECONDS,
            decimals=0,
            colours=style.steps("transparent", (limits.unassigned, style.BAD)),
        ),
        p.lines_panel(
            "Wait for a rep",
            "From arrival to the first assignment, nine in ten leads faster than this.",
            q.Query(q.quantile(0.9, "queue_wait_seconds", q.S, "queue"), "{{queue}}"),
            unit=style.SHORT_SECONDS,
            room=10,
        ),
        p.lines_panel(
            "Decisions about waiting leads",
            "Each minute: assigned; no_owner, sent to the exception desk; deferred, kept waiting on purpose; "
            "expired, taken back without a contact. Many expired: reps let leads lie.",
            q.Query(q.per_minute("assignments_total", q.S, "result"), "{{result}}"),
            unit=style.PER_MINUTE,
            width=12,
            words=("assigned", "no_owner", "deferred", "expired"),
            room=1,
        ),
        p.counts_panel(
            "Waiting again",
            "Leads that went back to a pool in each two minutes (more where a day is shown), by why.",
            q.Query(q.counts("leads_recycled_total", q.J, "reason"), "{{reason}}"),
            width=12,
            words=("callback_due", "recycled", "supervisor"),
        ),
        p.bars_panel(
            "How assignments ended",
            "In the shown time, by the cause. closed and parked come from a status; the others took the "
            "lead from a rep: what each means is in docs/lead-life.md.",
            q.now(q.tally("assignments_ended_total", q.J, "cause"), "{{cause}}"),
            unit=style.COUNT,
            width=12,
            height=9,
            decimals=0,
            absent=p.NONE,
        ),
        p.bars_panel(
            "Reports that changed nothing",
            "In the shown time, by kind of event and why. A dialer that repeats itself, or is late: stale "
            "and duplicate are harmless. rejected is wrong: the reply, or the dead letter, says what.",
            q.now(
                q.tally("lead_events_total", f'{q.J}, outcome!="accepted"', "type, outcome"),
                "{{type}}: {{outcome}}",
            ),
            unit=style.COUNT,
            width=12,
            height=9,
            decimals=0,
            absent=p.NONE,
        ),
        p.lines_panel(
            "What reps and dialers reported",
            "Events each minute, by what was made of them. stale: about an assignment that is over; "
            "duplicate: heard before; rejected: wrong, the reply says why. Rejected above 0: look at the "
            "dialer's log.",
            q.Query(q.per_minute("lead_events_total", q.J, "outcome"), "{{outcome}}"),
            unit=style.PER_MINUTE,
            width=24,
            words=("accepted", "duplicate", "rejected", "stale"),
            room=1,
        ),
    )
