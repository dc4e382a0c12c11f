"""The loop decides in order, commits once a batch, and tells nobody before the disk knows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from distributor.domain.decisions import (
    Assigned,
    DeadLettered,
    LeadAccepted,
    LeadDuplicate,
)
from distributor.domain.events import (
    DeliveryDelayed,
    DeliveryFailed,
    FloorChanged,
    LeadEvent,
    LeadReceived,
    PresenceReported,
    Ticked,
    Undecodable,
)
from distributor.domain.messages import Outgoing, Settlement
from distributor.errors import StoreFailed
from distributor.runtime.dispatcher import BATCH_EVENTS
from distributor.runtime.inbox import Inbox, Submission
from tests.runtime.loop import Loop, lead, message, ready


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


async def test_an_event_of_our_own_may_change_nothing(loop):
    entries = len(loop.journal.entries)
    assert list(await loop.give(DeliveryDelayed(("LONG-GONE-1",), True))) == []
    assert len(loop.journal.entries) == entries


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
