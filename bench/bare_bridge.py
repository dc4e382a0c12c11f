"""The bare bridge on aiomqtt alone, by the fastest way there is through it: inside, by callback.

Its public calls take twice as long: they wait for each publish by an event of its own.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import Any

import aiomqtt

from bench.broker import MAX_INFLIGHT
from distributor.mqtt import MqttSettings
from distributor.mqtt.options import make_client


class BareBridge:
    """Messages by callback, publishes by their packet id; no more in flight than the broker takes."""

    def __init__(self, client: aiomqtt.Client, topics: list[str], sizes: list[int]) -> None:
        self.bridged = 0
        self._out = [(name, b"x" * size) for name, size in zip(topics, sizes, strict=True)]
        self._paho: Any = client._client
        self._waiting: deque[int] = deque()
        self._cause: dict[int, int] = {}
        """The inbound packet id that each outbound one answers."""
        self._left: dict[int, int] = {}
        self._paho.manual_ack_set(True)
        self._paho.on_message = self._take
        self._paho.on_publish = self._settle

    def _take(self, _client: Any, _userdata: Any, message: Any) -> None:
        if self._waiting or not self._has_room():
            self._waiting.append(message.mid)
        else:
            self._answer(message.mid)

    def _has_room(self) -> bool:
        return len(self._cause) + len(self._out) <= MAX_INFLIGHT

    def _answer(self, cause: int) -> None:
        self._left[cause] = len(self._out)
        for topic, payload in self._out:
            self._cause[self._paho.publish(topic, payload, 1).mid] = cause

    def _settle(self, _client: Any, _userdata: Any, mid: int, _code: Any, _props: Any) -> None:
        cause = self._cause.pop(mid)
        self._left[cause] -= 1
        if not self._left[cause]:
            del self._left[cause]
            self.bridged += 1
            self._paho.ack(cause, 1)
        while self._waiting and self._has_room():
            self._answer(self._waiting.popleft())


def bare_client(settings: MqttSettings) -> aiomqtt.Client:
    """The library's client as it is fastest."""
    client = make_client(settings, mqtt5=True, will=None, tls=None, timeout_seconds=10.0)
    # The count is ours; the library's own would walk everything in flight at each PUBACK.
    client._client.max_inflight_messages_set(0)
    return client


async def bridge_until(
    stop: asyncio.Event, settings: MqttSettings, topic: str, topics: list[str], sizes: list[int]
) -> int:
    """Bridge from ``topic`` until ``stop`` is set; prints ``ready``. The number of messages."""
    client = bare_client(settings)
    bridge = BareBridge(client, topics, sizes)
    async with client:
        wire: Any = client._client.socket()
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await client.subscribe(topic, qos=1)
        print("ready", flush=True)
        await stop.wait()
    return bridge.bridged
