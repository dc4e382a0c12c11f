"""The answers that people and programs get from the store of a running daemon."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import msgspec
import pytest

from distributor.domain.decisions import (
    AttemptRecorded,
    ContactRecorded,
    DeadLettered,
    DeliveryAccepted,
    FloorApplied,
    FlowChanged,
    LeadDeferred,
    LeadDuplicate,
    LeadHeld,
    LeadReleased,
    LeaseRestarted,
    PresenceChanged,
    RepControlled,
    TargetMarked,
    WorkEnded,
)
from distributor.domain.floor import Floor, PoolPlan, RepPlan
from distributor.domain.journal import Batch
from distributor.domain.messages import Settlement
from distributor.domain.rep import Flow, Rep
from distributor.errors import StoreFailed
from distributor.store.codec import rfc3339
from distributor.store.explain import VERDICTS
from distributor.store.reader import StoreReader
from distributor.store.sqlite import SQLiteStore

from . import builders as b

AT = "2026-11-21T09:00:59.250Z"


@pytest.fixture
def tell(store: SQLiteStore):
    """Append decisions as one entry of the running daemon's store."""

    async def append(*decisions: object, leads=(), reps=(), outgoing=(), settlements=()) -> None:
        seq = store.last_seq
        batch = Batch([b.tick(seq + 1, *decisions)], leads, reps, outgoing, settlements)
        await store.append(batch, expect=seq, epoch=store.epoch)

    return append


@pytest.fixture
def reader(store: SQLiteStore):
    reader = StoreReader(store.path)
    yield reader
    reader.close()


@pytest.fixture
async def one_assigned(store: SQLiteStore):
    batch = Batch([b.received(1, 1, b.assign(1))], [b.assigned(1)])
    await store.append(batch, expect=0, epoch=store.epoch)


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


@pytest.mark.parametrize("wanted", [{}, {"state": "closed"}, {"state": "working"}])
async def test_leads_of_a_status_are_found_without_reading_all(store, reader, wanted):
    plans = []
    connection = reader._connection
    connection.set_trace_callback(plans.append)
    reader.leads(status="qualified", **wanted)
    connection.set_trace_callback(None)
    plan = connection.execute(f"EXPLAIN QUERY PLAN {plans[-1]}").fetchall()
    assert any("leads_by_status (status=? AND lead_key>?)" in str(tuple(row)) for row in plan)


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


async def test_why_names_the_chosen_the_outranked_and_the_passed_over(one_assigned, reader):
    answer = reader.why(b.key(1))
    assert answer["rep"] == "ana"
    assert answer["assignment_id"] == f"{b.key(1)}-1"
    assert (answer["reason"], answer["because"]) == ("best", "ana scored 0.9")
    verdicts = [(one["rep"], one["verdict"]) for one in answer["candidates"]]
    assert verdicts == [("ana", "chosen"), ("ben", "outranked"), ("cleo", "offline")]
    assert answer["candidates"][1]["because"] == "ben scored 0.4"
    assert answer["candidates"][2]["because"] == "cleo was offline"
    assert reader.why("NOBODY") is None


@pytest.mark.parametrize(
    ("rep", "code"),
    [("ben", "outranked"), ("cleo", "offline"), ("ana", "chosen"), ("zoe", "not_a_member")],
)
async def test_why_with_a_rep_is_about_that_rep_alone(one_assigned, reader, rep, code):
    (one,) = reader.why(b.key(1), rep)["candidates"]
    assert (one["rep"], one["verdict"]) == (rep, code)


async def test_a_rep_the_record_does_not_name_is_judged_by_its_state_at_the_time(tell, reader):
    reps = [Rep(name, "north") for name in ("dan", "eve", "flo", "gus", "hal")]
    await tell(
        PresenceChanged("dan", "away", b.T0, "mqtt"),
        *(PresenceChanged(name, "ready", b.T0, "mqtt") for name in ("eve", "flo", "gus")),
        RepControlled("eve", "pause", "mia", "coaching", b.T0 + b.SECOND),
        FlowChanged("flo", Flow(0.5, "slow_contact", "flo answers in 90 s")),
        reps=reps,
    )
    await tell(b.assign(1), leads=[b.assigned(1)])
    await tell(
        PresenceChanged("dan", "ready", b.T0, "mqtt"),  # Too late to matter.
        RepControlled("eve", "resume", "mia", ""),
        FlowChanged("flo", Flow()),
    )

    def judged(rep):
        (one,) = reader.why(b.key(1), rep)["candidates"]
        return one["verdict"], one["because"]

    assert judged("dan")[0] == "away"
    assert judged("eve") == ("paused", "eve was paused by mia: coaching")
    assert judged("flo") == ("held_back", "flo answers in 90 s")
    assert judged("gus")[0] == "not_asked"
    assert judged("hal")[0] == "offline"


@pytest.mark.parametrize(
    ("decision", "state", "reason"),
    [
        (LeadDeferred(b.key(1), "default", "better_soon", "ana is free in 3 s"), "waiting", None),
        (LeadHeld(b.key(1), "all_refused", b.T0, "all 3 refused"), "exception", "all_refused"),
        (LeadReleased(b.key(1), "callback_due", b.T0, 0, "it is time"), "waiting", None),
        (b.ended(1, "recalled"), "waiting", "recalled"),
    ],
)
async def test_why_says_why_nobody_has_it(one_assigned, tell, reader, decision, state, reason):
    lead = msgspec.structs.replace(b.waiting(1), state=state)
    await tell(b.ended(1, "rejected"), decision, leads=[lead])
    answer = reader.why(b.key(1))
    assert (answer["rep"], answer["assignment_id"]) == (None, None)
    assert answer["reason"] == (reason or decision.reason)
    assert answer["because"] == decision.because
    assert [(one["rep"], one["verdict"]) for one in answer["candidates"]] == [("ana", "excluded")]


async def test_why_of_a_lead_that_nothing_happened_to_yet(store, reader):
    await store.append(b.leads_in(1, 1), expect=0, epoch=1)
    answer = reader.why(b.key(1))
    assert (answer["reason"], answer["because"]) == ("queued", "it waits its turn")
    assert answer["candidates"] == []


@pytest.mark.parametrize("cause", ["closed", "parked"])
async def test_a_lead_that_ended_with_its_rep_is_still_that_reps_in_why(
    one_assigned, tell, reader, cause
):
    await tell(b.status_changed(1), b.ended(1, cause), leads=[b.closed(1)])
    assert reader.why(b.key(1))["rep"] == "ana"


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"state": "offline"}, "offline", "is offline"),
        ({"state": "away", "state_reason": "lunch"}, "away", "lunch"),
        ({"paused_until_ns": b.T0 + 9, "pause_reason": "coaching"}, "paused", "coaching"),
        ({"open": {"L1": True}}, "full_pipeline", "1 of 1"),
        ({"free_from_ns": b.T0 + 9}, "pace", AT),
        ({"listed": False}, "not_a_member", "configuration"),
        (
            {"flow": Flow(0.5, "slow_contact", "contacts in 90 s", "two calls within 60 s")},
            "slow_contact",
            "contacts in 90 s; restored by: two calls within 60 s",
        ),
        ({"override": 0.0}, "manual", "Set to 0% by a supervisor"),
        ({}, "no_pool", "ana belongs to no pool"),
    ],
)
async def test_why_idle_names_what_is_in_the_way(tell, reader, change, code, says):
    rep = msgspec.structs.replace(Rep("ana", "north", state="ready"), **change)
    await tell(reps=[rep])
    answer = reader.why_idle("ana", b.T0)
    assert answer["rep"] == "ana"
    assert answer["flow"] == rep.flow_in_force(b.T0).value
    assert [reason["code"] for reason in answer["reasons"]] == [code]
    assert says in answer["reasons"][0]["because"]


def _on_floor(*pools: PoolPlan) -> FloorApplied:
    reps = (RepPlan("ana", "north"), RepPlan("ben", "north"))
    return FloorApplied(Floor("digest", reps=reps, pools=pools))


async def test_why_idle_looks_at_the_pool_and_its_dialer(store, tell, reader):
    ana = Rep("ana", "north", state="ready")
    await tell(_on_floor(PoolPlan("default")), reps=[ana])

    def code() -> tuple[str, str]:
        (reason,) = reader.why_idle("ana", b.T0)["reasons"]
        return reason["code"], reason["because"]

    assert code()[0] == "no_waiting_lead"
    await store.append(b.leads_in(store.last_seq + 1, 2), expect=store.last_seq, epoch=1)
    assert code() == (
        "not_chosen",
        "leads wait (2 in pool default), but none is for ana now: ask why of such a lead",
    )
    await tell(TargetMarked("mqtt", False, "not connected"))
    assert code() == (
        "dialer_down",
        "the MQTT broker is away (not connected): 2 leads of pool default wait for it",
    )
    await tell(TargetMarked("mqtt", True, ""))
    assert code()[0] == "not_chosen"


async def test_why_of_a_waiting_lead_says_who_could_not_take_it(store, tell, reader):
    ana = Rep("ana", "north", state="ready", override=0.0, override_reason="training")
    await store.append(b.leads_in(1, 1), expect=0, epoch=1)
    await tell(_on_floor(PoolPlan("default")), reps=[ana, Rep("ben", "north")])
    answer = reader.why(b.key(1), now_ns=b.T0)
    assert answer["rep"] is None
    assert "nobody can take it now (1 manual, 1 offline)" in answer["because"]
    verdicts = {one["rep"]: (one["verdict"], one["because"]) for one in answer["candidates"]}
    assert verdicts["ana"][0] == "manual"
    assert "training" in verdicts["ana"][1]
    assert verdicts["ben"][0] == "offline"
    await tell(TargetMarked("mqtt", False, "not connected"))
    assert "the MQTT broker is away (not connected)" in reader.why(b.key(1))["because"]
    await tell(TargetMarked("mqtt", True, ""), reps=[Rep("ana", "north", state="ready")])
    assert "nobody" not in reader.why(b.key(1))["because"]


async def test_why_idle_of_an_unknown_rep_is_none(reader):
    assert reader.why_idle("nobody") is None


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


async def test_counts_of_leads_messages_and_entries(tell, reader):
    out = [b.message(1), b.message(2), b.message(3, "vici")]
    await tell(leads=[b.waiting(1), b.assigned(2), b.closed(3)], outgoing=out)
    assert reader.ledger() == {
        "waiting": 1, "assigned": 1, "working": 0, "parked": 0, "exception": 0, "closed": 1
    }  # fmt: skip
    assert reader.last_seq() == 1
    assert [entry.seq for entry in reader.entries()] == [1]
    assert list(reader.entries(1)) == []
    assert reader.identity()["tag"] == "ABCD"


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
    with reader.picture():
        assert reader.last_seq() == 1
        await tell(leads=[b.waiting(2)])
        assert reader.last_seq() == 1
        assert len(list(reader.export("leads"))) == 1
    assert reader.last_seq() == 2


async def test_a_reader_cannot_write(reader):
    with pytest.raises(StoreFailed, match="readonly"):
        reader._rows("DELETE FROM leads")


async def test_a_store_that_no_daemon_runs_on_is_readable(one_assigned, store):
    await store.close()
    reader = StoreReader(store.path)
    assert reader.lead(b.key(1)) is not None
    reader.close()


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


def test_every_code_of_the_engine_has_a_sentence():
    codes = (
        "offline away busy wrap_up paused full_pipeline pace held_back excluded probe_only"
        " not_a_member"
    )
    assert set(codes.split()) <= set(VERDICTS)


async def test_every_action_without_an_id_of_its_own_is_in_the_export(store, reader):
    """Supervisors' actions carry no event id: the audit trail keeps each of them."""
    actions = [b.event(seq, "") for seq in range(1, 5)]
    await store.append(Batch(actions), expect=0, epoch=store.epoch)
    assert len(list(reader.export("events"))) == 4


async def test_closing_breaks_off_a_long_question_and_does_not_hold_up_the_loop(store):
    begun = threading.Event()
    reader = StoreReader(store.path)
    reader._connection.create_function("begun", 0, begun.set)
    endless = (
        "WITH RECURSIVE c(x) AS (SELECT begun() UNION ALL SELECT 1 FROM c) SELECT count(*) FROM c"
    )
    asked = asyncio.create_task(reader.ask(reader._rows, endless))
    await asyncio.to_thread(begun.wait)

    await asyncio.to_thread(reader.close)

    with pytest.raises(StoreFailed, match="interrupted"):
        await asked
