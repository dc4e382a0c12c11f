"""The loop decides in order, commits once a batch, and tells nobody before the disk knows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from distributor.core.engine import Engine
from distributor.domain.decisions import (
    Assigned,
    DeadLettered,
    Decision,
    EventRecorded,
    LeadAccepted,
    LeadDuplicate,
    LeaseRestarted,
)
from distributor.domain.events import (
    DeliveryDelayed,
    DeliveryFailed,
    Event,
    FloorChanged,
    LeadEvent,
    LeadReceived,
    LeadRefused,
    PresenceReported,
    StoodStill,
    Ticked,
    Undecodable,
)
from distributor.domain.floor import Floor, FlowPlan, PoolPlan, RepPlan
from distributor.domain.journal import Batch, CommitStats, Found, SnapshotImage
from distributor.domain.lead import Lead
from distributor.domain.messages import Outgoing, Settlement
from distributor.errors import StoreFailed
from distributor.runtime.dispatcher import BATCH_EVENTS, Dispatcher, Hooks
from distributor.runtime.inbox import Inbox, Submission
from distributor.runtime.quarantine import Quarantine
from distributor.runtime.times import CATCH_UP_SECONDS
from tests.core.floors import BEGIN, FACTORIES, SECOND


class FakeJournal:
    """Keeps batches in memory. ``gate`` holds appends up; ``failure`` ends them."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.last_seq = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.appending = asyncio.Event()
        self.failure: Exception | None = None
        self.snapshots: list[SnapshotImage] = []
        self.snapshot_failure: Exception | None = None
        self.originals: dict[tuple[str, str], str] = {}
        self.seen: set[tuple[str, str]] = set()
        self.closed: dict[str, Lead] = {}
        self.asked: list[tuple[Any, Any, Any]] = []

    async def append(self, batch: Batch, *, expect: int, epoch: int) -> CommitStats:
        assert epoch == 3
        assert expect == self.last_seq
        assert [entry.seq for entry in batch.entries] == list(
            range(expect + 1, expect + 1 + len(batch.entries))
        )
        self.appending.set()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.batches.append(batch)
        self.last_seq += len(batch.entries)
        return CommitStats(1, 0.001)

    async def lookup(
        self,
        vendor_ids: Sequence[tuple[str, str]],
        event_ids: Sequence[tuple[str, str]],
        lead_keys: Sequence[str],
    ) -> Found:
        self.asked.append((list(vendor_ids), list(event_ids), list(lead_keys)))
        return Found(
            {pair: key for pair, key in self.originals.items() if pair in vendor_ids},
            {mark for mark in self.seen if mark in event_ids},
            {key: lead for key, lead in self.closed.items() if key in lead_keys},
        )

    async def put_snapshot(self, image: SnapshotImage) -> None:
        if self.snapshot_failure is not None:
            raise self.snapshot_failure
        self.snapshots.append(image)

    @property
    def entries(self) -> list[Any]:
        return [entry for batch in self.batches for entry in batch.entries]


class Loop:
    """A dispatcher with everything around it in the test's hands."""

    def __init__(
        self,
        *,
        limit: int = 20_000,
        snapshot_entries: int = 50_000,
        quarantine: Quarantine | None = None,
        **flow: Any,
    ) -> None:
        self.journal = FakeJournal()
        self.inbox = Inbox(limit)
        self.now_ns = BEGIN
        self.ahead_ns = 0
        self.jumped_ns = 0
        self.told: list[Any] = []
        self.changed: set[str] = set()
        self.sent: list[Outgoing] = []
        self.settlements: list[Settlement] = []
        self.composing: Callable[[Sequence[Decision]], list[Outgoing]] = lambda _: []
        self.engine = Engine(tag="T3ST", seed=7, factories=FACTORIES)
        hooks = Hooks(
            now_ns=lambda: self.now_ns,
            ahead_ns=lambda: self.ahead_ns,
            steady_ns=lambda: self.now_ns - self.jumped_ns,
            compose=lambda decisions, _: self.composing(decisions),
            send=self._send,
            settlements=self._take_settlements,
            changed=lambda reps: self.changed.update(rep.id for rep in reps),
            committed=lambda entries, _: self.told.append(("committed", len(entries))),
            decided=lambda _: None,
            late=lambda seconds: self.told.append(("late", seconds)),
            acked=lambda channel, _: self.told.append(("acked", channel)),
            repeated=lambda kind: self.told.append(("repeated", kind)),
        )
        self.dispatcher = Dispatcher(
            self.engine,
            self.journal,  # type: ignore[arg-type]
            self.inbox,
            hooks,
            epoch=3,
            next_outbox_id=41,
            snapshot_entries=snapshot_entries,
            quarantine=quarantine,
        )
        plan = FlowPlan(policy="longest_idle", **flow)
        reps = (RepPlan("ana"), RepPlan("ben"))
        self.floor = Floor("d", reps=reps, pools=(PoolPlan("default"),), flow=plan)

    def _send(self, messages: Sequence[Outgoing]) -> None:
        self.sent += messages

    def _take_settlements(self) -> list[Settlement]:
        taken, self.settlements = self.settlements, []
        return taken

    async def begin(self) -> None:
        self.task = asyncio.create_task(self.dispatcher.run())
        await self.give(FloorChanged(self.floor))

    def submit(self, *events: Event, **more: Any) -> asyncio.Future[Any]:
        """Hand events in; the future has their answers once they are told."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(answers: Any) -> None:
            self.told.append(("done", len(answers)))
            answered.set_result(answers)

        self.inbox.push(Submission(events, done=done, **more))
        return answered

    async def give(self, *events: Event) -> Any:
        """As ``submit``, awaited."""
        return await asyncio.wait_for(self.submit(*events), 60)

    async def end(self) -> None:
        self.journal.gate.set()
        self.dispatcher.stop()
        await asyncio.wait_for(asyncio.wait({self.task}), 60)


def lead(name: str, **fields: Any) -> LeadReceived:
    return LeadReceived("acme", name, BEGIN, "http", b"{}", **fields)


def ready(rep: str) -> PresenceReported:
    return PresenceReported(rep, "ready", "desktop")


def message(kind: Any = "result", order: str = "") -> Outgoing:
    return Outgoing("mqtt", kind, "leads/x", order, "m", b"{}", BEGIN)


@pytest.fixture
async def loop() -> AsyncIterator[Loop]:
    made = Loop()
    await made.begin()
    yield made
    await made.end()
    assert made.task.exception() is None


async def test_nobody_is_told_before_the_append_returns(loop):
    loop.composing = lambda _: [message()]
    loop.journal.appending.clear()
    loop.journal.gate.clear()
    answered = loop.submit(lead("1"), channel="http")
    await loop.journal.appending.wait()
    before = list(loop.told)

    assert not answered.done()
    assert loop.sent == []
    assert ("acked", "http") not in before
    loop.journal.gate.set()

    (answer,) = await answered
    assert isinstance(answer, LeadAccepted)
    assert [one.id for one in loop.sent] == [41]
    assert loop.told[len(before) :] == [("done", 1), ("acked", "http"), ("committed", 1)]


@pytest.mark.parametrize("hook", ["committed", "acked"])
async def test_figures_that_fail_end_nothing_and_are_told(loop, monkeypatch, capsys, hook):
    """What is on disk is answered and sent, whatever becomes of its metrics and log lines."""

    def broken(*_):
        raise ZeroDivisionError

    loop.composing = lambda _: [message()]
    monkeypatch.setattr(loop.dispatcher.hooks, hook, broken)

    for name in ("1", "2"):
        (answer,) = await loop.submit(lead(name), channel="http")
        assert isinstance(answer, LeadAccepted)

    assert len(loop.sent) == 2
    assert not loop.task.done()
    assert "not_counted" in capsys.readouterr().out


async def test_what_arrives_during_a_commit_is_the_next_batch(loop):
    loop.journal.gate.clear()
    loop.journal.appending.clear()
    first = loop.submit(lead("0"))
    await loop.journal.appending.wait()
    batches = len(loop.journal.batches)
    rest = [loop.submit(lead(str(number))) for number in range(1, 101)]

    loop.journal.gate.set()
    await asyncio.gather(first, *rest)

    sizes = [len(batch.entries) for batch in loop.journal.batches[batches:]]
    assert sizes == [1, 100]


async def test_a_batch_ends_at_its_limit_with_whole_submissions(loop):
    loop.journal.gate.clear()
    loop.journal.appending.clear()
    waiting = [loop.submit(lead("first"))]
    await loop.journal.appending.wait()
    big = BATCH_EVENTS - 1
    waiting.append(loop.submit(*(lead(f"a{n}") for n in range(big))))
    waiting.append(loop.submit(*(lead(f"b{n}") for n in range(big))))
    waiting.append(loop.submit(lead("last")))
    batches = len(loop.journal.batches)

    loop.journal.gate.set()
    await asyncio.gather(*waiting)

    sizes = [len(batch.entries) for batch in loop.journal.batches[batches:]]
    assert sizes == [1, 2 * big, 1]


async def test_answers_come_in_the_order_of_the_events(loop):
    names = [str(number) for number in range(200)]

    answers = await loop.give(*(lead(name) for name in names), lead("5"))

    assert [answer.lead.vendor_id for answer in answers[:-1]] == names
    assert isinstance(answers[-1], LeadDuplicate)
    assert answers[-1].lead_key == answers[5].lead.key
    assert [entry.event.vendor_id for entry in loop.journal.entries[1:]] == [*names, "5"]


async def test_replies_are_made_from_the_answers_and_leave_in_the_same_transaction(loop):
    made: list[Any] = []

    def reply(answers: Any) -> list[Outgoing]:
        made.append([type(answer) for answer in answers])
        return [message()]

    answered = loop.submit(lead("1"), lead("1"), reply=reply)
    await asyncio.wait_for(answered, 60)

    assert made == [[LeadAccepted, LeadDuplicate]]
    assert [one.kind for one in loop.journal.batches[-1].outgoing] == ["result"]
    assert [one.id for one in loop.sent] == [41]


async def test_a_submission_without_events_has_its_reply_committed_and_moves_no_number(loop):
    """An empty array of leads is answered with an empty one, through the outbox like any other."""
    before = loop.journal.last_seq
    answered = loop.submit(reply=lambda answers: [message()] * (not answers), channel="mqtt")

    assert await asyncio.wait_for(answered, 60) == []
    batch = loop.journal.batches[-1]
    assert (list(batch.entries), [sent.id for sent in batch.outgoing]) == ([], [41])
    assert loop.sent == list(batch.outgoing)
    assert loop.journal.last_seq == before


async def test_outbox_numbers_rise_without_a_gap(loop):
    loop.composing = lambda decisions: [message() for _ in decisions]
    for number in range(3):
        await loop.give(lead(str(number)), ready("ana"))

    numbers = [one.id for batch in loop.journal.batches for one in batch.outgoing]
    assert numbers == list(range(41, 41 + len(numbers)))
    assert [one.id for one in loop.sent] == numbers


async def test_the_batch_has_the_records_as_they_are_after_it(loop):
    await loop.give(ready("ana"), lead("1"))

    batch = loop.journal.batches[-1]
    (record,) = batch.leads
    assert (record.state, record.rep) == ("assigned", "ana")
    assert "ana" in [rep.id for rep in batch.reps]
    kinds = [type(d) for entry in batch.entries for d in entry.decisions]
    assert Assigned in kinds


async def test_the_reps_that_changed_are_named(loop):
    """Also those of whom only a new floor says something: metrics show no more than they are told of."""
    assert loop.changed == {"ana", "ben"}
    loop.changed.clear()
    await loop.give(ready("ana"))
    assert loop.changed == {"ana"}
    await loop.give(lead("1"))
    assert loop.changed == {"ana"}
    loop.changed.clear()
    await loop.give(FloorChanged(replace(loop.floor, digest="e", reps=loop.floor.reps[1:])))
    assert loop.changed == {"ana", "ben"}


async def test_settlements_are_written_soon_though_nothing_else_happens(loop):
    batches = len(loop.journal.batches)
    loop.settlements = [Settlement(7, "done")]
    loop.dispatcher.settle_soon()
    loop.dispatcher.settle_soon()
    loop.journal.appending.clear()

    await asyncio.wait_for(loop.journal.appending.wait(), 60)
    await loop.give(lead("1"))

    written = [one.id for batch in loop.journal.batches[batches:] for one in batch.settlements]
    assert written == [7]
    assert list(loop.journal.batches[batches].entries) == []


async def test_settlements_make_no_commit_of_their_own_before_their_time(loop, monkeypatch):
    monkeypatch.setattr("distributor.runtime.dispatcher.SETTLE_SECONDS", 3600.0)
    batches = len(loop.journal.batches)
    loop.settlements = [Settlement(7, "done")]
    loop.dispatcher.settle_soon()
    for _ in range(20):
        loop.inbox.wake()
        await asyncio.sleep(0)
    assert len(loop.journal.batches) == batches

    await loop.give(lead("1"))

    batch = loop.journal.batches[batches]
    assert [one.id for one in batch.settlements] == [7]
    assert len(batch.entries) == 1


async def test_what_follows_from_giving_a_message_up_is_written_with_its_settlement(loop):
    """However much is queued before it: a crash never leaves one without the other."""
    batches = len(loop.journal.batches)
    for number in range(2 * BATCH_EVENTS):
        loop.submit(PresenceReported("ana", "ready", "rep:ana", event_id=f"p{number}"))
    failed = DeliveryFailed("T3ST1-1", "refused", hold=True)

    await asyncio.wait_for(loop.submit(failed, settlement=Settlement(7, "dead")), 60)

    for batch in loop.journal.batches[batches:]:
        events = [entry.event for entry in batch.entries]
        assert (failed in events) == ([one.id for one in batch.settlements] == [7])
    assert len(loop.journal.batches) > batches + 1


async def test_the_last_round_takes_all_that_is_queued(loop):
    loop.dispatcher.stop()
    await asyncio.wait_for(asyncio.wait({loop.task}), 60)
    count = len(loop.journal.entries)
    for number in range(2 * BATCH_EVENTS):
        failed = DeliveryFailed(f"T3ST{number}-1", "refused", hold=True)
        loop.submit(failed, settlement=Settlement(number, "dead"))

    await asyncio.wait_for(loop.dispatcher.round(), 60)

    assert len(loop.journal.entries) == count + 2 * BATCH_EVENTS


async def test_an_idle_wake_up_writes_nothing(loop):
    batches = len(loop.journal.batches)
    loop.inbox.wake()

    await loop.give(lead("1"))

    assert len(loop.journal.batches) == batches + 1


async def test_a_failing_append_ends_the_loop_and_nobody_is_told():
    loop = Loop()
    await loop.begin()
    told = len(loop.told)
    loop.composing = lambda _: [message()]
    loop.journal.failure = StoreFailed("disk full")
    answered = loop.submit(lead("1"))

    with pytest.raises(StoreFailed, match="disk full"):
        await asyncio.wait_for(loop.task, 60)

    assert not answered.done()
    assert loop.sent == []
    assert loop.told[told:] == []


async def test_the_inbox_has_a_limit_and_a_named_answer():
    """``offer`` refuses when full; ``push`` is for what is bounded elsewhere."""
    inbox = Inbox(limit=3)
    assert inbox.offer(Submission([Ticked(), Ticked()]))
    assert inbox.offer(Submission([Ticked(), Ticked()])), "whole submissions, past the limit once"
    assert not inbox.offer(Submission([Ticked()]))
    inbox.push(Submission([Ticked()]))
    assert inbox.events == 5

    assert [len(one.events) for one in inbox.take(3)] == [2, 2]

    assert inbox.offer(Submission([Ticked()] * 10)), "an empty place takes even a big one"
    inbox.open = False
    assert not inbox.offer(Submission([Ticked()]))
    assert len(inbox.take(100)) == 2
    assert inbox.events == 0


async def test_a_deadline_ticks_before_what_arrived_with_it(loop):
    """The lease was over when the rep's report came in: the report is late."""
    await loop.end()
    short = Loop(lease_seconds=10)
    await short.begin()
    await short.give(ready("ana"), lead("1"))
    key = next(iter(short.engine.state.leads))
    short.now_ns += 9 * SECOND
    await short.give(lead("2"))
    short.now_ns += 2 * SECOND

    (answer,) = await short.give(LeadEvent("e1", "dialer", "rejected", lead_key=key, rep="ana"))

    assert ("late", pytest.approx(1.0)) in short.told
    assert isinstance(short.journal.entries[-2].event, Ticked)
    assert (answer.outcome, short.engine.state.leads[key].state) == ("stale", "exception")
    await short.end()
    loop.task = short.task


async def test_after_a_stand_still_what_was_said_meanwhile_is_read_before_any_deadline():
    """The process was stopped for a minute; the rep called, and its report lies unread."""
    short = Loop(lease_seconds=10)
    await short.begin()
    await short.give(ready("ana"), lead("1"))
    key = next(iter(short.engine.state.leads))
    short.now_ns += 60 * SECOND
    await short.give(lead("2"))  # the first that was read
    still = short.journal.entries[-2]
    assert still.event == StoodStill(50.0)
    assert ("late", pytest.approx(50.0)) in short.told
    assert [type(decision) for decision in still.decisions] == [LeaseRestarted]
    short.now_ns += round(0.9 * CATCH_UP_SECONDS * SECOND)

    report = LeadEvent("e1", "dialer", "contacted", lead_key=key, rep="ana", evidence="dialer")
    (answer,) = await short.give(report)

    assert answer.outcome == "accepted"
    assert not [entry for entry in short.journal.entries if isinstance(entry.event, Ticked)]
    short.now_ns += round(0.2 * CATCH_UP_SECONDS * SECOND)
    short.inbox.wake()
    await short.give(lead("3"))
    assert short.engine.state.leads[key].state == "working"
    await short.end()


@pytest.mark.parametrize(
    ("jumped_seconds", "told", "because"),
    [(0, "stood_still", "the daemon stood still for 50 s"),
     (60, "clock_put_forward", "the clock was put forward by 50 s")],
)  # fmt: skip
async def test_a_late_deadline_is_told_by_its_cause(capsys, jumped_seconds, told, because):
    short = Loop(lease_seconds=10)
    await short.begin()
    await short.give(ready("ana"), lead("1"))
    capsys.readouterr()

    short.now_ns += 60 * SECOND
    short.jumped_ns = jumped_seconds * SECOND
    await short.give(lead("2"))

    (decision,) = short.journal.entries[-2].decisions
    assert decision.because.startswith(because)
    said = capsys.readouterr().out
    assert [name for name in ("stood_still", "clock_put_forward") if name in said] == [told]
    await short.end()


async def test_what_others_said_is_recorded_in_our_time(loop):
    loop.ahead_ns = 30 * SECOND
    loop.now_ns += 30 * SECOND
    await loop.give(PresenceReported("ana", "ready", "desktop", BEGIN))
    assert loop.journal.entries[-1].event.at_ns == BEGIN + 30 * SECOND
    assert loop.engine.state.reps["ana"].state_at_ns == BEGIN + 30 * SECOND


async def test_a_disk_that_takes_its_time_is_no_stand_still():
    """Deadlines act while a commit is being written."""

    class Living(Loop):
        begun = time.monotonic()
        now_ns = property(  # type: ignore[assignment]
            lambda self: BEGIN + int((time.monotonic() - self.begun) * 1e9), lambda self, _: None
        )

    living = Living(lease_seconds=0.1)
    await living.begin()
    await living.give(ready("ana"), lead("1"))
    key = next(iter(living.engine.state.leads))
    living.journal.gate.clear()
    answered = living.submit(lead("2"))
    async with asyncio.timeout(60):
        while living.engine.state.leads[key].state == "assigned":
            await asyncio.sleep(0.01)
    living.journal.gate.set()
    await answered
    assert not [entry for entry in living.journal.entries if isinstance(entry.event, StoodStill)]
    await living.end()


async def test_an_event_of_our_own_may_change_nothing(loop):
    entries = len(loop.journal.entries)
    assert list(await loop.give(DeliveryDelayed(("LONG-GONE-1",), True))) == []
    assert len(loop.journal.entries) == entries


async def test_the_daemons_own_silence_is_no_stand_still(loop):
    """Nothing was due meanwhile: nobody was judged either."""
    await loop.give(ready("ana"), lead("1"))
    loop.now_ns += 30 * SECOND
    await loop.give(lead("2"))
    assert not [entry for entry in loop.journal.entries if isinstance(entry.event, StoodStill)]


async def test_a_deadline_wakes_the_loop_by_itself():
    loop = Loop(lease_seconds=0.02)
    await loop.begin()
    await loop.give(ready("ana"), lead("1"))
    key = next(iter(loop.engine.state.leads))
    loop.journal.appending.clear()
    loop.now_ns += SECOND

    await asyncio.wait_for(loop.journal.appending.wait(), 60)

    assert loop.engine.state.leads[key].state != "assigned"
    await loop.end()


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
    loop.journal.closed["OLD"] = Lead(
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
    loop.journal.closed["OLD"] = Lead(
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
    await loop.give(ready("ana"), lead("1"))
    key = loop.engine.state.by_vendor["acme", "1"]
    closing = LeadEvent("e1", "dialer", "status", lead_key=key, status="lost")
    kept = LeadEvent("e2", "dialer", "contacted", assignment_id=key)
    forgotten = LeadEvent("e3", "dialer", "contacted", assignment_id="OLD")

    _, *answers = await loop.give(closing, kept, forgotten)

    told = [(answer.lead_key, answer.outcome, answer.reason) for answer in answers]
    reason = "not the lead's present assignment"
    assert told == [(key, "stale", reason), ("OLD", "stale", reason)]


async def test_snapshots_are_taken_of_the_last_commit(loop):
    await loop.end()
    keeping = Loop(snapshot_entries=5)
    await keeping.begin()
    for number in range(20):
        await keeping.give(lead(str(number)))
    await keeping.end()
    loop.task = keeping.task

    assert keeping.journal.snapshots
    for image in keeping.journal.snapshots:
        assert len(image.leads) == image.seq - 1, "every entry but the first brought a lead"
        restored = Engine(tag="T3ST", seed=7, factories=FACTORIES)
        restored.restore(image.head, image.leads)
        assert restored.state.ledger.difference == 0
    gaps = [image.seq for image in keeping.journal.snapshots]
    assert all(later - earlier >= 5 for earlier, later in zip(gaps, gaps[1:], strict=False))


async def test_a_snapshot_that_fails_stops_nothing(loop):
    await loop.end()
    keeping = Loop(snapshot_entries=2)
    keeping.journal.snapshot_failure = OSError("no room")
    await keeping.begin()
    for number in range(5):
        await keeping.give(lead(str(number)))
    await keeping.end()
    loop.task = keeping.task

    assert keeping.task.exception() is None
    assert len(keeping.journal.entries) == 6


async def test_stop_commits_what_was_taken_in():
    loop = Loop()
    await loop.begin()
    waiting = [loop.submit(lead(str(number))) for number in range(3 * BATCH_EVENTS)]

    loop.dispatcher.stop()
    await asyncio.wait_for(loop.task, 60)

    assert all(one.done() for one in waiting)
    assert not loop.inbox.offer(Submission([Ticked()]))


async def test_the_next_batch_is_decided_while_one_is_written_and_told_after_it(loop):
    """Memory may be one batch ahead of the disk; answers never are."""
    loop.journal.gate.clear()
    loop.journal.appending.clear()
    first = loop.submit(lead("1"))
    await loop.journal.appending.wait()
    second = loop.submit(lead("2"))
    while ("acme", "2") not in loop.engine.state.by_vendor:
        await asyncio.sleep(0)

    assert not first.done()
    assert not second.done()
    loop.journal.gate.set()
    await asyncio.gather(first, second)
    names = [e.event.vendor_id for e in loop.journal.entries if isinstance(e.event, LeadReceived)]
    assert names == ["1", "2"]


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


async def test_a_commit_that_fails_while_nothing_arrives_ends_the_loop():
    made = Loop()
    await made.begin()
    made.journal.failure = StoreFailed("the disk is full")
    made.submit(lead("1"))
    with pytest.raises(StoreFailed):
        await asyncio.wait_for(made.task, 60)


async def test_ticks_and_an_idle_loop_do_not_spin(loop):
    """A wake-up with nothing to do writes nothing, and wakes nobody again."""
    batches = len(loop.journal.batches)
    rounds = 0
    take = loop.inbox.take

    def counted(limit: int) -> Any:
        nonlocal rounds
        rounds += 1
        return take(limit)

    loop.inbox.take = counted
    loop.inbox.wake()
    for _ in range(200):
        await asyncio.sleep(0)
    assert rounds == 1
    await loop.give(lead("1"))
    assert len(loop.journal.batches) == batches + 1


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


async def test_the_dead_letters_of_refused_events_are_kept_like_any_other(loop: Loop) -> None:
    """As entries of the journal they are stored, counted and published once."""
    stranger = LeadEvent("e1", "dialer", "contacted", lead_key="NOSUCH")
    letter = Undecodable("leads/dialer/event", "no lead", b"{}")
    asked: list[Any] = []

    def letters(answers: Any) -> list[Undecodable]:
        asked.append([answer.outcome for answer in answers])
        return [letter]

    await asyncio.wait_for(loop.submit(stranger, letters=letters), 60)

    assert asked == [["rejected"]]
    kept = [entry for entry in loop.journal.entries if entry.event == letter]
    assert [type(decision) for decision in kept[0].decisions] == [DeadLettered]
    assert len(kept) == 1
