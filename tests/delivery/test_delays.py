"""Who is told of assignments that do not reach their dialer at once."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

from distributor.delivery import delays
from distributor.delivery.delays import DelayWatch
from distributor.delivery.outbox import Outbox
from distributor.domain.floor import FlowPlan
from distributor.domain.messages import Outgoing


class Watched:
    """A watch on an outbox of two targets, and what it told."""

    def __init__(self, journal: Any, clock: Any, time_scale: float = 1.0) -> None:
        self.told: list[tuple[list[str], bool, str]] = []
        self.outbox = Outbox(["mqtt", "cloud"], journal.pending, clock)
        self.watch = DelayWatch(
            self.outbox,
            clock,
            lambda: FlowPlan(time_scale=time_scale, lease_seconds=600.0),
            lambda ids, *more: self.told.append((list(ids), *more)),
        )


def other(message: Outgoing, kind: Any) -> Outgoing:
    return Outgoing(
        message.target, kind, "a", "", message.message_id, b"", message.at_ns, b"", message.id
    )


def test_assignments_that_wait_are_told_again_and_again(
    journal: Any, clock: Any, message: Any
) -> None:
    watched = Watched(journal, clock)
    first = message(1, "L1")
    watched.outbox.add([first, other(message(2, "L1"), "lead"), other(message(3, "L9"), "result")])
    watched.watch.look(6.0)
    assert watched.told == []
    clock.forward(4)
    watched.outbox.add([replace(message(4, "L2"), at_ns=clock())])
    clock.forward(3)
    watched.watch.look(6.0)
    watched.watch.look(6.0)
    assert watched.told == [([first.message_id], False, "")] * 2

    item = watched.outbox.lanes("mqtt").take()
    assert item is not None
    watched.outbox.lanes("mqtt").done(item)
    watched.watch.look(6.0)
    assert len(watched.told) == 2


def test_what_is_undelivered_for_a_whole_lease_is_told_no_more(
    journal: Any, clock: Any, message: Any
) -> None:
    """Else the lead would lie with its rep for as long as its dialer refuses it."""
    watched = Watched(journal, clock)
    watched.outbox.add([message(1, "L1")])
    clock.forward(599)
    watched.watch.look(6.0)
    assert len(watched.told) == 1
    clock.forward(2)
    watched.watch.look(6.0)
    assert len(watched.told) == 1


async def test_only_what_is_delivered_late_is_told_and_together(message: Any) -> None:
    watched = Watched.__new__(Watched)
    watched.told = []
    watched.watch = DelayWatch(
        None,  # type: ignore[arg-type]
        lambda: 0,
        FlowPlan,
        lambda ids, *more: watched.told.append((list(ids), *more)),
    )
    a, b = message(1, "L1"), message(2, "L2")
    watched.watch.settled(a, "done", 1.9)
    watched.watch.settled(other(a, "revoke"), "done", 60.0)
    watched.watch.settled(a, "dead", 60.0)
    watched.watch.settled(a, "done", 2.1)
    watched.watch.settled(b, "done", 60.0)
    assert watched.told == []
    await asyncio.sleep(0)
    assert watched.told == [([a.message_id, b.message_id], True, "")]


async def test_however_fast_the_floor_goes_a_delivery_has_its_time(message: Any) -> None:
    told: list[Any] = []
    watch = DelayWatch(
        None,  # type: ignore[arg-type]
        lambda: 0,
        lambda: FlowPlan(time_scale=6_000.0),
        lambda *more: told.append(more),
    )
    watch.settled(message(1, "L1"), "done", 0.9 * delays.LEAST_SECONDS)
    await asyncio.sleep(0)
    assert told == []


def test_a_flood_is_told_in_parts(journal: Any, clock: Any, message: Any) -> None:
    watched = Watched(journal, clock)
    watched.outbox.add([message(n, f"L{n}") for n in range(1, delays.MOST_AT_ONCE + 3)])
    clock.forward(10)
    watched.watch.look(6.0)
    assert [len(ids) for ids, *_ in watched.told] == [delays.MOST_AT_ONCE, 2]


async def test_what_nobody_listened_to_is_told_too(journal: Any, clock: Any, message: Any) -> None:
    watched = Watched(journal, clock)
    watched.watch.unheard("L1-1")
    watched.watch.settled(message(2, "L2"), "done", 60.0)
    await asyncio.sleep(0)
    assert watched.told == [
        ([message(2, "L2").message_id], True, ""),
        (["L1-1"], False, delays.UNHEARD),
    ]
