"""From a batch to rows: pure, and on the way of every lead, so it writes only what somebody reads.

Each handler below puts one kind of decision into the tables that people query. Decisions without a
handler live in the journal alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distributor.domain.decisions import (
    Assigned,
    AssignmentEnded,
    AttemptRecorded,
    ContactRecorded,
    DeadLettered,
    DeliveryAccepted,
    EventRecorded,
    FloorApplied,
    FlowChanged,
    LeadAccepted,
    LeadDeferred,
    LeadDuplicate,
    LeadHeld,
    LeadReleased,
    LeadRerouted,
    LeaseRestarted,
    PresenceChanged,
    RepControlled,
    StatusChanged,
    TargetMarked,
    WorkEnded,
)
from distributor.domain.journal import Batch, Entry
from distributor.domain.lead import Lead
from distributor.domain.messages import Settlement
from distributor.store.codec import pack, pack_entry, pack_json

Row = tuple[Any, ...]


class Rows:
    """The rows of one transaction, by table, in the order of the columns in ``statements.py``."""

    __slots__ = (
        "assigned",
        "dead_letters",
        "done",
        "ended",
        "events",
        "floor",
        "history",
        "journal",
        "leads",
        "outbox",
        "rep_history",
        "reps",
        "targets",
        "unsettled",
    )

    def __init__(self) -> None:
        self.journal: list[Row] = []
        self.leads: list[Row] = []
        self.reps: list[Row] = []
        self.assigned: list[Row] = []
        self.ended: list[Row] = []
        self.events: list[Row] = []
        # Dictionaries in place of sets: no row twice, and always the same order.
        self.history: dict[Row, None] = {}
        self.rep_history: dict[Row, None] = {}
        self.dead_letters: list[Row] = []
        # One row each: the last one counts.
        self.floor: list[Row] = []
        self.targets: dict[str, Row] = {}
        self.outbox: list[Row] = []
        self.done: list[Row] = []
        self.unsettled: list[Row] = []

    def __len__(self) -> int:
        return sum(len(getattr(self, name)) for name in self.__slots__)


def project(batch: Batch) -> Rows:
    """All rows that ``batch`` writes. The batch may change afterwards, the rows do not."""
    rows = Rows()
    journal = rows.journal
    for entry in batch.entries:
        journal.append(pack_entry(entry))
        for decision in entry.decisions:
            handler = _HANDLERS.get(type(decision))
            if handler is not None:
                handler(rows, decision, entry)
    rows.leads = [lead_row(lead) for lead in batch.leads]
    rows.reps = [(rep.id, pack_json(rep)) for rep in batch.reps]
    rows.outbox = [
        (
            message.id,
            message.target,
            message.kind,
            message.address,
            message.order_key,
            message.message_id,
            message.payload,
            message.at_ns,
            message.correlation,
        )
        for message in batch.outgoing
    ]
    for settlement in batch.settlements:
        _settle(rows, settlement)
    return rows


def lead_row(lead: Lead) -> Row:
    """A lead as the query table has it; the whole record only once it is closed."""
    closed = lead.state == "closed"
    rep = lead.rep
    if not rep and (closed or lead.state == "parked"):
        # Nobody works on it, but its last owner's events still count.
        rep = lead.last_rep
    return (
        lead.key,
        lead.vendor,
        lead.vendor_id,
        lead.state,
        lead.status,
        lead.pool,
        rep or None,
        lead.assignment_id or None,
        lead.attempt,
        lead.score,
        lead.test,
        lead.received_ns,
        lead.contacted_ns,
        lead.since_ns,
        lead.deadline_ns,
        lead.reason,
        lead.because,
        lead.body,
        pack(lead) if closed else None,
    )


def _settle(rows: Rows, settlement: Settlement) -> None:
    if settlement.result == "done":
        rows.done.append((settlement.id,))
        return
    state = "pending" if settlement.result == "retry" else settlement.result
    rows.unsettled.append(
        (state, settlement.attempts, settlement.next_ns, settlement.error, settlement.id)
    )


def _accepted(rows: Rows, decision: LeadAccepted, entry: Entry) -> None:
    rows.history[(decision.lead.key, entry.seq)] = None


def _about_lead(rows: Rows, decision: Any, entry: Entry) -> None:
    rows.history[(decision.lead_key, entry.seq)] = None


def _assigned(rows: Rows, decision: Assigned, entry: Entry) -> None:
    key = decision.lead_key
    rows.history[(key, entry.seq)] = None
    rows.assigned.append(
        (decision.assignment_id, key, decision.rep, decision.attempt, decision.at_ns)
    )


def _ended(rows: Rows, decision: AssignmentEnded, entry: Entry) -> None:
    rows.history[(decision.lead_key, entry.seq)] = None
    rows.ended.append((decision.at_ns, decision.cause, decision.assignment_id))


def _event(rows: Rows, decision: EventRecorded, entry: Entry) -> None:
    if decision.outcome == "duplicate":
        return  # The first one is on record, and its row must stay what it is.
    if decision.outcome != "accepted" and decision.lead_key:
        rows.history[(decision.lead_key, entry.seq)] = None
    rows.events.append(
        (
            decision.source,
            decision.event_id or None,  # what has no id of its own is kept every time
            decision.type,
            decision.lead_key,
            decision.assignment_id,
            decision.rep,
            decision.at_ns,
            decision.outcome,
            decision.reason,
            entry.at_ns,
        )
    )


def _dead_letter(rows: Rows, decision: DeadLettered, entry: Entry) -> None:
    rows.dead_letters.append(
        (
            entry.seq,
            decision.topic,
            decision.reason,
            decision.payload,
            decision.truncated,
            entry.at_ns,
        )
    )


def _presence(rows: Rows, decision: PresenceChanged, entry: Entry) -> None:
    rows.rep_history[(decision.rep, "presence", entry.seq)] = None


def _control(rows: Rows, decision: RepControlled, entry: Entry) -> None:
    rows.rep_history[(decision.rep, "control", entry.seq)] = None


def _flow(rows: Rows, decision: FlowChanged, entry: Entry) -> None:
    rows.rep_history[(decision.rep, "flow", entry.seq)] = None


def _floor(rows: Rows, decision: FloorApplied, _: Entry) -> None:
    rows.floor = [(1, pack(decision.floor))]


def _target(rows: Rows, decision: TargetMarked, entry: Entry) -> None:
    rows.targets[decision.target] = (decision.target, decision.up, decision.reason, entry.at_ns)


_HANDLERS: dict[type, Callable[[Rows, Any, Entry], None]] = {
    LeadAccepted: _accepted,
    LeadDuplicate: _about_lead,
    DeadLettered: _dead_letter,
    EventRecorded: _event,
    Assigned: _assigned,
    AssignmentEnded: _ended,
    DeliveryAccepted: _about_lead,
    AttemptRecorded: _about_lead,
    ContactRecorded: _about_lead,
    WorkEnded: _about_lead,
    StatusChanged: _about_lead,
    LeadHeld: _about_lead,
    LeadReleased: _about_lead,
    LeadRerouted: _about_lead,
    LeaseRestarted: _about_lead,
    LeadDeferred: _about_lead,
    PresenceChanged: _presence,
    RepControlled: _control,
    FlowChanged: _flow,
    FloorApplied: _floor,
    TargetMarked: _target,
}
