"""Sends the outbox to the MQTT broker: pipelined, in order, and again after every lost connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from distributor.delivery.cuts import QUIET_SECONDS, CutWatch
from distributor.delivery.lanes import Item, Lanes
from distributor.delivery.timer import Timer
from distributor.domain.ids import to_ns, to_seconds
from distributor.mqtt.values import (
    PACKET_TOO_LARGE,
    ConnectionLost,
    OnResult,
    PublishResult,
)

REFUSED_FIRST_SECONDS: Final = 10.0
REFUSED_MAX_SECONDS: Final = 300.0
REPORT_SECONDS: Final = 60.0
MAX_ARRAY_BYTES: Final = 256 * 1024
"""An array ends here although it could hold more: brokers limit the size of a message."""

_DIALER_KINDS: Final = ("assign", "revoke")


class Link(Protocol):
    """What is needed of the broker connection (``distributor.mqtt.MqttLink``)."""

    @property
    def free_slots(self) -> int:
        """Publishes that may be sent now, 0 while not connected."""
        ...

    def send(
        self, topic: str, payload: bytes, on_result: OnResult, *, correlation: bytes = b""
    ) -> None:
        """Publish at QoS 1; ``on_result`` is called once, never from within this call. Raises
        ValueError for a topic that cannot be published to."""
        ...


class MqttSender:
    """A service for the target ``mqtt``. Call ``connected`` when the connection is up.

    ``assign_topic``: where arrays for the dialer go when ``assign_batch`` is more than 1.
    ``refused_first_seconds`` doubles up to ``refused_max_seconds`` between tries of what the broker
    refused. ``quiet_seconds``: see ``CutWatch``. ``no_subscriber`` counts, by kind, messages that nobody
    listened to. ``desktops``: reps' own topics are told of each assignment, too; ``on_unheard`` is called
    with one that nobody listened to anywhere.
    """

    def __init__(
        self,
        lanes: Lanes,
        link: Link,
        now_ns: Callable[[], int],
        *,
        assign_topic: str = "leads/dialer/assign",
        assign_batch: int = 1,
        refused_first_seconds: float = REFUSED_FIRST_SECONDS,
        refused_max_seconds: float = REFUSED_MAX_SECONDS,
        quiet_seconds: float = QUIET_SECONDS,
        desktops: bool = True,
        on_unheard: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.no_subscriber: dict[str, int] = {}
        self.refused = 0
        self._lanes = lanes
        self._link = link
        self._now_ns = now_ns
        self._assign_topic = assign_topic
        self._batch = assign_batch
        self._array_bytes = MAX_ARRAY_BYTES
        self._refused_first = refused_first_seconds
        self._refused_max = refused_max_seconds
        self._desktops = desktops
        self._on_unheard = on_unheard
        self._unheard: set[str] = set()
        self._wake = asyncio.Event()
        self._watch = CutWatch(self._wake.set, quiet_seconds)
        self._cut_off: list[list[Item]] = []
        self._answer = asyncio.Event()
        self._stopping = False
        self._log = structlog.get_logger(__name__)
        self._reported: dict[tuple[str, str], tuple[float, int]] = {}
        lanes.on_ready = self._wake.set

    def connected(self) -> None:
        """The connection is up."""
        self._watch.connected()
        self._wake.set()

    def wake(self) -> None:
        """Look again."""
        self._wake.set()

    async def run(self) -> None:
        """Send until ``stop``."""
        timer = Timer(self._wake.set)
        try:
            while not self._stopping:
                self._wake.clear()
                self._send()
                due = self._lanes.next_due_ns
                timer.arm(None if due is None else to_seconds(due - self._now_ns()))
                await self._wake.wait()
        finally:
            timer.arm(None)
            self._watch.close()

    async def stop(self, grace_seconds: float = 5.0) -> None:
        """Send nothing more and wait for the answers that are still due, at most so long. The rest
        stays in the outbox."""
        self._stopping = True
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                while self._lanes.sent:
                    self._answer.clear()
                    await self._answer.wait()

    def _send(self) -> None:
        """Fill the free slots with the oldest messages; what shares an array shares a slot."""
        lanes = self._lanes
        lanes.tick(self._now_ns())
        slots = self._watch.slots(self._link.free_slots, lanes.sent)
        array: list[Item] = []
        size = 0
        while (item := lanes.peek()) is not None:
            batched = self._batch > 1 and item.message.kind in _DIALER_KINDS
            if batched and array and size + len(item.message.payload) > self._array_bytes:
                self._publish_array(array)
                array, size = [], 0
            if not (batched and array):
                if slots <= 0:
                    break
                slots -= 1
            lanes.take()
            if not batched:
                self._publish(item.message.address, item.message.payload, [item])
                continue
            array.append(item)
            size += len(item.message.payload)
            if len(array) >= self._batch:
                self._publish_array(array)
                array, size = [], 0
        if array:
            self._publish_array(array)

    def _publish_array(self, items: list[Item]) -> None:
        # Each payload is JSON text already: an array is these texts with commas between.
        payload = b"[" + b",".join([item.message.payload for item in items]) + b"]"
        self._publish(self._assign_topic, payload, items)

    def _publish(self, topic: str, payload: bytes, items: list[Item]) -> None:
        def on_result(result: PublishResult | ConnectionLost) -> None:
            self._answered(topic, items, result)

        try:
            self._link.send(topic, payload, on_result, correlation=items[0].message.correlation)
        except ValueError as error:
            for item in items:
                self._lanes.dead(item, f"cannot publish to {topic!r}: {error}")

    def _answered(
        self, topic: str, items: list[Item], result: PublishResult | ConnectionLost
    ) -> None:
        self._answer.set()
        if isinstance(result, ConnectionLost):
            # No wake: the link calls when it is connected again.
            self._lanes.put_back(items)
            if result.cut:
                self._was_cut(items)
            return
        self._watch.answered()
        if result.reason_code == PACKET_TOO_LARGE:
            self._was_too_large(topic, items, result)
        elif result.refused:
            self._was_refused(topic, items, result.reason_code)
        else:
            for item in items:
                self._lanes.done(item)
            if result.no_subscribers:
                for item in items:
                    self._was_unheard(item)
                self._report("nobody_subscribed", topic, items[0].message.kind, len(items))
            elif self._unheard:
                self._unheard.difference_update([item.message.message_id for item in items])
        self._wake.set()

    def _was_unheard(self, item: Item) -> None:
        """An assignment is unheard when neither the dialer's topic nor the rep's has a listener."""
        kind, assignment_id = item.message.kind, item.message.message_id
        self.no_subscriber[kind] = self.no_subscriber.get(kind, 0) + 1
        if kind == "assign" and self._desktops:
            self._unheard.add(assignment_id)  # the desktop's copy left after it
        elif kind == "assign" or (kind == "lead" and assignment_id in self._unheard):
            self._unheard.discard(assignment_id)
            self._on_unheard(assignment_id)

    def _was_refused(self, topic: str, items: list[Item], code: int) -> None:
        """Slowly: a broker may end the connection at each refusal."""
        self.refused += len(items)
        now_ns = self._now_ns()
        for item in items:
            pause = min(self._refused_first * 2.0 ** min(item.attempts, 30), self._refused_max)
            error = f"the broker refused {topic}: 0x{code:02x}"
            item.refusals += 1
            self._lanes.retry(item, now_ns + to_ns(pause), error)
        self._report("publish_refused", topic, items[0].message.kind, len(items), code=code)

    def _was_too_large(self, topic: str, items: list[Item], result: PublishResult) -> None:
        """An array is made smaller; a message alone is given up: it will not get smaller."""
        if len(items) > 1:
            self._shrink_arrays(items)
            self._lanes.put_back(items)
            return
        (item,) = items
        size, limit = result.packet_bytes, result.limit_bytes
        of = f"{size} of {limit} bytes" if limit else f"{size} bytes"
        error = f"larger than the broker takes ({of}): raise max_packet_size there"
        self._log_given_up("message_too_large", topic, item, error)
        # Nobody has it, whatever happened to it before: it would have been too large then, too.
        item.loaded = False
        item.refusals = item.attempts + 1
        self._lanes.dead(item, error)

    def _shrink_arrays(self, items: list[Item]) -> None:
        size = sum(len(item.message.payload) for item in items)
        self._array_bytes = max(1, min(size, self._array_bytes) // 2)

    def _was_cut(self, items: list[Item]) -> None:
        """Note it, and look once all that was under way is told."""
        if not self._cut_off:
            asyncio.get_running_loop().call_soon(self._after_cut)
        self._cut_off.append(items)

    def _after_cut(self) -> None:
        """Where one message alone makes the broker hang up, a human decides about it."""
        cut_off, self._cut_off = self._cut_off, []
        cuts = self._watch.cuts + 1
        if not self._watch.cut(len(cut_off)):
            return
        (items,) = cut_off
        if len(items) > 1:
            self._shrink_arrays(items)
            return
        (item,) = items
        error = (
            f"the broker hung up {cuts} times when this came ({len(item.message.payload)} bytes): "
            "larger than it takes, or a topic that it forbids; its log says which"
        )
        self._log_given_up("message_cut_off", item.message.address, item, error)
        self._lanes.in_doubt(item, error)

    def _log_given_up(self, event: str, topic: str, item: Item, error: str) -> None:
        message = item.message
        self._log.error(
            event, topic=topic, kind=message.kind, lead_key=message.order_key, error=error
        )

    def _report(self, event: str, topic: str, kind: str, count: int, **more: int) -> None:
        """A line a minute for each kind of message, with how many there were."""
        now = asyncio.get_running_loop().time()
        said, silent = self._reported.get((event, kind), (now - REPORT_SECONDS, 0))
        if now - said < REPORT_SECONDS:
            self._reported[event, kind] = (said, silent + count)
            return
        self._reported[event, kind] = (now, 0)
        self._log.warning(event, topic=topic, kind=kind, messages=silent + count, **more)
