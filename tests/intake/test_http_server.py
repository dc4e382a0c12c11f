"""The listener at real sockets: who is silent is closed, or makes room; who is too many is turned away."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web

from distributor.intake import http_listener, http_parts, http_server
from distributor.intake.http_listener import (
    MAX_CONNECTIONS,
    Crowd,
    listen,
    room_for_connections,
)
from distributor.intake.http_parts import read_body
from distributor.intake.http_server import Connection
from distributor.intake.problems import problems
from tests.certificates import self_signed

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
WHOLE = HEAD + b"Content-Length: 0\r\n\r\n"
Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Watched(Crowd):
    """A crowd that says when somebody left."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.left = asyncio.Event()

    def leave(self, connection: Connection) -> None:
        super().leave(connection)
        self.left.set()

    async def empty(self) -> None:
        """Return when nobody is there."""
        async with asyncio.timeout(60):
            while len(self):
                self.left.clear()
                await self.left.wait()


class Site:
    """A listener that answers with the body it got. Requests for ``/slow`` wait at the ``gate``;
    ``/much`` is answered with more than the kernel keeps for a client that does not read."""

    def __init__(self, most: int = 100) -> None:
        self.crowd = Watched(most)
        self.gate = asyncio.Event()
        self.at_the_gate = asyncio.Event()
        self.port = 0
        self._clients: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def open(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
        app = web.Application(middlewares=[problems])
        app.router.add_post("/", self._echo)
        app.router.add_post("/slow", self._slow)
        app.router.add_get("/much", self._much)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        assert runner.server is not None
        listener = await listen(runner.server, "127.0.0.1", 0, tls, self.crowd)
        self.port = listener.port
        try:
            yield self
        finally:
            for client in self._clients:
                client.close()
            listener.close()
            await runner.cleanup()

    async def connect(self, said: bytes = b"", **more: Any) -> Opened:
        """A connection on which ``said`` was sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **more)
        self._clients.append(writer)
        writer.write(said)
        return reader, writer

    async def _echo(self, request: web.Request) -> web.Response:
        return web.Response(body=await read_body(request))

    async def _slow(self, _request: web.Request) -> web.Response:
        self.at_the_gate.set()
        await self.gate.wait()
        return web.Response()

    async def _much(self, _request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 30_000_000)


@asynccontextmanager
async def listening(most: int = 100) -> AsyncIterator[Site]:
    async with Site(most).open() as site:
        yield site


async def all_of(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(60):
        return await reader.read()


async def answered(reader: asyncio.StreamReader) -> int:
    """The status of the next answer."""
    async with asyncio.timeout(60):
        return status(await reader.readuntil(b"\r\n\r\n"))


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


# --- who is silent ---------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", b"POST / HT", HEAD, HEAD + b"Content-Length: 2\r\n"])
async def test_who_does_not_come_to_the_end_of_a_head_is_closed(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(http_server.CONNECTION_ARGS, "keepalive_timeout", 0.05)
    async with listening() as site:
        reader, _ = await site.connect(said)
        assert await all_of(reader) == b""


async def test_a_connection_is_closed_when_it_was_idle_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(http_server.CONNECTION_ARGS, "keepalive_timeout", 0.3)
    async with listening() as site:
        reader, _ = await site.connect(HEAD + b"Content-Length: 2\r\n\r\nhi")
        answer = await all_of(reader)
        assert status(answer) == 200
        assert answer.endswith(b"hi")


async def test_a_body_that_does_not_come_is_answered_and_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_parts, "BODY_SECONDS", 0.05)
    monkeypatch.setitem(http_server.CONNECTION_ARGS, "lingering_time", 0.05)
    async with listening() as site:
        reader, _ = await site.connect(HEAD + b"Content-Length: 9\r\n\r\nhalf")
        answer = await all_of(reader)
        assert status(answer) == 408
        assert b"application/problem+json" in answer
        assert b"send less at a time" in answer


async def test_who_does_not_read_the_answer_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_server, "ANSWER_SECONDS", 0.1)
    async with listening() as site:
        with socket.create_connection(("127.0.0.1", site.port)) as client:
            client.sendall(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(60):
                await site.crowd.left.wait()
    assert [record for record in caplog.records if record.name.startswith("distributor")] == []


async def test_an_answer_that_is_read_in_time_is_not_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "ANSWER_SECONDS", 50.0)
    async with listening() as site:
        reader, _ = await site.connect(
            b"GET /much HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        assert len(await all_of(reader)) > 30_000_000


# --- who is too many -------------------------------------------------------------------------------


async def test_who_has_waited_longest_makes_room() -> None:
    with structlog.testing.capture_logs() as lines:
        async with listening(most=3) as site:
            longest_first = [await site.connect(said) for said in (b"", b"POST / HT", WHOLE)]
            assert await answered(longest_first[2][0]) == 200
            comers = []
            for reader, _ in longest_first:
                comers.append(await site.connect(WHOLE))
                assert await answered(comers[-1][0]) == 200
                assert await all_of(reader) == b""
    assert (site.crowd.displaced, site.crowd.turned_away) == (3, 0)
    told = [line for line in lines if line["event"] == "too_many_connections"]
    assert [line["open"] for line in told] == [3]


async def test_where_all_are_at_work_one_more_is_turned_away() -> None:
    async with listening(most=2) as site:
        held = []
        for _ in range(2):
            held.append(await site.connect(WHOLE.replace(b"/", b"/slow", 1)))
            async with asyncio.timeout(60):
                await site.at_the_gate.wait()
            site.at_the_gate.clear()
        for said in (b"", WHOLE):
            reader, _ = await site.connect(said)
            answer = await all_of(reader)
            assert status(answer) == 503
            assert b"Retry-After: 2\r\n" in answer
            problem = json.loads(answer.partition(b"\r\n\r\n")[2])
            assert problem["status"] == 503
            assert "try again" in problem["detail"]
        site.gate.set()
        for reader, _ in held:
            assert await answered(reader) == 200
        reader, _ = await site.connect(WHOLE)
        assert await answered(reader) == 200
    assert site.crowd.turned_away == 2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("certificate"))


@asynccontextmanager
async def over_tls(most: int, certificate: tuple[Path, Path]) -> AsyncIterator[tuple[Site, Any]]:
    """A site behind TLS, and what a client of it needs."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    async with Site(most).open(context) as site:
        yield site, {"ssl": ssl.create_default_context(cafile=str(certificate[0]))}


async def test_a_handshake_that_does_not_come_takes_a_place_and_makes_room(
    certificate: tuple[Path, Path],
) -> None:
    async with over_tls(2, certificate) as (site, tls):
        silent = [await site.connect() for _ in range(2)]
        reader, _ = await site.connect(WHOLE, **tls)
        assert await answered(reader) == 200
        assert await all_of(silent[0][0]) == b""
        assert site.crowd.displaced == 1


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b""])
async def test_a_handshake_that_fails_takes_no_place(
    said: bytes,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(http_listener, "HANDSHAKE_SECONDS", 0.2)
    async with over_tls(2, certificate) as (site, _):
        reader, _ = await site.connect(said)
        await all_of(reader)
        await site.crowd.empty()
    assert [record for record in caplog.records if record.name.startswith("distributor")] == []


# --- files -----------------------------------------------------------------------------------------


@asynccontextmanager
async def no_more_files() -> AsyncIterator[Callable[[], None]]:
    """No file can be opened until what is yielded is called."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)

    def restore() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield restore
    finally:
        restore()


async def test_the_lack_of_files_is_one_line_with_its_remedy_and_passes_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_listener, "ACCEPT_AGAIN_SECONDS", 0.01)
    loop = asyncio.get_running_loop()
    refused = asyncio.Event()
    accept = loop.sock_accept
    failures = 0

    async def noted(listening: socket.socket) -> Any:
        nonlocal failures
        try:
            return await accept(listening)
        except OSError:
            failures += 1
            if failures == 5:
                refused.set()
            raise

    monkeypatch.setattr(loop, "sock_accept", noted)
    clients = [socket.socket() for _ in range(3)]
    with structlog.testing.capture_logs() as lines:
        async with listening() as site:
            async with no_more_files() as restore:
                for client in clients:
                    client.connect(("127.0.0.1", site.port))
                    client.sendall(WHOLE)
                async with asyncio.timeout(60):
                    await refused.wait()
                restore()
            for client in clients:
                reader, writer = await asyncio.open_connection(sock=client)
                assert await answered(reader) == 200
                writer.close()
    (line,) = [line for line in lines if line["event"] == "accept_failed"]
    assert line["error"] == "Too many open files"
    assert "LimitNOFILE" in line["remedy"]


@pytest.mark.parametrize(
    ("files", "room"),
    [(1_024, 960), (65_536, MAX_CONNECTIONS), (resource.RLIM_INFINITY, MAX_CONNECTIONS), (20, 1)],
)
def test_the_store_and_the_broker_keep_files(
    files: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_listener.resource, "getrlimit", lambda _: (files, files))
    assert room_for_connections() == room
