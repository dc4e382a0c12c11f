"""The outbox: bounded memory over the journal's rows, settlements back to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from distributor.delivery.lanes import Item
from distributor.delivery.outbox import Outbox
from distributor.domain.messages import Outgoing, Settlement


async def drained(outbox: Outbox, journal: Any, target: str = "mqtt") -> list[int]:
    """Take and settle whatever comes until nothing is left."""
    taken = []
    lanes = outbox.lanes(target)
    for _ in range(10_000):
        lanes.tick(1 << 62)
        while (item := lanes.take()) is not None:
            taken.append(item.message.id)
            lanes.done(item)
        journal.commit([], outbox.take_settlements())
        if not outbox.depth(target):
            return taken
        await asyncio.sleep(0)
    raise AssertionError(f"{outbox.depth(target)} messages never came")


async def test_added_messages_are_handed_out_in_order_and_settled(
    journal: Any, clock: Any, message: Any
) -> None:
    woken: list[str] = []
    results: list[tuple[str, str, float]] = []
    outbox = Outbox(
        ["mqtt"],
        journal.pending,
        clock,
        on_settlement=lambda: woken.append("wake"),
        on_result=lambda message, *more: results.append((message.target, *more)),
    )
    rows = [message(1, "L1"), message(2, "L2")]
    journal.commit(rows)
    outbox.add(rows)
    clock.forward(2)
    assert outbox.depth("mqtt") == 2
    assert round(outbox.oldest_age("mqtt"), 3) == 2.0
    assert await drained(outbox, journal) == [1, 2]
    assert woken == ["wake"]  # once for both
    assert [(target, result, round(age)) for target, result, age in results] == [
        ("mqtt", "done", 2)
    ] * 2
    assert not journal.rows
    assert outbox.oldest_age("mqtt") == 0.0


async def test_settlements_are_taken_once(journal: Any, clock: Any, message: Any) -> None:
    outbox = Outbox(["mqtt"], journal.pending, clock)
    outbox.add([message(1)])
    item = outbox.lanes("mqtt").take()
    assert item is not None
    outbox.lanes("mqtt").retry(item, 5, "no")
    assert outbox.take_settlements() == [Settlement(1, "retry", 1, 5, "no")]
    assert outbox.take_settlements() == []


async def test_who_is_told_of_a_message_that_is_given_up_may_write_its_settlement(
    journal: Any, clock: Any, message: Any
) -> None:
    told: list[tuple[int, str, str]] = []
    results: list[str] = []

    def given_up(item: Item, settlement: Settlement) -> bool:
        told.append((item.message.id, settlement.result, settlement.error))
        return item.message.kind == "assign"

    outbox = Outbox(
        ["mqtt"],
        journal.pending,
        clock,
        on_given_up=given_up,
        on_result=lambda _target, result, _age: results.append(result),
    )
    rows = [message(n, f"L{n}") for n in range(1, 5)]
    outbox.add([*rows, message(5, "L5", "revoke")])
    lanes = outbox.lanes("mqtt")
    taken = [lanes.take() for _ in range(5)]
    first, second, third, fourth, fifth = (item for item in taken if item is not None)
    lanes.done(first)
    lanes.retry(second, 5, "HTTP 500")
    assert told == []
    lanes.in_doubt(third, "no answer")
    lanes.dead(fourth, "HTTP 422")
    lanes.dead(fifth, "HTTP 404")
    assert told == [(3, "in_doubt", "no answer"), (4, "dead", "HTTP 422"), (5, "dead", "HTTP 404")]
    written = [(one.id, one.result) for one in outbox.take_settlements()]
    assert written == [(1, "done"), (2, "retry"), (5, "dead")]
    assert results == ["done", "retry", "in_doubt", "dead", "dead"]


async def test_what_waits_for_a_target_without_a_sender_is_left_until_it_is_abandoned(
    journal: Any, clock: Any, message: Any
) -> None:
    rows = [message(n, f"L{n}", target="gone") for n in range(1, 6)]
    journal.commit([*rows, message(6, "L6")])
    journal.commit([], [Settlement(2, "retry", 4, 5, "HTTP 500")])
    woken: list[str] = []
    results: list[tuple[str, str, float]] = []
    outbox = Outbox(
        ["mqtt"],
        journal.pending,
        clock,
        limit=2,
        on_settlement=lambda: woken.append("wake"),
        on_result=lambda message, *more: results.append((message.target, *more)),
    )
    await outbox.load()
    assert (outbox.targets, outbox.take_settlements()) == (("mqtt",), [])

    given_up = await outbox.abandon("gone", "no such dialer")

    assert [message for message, _ in given_up] == rows
    settlements = [settlement for _, settlement in given_up]
    assert settlements == [
        Settlement(n, "dead", 4 if n == 2 else 0, 0, "no such dialer") for n in range(1, 6)
    ]
    assert (outbox.take_settlements(), woken) == ([], [])  # the caller writes them
    assert [(target, result) for target, result, _ in results] == [("gone", "dead")] * 5
    journal.commit([], settlements)
    assert list(journal.rows) == [6]
    assert await outbox.abandon("gone", "no such dialer") == []
    assert outbox.depth("mqtt") == 1


async def test_an_abandoned_target_has_nothing_left_in_memory(
    journal: Any, clock: Any, message: Any
) -> None:
    outbox = Outbox(["mqtt"], journal.pending, clock)
    rows = [message(1, target="gone")]
    journal.commit(rows)
    outbox.add(rows)
    assert [row for row, _ in await outbox.abandon("gone", "no such dialer")] == rows
    assert outbox.targets == ("mqtt",)


async def test_what_earlier_processes_put_off_is_tried_at_once_and_goes_on_counting(
    journal: Any, clock: Any, message: Any
) -> None:
    journal.commit([message(1, "L1"), message(2, "L1", "revoke"), message(3, "L2")])
    later = clock.ns + 10**9
    journal.commit([], [Settlement(1, "retry", 4, later, "HTTP 500")])
    outbox = Outbox(["mqtt"], journal.pending, clock)
    await outbox.load()
    lanes = outbox.lanes("mqtt")
    lanes.tick(clock.ns)
    taken = [lanes.take(), lanes.take()]
    assert [(i.message.id, i.loaded, i.attempts) for i in taken if i] == [
        (1, True, 4),
        (3, True, 0),
    ]
    assert lanes.take() is None
    assert lanes.next_due_ns is None


async def test_memory_holds_the_limit_and_the_rest_comes_from_the_journal(
    journal: Any, clock: Any, message: Any
) -> None:
    outbox = Outbox(["mqtt"], journal.pending, clock, limit=10)
    rows = [message(n, f"L{n}") for n in range(1, 36)]
    journal.commit(rows)
    outbox.add(rows)
    assert len(outbox.lanes("mqtt")) == 10
    assert outbox.depth("mqtt") == 35
    task = asyncio.create_task(outbox.run())
    assert await drained(outbox, journal) == list(range(1, 36))
    await outbox.stop()
    await task
    assert max(limit for _, _, limit in journal.reads) <= 10


async def test_a_backlog_beyond_the_limit_is_counted_at_the_start(
    journal: Any, clock: Any, message: Any
) -> None:
    journal.commit([message(n, f"L{n}") for n in range(1, 26)])
    outbox = Outbox(["mqtt"], journal.pending, clock, limit=10)
    await outbox.load()
    assert (len(outbox.lanes("mqtt")), outbox.depth("mqtt")) == (10, 25)
    late = [message(26, "L26")]
    journal.commit(late)
    outbox.add(late)
    task = asyncio.create_task(outbox.run())
    assert await drained(outbox, journal) == list(range(1, 27))
    await outbox.stop()
    await task


async def test_targets_do_not_share_their_room(journal: Any, clock: Any, message: Any) -> None:
    outbox = Outbox(["mqtt", "vici"], journal.pending, clock, limit=2)
    rows = [message(n, f"L{n}", target="vici") for n in range(1, 9)] + [message(9, "L9")]
    journal.commit(rows)
    outbox.add(rows)
    assert (outbox.depth("vici"), outbox.depth("mqtt")) == (8, 1)
    assert outbox.lanes("mqtt").take() is not None


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 6), st.booleans(), st.booleans()), max_size=25
    )
)
def test_every_committed_message_is_handed_out_once(
    make: Callable[..., Outgoing], make_journal: Any, make_clock: Any, steps: Any
) -> None:
    """Whatever the commits, reads and settlements overtake: ``late`` tells the outbox of a commit
    only after the loop went round, so a read may see rows before ``add`` does."""

    async def scenario() -> None:
        journal, clock = make_journal(), make_clock()
        outbox = Outbox(["mqtt"], journal.pending, clock, limit=5)
        task = asyncio.create_task(outbox.run())
        taken: list[int] = []
        number = 0
        for commits, takes, late, pause in steps:
            rows = [make(number + n, f"L{number + n}") for n in range(1, commits + 1)]
            number += commits
            journal.commit(rows)
            if late:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            outbox.add(rows)
            lanes = outbox.lanes("mqtt")
            for _ in range(takes):
                if (item := lanes.take()) is not None:
                    taken.append(item.message.id)
                    lanes.done(item)
            assert len(lanes) <= 5
            journal.commit([], outbox.take_settlements())
            if pause:
                await asyncio.sleep(0)
            assert outbox.depth("mqtt") == number - len(taken)
        taken += await drained(outbox, journal)
        await outbox.stop()
        await task
        assert taken == list(range(1, number + 1))

    asyncio.run(scenario())
