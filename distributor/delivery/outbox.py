"""What is committed and not delivered: in memory up to a limit, the rest stays in the journal.

The journal's rows are the truth; this is the part of them that senders work on. What became of a
message goes back as a ``Settlement`` that the runtime writes with its next commit, so a message may be
sent again after a crash, and is never forgotten. Where something follows from giving a message up, its
settlement is written in the commit of what follows: neither is there without the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from distributor.delivery.lanes import Item, Lanes
from distributor.domain.ids import to_seconds
from distributor.domain.messages import Outgoing, Result, Settlement

Pending = Callable[[str, int, int], Awaitable[list[tuple[Outgoing, int, int]]]]
"""``Journal.pending``: (target, after_id, limit) -> (message, attempts, next_ns)."""

OnResult = Callable[[Outgoing, Result, float], None]
"""Told of every settlement: message, result, seconds since the decision."""

OnGivenUp = Callable[[Item, Settlement], bool]
"""Told of every message that its sender gives up, ``dead`` or ``in_doubt``. True: who was told writes the
settlement, with what follows from it."""


class _Shelf:
    """One target: its lanes, and how far the journal's rows have been taken into them.

    ``last_id``: the greatest number in the lanes, ever. ``top_id``: the greatest number known to exist;
    what lies between (``beyond`` messages) is read from the journal when there is room.
    """

    __slots__ = ("beyond", "lanes", "last_id", "target", "top_id")

    def __init__(self, target: str, lanes: Lanes) -> None:
        self.target = target
        self.lanes = lanes
        self.last_id = 0
        self.top_id = 0
        self.beyond = 0


class Outbox:
    """The undelivered messages of every target.

    ``limit``: messages held in memory per target. ``on_settlement`` is called when the first
    settlement waits to be written; ``on_result`` for each one; ``on_given_up`` for each message that
    is given up. A message for a target without a sender is held like any other: its depth shows it.
    """

    def __init__(
        self,
        targets: Iterable[str],
        pending: Pending,
        now_ns: Callable[[], int],
        *,
        limit: int = 20_000,
        on_settlement: Callable[[], None] | None = None,
        on_result: OnResult | None = None,
        on_given_up: OnGivenUp | None = None,
    ) -> None:
        self.limit = limit
        self._pending = pending
        self._now_ns = now_ns
        self._on_settlement = on_settlement
        self._on_result = on_result
        self._on_given_up = on_given_up
        self._settlements: list[Settlement] = []
        self._room = asyncio.Event()
        self._stopping = False
        self._shelves: dict[str, _Shelf] = {}
        for target in targets:
            self._shelf(target)

    @property
    def targets(self) -> tuple[str, ...]:
        """Every target that has or had messages, and those named at the start."""
        return tuple(self._shelves)

    def lanes(self, target: str) -> Lanes:
        """The messages of one target, for its sender."""
        return self._shelf(target).lanes

    async def load(self) -> None:
        """Take in what earlier processes left undelivered to the targets named at the start. Called
        once, before anything is added. See ``abandon`` for other targets."""
        for shelf in self._shelves.values():
            rows = await self._pending(shelf.target, 0, self.limit)
            self._take_in(shelf, rows)
            while len(rows) >= self.limit:
                rows = await self._pending(shelf.target, rows[-1][0].id, self.limit)
                shelf.beyond += len(rows)
                shelf.top_id = rows[-1][0].id if rows else shelf.top_id

    def add(self, messages: Sequence[Outgoing]) -> None:
        """Queue messages that were just committed, with their numbers, in order."""
        touched: dict[str, Lanes] = {}
        for message in messages:
            shelf = self._shelf(message.target)
            if message.id <= shelf.top_id:
                continue  # read from the journal before we were told
            full = shelf.last_id < shelf.top_id or len(shelf.lanes) >= self.limit
            shelf.top_id = message.id
            if full:
                shelf.beyond += 1
                continue
            shelf.last_id = message.id
            shelf.lanes.put(Item(message))
            touched[message.target] = shelf.lanes
        for lanes in touched.values():
            lanes.on_ready()

    async def abandon(self, target: str, error: str) -> list[tuple[Outgoing, Settlement]]:
        """Give up, with ``error``, all that waits for a target that has no sender any more. Returns
        the messages, oldest first, with the settlements that the caller writes, as ``on_given_up``
        would; that one is not called."""
        given_up: list[tuple[Outgoing, Settlement]] = []
        rows = await self._pending(target, 0, self.limit)
        while rows:
            for message, attempts, _ in rows:
                settlement = Settlement(message.id, "dead", attempts, 0, error)
                given_up.append((message, settlement))
                self._count(message, settlement)
            rows = await self._pending(target, rows[-1][0].id, self.limit)
        self._shelves.pop(target, None)
        return given_up

    def take_settlements(self) -> list[Settlement]:
        """What became of messages since the last call; the caller writes it with its next commit."""
        taken = self._settlements
        self._settlements = []
        return taken

    def depth(self, target: str) -> int:
        """Messages that are not delivered, in memory or not."""
        shelf = self._shelf(target)
        return len(shelf.lanes) + shelf.beyond

    def oldest_age(self, target: str) -> float:
        """Seconds since the oldest undelivered message was decided, 0 without any."""
        oldest = self._shelf(target).lanes.oldest_ns
        return 0.0 if oldest is None else max(0.0, to_seconds(self._now_ns() - oldest))

    async def run(self) -> None:
        """Read from the journal whenever a target has room for what lies beyond. Errors of the journal
        end it."""
        while not self._stopping:
            for shelf in tuple(self._shelves.values()):
                while self._wants(shelf):
                    await self._refill(shelf)
            await self._room.wait()
            self._room.clear()

    async def stop(self) -> None:
        """End ``run``."""
        self._stopping = True
        self._room.set()

    def _wants(self, shelf: _Shelf) -> bool:
        # A quarter at a time: reading for each settled message would read far too often.
        if self._stopping:
            return False
        return shelf.last_id < shelf.top_id and len(shelf.lanes) <= self.limit * 3 // 4

    async def _refill(self, shelf: _Shelf) -> None:
        room = self.limit - len(shelf.lanes)
        top, beyond = shelf.top_id, shelf.beyond
        rows = await self._pending(shelf.target, shelf.last_id, room)
        if len(rows) < room:
            # The read saw all that existed before it: what it did not bring is gone. What was added
            # while it ran is still out there, unless the read brought that, too.
            brought = sum(1 for message, _, _ in rows if top < message.id <= shelf.top_id)
            shelf.beyond -= beyond + brought
            shelf.last_id = max(shelf.last_id, top)
        else:
            shelf.beyond -= sum(1 for message, _, _ in rows if message.id <= shelf.top_id)
        self._take_in(shelf, rows)
        shelf.lanes.on_ready()

    def _take_in(self, shelf: _Shelf, rows: Sequence[tuple[Outgoing, int, int]]) -> None:
        for message, attempts, _ in rows:
            # What an earlier process put off is tried at once: the restart may be part of the remedy.
            shelf.lanes.put(Item(message, attempts, loaded=True))
        if rows:
            shelf.last_id = max(shelf.last_id, rows[-1][0].id)
            shelf.top_id = max(shelf.top_id, shelf.last_id)

    def _shelf(self, target: str) -> _Shelf:
        shelf = self._shelves.get(target)
        if shelf is None:
            shelf = self._shelves[target] = _Shelf(target, Lanes(self._settled))
        return shelf

    def _settled(self, item: Item, settlement: Settlement) -> None:
        given_up = settlement.result in ("dead", "in_doubt")
        tell = self._on_given_up
        if not (given_up and tell is not None and tell(item, settlement)):
            self._settlements.append(settlement)
            if len(self._settlements) == 1 and self._on_settlement is not None:
                self._on_settlement()
        self._count(item.message, settlement)
        if self._wants(self._shelves[item.message.target]):
            self._room.set()

    def _count(self, message: Outgoing, settlement: Settlement) -> None:
        if self._on_result is not None:
            seconds = max(0.0, to_seconds(self._now_ns() - message.at_ns))
            self._on_result(message, settlement.result, seconds)
