"""A bare bridge: the yardstick that the daemon is measured against.

The same link, the same broker, no logic and no disk: every message on the inbound topic is
answered by ``--out`` publishes and acknowledged once the broker has taken them all.
``--bare`` does the same without the link: aiomqtt as it comes, with its own reading and
writing, by the fastest way that its calls allow. ``--commit FILE`` is the first with a COMMIT of
what has come, in the way of the daemon's store, before anything goes out.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sqlite3
import sys
from collections import deque
from pathlib import Path
from typing import Any

import structlog

from bench.bare_bridge import bridge_until
from distributor.mqtt import (
    AckToken,
    ConnectionLost,
    Inbound,
    MqttLink,
    MqttSettings,
    PublishResult,
)
from distributor.store.connection import Hop, connect_writer


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
        self._answer_in_turn(token)

    def _answer_in_turn(self, token: AckToken) -> None:
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


class CommittingBridge(Bridge):
    """A row a message in one table; as many to a COMMIT as have come meanwhile."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._come: asyncio.Queue[tuple[bytes, AckToken]] = asyncio.Queue()

    async def commit(self, path: Path) -> None:
        """Into a new file at ``path``, until cancelled: commit what comes, then answer it."""
        hop = Hop(lambda: connect_writer(path, "full"))
        await hop.open()
        try:
            await hop.run(lambda db: db.execute("CREATE TABLE inbox (payload BLOB)"))
            while True:
                taken = [await self._come.get()]
                while not self._come.empty():
                    taken.append(self._come.get_nowait())
                await hop.run(_insert, [(payload,) for payload, _ in taken])
                for _, token in taken:
                    self._answer_in_turn(token)
        finally:
            await hop.close()

    def _take(self, _topic: str, payload: bytes, token: AckToken, _inbound: Inbound) -> None:
        self._come.put_nowait((payload, token))


def _insert(db: sqlite3.Connection, rows: list[tuple[bytes]]) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.executemany("INSERT INTO inbox VALUES (?)", rows)
    db.execute("COMMIT")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.bridge", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--client-id", default="bench-bridge")
    parser.add_argument("--topic", default="bench/in", help="inbound topic filter")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--bare", action="store_true", help="aiomqtt without our link")
    way.add_argument("--commit", type=Path, metavar="FILE", help="into a new SQLite file first")
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
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if arguments.bare:
        what = (arguments.topic, arguments.topics, arguments.sizes)
        bridged = await bridge_until(stop, settings, *what)
    else:
        bridged = await _link_until(stop, settings, arguments)
    print(f"bridged {bridged}", flush=True)


async def _link_until(
    stop: asyncio.Event, settings: MqttSettings, arguments: argparse.Namespace
) -> int:
    kind = CommittingBridge if arguments.commit else Bridge
    bridge = kind(settings, arguments.topic, arguments.topics, arguments.sizes)
    bridge.link.on_connected.append(lambda _present: print("ready", flush=True))
    tasks = [asyncio.create_task(bridge.link.run())]
    if isinstance(bridge, CommittingBridge):
        tasks.append(asyncio.create_task(bridge.commit(arguments.commit)))
    ended = asyncio.create_task(stop.wait())
    await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
    await bridge.link.close()
    for task in (ended, *tasks):
        task.cancel()
    await asyncio.gather(ended, *tasks, return_exceptions=True)
    return bridge.bridged


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    gc.freeze()
    asyncio.run(run(_arguments()))
