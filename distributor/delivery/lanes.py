"""The order of one target's messages.

Messages of one ``order_key`` (a lead) stand in a lane and leave one act after another: the next
assignment or revocation of a lead goes out when the one before it is settled. Messages of one *act*
(the same assignment told to the dialer and to the rep's desktop) have different receivers and may be
under way together. What a receiver refused steps aside: from then on only the same receiver's messages
wait for it, and those of other receivers pass. Lanes do not wait for each other, so many leads are
under way at once while a refused message holds back nothing but its own lead at its own receiver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Final, Literal

from distributor.domain.messages import Outgoing, OutgoingKind, Settlement

ItemState = Literal["waiting", "ready", "sent", "delayed"]

_ACTS: Final[dict[OutgoingKind, str]] = {"lead": "assign", "lead_revoke": "revoke"}
"""What the message to the desktop belongs to; any other kind is an act of its own."""


class Item:
    """A message that is not settled yet, and how far it got.

    ``state``: ``waiting`` behind its lane, ``ready`` to be sent, ``sent`` and unanswered, or
    ``delayed`` until ``next_ns``. ``attempts`` counts answers that were no success, ``refusals`` those
    that the message itself caused, ``misdirected`` those that any message would have got. ``loaded``: an earlier process may have sent it. ``uncertain``:
    nobody knows whether it was taken. ``hasty``: delayed by the target's fault, not by its own.
    ``receiver``: who reads it, one of those behind the target.
    """

    __slots__ = (
        "act",
        "attempts",
        "hasty",
        "loaded",
        "message",
        "misdirected",
        "next_ns",
        "receiver",
        "refusals",
        "state",
        "uncertain",
    )

    def __init__(
        self, message: Outgoing, attempts: int = 0, next_ns: int = 0, loaded: bool = False
    ) -> None:
        self.message = message
        self.attempts = attempts
        self.next_ns = next_ns
        self.loaded = loaded
        self.refusals = 0
        self.misdirected = 0
        self.uncertain = False
        self.hasty = False
        self.state: ItemState = "waiting"
        self.act = (message.message_id, _ACTS.get(message.kind, message.kind))
        # leads/dialer, leads/rep/ana, ...: one receiver's topics differ in their last word alone.
        self.receiver = message.address.rpartition("/")[0]

    @property
    def untaken(self) -> bool:
        """Whether it is certain that the receiver does not have it: it never left, or every time it
        was refused."""
        return not self.loaded and self.refusals + self.misdirected == self.attempts


class Lanes:
    """What one target has not taken yet. ``on_ready`` is called when there may be something to send.

    The sender calls ``tick``, then ``peek`` and ``take``, and answers each taken item with exactly
    one of ``done``, ``retry``, ``put_back``, ``dead`` or ``in_doubt``.
    """

    def __init__(self, settle: Callable[[Item, Settlement], None]) -> None:
        self.on_ready: Callable[[], None] = _nothing
        self.sent = 0
        self._settle = settle
        self._items: dict[int, Item] = {}
        self._lanes: dict[str, list[Item]] = {}
        # Heaps of outbox numbers: the oldest message goes first. Entries that no longer hold are
        # skipped when they come up.
        self._ready: list[int] = []
        self._delayed: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._items)

    @property
    def oldest_ns(self) -> int | None:
        """When the oldest message was decided; None without messages."""
        for item in self._items.values():
            return item.message.at_ns
        return None

    def unsettled(self, kind: OutgoingKind, from_ns: int, to_ns: int) -> list[str]:
        """The ``message_id`` of messages of a kind that were decided in that time, oldest first."""
        found = []
        for item in self._items.values():
            if item.message.at_ns > to_ns:
                break  # they stand in the order of their numbers, and so of their times
            if item.message.kind == kind and item.message.at_ns >= from_ns:
                found.append(item.message.message_id)
        return found

    def put(self, item: Item) -> None:
        """Queue a message; its number is greater than those put before."""
        message = item.message
        self._items[message.id] = item
        if not message.order_key:
            self._free(item)
            return
        lane = self._lanes.get(message.order_key)
        if lane is None:
            self._lanes[message.order_key] = [item]
            self._free(item)
            return
        lane.append(item)
        self._advance(lane)

    def tick(self, now_ns: int) -> None:
        """Make ready what is delayed until now."""
        while self._delayed and self._delayed[0][0] <= now_ns:
            next_ns, number = heappop(self._delayed)
            item = self._items.get(number)
            if item is not None and item.state == "delayed" and item.next_ns == next_ns:
                self._make_ready(item)

    def hurry(self) -> None:
        """Make ready what is delayed only because the target failed."""
        for item in list(self._items.values()):
            if item.state == "delayed" and item.hasty:
                self._make_ready(item)

    @property
    def next_due_ns(self) -> int | None:
        """When the next delayed message comes up; None without any."""
        while self._delayed:
            next_ns, number = self._delayed[0]
            item = self._items.get(number)
            if item is not None and item.state == "delayed" and item.next_ns == next_ns:
                return next_ns
            heappop(self._delayed)
        return None

    def peek(self) -> Item | None:
        """The oldest message that may be sent now."""
        ready = self._ready
        while ready:
            item = self._items.get(ready[0])
            if item is not None and item.state == "ready":
                return item
            heappop(ready)
        return None

    def least_tried(self) -> Item | None:
        """As ``peek``, but of the messages with the fewest attempts; revocations come last."""
        items = (self._items.get(number) for number in self._ready)
        ready = [item for item in items if item is not None and item.state == "ready"]
        return min(ready, key=_by_attempts, default=None)

    def take(self, item: Item | None = None) -> Item | None:
        """As ``peek``, or this ready item; the message counts as sent from here on."""
        item = item or self.peek()
        if item is not None:
            if self._ready[0] == item.message.id:
                heappop(self._ready)
            item.state = "sent"
            self.sent += 1
        return item

    def revocation_of(self, item: Item) -> Item | None:
        """The revocation that stands behind an assignment in its lane."""
        for other in self._lanes.get(item.message.order_key, ()):
            if other.message.kind == "revoke" and other.message.message_id == item.act[0]:
                return other
        return None

    def done(self, item: Item) -> None:
        """The receiver has it, or it is not needed any more."""
        self._finish(item, Settlement(item.message.id, "done", item.attempts))

    def dead(self, item: Item, error: str) -> None:
        """Given up: a human sees it in the outbox."""
        item.attempts += 1
        self._finish(item, Settlement(item.message.id, "dead", item.attempts, 0, error))

    def in_doubt(self, item: Item, error: str) -> None:
        """Nobody knows whether it was taken, and it must not be repeated."""
        item.attempts += 1
        self._finish(item, Settlement(item.message.id, "in_doubt", item.attempts, 0, error))

    def retry(self, item: Item, next_ns: int, error: str, *, hasty: bool = False) -> None:
        """Not taken: again at ``next_ns``; other receivers do not wait for it any more."""
        self.sent -= 1
        item.attempts += 1
        item.hasty = hasty
        item.next_ns = next_ns
        item.state = "delayed"
        heappush(self._delayed, (next_ns, item.message.id))
        lane = self._lanes.get(item.message.order_key)
        if lane is not None and len(lane) > 1:
            self._advance(lane)
        self._settle(item, Settlement(item.message.id, "retry", item.attempts, next_ns, error))

    def put_back(self, items: Iterable[Item]) -> None:
        """The connection was lost before an answer came: again, in order, as soon as it is back."""
        for item in items:
            self.sent -= 1
            self._make_ready(item)

    def _free(self, item: Item) -> None:
        """Nothing stands before this item, but perhaps its own delay."""
        if item.next_ns:
            item.state = "delayed"
            heappush(self._delayed, (item.next_ns, item.message.id))
        else:
            self._make_ready(item)

    def _make_ready(self, item: Item) -> None:
        item.state = "ready"
        item.hasty = False
        heappush(self._ready, item.message.id)

    def _advance(self, lane: list[Item]) -> None:
        """Free what nothing stands before any more: the act in front, and at every receiver what may
        pass that which others refused."""
        act: tuple[str, str] | None = None  # the oldest one that nobody refused
        busy: set[str] = set()
        refusing: set[str] = set()
        for item in lane:
            if item.receiver in refusing:
                continue  # behind what its own receiver refused: nobody waits for it either
            fits = act is None or item.act == act
            if fits and item.state == "waiting" and item.receiver not in busy:
                self._free(item)
            busy.add(item.receiver)
            if item.attempts:
                refusing.add(item.receiver)
            elif fits:
                act = item.act
            else:
                break

    def _finish(self, item: Item, settlement: Settlement) -> None:
        del self._items[settlement.id]
        if item.state == "sent":
            self.sent -= 1
        key = item.message.order_key
        lane = self._lanes.get(key) if key else None
        if lane is not None:
            lane.remove(item)
            if not lane:
                del self._lanes[key]
            else:
                self._advance(lane)
        self._settle(item, settlement)


def _by_attempts(item: Item) -> tuple[bool, int, int]:
    return item.message.kind == "revoke", item.attempts, item.message.id


def _nothing() -> None:
    """Nobody listens yet."""
