"""An outside system at the broker: it listens, and says things until the broker has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from distributor.errors import Unavailable
from distributor.mqtt import AckToken, Inbound, MqttLink, MqttSettings
from distributor.runtime.clock import jitter

_CONNECT_SECONDS = 15.0
_RETRY_SECONDS = 0.2
_encode = msgspec.json.Encoder().encode


class Address(msgspec.Struct, frozen=True):
    """Where the broker is and which MQTT it speaks."""

    host: str
    port: int
    username: str
    protocol: Any


class Peer:
    """One client of the broker. ``hear(topic, payload)`` is called for what comes in."""

    def __init__(
        self,
        address: Address,
        name: str,
        filters: Sequence[str],
        hear: Callable[[str, bytes], None],
    ) -> None:
        settings = MqttSettings(
            host=address.host,
            port=address.port,
            client_id=name,
            username=address.username,
            protocol=address.protocol,
        )
        self._hear = hear
        self._link = MqttLink(settings, jitter=jitter)
        self._link.listen(filters, self._take)
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once connected and subscribed. Raises ``Unavailable``."""
        self._running = asyncio.create_task(self._link.run(), name="demo peer")
        try:
            await asyncio.wait_for(self._link.connected.wait(), _CONNECT_SECONDS)
        except TimeoutError:
            problem = self._link.problem or "the broker does not answer"
            await self.stop()
            raise Unavailable(problem) from None

    async def say(self, topic: str, value: object) -> None:
        """Publish ``value`` as JSON; returns when the broker has it."""
        payload = _encode(value)
        while True:
            await self._link.wait_for_slots()
            try:
                await self._link.publish(topic, payload)
            except Unavailable:
                await asyncio.sleep(_RETRY_SECONDS)  # receivers drop what they have already
            else:
                return

    async def stop(self) -> None:
        """Say goodbye."""
        await self._link.close()
        if self._running is not None:
            await asyncio.wait({self._running})

    def _take(self, topic: str, payload: bytes, token: AckToken, inbound: Inbound) -> None:
        self._link.ack([token])
        self._hear(topic, payload)
