"""Daemons inside the test's own loop, with a clock that the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
import structlog

from distributor.app import Daemon
from distributor.runtime.clock import Clock
from distributor.settings import parse
from distributor.store.sqlite import SQLiteStore

T = TypeVar("T")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Standard output belongs to the commands under test."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


Opener = Callable[..., Awaitable[Daemon]]


def settings(folder: Path, **tables: Any) -> Any:
    """Settings with three reps and a free port; ``tables`` replace or add to them."""
    tree: dict[str, Any] = {
        "store": {"path": "distributor.db", "synchronous": "normal"},
        "http": {"port": 0},
        "reps": [{"id": rep} for rep in ("ana", "ben", "cleo")],
        "pools": [{"id": "default"}],
        "log": {"level": "error"},
        **tables,
    }
    return parse(tree, folder)


@pytest.fixture
async def open_daemon(tmp_path: Path) -> AsyncIterator[Opener]:
    """Starts daemons on one store, one after the other; each is stopped at the end."""
    started: list[Daemon] = []

    async def opener(clock: Clock | None = None, **tables: Any) -> Daemon:
        daemon = await Daemon.start(settings(tmp_path, **tables), clock=clock)
        started.append(daemon)
        return daemon

    yield opener
    for daemon in started:
        if daemon.inbox.open:
            await daemon.stop()


@pytest.fixture
def committed(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set by each commit of each daemon that is opened afterwards."""
    event = asyncio.Event()
    append = SQLiteStore.append

    async def told(*args: Any, **more: Any) -> Any:
        stats = await append(*args, **more)
        event.set()
        return stats

    monkeypatch.setattr(SQLiteStore, "append", told)
    return event


async def until(event: asyncio.Event, question: Callable[[], Awaitable[T]]) -> T:
    """The first answer that is true; asked at once, and again whenever ``event`` is set."""
    async with asyncio.timeout(60):
        while True:
            event.clear()
            if answer := await question():
                return answer
            await event.wait()


class Client:
    """HTTP to a daemon of the same loop."""

    def __init__(self, daemon: Daemon, session: aiohttp.ClientSession) -> None:
        assert daemon.web is not None
        self._base = f"http://127.0.0.1:{daemon.web.port}"
        self._session = session

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self._session.request(method, self._base + path, json=body) as answer:
            is_json = "json" in answer.content_type
            return answer.status, await (
                answer.json(content_type=None) if is_json else answer.text()
            )

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = await self.call(method, path, body)
        assert status == 200, answer
        return answer

    async def be(self, rep: str, state: str) -> None:
        await self.ask("PUT", f"/v1/reps/{rep}/presence", {"state": state})

    async def lead(self, name: str, **more: Any) -> str:
        body = {"id": name, "phone": "+13125550142", **more}
        answer = await self.ask("POST", "/v1/leads/acme", body)
        key: str = answer["lead_key"]
        return key

    async def event(self, kind: str, name: str, **more: Any) -> Any:
        return await self.ask("POST", "/v1/events", {"event_id": name, "type": kind, **more})


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[Daemon], Client]]:
    async with aiohttp.ClientSession() as session:
        yield lambda daemon: Client(daemon, session)
