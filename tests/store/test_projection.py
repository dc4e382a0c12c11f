from __future__ import annotations

import msgspec
import pytest

from distributor.domain.decisions import (
    DeadLettered,
    FlowChanged,
    LeadDuplicate,
    MemoryRecorded,
    PresenceChanged,
    StandardCounted,
)
from distributor.domain.journal import Batch
from distributor.domain.messages import Settlement
from distributor.domain.rep import Flow, Rep
from distributor.store.codec import unpack_lead, unpack_rep
from distributor.store.projection import lead_row, project

from . import builders as b


def test_a_lead_that_comes_in_and_is_assigned():
    rows = project(
        Batch(
            [b.received(1, 1, b.assign(1))], [b.assigned(1)], [Rep("ana", "north")], [b.message(1)]
        )
    )
    assert rows.assigned == [(f"{b.key(1)}-1", b.key(1), "ana", 1, b.T0)]
    assert list(rows.history) == [(b.key(1), 1)], "one line for one entry, however much it says"
    assert rows.leads[0][:8] == (
        b.key(1), "acme", "v1", "assigned", None, "default", "ana", f"{b.key(1)}-1"
    )  # fmt: skip
    assert unpack_rep(rows.reps[0][1]) == Rep("ana", "north")
    assert rows.outbox[0][:3] == (1, "mqtt", "assign")
    assert len(rows) == 6


def test_a_record_of_the_whole_lead_is_kept_only_while_it_is_closed():
    assert lead_row(b.assigned(1))[-1] is None
    assert unpack_lead(lead_row(b.closed(1))[-1]) == b.closed(1)


@pytest.mark.parametrize(
    ("state", "rep"), [("closed", "ana"), ("parked", "ana"), ("waiting", None)]
)
def test_the_last_owner_shows_while_nobody_works_on_the_lead(state, rep):
    """A callback is still the rep's; a lead that waits again is nobody's."""
    lead = msgspec.structs.replace(b.closed(1), state=state)
    assert lead_row(lead)[6] == rep


@pytest.mark.parametrize("cause", ["closed", "parked", "recalled", "rejected"])
def test_the_end_of_an_assignment_says_its_cause(cause):
    rows = project(Batch([b.tick(1, b.ended(1, cause))]))
    assert rows.ended == [(b.T0 + b.SECOND, cause, f"{b.key(1)}-1")]


def test_a_repeated_event_leaves_the_first_ones_row_alone():
    rows = project(Batch([b.event(1, "e1"), b.event(2, "e1", "duplicate")]))
    assert [row[:2] for row in rows.events] == [("dialer", "e1")]


def test_a_stale_event_is_part_of_the_leads_history():
    rows = project(Batch([b.event(1, "e1", "stale"), b.event(2, "e2", "accepted")]))
    assert list(rows.history) == [(b.key(1), 1)]
    assert [row[7] for row in rows.events] == ["stale", "accepted"]


def test_what_nobody_asks_for_stays_in_the_journal():
    quiet = [MemoryRecorded("p", "ana", b"x"), StandardCounted(b.key(1), "p", "first", True)]
    assert len(project(Batch([b.tick(1, *quiet)]))) == 1


def test_reps_dead_letters_and_duplicates_have_their_places():
    rows = project(
        Batch(
            [
                b.tick(
                    1,
                    PresenceChanged("ana", "ready", b.T0, "mqtt"),
                    FlowChanged("ana", Flow(0.5)),
                    DeadLettered("leads/in/x", "not JSON", b"{", False),
                    LeadDuplicate("acme", "v1", b.key(1), "http"),
                )
            ]
        )
    )
    assert list(rows.rep_history) == [("ana", "presence", 1), ("ana", "flow", 1)]
    assert rows.dead_letters == [(1, "leads/in/x", "not JSON", b"{", False, b.T0)]
    assert list(rows.history) == [(b.key(1), 1)]


def test_settlements_delete_or_mark():
    rows = project(Batch(settlements=[Settlement(1, "done"), Settlement(2, "retry", 3, 9, "no")]))
    assert rows.done == [(1,)]
    assert rows.unsettled == [("pending", 3, 9, "no", 2)]
