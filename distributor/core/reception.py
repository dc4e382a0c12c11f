"""New leads: duplicates are told, the rest gets a key and waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distributor.core.routing import route
from distributor.domain.decisions import (
    DeadLettered,
    LeadAccepted,
    LeadDuplicate,
    LeadRejected,
)
from distributor.domain.ids import NANOSECONDS, lead_key
from distributor.domain.lead import Lead

if TYPE_CHECKING:
    from distributor.core.context import Core
    from distributor.core.leases import Leases
    from distributor.domain.events import LeadReceived, LeadRefused, Undecodable

BELIEVABLE_PAST_NS = 24 * 3600 * NANOSECONDS
BELIEVABLE_FUTURE_NS = 0
LOWEST_QUALITY, HIGHEST_QUALITY = 0.1, 2.5


def quality_of(score: float | None) -> float:
    """The weight of a lead's value from its score: .5 of 1 is an average lead of weight 1.

    A score above 1 is read as one of 100. Rounded to tenths, so that a pool has few classes.
    """
    if score is None:
        return 1.0
    share = score / 100 if score > 1 else score
    return min(HIGHEST_QUALITY, max(LOWEST_QUALITY, round(2 * share, 1)))


class Reception:
    """Decides about what vendors send."""

    def __init__(self, core: Core, leases: Leases) -> None:
        self._core = core
        self._leases = leases

    def refused(self, event: LeadRefused) -> None:
        """No valid lead: on record, and final. A repeat of one that was taken is none the less a repeat."""
        if event.vendor_id and self._repeats(event):
            return
        self._core.emit(LeadRejected(event.vendor, event.vendor_id, event.reason, event.channel))

    def undecodable(self, event: Undecodable) -> None:
        """A dead letter for the operators."""
        self._core.emit(DeadLettered(event.topic, event.reason, event.payload, event.truncated))

    def received(self, event: LeadReceived) -> None:
        """Take a lead in, unless its vendor sent this id before or the pool is full."""
        core = self._core
        if self._repeats(event):
            return
        pool_id = route(core.state)
        limit = core.state.floor.flow.pool_limit
        if pool_id is not None and core.state.pools[pool_id].held(test=event.test) >= limit:
            kind = "test leads" if event.test else "leads"
            reason = f"pool {pool_id} holds {limit} waiting {kind}: send it again later"
            core.emit(
                LeadRejected(event.vendor, event.vendor_id, reason, event.channel, retryable=True)
            )
            return
        self._accept(event, pool_id)

    def _repeats(self, event: LeadReceived | LeadRefused) -> bool:
        """Whether its vendor sent this id before, which is told then."""
        known = self._core.state.by_vendor.get((event.vendor, event.vendor_id))
        original = known or event.original
        if original:
            told = LeadDuplicate(event.vendor, event.vendor_id, original, event.channel)
            self._core.emit(told)
        return bool(original)

    def _accept(self, event: LeadReceived, pool_id: str | None) -> None:
        core = self._core
        number = core.state.ledger.received + 1
        flow = core.state.floor.flow
        prefers = event.prefers if event.prefers in core.state.reps else ""
        now_ns = core.state.now_ns
        lead = Lead(
            # By position: names cost a third of the time.
            lead_key(core.state.tag, number, core.state.salt),
            event.vendor,
            event.vendor_id,
            pool_id or next((plan.id for plan in core.state.floor.pools), ""),
            "waiting",
            event.received_ns,
            self._clock_ns(event),
            quality_of(event.score),
            event.score,
            None,
            event.body,
            event.test,
            event.dialable,
            now_ns,
            deadline_ns=now_ns + flow.span_ns(flow.waiting_limit_seconds),
            prefers="" if event.test else prefers,
        )
        note = event.note
        if event.prefers and not prefers:
            note = "; ".join(part for part in (note, f"owner {event.prefers!r} is no rep") if part)
        core.emit(LeadAccepted(lead, number, event.channel, event.submitted_ns, note))
        if pool_id is None:
            self._leases.hold(lead, "no_pool", "no rule says which pool it belongs to")
        elif lead.test:
            core.stir(pool_id)
        else:
            self._wait(lead)

    def _clock_ns(self, event: LeadReceived) -> int:
        """Our receipt, or the vendor's own time where that is wanted and can be believed."""
        received = event.received_ns
        if self._core.state.floor.flow.clock_start != "submitted" or not event.submitted_ns:
            return received
        believable = -BELIEVABLE_FUTURE_NS <= received - event.submitted_ns <= BELIEVABLE_PAST_NS
        return event.submitted_ns if believable else received

    def _wait(self, lead: Lead) -> None:
        core = self._core
        core.policies[lead.pool].lead_waiting(lead, core.now_ns)
        core.stir(lead.pool)
