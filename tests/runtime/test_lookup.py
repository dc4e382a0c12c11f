"""What memory does not know is asked of the store, and only that."""

from __future__ import annotations

import asyncio

from distributor.domain.decisions import (
    EventRecorded,
    LeadDuplicate,
)
from distributor.domain.events import (
    LeadEvent,
    LeadRefused,
    PresenceReported,
)
from distributor.domain.lead import Lead
from tests.core.floors import BEGIN, SECOND
from tests.runtime.loop import lead, ready

CLOSED_LONG_AGO = Lead(
    "OLD",
    "acme",
    "old",
    "default",
    "closed",
    BEGIN,
    BEGIN,
    status="lost",
    last_rep="ana",
    last_assignment="OLD-1",
)


async def test_repeats_of_an_event_id_are_duplicates_within_a_batch_and_across(loop):
    await loop.give(ready("ana"), lead("1"))
    key = next(iter(loop.engine.state.leads))
    event = LeadEvent("e1", "dialer", "attempted", lead_key=key, result="busy")
    other = LeadEvent("e1", "rep:ana", "attempted", lead_key=key)
    entries = len(loop.journal.entries)

    answers = await loop.give(event, event, other)
    loop.journal.seen.add(("dialer", "e1"))
    (again,) = await loop.give(event)

    assert [answer.outcome for answer in answers] == ["accepted", "duplicate", "accepted"]
    assert isinstance(again, EventRecorded)
    assert again.outcome == "duplicate"
    assert len(loop.journal.entries) == entries + 2, "a duplicate is not journalled"
    assert [told for told in loop.told if told[0] == "repeated"] == [("repeated", "attempted")] * 2


async def test_presence_events_with_an_id_are_deduplicated_too(loop):
    there = PresenceReported("ana", "ready", "dialer", event_id="p1")
    gone = PresenceReported("ana", "offline", "dialer", event_id="p1")

    answers = await loop.give(there, gone)

    assert [answer.outcome for answer in answers] == ["accepted", "duplicate"]
    assert loop.engine.state.reps["ana"].state == "ready"


async def test_the_store_is_asked_only_for_what_memory_does_not_know(loop):
    await loop.give(ready("ana"))
    loop.journal.asked.clear()
    (accepted,) = await loop.give(lead("1"))
    await loop.give(lead("1"))
    key = accepted.lead.key
    await loop.give(LeadEvent("e1", "dialer", "accepted", lead_key=key))
    await loop.give(LeadEvent("e2", "dialer", "accepted", assignment_id="GONE-1"))

    assert loop.journal.asked == [
        ([("acme", "1")], [], []),
        ([], [("dialer", "e1")], []),
        ([], [("dialer", "e2")], ["GONE"]),
    ]


async def test_a_vendor_id_of_long_ago_is_a_duplicate_with_its_key(loop):
    loop.journal.originals["acme", "old"] = "OLDKEY"

    (answer,) = await loop.give(lead("old"))

    assert isinstance(answer, LeadDuplicate)
    assert answer.lead_key == "OLDKEY"


async def test_a_repeat_that_is_no_valid_lead_any_more_is_a_duplicate_all_the_same(loop):
    loop.journal.originals["acme", "old"] = "OLDKEY"
    answers = await loop.give(
        LeadRefused("acme", "old", "mqtt", "no phone"),
        lead("1"),
        LeadRefused("acme", "1", "mqtt", "no phone"),
        LeadRefused("acme", "2", "mqtt", "no phone"),
        LeadRefused("acme", "", "mqtt", "no id"),
    )
    key = loop.engine.state.by_vendor["acme", "1"]
    assert [type(answer).__name__ for answer in answers] == [
        "LeadDuplicate",
        "LeadAccepted",
        "LeadDuplicate",
        "LeadRejected",
        "LeadRejected",
    ]
    assert (answers[0].lead_key, answers[2].lead_key) == ("OLDKEY", key)
    assert [pairs for pairs, _, _ in loop.journal.asked if pairs] == [
        [("acme", "old"), ("acme", "1"), ("acme", "1"), ("acme", "2")]
    ]


async def test_a_closed_lead_of_long_ago_is_recalled_for_its_event(loop):
    loop.journal.closed["OLD"] = CLOSED_LONG_AGO
    # The ledger must know of a closed lead: one comes and goes.
    await loop.give(ready("ana"), lead("1"))
    event = LeadEvent("e1", "dialer", "status", lead_key="OLD", status="converted")
    again = LeadEvent("e2", "dialer", "status", lead_key="OLD", status="dnc")

    answers = await loop.give(event, again)

    assert [answer.outcome for answer in answers] == ["accepted", "accepted"]
    assert loop.engine.state.leads["OLD"].status == "dnc"
    assert loop.engine.state.ledger.difference == 0


async def test_a_bare_key_for_an_assignment_says_the_same_of_any_closed_lead(loop):
    """Whether memory has the lead still, or the store alone."""
    loop.journal.closed["OLD"] = CLOSED_LONG_AGO
    await loop.give(ready("ana"), lead("1"))
    key = loop.engine.state.by_vendor["acme", "1"]
    closing = LeadEvent("e1", "dialer", "status", lead_key=key, status="lost")
    kept = LeadEvent("e2", "dialer", "contacted", assignment_id=key)
    forgotten = LeadEvent("e3", "dialer", "contacted", assignment_id="OLD")

    _, *answers = await loop.give(closing, kept, forgotten)

    told = [(answer.lead_key, answer.outcome, answer.reason) for answer in answers]
    reason = "not the lead's present assignment"
    assert told == [(key, "stale", reason), ("OLD", "stale", reason)]


async def test_an_event_id_that_is_on_its_way_to_the_disk_is_known(loop):
    await loop.give(ready("ana"), lead("1"))
    key = loop.engine.state.by_vendor["acme", "1"]
    event = LeadEvent("e1", "dialer", "contacted", lead_key=key, evidence="dialer")
    loop.journal.gate.clear()
    loop.journal.appending.clear()
    first = loop.submit(event)
    await loop.journal.appending.wait()
    second = loop.submit(event)
    loop.journal.gate.set()
    (one,), (other,) = await asyncio.gather(first, second)

    assert (one.outcome, other.outcome) == ("accepted", "duplicate")


async def test_a_vendors_repeat_after_the_closed_lead_left_memory_is_a_duplicate(loop):
    """The store is asked about an id whose lead may be forgotten at the very event that repeats it."""
    await loop.give(ready("ana"), lead("1"))
    key = loop.engine.state.by_vendor["acme", "1"]
    await loop.give(LeadEvent("e1", "dialer", "status", lead_key=key, status="lost"))
    loop.journal.originals["acme", "1"] = key
    loop.now_ns += 64 * SECOND
    (answer,) = await loop.give(lead("1"))
    assert isinstance(answer, LeadDuplicate)
    assert answer.lead_key == key
