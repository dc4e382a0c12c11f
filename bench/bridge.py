"""A bare bridge: the yardstick that the daemon is measured against.

The same link, the same broker, no logic and no disk: every message on the inbound topic is
answered by ``--out`` publishes and acknowledged once the broker has taken them all.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import signal
import sys
from collections import deque

import structlog

from distributor.mqtt import (
    AckToken,
    ConnectionLost,
    Inbound,
    MqttLink,
    MqttSettings,
    PublishResult,
)


class Bridge:
    """Publishes ``sizes[i]`` bytes on ``topics[i]`` for each inbound message."""

    def __init__(
        self, settings: MqttSettings, topic: str, topics: list[str], sizes: list[int]
    ) -> None:
        # The acknowledgement waits for the publishes, so reading must never be held.
        self.link = MqttLink(settings, jitter=lambda: 0.5, hold_unacked=False)
        self.link.listen([topic], self._take)
        self.link.on_connected.append(lambda _present: self._go_on())
        self.link.on_disconnected.append(lambda _reason: self._waiting.clear())
        self.bridged = 0
        self._out = [(name, b"x" * size) for name, size in zip(topics, sizes, strict=True)]
        self._waiting: deque[AckToken] = deque()
        self._done: list[AckToken] = []

    def _take(self, _topic: str, _payload: bytes, token: AckToken, _inbound: Inbound) -> None:
        if self._waiting or self.link.free_slots < len(self._out):
            self._waiting.append(token)
        else:
            self._answer(token)

    def _answer(self, token: AckToken) -> None:
        left = len(self._out)

        def settle(result: PublishResult | ConnectionLost) -> None:
            nonlocal left
            left -= 1
            if left or isinstance(result, ConnectionLost):
                return
            if not self._done:
                asyncio.get_running_loop().call_soon(self._acknowledge)
            self._done.append(token)

        for topic, payload in self._out:
            self.link.send(topic, payload, settle)

    def _acknowledge(self) -> None:
        done, self._done = self._done, []
        self.bridged += len(done)
        self.link.ack(done)
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self.link.free_slots >= len(self._out):
            self._answer(self._waiting.popleft())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.bridge", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--client-id", default="bench-bridge")
    parser.add_argument("--topic", default="bench/in", help="inbound topic filter")
    parser.add_argument("--out", type=int, default=1, help="publishes per message")
    parser.add_argument("--topics", nargs="*", help="one per publish (bench/out/0, ...)")
    parser.add_argument("--sizes", type=int, nargs="*", help="payload bytes of each (346)")
    arguments = parser.parse_args()
    arguments.topics = arguments.topics or [f"bench/out/{i}" for i in range(arguments.out)]
    sizes = arguments.sizes or [346]
    arguments.sizes = (sizes * len(arguments.topics))[: len(arguments.topics)]
    return arguments


async def run(arguments: argparse.Namespace) -> None:
    """Bridge until SIGTERM or SIGINT; prints ``ready`` once connected."""
    settings = MqttSettings(host=arguments.host, port=arguments.port, client_id=arguments.client_id)
    bridge = Bridge(settings, arguments.topic, arguments.topics, arguments.sizes)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    bridge.link.on_connected.append(lambda _present: print("ready", flush=True))
    task = asyncio.create_task(bridge.link.run())
    await stop.wait()
    await bridge.link.close()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    print(f"bridged {bridge.bridged}", flush=True)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    gc.freeze()
    asyncio.run(run(_arguments()))
