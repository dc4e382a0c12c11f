"""Links for tests: with a queue of what came in, and an end that is always orderly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from distributor.mqtt import AckToken, Inbound, LastWill, MqttLink, MqttSettings

WAIT_SECONDS = 60.0


class Came(NamedTuple):
    """One inbound message."""

    topic: str
    payload: bytes
    token: AckToken
    inbound: Inbound


class Peer:
    """A link and what it received."""

    def __init__(self, link: MqttLink, filters: Sequence[str], *, acking: bool) -> None:
        self.link = link
        self.came: asyncio.Queue[Came] = asyncio.Queue()
        self._acking = acking
        link.listen(filters, self._take)
        self.task = asyncio.create_task(link.run())

    def _take(self, topic: str, payload: bytes, token: AckToken, inbound: Inbound) -> None:
        self.came.put_nowait(Came(topic, payload, token, inbound))
        if self._acking:
            self.link.ack([token])

    async def next(self) -> Came:
        """The next message."""
        return await asyncio.wait_for(self.came.get(), WAIT_SECONDS)

    async def take(self, count: int) -> list[Came]:
        """The next ``count`` messages."""
        return [await self.next() for _ in range(count)]

    async def connected(self) -> None:
        """Wait for the connection."""
        await asyncio.wait_for(self.link.connected.wait(), WAIT_SECONDS)

    async def settled(self) -> None:
        """A round trip: what was sent to us before has been read."""
        await asyncio.wait_for(self.link.publish("settled", b""), WAIT_SECONDS)

    async def close(self) -> None:
        """An orderly end."""
        await self.link.close()
        await asyncio.wait({self.task})


def make_link(port: int, client_id: str = "us", **more: Any) -> MqttLink:
    """A link that reconnects fast. ``more``: settings, or arguments of MqttLink."""
    arguments = {
        name: more.pop(name) for name in ("will", "expect_session", "hold_unacked") if name in more
    }
    settings = MqttSettings(
        port=port,
        client_id=client_id,
        **{"reconnect_first_seconds": 0.02, "reconnect_max_seconds": 0.1, **more},
    )
    return MqttLink(settings, jitter=lambda: 0.5, **arguments)


@asynccontextmanager
async def peer(
    port: int,
    client_id: str = "us",
    filters: Sequence[str] = (),
    *,
    acking: bool = True,
    wait: bool = True,
    **more: Any,
) -> AsyncIterator[Peer]:
    """A running link, connected unless ``wait`` is False."""
    made = Peer(make_link(port, client_id, **more), filters, acking=acking)
    try:
        if wait:
            await made.connected()
        yield made
    finally:
        await made.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what no event announces."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


async def publish_many(link: MqttLink, topic: str, payloads: Sequence[bytes]) -> None:
    """Publish all and wait until the broker has them."""
    answers = []
    for payload in payloads:
        await asyncio.wait_for(link.wait_for_slots(), WAIT_SECONDS)
        answers.append(link.publish(topic, payload))
    await asyncio.wait_for(asyncio.gather(*answers), WAIT_SECONDS)


__all__ = ["Came", "LastWill", "Peer", "make_link", "peer", "publish_many", "until"]
