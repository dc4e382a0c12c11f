"""The listener on a real socket."""

from __future__ import annotations

import asyncio
import json
import threading

import aiohttp
import pytest

from distributor.app.web import StoreViews
from distributor.intake import http_listener
from distributor.store.reader import StoreReader

HEAD = b"POST /v1/leads/acme HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"FOO /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 9000 + b"\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHo st: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nnope",
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",  # no Host
        HEAD + b"Content-Length: many\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_http_get_problem_details(open_daemon, sent):
    daemon = await open_daemon()
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.web.port)
    writer.write(sent)
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] == b"400"
    assert b"content-type: application/problem+json" in head.lower()
    problem = json.loads(body)
    assert (problem["status"], problem["title"]) == (400, "Bad Request")
    assert "; s" in problem["detail"], "the remedy"


@pytest.mark.parametrize("path", ["/healthz", "/nowhere"])
async def test_an_expectation_that_nobody_knows_gets_problem_details(open_daemon, path):
    daemon = await open_daemon()
    url = f"http://127.0.0.1:{daemon.web.port}{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers={"Expect": "bogus"}) as answer,
    ):
        assert (answer.status, answer.content_type) == (417, "application/problem+json")
        assert (await answer.json(content_type=None))["detail"].startswith("Expect: only 100-")


async def test_silent_connections_keep_nobody_out_and_are_counted(
    open_daemon, connect, monkeypatch
):
    monkeypatch.setattr(http_listener, "room_for_connections", lambda: 3)
    daemon = await open_daemon()
    silent = [await asyncio.open_connection("127.0.0.1", daemon.web.port) for _ in range(8)]
    client = connect(daemon)
    await client.ask("GET", "/healthz")
    metrics = await client.ask("GET", "/metrics")
    (line,) = [line for line in metrics.splitlines() if 'event="displaced_connections"' in line]
    assert line.startswith("distributor_link_events_total{")
    assert 'peer="http"' in line
    assert float(line.split()[-1]) >= 6
    async with asyncio.timeout(60):
        assert await silent[0][0].read() == b"", "the first to come has waited longest"
    for _, writer in silent:
        writer.close()


@pytest.mark.parametrize("said", [b"", b"\x20\x03\x00\x00\x00"])
async def test_before_the_broker_has_answered_all_nobody_is_told_that_we_are_ready(
    open_daemon, connect, said
):
    """Neither while it keeps silent on CONNECT, nor on SUBSCRIBE."""
    asked, ended = asyncio.Event(), asyncio.Event()

    async def serve(reader, writer):
        await reader.read(1)
        writer.write(said)
        asked.set()
        await ended.wait()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as broker:
        port = broker.sockets[0].getsockname()[1]
        daemon = await open_daemon(mqtt={"port": port})
        client = connect(daemon)
        for _ in range(2):
            status, problem = await client.call("GET", "/readyz")
            assert status == 503
            (reason,) = problem["reasons"]
            assert f"broker 127.0.0.1:{port}" in reason
            assert "answer" in reason
            async with asyncio.timeout(60):
                await asked.wait()
        await daemon.stop()
        ended.set()


async def test_giving_the_store_free_leaves_the_loop_to_others(open_daemon, monkeypatch):
    reader = StoreReader((await open_daemon()).store.path)
    others = threading.Event()
    waited = []
    close = reader.close
    monkeypatch.setattr(reader, "close", lambda: waited.append(others.wait(20)) or close())
    asyncio.get_running_loop().call_later(0, others.set)

    await StoreViews(reader, lambda: 0).close()

    assert waited == [True]
