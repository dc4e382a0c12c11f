"""The listener: who is silent is closed, who is too many is turned away, at real sockets."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from aiohttp import web

from distributor.intake import http_parts, http_server
from distributor.intake.http_parts import read_body
from distributor.intake.http_server import MAX_CONNECTIONS, Crowd, listen, room_for_connections
from distributor.intake.problems import problems

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _echo(request: web.Request) -> web.Response:
    return web.Response(body=await read_body(request))


@asynccontextmanager
async def listening(most: int = 100) -> AsyncIterator[int]:
    """A port that answers with the body it got."""
    app = web.Application(middlewares=[problems])
    app.router.add_post("/", _echo)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    server = await listen(runner.server, "127.0.0.1", 0, crowd=Crowd(most))
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await runner.cleanup()


async def all_of(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(60):
        return await reader.read()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("said", [b"", b"POST / HT", HEAD, HEAD + b"Content-Length: 2\r\n"])
async def test_who_does_not_come_to_the_end_of_a_head_is_closed(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(http_server.CONNECTION_ARGS, "keepalive_timeout", 0.05)
    async with listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        assert await all_of(reader) == b""
        writer.close()


async def test_a_connection_is_closed_when_it_was_idle_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(http_server.CONNECTION_ARGS, "keepalive_timeout", 0.3)
    async with listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"Content-Length: 2\r\n\r\nhi")
        answer = await all_of(reader)
        assert status(answer) == 200
        assert answer.endswith(b"hi")
        writer.close()


async def test_a_body_that_does_not_come_is_answered_and_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_parts, "BODY_SECONDS", 0.05)
    monkeypatch.setitem(http_server.CONNECTION_ARGS, "lingering_time", 0.05)
    async with listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"Content-Length: 9\r\n\r\nhalf")
        answer = await all_of(reader)
        assert status(answer) == 408
        assert b"application/problem+json" in answer
        assert b"send less at a time" in answer
        writer.close()


async def test_one_more_than_there_is_room_for_is_turned_away_and_told() -> None:
    with structlog.testing.capture_logs() as lines:
        async with listening(most=2) as port:
            held: list[Opened] = []
            for _ in range(2):
                held.append(await asyncio.open_connection("127.0.0.1", port))
                held[-1][1].write(HEAD + b"Content-Length: 0\r\n\r\n")
                assert status(await held[-1][0].readuntil(b"\r\n\r\n")) == 200
            for _ in range(3):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                answer = await all_of(reader)
                writer.close()
                assert status(answer) == 503
                assert b"Retry-After: 2\r\n" in answer
                problem: Any = json.loads(answer.partition(b"\r\n\r\n")[2])
                assert problem["status"] == 503
                assert "close some" in problem["detail"]
            # Those who are in are served.
            held[0][1].write(HEAD + b"Content-Length: 0\r\n\r\n")
            assert status(await held[0][0].readuntil(b"\r\n\r\n")) == 200
            for _, writer in held:
                writer.close()
    told = [line for line in lines if line["event"] == "too_many_connections"]
    assert [line["open"] for line in told] == [2]


@pytest.mark.parametrize(
    ("files", "room"),
    [(1_024, 960), (65_536, MAX_CONNECTIONS), (resource.RLIM_INFINITY, MAX_CONNECTIONS), (20, 1)],
)
def test_the_store_and_the_broker_keep_files(
    files: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server.resource, "getrlimit", lambda _: (files, files))
    assert room_for_connections() == room
