"""A floor in virtual time with its ``/metrics`` behind the daemon's own HTTP, and what an answer costs."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import perf_counter, process_time, thread_time
from typing import Any

from aiohttp import web
from msgspec import Struct

from bench.world import BEGIN_NS, World
from distributor.app.census import EngineCensus
from distributor.app.process import GARBAGE_THRESHOLDS, SWITCH_SECONDS
from distributor.delivery.outbox import Outbox
from distributor.domain.messages import BROKER_TARGET, Outgoing
from distributor.intake.http_api import make_http_app
from distributor.intake.http_auth import Tokens
from distributor.intake.http_listener import listen
from distributor.intake.http_parts import Parts
from distributor.observe.exposition import CONTENT_TYPE, Exposition
from distributor.observe.metrics import Metrics, PerRep

BEAT_SECONDS = 0.001


class Cost(Struct):
    """One answer: bytes, CPU seconds of the loop's thread and of the scrape's, seconds by the clock."""

    received: int
    loop: float
    thread: float
    seconds: float


class Site:
    """The metrics of ``world``, and where they are asked for."""

    def __init__(self, world: World, per_rep: PerRep, folder: Path) -> None:
        self.world = world
        outbox = Outbox([BROKER_TARGET], _nothing, lambda: BEGIN_NS)
        path = folder / "none.db"
        self.census = EngineCensus(world.engine.state, outbox, path, lambda: world.now_ns)
        self.metrics = Metrics(world.engine.state.floor, [], per_rep)
        self.exposition = Exposition(self.metrics, self.census)
        world.changed = self.exposition.changed
        self.port = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listen."""
        no_other: dict[str, Any] = dict.fromkeys(Parts.__struct_fields__)
        parts = Parts(**(no_other | {"metrics": self._scrape}))
        runner = web.AppRunner(make_http_app(parts, lambda: Tokens([])))
        await runner.setup()
        assert runner.server is not None
        listener = await listen(runner.server, "127.0.0.1", 0)
        self.port = listener.port
        try:
            yield
        finally:
            listener.close()
            await runner.cleanup()

    async def _scrape(self, compressed: bool) -> tuple[Sequence[bytes], str]:
        return await self.exposition.render(compressed=compressed), CONTENT_TYPE

    def live(self) -> None:
        """Let a tenth of the reps get a lead."""
        end = self.world.assignments + max(1, len(self.world.names) // 10)
        self.world.run(lambda: self.world.assignments >= end)

    async def ask(self, *, compressed: bool = True) -> Cost:
        """One answer to a client in a thread of its own."""
        self.exposition.forget()
        begun, cpu, loop = perf_counter(), process_time(), thread_time()
        received, client = await asyncio.to_thread(_fetch, self.port, compressed)
        loop, cpu = thread_time() - loop, process_time() - cpu
        return Cost(received, loop, max(0.0, cpu - loop - client), perf_counter() - begun)


def _fetch(port: int, compressed: bool) -> tuple[int, float]:
    """Bytes of the answer, and the CPU seconds that reading it took."""
    begun = thread_time()
    coding = b"Accept-Encoding: gzip\r\n" if compressed else b""
    request = b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n%s\r\n" % coding
    buffer, received = bytearray(1 << 20), 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        while count := connection.recv_into(buffer):
            received += count
    return received, thread_time() - begun


async def _nothing(_target: str, _after: int, _limit: int) -> list[tuple[Outgoing, int, int]]:
    return []


class Heart:
    """Beats every millisecond and remembers how late each beat was, and what our thread worked
    in between: on a busy machine the first holds other programs' work, too."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self.work_ms: list[float] = []

    async def beat(self) -> None:
        """Beat until cancelled."""
        last, worked = perf_counter(), thread_time()
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            now, work = perf_counter(), thread_time()
            self.late_ms.append(max(0.0, now - last - BEAT_SECONDS) * 1e3)
            self.work_ms.append((work - worked) * 1e3)
            last, worked = now, work

    def take(self) -> tuple[list[float], list[float]]:
        """Lateness and work of every beat since the last call."""
        taken = self.late_ms, self.work_ms
        self.late_ms, self.work_ms = [], []
        return taken


@contextmanager
def as_in_the_daemon() -> Iterator[None]:
    """Threads take turns, and garbage is looked for, as ``distributor run`` has it."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
