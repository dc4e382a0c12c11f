"""The answers that people and programs get from the store of a running daemon."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import msgspec
import pytest
from msgspec.structs import replace

from distributor.domain.decisions import (
    AttemptRecorded,
    ContactRecorded,
    DeadLettered,
    DeliveryAccepted,
    LeadDuplicate,
    LeaseRestarted,
    WorkEnded,
)
from distributor.domain.journal import Batch
from distributor.domain.messages import Settlement
from distributor.domain.rep import Rep
from distributor.errors import StoreFailed
from distributor.store import journal
from distributor.store.codec import rfc3339
from distributor.store.reader import StoreReader

from . import builders as b

AT = "2026-11-21T09:00:59.250Z"


def test_times_are_utc_with_milliseconds_and_unknown_is_null():
    assert rfc3339(b.T0) == AT
    assert rfc3339(b.T0 + 999_999) == AT
    assert rfc3339(0) is None


async def test_a_lead_reads_as_the_contract_says(one_assigned, reader):
    assert reader.lead(b.key(1)) == {
        "lead_key": b.key(1),
        "vendor": "acme",
        "lead_id": "v1",
        "state": "assigned",
        "status": None,
        "pool": "default",
        "rep": "ana",
        "assignment_id": f"{b.key(1)}-1",
        "attempt": 1,
        "score": None,
        "received_at": AT,
        "contacted_at": None,
        "test": False,
        "reason": "queued",
        "because": "it waits its turn",
        "lead": {"first_name": "Ada"},
    }
    assert reader.lead("NOBODY") is None


async def test_ask_answers_off_the_loop(one_assigned, reader):
    assert await reader.ask(reader.lead, b.key(1)) == reader.lead(b.key(1))
    page = await reader.ask(reader.leads, state="assigned")
    assert len(page["items"]) == 1


async def test_leads_are_filtered_and_paged_by_cursor(store, reader):
    leads = [b.waiting(n) for n in range(1, 6)] + [b.assigned(6), b.assigned(7, "ben"), b.closed(8)]
    await store.append(Batch([b.tick(1)], leads), expect=0, epoch=1)
    page = reader.leads(limit=3)
    assert [lead["lead_key"] for lead in page["items"]] == [b.key(1), b.key(2), b.key(3)]
    seen, cursor = [], None
    while True:
        page = reader.leads(limit=3, after=cursor)
        seen += [lead["lead_key"] for lead in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [b.key(n) for n in range(1, 9)]

    def keys(**wanted):
        return [lead["lead_key"] for lead in reader.leads(**wanted)["items"]]

    assert keys(state="assigned") == [b.key(6), b.key(7)]
    assert keys(state="assigned", rep="ben") == [b.key(7)]
    assert keys(rep="ana") == [b.key(6), b.key(8)]
    assert keys(state="closed", status="converted") == [b.key(8)]
    assert keys(pool="other") == []
    assert reader.leads(limit=8)["next"] is None


@pytest.mark.parametrize(
    ("wanted", "found_by"),
    [
        ({"status": "qualified"}, "INDEX leads_by_status"),
        ({"status": "qualified", "state": "closed"}, "INDEX leads_by_status"),
        ({"status": "lost", "rep": "ana"}, "INDEX leads_by_status"),
        ({"state": "assigned"}, "INDEX leads_by_state"),
        # Many closed leads have a status, few leads are open.
        ({"status": "lost", "state": "waiting", "pool": "default"}, "INDEX leads_by_state"),
        ({"status": "working", "state": "working", "rep": "ana"}, "INDEX leads_by_rep"),
        ({"rep": "ana"}, "INDEX sqlite_autoindex_leads_1"),
    ],
)
async def test_leads_are_found_by_the_index_that_leaves_the_fewest(store, reader, wanted, found_by):
    asked = []
    connection = reader._store.connection
    connection.set_trace_callback(asked.append)
    reader.leads(**wanted)
    connection.set_trace_callback(None)
    (plan,) = connection.execute(f"EXPLAIN QUERY PLAN {asked[-1]}")
    assert plan[3].startswith(f"SEARCH leads USING {found_by} (")
    assert "lead_key>?" in plan[3]


async def test_the_history_says_of_a_contact_what_is_odd_about_it(one_assigned, tell, reader):
    contact = ContactRecorded(
        b.key(1), f"{b.key(1)}-1", "ana", "north", "p", b.T0, "dialer", True, b.T0
    )
    await tell(replace(contact, late=True))
    await tell(replace(contact, doubted_ns=b.T0 - 86_400 * b.SECOND))
    await tell(replace(contact, counted=False, evidence="claimed", late=True))
    late, doubted, claimed = [item["because"] for item in reader.history(b.key(1))[-3:]]
    assert late.endswith("evidence dialer counts; told late, it moves nothing")
    assert "is long before the assignment: that of our receipt stands for it" in doubted
    assert claimed.endswith("evidence claimed is no proof and does not count")


async def test_the_history_tells_every_step_in_order(one_assigned, tell, reader):
    key = b.key(1)
    assignment = f"{key}-1"
    await tell(DeliveryAccepted(key, assignment, "ana"))
    await tell(LeaseRestarted(key, "ana", b.T0, b.T0, "the dialer was down"))
    await tell(AttemptRecorded(key, "ana", b.T0, "no_answer", 4.25))
    await tell(
        ContactRecorded(key, assignment, "ana", "north", "p", b.T0, "dialer", True, b.T0, 12.5)
    )
    await tell(WorkEnded(key, "ana", "call_ended", b.T0, 61.0))
    await tell(b.status_changed(1), b.ended(1, "closed"), leads=[b.closed(1)])
    await tell(LeadDuplicate("acme", "v1", key, "http"))
    history = reader.history(key)
    assert [item["type"] for item in history] == [
        "received", "assigned", "accepted", "lease_restarted", "attempted", "contacted",
        "work_ended", "status", "ended", "duplicate",
    ]  # fmt: skip
    assert all(item["because"] and item["at"] for item in history)
    assert history[1]["rep"] == "ana"
    assert "rep" not in history[0]
    assert "4.2 s after the assignment" in history[4]["because"]
    assert reader.history("NOBODY") == []


async def test_the_history_of_one_lead_leaves_out_the_others_of_the_same_entry(tell, reader):
    await tell(b.assign(1), b.assign(2, "ben"), leads=[b.assigned(1), b.assigned(2, "ben")])
    assert [item["rep"] for item in reader.history(b.key(2))] == ["ben"]


async def test_a_stale_event_shows_in_the_history_and_a_counted_one_does_not(store, reader):
    batch = Batch([b.event(1, "e1"), b.event(2, "e2", "stale")], [b.waiting(1)])
    await store.append(batch, expect=0, epoch=1)
    assert [item["type"] for item in reader.history(b.key(1))] == ["stale"]


async def test_a_rep_who_left_the_floor_is_still_known(tell, reader):
    await tell(reps=[Rep("ana", "north"), Rep("gone", "north", listed=False)])
    assert reader.knows_rep("ana")
    assert reader.knows_rep("gone")
    assert not reader.knows_rep("zed")


async def test_exports_hold_every_row_once(store, tell, reader):
    await store.append(b.leads_in(1, 1_500), expect=0, epoch=1)
    await tell(b.assign(1), leads=[b.assigned(1)])
    await tell(b.ended(1, "closed"), leads=[b.closed(1)])
    seq = store.last_seq
    await store.append(Batch([b.event(seq + 1, "e1", "stale")]), expect=seq, epoch=1)
    assert [lead["lead_key"] for lead in reader.export("leads")] == [
        b.key(n) for n in range(1, 1_501)
    ]
    assert [lead["lead_key"] for lead in reader.export("prospects")] == [b.key(1)]
    assert list(reader.export("assignments")) == [
        {
            "assignment_id": f"{b.key(1)}-1",
            "lead_key": b.key(1),
            "rep": "ana",
            "attempt": 1,
            "assigned_at": AT,
            "ended_at": "2026-11-21T09:01:00.250Z",
            "end_reason": "closed",
        }
    ]
    (event,) = reader.export("events")
    assert event == {
        "event_id": "e1",
        "source": "dialer",
        "type": "contacted",
        "lead_key": b.key(1),
        "assignment_id": None,
        "rep": "ana",
        "at": AT,
        "outcome": "stale",
        "reason": None,
    }
    with pytest.raises(ValueError, match="one of leads"):
        reader.export("people")


async def test_the_desk_lists_its_cases_the_oldest_first(tell, reader):
    def held(number, since):
        return msgspec.structs.replace(
            b.waiting(number, at=since),
            state="exception",
            reason="no_pool",
            because="no rule matches",
            deadline_ns=b.T0,
        )

    await tell(leads=[held(1, b.T0), held(2, b.T0 - b.SECOND), b.waiting(3)])
    cases = reader.exceptions()
    assert [case["lead_key"] for case in cases] == [b.key(2), b.key(1)]
    assert cases[1] == {
        "lead_key": b.key(1),
        "kind": "no_pool",
        "reason": "no_pool",
        "decider": None,
        "opened_at": AT,
        "due_at": AT,
        "because": "no rule matches",
    }


async def test_the_journal_is_read_beside_its_writer(tell, reader):
    await tell(leads=[b.waiting(1)])
    store = reader._store
    assert journal.last_seq(store) == 1
    assert [entry.seq for entry in journal.entries(store)] == [1]
    assert list(journal.entries(store, 1)) == []
    assert journal.identity(store)["tag"] == "ABCD"


async def test_messages_that_are_set_aside_come_newest_first_with_their_error(tell, reader):
    await tell(outgoing=[b.message(1), b.message(2), b.message(3, "vici")])
    assert reader.set_aside() == []
    await tell(settlements=[Settlement(2, "dead", 5, error="404"), Settlement(3, "in_doubt", 1)])
    first, second = reader.set_aside()
    assert (first["id"], first["target"], first["state"]) == (3, "vici", "in_doubt")
    assert second == {
        "id": 2,
        "target": "mqtt",
        "state": "dead",
        "kind": "assign",
        "message_id": "m2",
        "lead_key": b.key(1),
        "payload": "{}",
        "at": AT,
        "attempts": 5,
        "error": "404",
    }


async def test_dead_letters_come_newest_first_with_their_payload(tell, reader):
    await tell(DeadLettered("leads/in/a", "not JSON", b"{", True))
    await tell(DeadLettered("leads/in/b", "not JSON", b"", False))
    first, second = reader.dead_letters()
    assert first["topic"] == "leads/in/b"
    assert second == {
        "topic": "leads/in/a",
        "reason": "not JSON",
        "payload_base64": "ew==",
        "truncated": True,
        "at": AT,
    }


async def test_a_picture_stands_still_while_the_daemon_goes_on(tell, reader):
    await tell(leads=[b.waiting(1)])
    store = reader._store
    with store.picture():
        assert journal.last_seq(store) == 1
        await tell(leads=[b.waiting(2)])
        assert journal.last_seq(store) == 1
        assert len(list(reader.export("leads"))) == 1
    assert journal.last_seq(store) == 2


async def test_a_reader_cannot_write(reader):
    with pytest.raises(StoreFailed, match="readonly"):
        reader._store.rows("DELETE FROM leads")


async def test_a_store_that_no_daemon_runs_on_is_readable(one_assigned, store):
    await store.close()
    reader = StoreReader(store.path)
    assert reader.lead(b.key(1)) is not None
    reader.close()


def test_an_empty_file_is_no_store(tmp_path):
    (tmp_path / "s.db").touch()
    with pytest.raises(StoreFailed, match=r"s\.db: the file is empty"):
        StoreReader(tmp_path / "s.db")


def test_a_missing_store_is_named(tmp_path):
    with pytest.raises(StoreFailed, match="there is no store"):
        StoreReader(tmp_path / "none.db")


@pytest.mark.parametrize(("number", "remedy"), [(0, "start the daemon"), (99, "newer")])
def test_a_store_of_another_schema_is_refused(tmp_path, number, remedy):
    path = tmp_path / "s.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {number}")
    connection.close()
    with pytest.raises(StoreFailed, match=remedy):
        StoreReader(path)


async def test_every_action_without_an_id_of_its_own_is_in_the_export(store, reader):
    """Supervisors' actions carry no event id: the audit trail keeps each of them."""
    actions = [b.event(seq, "") for seq in range(1, 5)]
    await store.append(Batch(actions), expect=0, epoch=store.epoch)
    assert len(list(reader.export("events"))) == 4


async def test_closing_breaks_off_a_long_question_and_does_not_hold_up_the_loop(store):
    begun = threading.Event()
    reader = StoreReader(store.path)
    reader._store.connection.create_function("begun", 0, begun.set)
    endless = (
        "WITH RECURSIVE c(x) AS (SELECT begun() UNION ALL SELECT 1 FROM c) SELECT count(*) FROM c"
    )
    asked = asyncio.create_task(reader.ask(reader._store.rows, endless))
    await asyncio.to_thread(begun.wait)

    await asyncio.to_thread(reader.close)

    with pytest.raises(StoreFailed, match="interrupted"):
        await asked
