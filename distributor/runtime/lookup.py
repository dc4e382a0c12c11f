"""What an event needs from the store before it can be decided: what memory does not know, or no more."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from distributor.domain.events import (
    LeadEvent,
    LeadReceived,
    LeadRefused,
    PresenceReported,
    SupervisorActed,
)
from distributor.domain.ids import lead_key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributor.core.engine import Engine
    from distributor.domain.events import Event
    from distributor.domain.journal import Found, Journal
    from distributor.runtime.inbox import Submission

Mark = tuple[str, str]
"""By what a repeat of an event is known: its source and its event_id."""

IDS_KEPT = 3
"""Batches whose marks may not be found on disk yet: decided, being written, just written."""

# Most events are leads: tuples, for a union would be built anew for each of them.
_LEADS = (LeadReceived, LeadRefused)
_MARKED = (LeadEvent, PresenceReported)


class Known(Struct):
    """What is known of a batch's events beside the engine's memory. ``found``: in the store, None where
    it was not asked. ``seen``: the marks of events that were recorded, or will be with this batch."""

    found: Found | None
    seen: set[Mark]


class Lookup:
    """Asks the store, a batch at a time, and remembers what is on its way there."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine = engine
        self._journal = journal
        self._recent: deque[set[Mark]] = deque(maxlen=IDS_KEPT)

    def begin_batch(self) -> None:
        """What is recorded from now on is written with the next batch."""
        self._recent.append(set())

    async def ask(self, work: Sequence[Submission]) -> Known:
        """What is known of these events. The store is asked where memory does not know: about earlier
        leads of a vendor's ids, event ids and closed leads."""
        leads = self._engine.state.leads
        has_open = self._engine.state.has_open
        vendor_ids: list[tuple[str, str]] = []
        marks: list[Mark] = []
        keys: list[str] = []
        for submission in work:
            for event in submission.events:
                if isinstance(event, _LEADS):
                    pair = (event.vendor, event.vendor_id)
                    if event.vendor_id and not has_open(pair):
                        vendor_ids.append(pair)
                    continue
                mark = mark_of(event)
                if mark is not None:
                    marks.append(mark)
                key = _key_of(event)
                if key and ((lead := leads.get(key)) is None or lead.state == "closed"):
                    keys.append(key)  # a closed one may be forgotten at any event
        found = None
        if vendor_ids or marks or keys:
            found = await self._journal.lookup(vendor_ids, marks, keys)
        seen: set[Mark] = set() if found is None else found.seen
        # What is on its way to the disk is not found there yet.
        return Known(found, seen.union(*self._recent))

    def recorded(self, mark: Mark, known: Known) -> None:
        """An event of this mark was decided: it is known, before the disk has it."""
        known.seen.add(mark)
        self._recent[-1].add(mark)


def mark_of(event: Event) -> Mark | None:
    """By what a repeat of this event would be known; None where it has no id of its own."""
    if isinstance(event, _MARKED) and event.event_id:
        return event.source, event.event_id
    return None


def informed(event: Event, found: Found) -> Event:
    """The event with what the store knows about its lead."""
    if isinstance(event, _LEADS):
        original = found.originals.get((event.vendor, event.vendor_id))
        return event if original is None else replace(event, original=original)
    if isinstance(event, LeadEvent | SupervisorActed):
        lead = found.leads.get(_key_of(event))
        return event if lead is None else replace(event, recalled=lead)
    return event


def _key_of(event: Event) -> str:
    """The lead that the event is about, "" where it is about none or brings it."""
    if isinstance(event, LeadEvent):
        return event.lead_key or lead_key_of(event.assignment_id)
    return event.lead_key if isinstance(event, SupervisorActed) else ""
