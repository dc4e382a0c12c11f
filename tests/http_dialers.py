"""A dialer behind HTTP that a test scripts, and a webhook sender's side of it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from distributor.delivery.lanes import Item, Lanes
from distributor.delivery.webhook import WebhookSender
from distributor.domain.dialers import WebhookCall, WebhookPlan
from distributor.domain.messages import Settlement


class Dialer:
    """An HTTP dialer that does what the test scripted, then answers 200."""

    def __init__(self) -> None:
        self.url = ""
        self.script: list[Callable[[web.Request], Awaitable[web.StreamResponse]]] = []
        self.requests: list[tuple[str, str, str]] = []
        self.times: list[float] = []
        self.headers: list[Any] = []
        self.bodies: list[bytes] = []
        self.under_way = 0
        self.most = 0
        self.asked = asyncio.Event()
        self.release = asyncio.Event()

    def answers(self, *statuses: int, text: str = "", **headers: str) -> None:
        async def answer(status: int) -> web.Response:
            return web.Response(status=status, text=text, headers=headers)

        self.script += [lambda _request, status=one: answer(status) for one in statuses]

    def hangs(self) -> None:
        async def hang(_request: web.Request) -> web.Response:
            await self.release.wait()
            return web.Response()

        self.script.append(hang)

    async def received(self, count: int) -> None:
        """Return when so many requests have come in, whole."""
        async with asyncio.timeout(30):
            while len(self.requests) < count:
                self.asked.clear()
                await self.asked.wait()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        self.headers.append(request.headers)
        self.times.append(asyncio.get_running_loop().time())
        key = request.headers.get("Idempotency-Key", "")
        self.requests.append((request.method, request.path, key))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.asked.set()
        try:
            if self.script:
                return await self.script.pop(0)(request)
            return web.Response(text="fine")
        finally:
            self.under_way -= 1


@contextlib.asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Dialer]:
    """A dialer that listens; with ``tls`` behind https://."""
    dialer = Dialer()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", dialer.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    scheme = "https" if tls else "http"
    dialer.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield dialer
    finally:
        dialer.release.set()
        await runner.cleanup()


TIMEOUT_SECONDS = 60.0


class Room:
    """Lanes of one webhook target, and what the sender said."""

    def __init__(self) -> None:
        self.settled: list[tuple[int, str]] = []
        self.settlements: list[Settlement] = []
        self.marks: list[tuple[bool, str]] = []
        self.lanes = Lanes(self._note)
        self.pulse = asyncio.Event()
        self._looked = asyncio.Event()

    def _note(self, _item: Item, settlement: Settlement) -> None:
        self.settlements.append(settlement)
        self.settled.append((settlement.id, settlement.result))
        self.pulse.set()

    def mark(self, _target: str, up: bool, reason: str) -> None:
        self.marks.append((up, reason))
        self.pulse.set()

    def forward(self, seconds: float) -> None:
        """Let time pass at once, for every timer of the loop. A time-out is long enough for any good
        answer of a slow machine, and passes when the test says so."""
        loop = asyncio.get_running_loop()
        time = loop.time
        loop.time = lambda: time() + seconds  # type: ignore[method-assign]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self.pulse.clear()
                await self.pulse.wait()

    async def looked(self) -> None:
        """Return when the sender has looked for work once more. What it found is ``lanes.sent``."""
        self._looked.clear()
        self.lanes.on_ready()
        async with asyncio.timeout(30):
            await self._looked.wait()

    def _now_ns(self) -> int:
        self._looked.set()
        return round(asyncio.get_running_loop().time() * 1e9)

    def sender(self, url: str, **more: Any) -> WebhookSender:
        fields: dict[str, Any] = {
            "id": "vici",
            "assign": WebhookCall(url + "/assign"),
            "revoke": WebhookCall(url + "/revoke", method="DELETE"),
            "timeout_seconds": TIMEOUT_SECONDS,
            "retry_first_seconds": 0.01,
            "retry_max_seconds": 0.05,
            "breaker_failures": 100,
        }
        secret = more.pop("secret", "")
        plan = WebhookPlan(**(fields | more))
        return WebhookSender(
            plan,
            self.lanes,
            self._now_ns,
            random=lambda: 1.0,
            secret=secret,
            on_target=self.mark,
            clock=lambda: asyncio.get_running_loop().time(),
        )

    @contextlib.asynccontextmanager
    async def running(self, sender: WebhookSender) -> AsyncIterator[None]:
        task = asyncio.create_task(sender.run())
        try:
            yield
        finally:
            await asyncio.sleep(0)
            await sender.stop(0.0)
            await task
