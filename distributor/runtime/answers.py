"""Answers that are given without the engine; nothing of them is journalled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distributor.domain.decisions import EventRecorded
from distributor.domain.events import LeadEvent, PresenceReported, SupervisorActed

if TYPE_CHECKING:
    from distributor.domain.decisions import EventOutcome
    from distributor.domain.events import Event


def answered(event: Event, outcome: EventOutcome, reason: str) -> EventRecorded:
    """What became of a report or an action that the engine is not asked about."""
    if isinstance(event, SupervisorActed):
        who = f"supervisor:{event.who}"
        key = event.lead_key
        return EventRecorded("", who, event.action, key, "", event.rep, 0, outcome, reason)
    assert isinstance(event, LeadEvent | PresenceReported)
    return EventRecorded(
        event_id=event.event_id,
        source=event.source,
        type=event.type if isinstance(event, LeadEvent) else "agent_state",
        lead_key=event.lead_key if isinstance(event, LeadEvent) else "",
        assignment_id=event.assignment_id if isinstance(event, LeadEvent) else "",
        rep=event.rep,
        at_ns=event.at_ns,
        outcome=outcome,
        reason=reason,
    )
