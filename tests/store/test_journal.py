"""The conformance suite: what any keeper of the ``Journal`` port must do.

``KEEPERS`` names the implementations; a new one adds an opener and passes everything here.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distributor.domain.faults import InvariantBroken
from distributor.domain.journal import Batch, Entry, SnapshotImage
from distributor.domain.messages import Outgoing, Settlement
from distributor.errors import Fenced
from distributor.store.sqlite import REPEATS_KNOWN_NS, SQLiteStore

from . import builders as b


async def newest(journal: Any) -> SnapshotImage | None:
    found = await journal.snapshots()
    return await journal.get_snapshot(found[0]) if found else None


async def open_sqlite(folder: Path) -> SQLiteStore:
    return await SQLiteStore.open(folder / "j.db", "normal", entropy=lambda count: bytes(count))


KEEPERS = {"sqlite": open_sqlite}
Open = Callable[[], Awaitable[SQLiteStore]]


@pytest.fixture(params=sorted(KEEPERS))
async def open_journal(request, tmp_path):
    opened = []

    async def opener():
        opened.append(await KEEPERS[request.param](tmp_path))
        return opened[-1]

    yield opener
    for journal in opened:
        await journal.close()


@pytest.fixture
async def journal(open_journal):
    return await open_journal()


async def everything(journal, after: int = 0) -> list[Entry]:
    return [entry async for chunk in journal.read(after) for entry in chunk]


async def test_a_new_journal_is_empty(journal):
    assert journal.last_seq == 0
    assert await everything(journal) == []
    assert await newest(journal) is None
    assert await journal.pending("mqtt", 0, 10) == []


async def test_what_was_appended_is_read_back_in_order(journal):
    batch = b.leads_in(1, 3)
    stats = await journal.append(batch, expect=0, epoch=journal.epoch)
    assert stats.rows >= 3
    assert stats.seconds > 0
    assert journal.last_seq == 3
    assert await everything(journal) == list(batch.entries)


async def test_reading_goes_on_after_a_number_and_sees_what_came_later(journal):
    await journal.append(b.leads_in(1, 3), expect=0, epoch=journal.epoch)
    assert [entry.seq for entry in await everything(journal, 2)] == [3]
    await journal.append(b.leads_in(4, 2), expect=3, epoch=journal.epoch)
    assert [entry.seq for entry in await everything(journal, 2)] == [3, 4, 5]


async def test_a_long_journal_is_read_in_chunks_without_a_gap(journal):
    entries = [b.tick(seq) for seq in range(1, 2_502)]
    await journal.append(Batch(entries), expect=0, epoch=journal.epoch)
    sizes = [len(chunk) async for chunk in journal.read(0)]
    assert sizes == [1_000, 1_000, 501]
    assert [entry.seq for entry in await everything(journal)] == list(range(1, 2_502))


@pytest.mark.parametrize("expect", [0, 2])
async def test_a_wrong_expectation_is_fenced_and_writes_nothing(journal, expect):
    await journal.append(b.leads_in(1, 1), expect=0, epoch=journal.epoch)
    with pytest.raises(Fenced):
        await journal.append(b.leads_in(expect + 1, 1), expect=expect, epoch=journal.epoch)
    assert journal.last_seq == 1
    assert len(await everything(journal)) == 1


async def test_an_old_owner_is_fenced_and_writes_nothing(open_journal):
    """The epoch rule: a process that was replaced cannot write, however it got hold of the file."""
    first = await open_journal()
    old = first.epoch
    await first.close()
    second = await open_journal()
    assert second.epoch == old + 1
    with pytest.raises(Fenced):
        await second.append(b.leads_in(1, 1), expect=0, epoch=old)
    assert await everything(second) == []


async def test_entries_with_a_gap_are_a_defect_and_write_nothing(journal):
    with pytest.raises(InvariantBroken):
        await journal.append(Batch([b.tick(1), b.tick(3)]), expect=0, epoch=journal.epoch)
    assert journal.last_seq == 0


async def test_a_batch_of_settlements_alone_moves_no_number(journal):
    await journal.append(Batch([b.tick(1)], outgoing=[b.message(1)]), expect=0, epoch=1)
    await journal.append(Batch(settlements=[Settlement(1, "done")]), expect=1, epoch=1)
    assert journal.last_seq == 1
    assert await journal.pending("mqtt", 0, 10) == []


async def test_everything_survives_a_new_owner(open_journal):
    first = await open_journal()
    batch = b.leads_in(1, 2)
    await first.append(batch, expect=0, epoch=first.epoch)
    await first.put_snapshot(SnapshotImage(2, b"head", list(batch.leads)))
    await first.close()
    second = await open_journal()
    assert second.last_seq == 2
    assert (second.tag, second.seed) == (first.tag, first.seed)
    assert await everything(second) == list(batch.entries)
    assert await newest(second) == SnapshotImage(2, b"head", list(batch.leads))


async def test_a_cancelled_append_still_counts_when_it_was_written(journal):
    """The writer finishes what it began; the number must follow the disk, not the task."""
    task = asyncio.ensure_future(journal.append(b.leads_in(1, 1), expect=0, epoch=journal.epoch))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await journal.append(b.leads_in(2, 1), expect=1, epoch=journal.epoch)
    assert journal.last_seq == 2


async def test_lookup_finds_the_original_of_a_vendors_id(journal):
    await journal.append(b.leads_in(1, 80), expect=0, epoch=journal.epoch)
    asked = [("acme", f"v{n}") for n in range(200)] + [("other", "v1")]
    found = await journal.lookup(asked, [], [])
    assert found.originals == {("acme", f"v{n}"): b.key(n) for n in range(1, 81)}


async def test_lookup_returns_closed_leads_whole_and_open_ones_not(journal):
    leads = [b.closed(1), b.assigned(2)]
    await journal.append(Batch([b.tick(1)], leads), expect=0, epoch=journal.epoch)
    found = await journal.lookup([], [], [b.key(1), b.key(2), b.key(3)])
    assert found.leads == {b.key(1): b.closed(1)}


async def test_a_revived_lead_is_no_longer_found_as_closed(journal):
    await journal.append(Batch([b.tick(1)], [b.closed(1)]), expect=0, epoch=1)
    await journal.append(Batch([b.tick(2)], [b.waiting(1)]), expect=1, epoch=1)
    assert (await journal.lookup([], [], [b.key(1)])).leads == {}


async def test_an_event_id_is_known_for_seven_days_and_to_its_source_alone(journal):
    await journal.append(Batch([b.event(1, "e1")]), expect=0, epoch=journal.epoch)
    await journal.append(Batch([b.tick(2, at=b.T0 + REPEATS_KNOWN_NS)]), expect=1, epoch=1)
    asked = [("dialer", "e1"), ("dialer", "e2"), ("rep:ana", "e1")]
    assert (await journal.lookup([], asked, [])).seen == {("dialer", "e1")}
    await journal.append(Batch([b.tick(3, at=b.T0 + REPEATS_KNOWN_NS + 1)]), expect=2, epoch=1)
    assert (await journal.lookup([], asked, [])).seen == set()


async def test_a_rejected_event_may_be_sent_again_and_an_old_one_is_known(journal):
    """What was refused had no effect: its sender may put it right under the same id."""
    entries = [b.event(1, "refused", "rejected"), b.event(2, "late", "stale")]
    await journal.append(Batch(entries), expect=0, epoch=journal.epoch)
    asked = [("dialer", "refused"), ("dialer", "late")]
    assert (await journal.lookup([], asked, [])).seen == {("dialer", "late")}


async def test_an_event_repeated_after_seven_days_is_known_anew(journal):
    later = b.T0 + 2 * REPEATS_KNOWN_NS
    await journal.append(Batch([b.event(1, "e1")]), expect=0, epoch=1)
    await journal.append(Batch([b.event(2, "e1", at=later)]), expect=1, epoch=1)
    assert (await journal.lookup([], [("dialer", "e1")], [])).seen == {("dialer", "e1")}


async def test_targets_are_listed_while_a_message_waits_for_them(journal):
    """A target whose messages are all settled needs no sender: dead and doubtful ones do not wait."""
    assert await journal.outbox_targets() == []
    targets = ("vici", "mqtt", "vici", "dead", "doubt", "done")
    out = [b.message(n, target=target) for n, target in enumerate(targets, 1)]
    await journal.append(Batch([b.tick(1)], outgoing=out), expect=0, epoch=1)
    settled = [Settlement(1, "retry", 1, 5, "no"), Settlement(4, "dead"), Settlement(6, "done")]
    settled.append(Settlement(5, "in_doubt"))
    await journal.append(Batch(settlements=settled), expect=1, epoch=1)
    assert await journal.outbox_targets() == ["mqtt", "vici"]


async def test_pending_messages_come_by_target_in_order_from_a_number_on(journal):
    out = [b.message(n, "mqtt" if n % 2 else "vici") for n in range(1, 8)]
    await journal.append(Batch([b.tick(1)], outgoing=out), expect=0, epoch=journal.epoch)
    assert await journal.pending("mqtt", 1, 2) == [(out[2], 0, 0), (out[4], 0, 0)]
    assert [m.id for m, _, _ in await journal.pending("vici", 0, 10)] == [2, 4, 6]


async def test_a_retry_keeps_its_count_and_time_and_given_up_messages_leave_the_queue(journal):
    out = [b.message(n) for n in range(1, 5)]
    await journal.append(Batch([b.tick(1)], outgoing=out), expect=0, epoch=journal.epoch)
    settled = [
        Settlement(1, "retry", 3, b.T0 + 5, "refused"),
        Settlement(2, "dead", 5, 0, "400"),
        Settlement(3, "in_doubt", 1),
        Settlement(4, "done"),
    ]
    await journal.append(Batch(settlements=settled), expect=1, epoch=journal.epoch)
    assert await journal.pending("mqtt", 0, 10) == [(out[0], 3, b.T0 + 5)]


async def test_a_snapshot_of_many_leads_comes_back_whole(journal):
    await journal.append(Batch([b.tick(1)]), expect=0, epoch=journal.epoch)
    image = SnapshotImage(1, b"head", [b.waiting(n) for n in range(4_001)])
    await journal.put_snapshot(image)
    assert await newest(journal) == image


async def test_a_snapshot_without_leads_comes_back(journal):
    await journal.put_snapshot(SnapshotImage(0, b"empty", []))
    assert await newest(journal) == SnapshotImage(0, b"empty", [])


async def test_the_newest_snapshot_counts_and_putting_it_twice_changes_nothing(journal):
    await journal.append(Batch([b.tick(n) for n in range(1, 5)]), expect=0, epoch=journal.epoch)
    for seq in (1, 2, 3, 4, 4):
        await journal.put_snapshot(SnapshotImage(seq, b"%d" % seq, [b.waiting(seq)]))
    assert await newest(journal) == SnapshotImage(4, b"4", [b.waiting(4)])


async def test_a_snapshot_ahead_of_the_journal_is_refused(journal):
    with pytest.raises(InvariantBroken):
        await journal.put_snapshot(SnapshotImage(1, b"", []))


async def test_an_unfinished_snapshot_is_ignored_and_does_not_hinder_the_next(open_journal):
    journal = await open_journal()
    await journal.append(Batch([b.tick(1), b.tick(2)]), expect=0, epoch=journal.epoch)
    await journal.put_snapshot(SnapshotImage(1, b"good", [b.waiting(1)]))
    with pytest.raises(TypeError):  # The leads break off half way.
        await journal.put_snapshot(SnapshotImage(2, b"bad", [*[b.waiting(2)] * 2_000, object()]))
    assert await newest(journal) == SnapshotImage(1, b"good", [b.waiting(1)])
    await journal.put_snapshot(SnapshotImage(2, b"new", [b.waiting(2)]))
    assert await newest(journal) == SnapshotImage(2, b"new", [b.waiting(2)])


async def test_appends_go_on_while_a_snapshot_is_written(journal):
    await journal.append(Batch([b.tick(1)]), expect=0, epoch=journal.epoch)
    image = SnapshotImage(1, b"head", [b.waiting(n) for n in range(20_000)])
    putting = asyncio.ensure_future(journal.put_snapshot(image))
    appended = 0
    while not putting.done():
        seq = journal.last_seq
        await journal.append(Batch([b.tick(seq + 1)]), expect=seq, epoch=journal.epoch)
        appended += 1
    await putting
    assert appended >= 5, "each part must leave room for a commit"
    found = await newest(journal)
    assert found is not None
    assert len(found.leads) == 20_000


class Model:
    """The journal as plain lists."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.outbox: dict[int, tuple[Outgoing, int, int]] = {}
        self.snapshots: dict[int, SnapshotImage] = {}
        self.next_id = 1


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 20), st.integers(0, 3)),
        st.tuples(st.just("stale"), st.integers(-2, 2), st.integers(-1, 1)),
        st.tuples(
            st.just("settle"),
            st.integers(0, 5),
            st.sampled_from(["done", "retry", "dead", "in_doubt"]),
        ),
        st.tuples(st.just("snapshot"), st.integers(0, 3), st.none()),
        st.tuples(st.just("reopen"), st.none(), st.none()),
    ),
    max_size=12,
)


@pytest.mark.parametrize("keeper", sorted(KEEPERS))
@settings(max_examples=25)
@given(steps=steps)
def test_any_sequence_of_calls_agrees_with_a_list(keeper, steps):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(follow(KEEPERS[keeper], Path(folder), steps))


async def follow(opener, folder: Path, steps) -> None:
    journal, model = await opener(folder), Model()
    try:
        for step in steps:
            if step[0] == "reopen":
                await journal.close()
                journal = await opener(folder)
            else:
                await ACTIONS[step[0]](journal, model, step[1], step[2])
            await agree(journal, model)
    finally:
        await journal.close()


async def append(journal, model: Model, count: int, messages: int) -> None:
    seq = len(model.entries)
    batch = b.leads_in(seq + 1, count)
    batch.outgoing = [b.message(model.next_id + n) for n in range(messages)]
    await journal.append(batch, expect=seq, epoch=journal.epoch)
    model.entries += batch.entries
    model.outbox |= {m.id: (m, 0, 0) for m in batch.outgoing}
    model.next_id += messages


async def stale(journal, model: Model, seq_off: int, epoch_off: int) -> None:
    if not seq_off and not epoch_off:
        return
    expect = len(model.entries) + seq_off
    with pytest.raises(Fenced):
        await journal.append(
            b.leads_in(expect + 1, 1), expect=expect, epoch=journal.epoch + epoch_off
        )


async def settle(journal, model: Model, place: int, result: str) -> None:
    if place >= len(model.outbox):
        return
    number = sorted(model.outbox)[place]
    await journal.append(
        Batch(settlements=[Settlement(number, result, 2, 7)]),
        expect=len(model.entries),
        epoch=journal.epoch,
    )
    old = model.outbox.pop(number)
    if result == "retry":
        model.outbox[number] = (old[0], 2, 7)


async def snapshot(journal, model: Model, back: int, _: None) -> None:
    seq = max(0, len(model.entries) - back)
    image = SnapshotImage(seq, b"%d" % seq, [b.waiting(seq)])
    await journal.put_snapshot(image)
    model.snapshots[seq] = image


ACTIONS = {"append": append, "stale": stale, "settle": settle, "snapshot": snapshot}


async def agree(journal, model: Model) -> None:
    assert journal.last_seq == len(model.entries)
    assert await everything(journal) == model.entries
    pending = await journal.pending("mqtt", 0, 1_000)
    assert pending == [model.outbox[number] for number in sorted(model.outbox)]
    expected = model.snapshots[max(model.snapshots)] if model.snapshots else None
    assert await newest(journal) == expected
