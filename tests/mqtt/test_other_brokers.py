"""Brokers that speak MQTT 3.1.1 only, refuse, hang up, or want TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from distributor.errors import Unavailable
from distributor.mqtt import ConnectionLost, TlsFiles
from distributor.mqtt.connection import Connection
from tests.brokers import Mosquitto, free_port
from tests.certificates import self_signed
from tests.mqtt.peers import WAIT_SECONDS, make_link, peer, publish_many, until
from tests.real import need_module

CONNACK_5 = b"\x20\x03\x00\x00\x00"
CONNACK_311 = b"\x20\x02\x00\x00"


@asynccontextmanager
async def scripted(answer: Callable[[int, bytes], bytes | None]) -> AsyncIterator[int]:
    """A broker of few words: ``answer(packet type, body)`` gives the reply, None hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(2)
                body = await reader.readexactly(head[1])
                reply = answer(head[0] >> 4, body)
                if reply is None:
                    break
                writer.write(reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _version(body: bytes) -> int:
    return body[6]


async def test_a_broker_that_refuses_mqtt_5_is_spoken_to_in_311() -> None:
    versions: list[int] = []

    def answer(kind: int, body: bytes) -> bytes | None:
        if kind != 1:
            return b""
        versions.append(_version(body))
        return CONNACK_311 if _version(body) == 4 else b"\x20\x02\x00\x01"

    async with scripted(answer) as port, peer(port) as us:
        assert versions == [5, 4]
        assert us.link.counters.connects == 1


async def test_a_broker_that_hangs_up_on_mqtt_5_is_spoken_to_in_311() -> None:
    versions: list[int] = []

    def answer(kind: int, body: bytes) -> bytes | None:
        if kind != 1:
            return b""
        versions.append(_version(body))
        return CONNACK_311 if _version(body) == 4 else None

    async with scripted(answer) as port, peer(port):
        assert versions == [5, 4]


async def test_a_broker_that_keeps_silent_on_mqtt_5_is_spoken_to_in_311() -> None:
    """The embedded broker takes MQTT 5 properties for a very long client id and waits for it."""
    versions: list[int] = []

    def answer(kind: int, body: bytes) -> bytes | None:
        if kind != 1:
            return b""
        versions.append(_version(body))
        return CONNACK_311 if _version(body) == 4 else b""

    async with scripted(answer) as port, peer(port):
        assert versions == [5, 4]


async def test_the_version_that_worked_is_remembered() -> None:
    versions: list[int] = []

    def answer(kind: int, body: bytes) -> bytes | None:
        if kind != 1:
            return None if len(versions) == 2 else b""  # the first goodbye or ping ends it
        versions.append(_version(body))
        return CONNACK_311 if _version(body) == 4 else None

    async with scripted(answer) as port, peer(port) as us:
        us.link.send("x", b"", lambda _result: None)
        await until(lambda: len(versions) == 3)
        assert versions == [5, 4, 4]


async def test_without_auto_the_version_stays() -> None:
    versions: list[int] = []

    def answer(kind: int, body: bytes) -> bytes | None:
        versions.append(_version(body))
        return b"\x20\x02\x00\x01"

    async with scripted(answer) as port, peer(port, protocol="5", wait=False) as us:
        await until(lambda: len(versions) >= 3)
        assert set(versions) == {5}
        assert "refused us" in (us.link.problem or "")


async def test_a_publish_in_flight_fails_when_the_broker_hangs_up() -> None:
    def answer(kind: int, body: bytes) -> bytes | None:
        return CONNACK_5 if kind == 1 else None

    async with scripted(answer) as port, peer(port) as us:
        answers = [us.link.publish("out", b"x") for _ in range(3)]
        results = await asyncio.gather(*answers, return_exceptions=True)
        assert [type(result) for result in results] == [ConnectionLost] * 3
        assert us.link.in_flight == 0
        assert us.link.counters.lost_publishes == 3


async def test_a_packet_larger_than_the_broker_takes_is_refused_unsent() -> None:
    """The broker would hang up, and we would send it again after each reconnect."""
    kinds: list[int] = []

    def answer(kind: int, body: bytes) -> bytes | None:
        kinds.append(kind)
        return b"\x20\x08\x00\x00\x05\x27\x00\x00\x01\x00" if kind == 1 else b""

    async with scripted(answer) as port, peer(port) as us:
        result = await us.link.publish("out", b"x" * 256)
        assert result.refused
        assert us.link.in_flight == 0
        assert kinds == [1]


async def test_a_repeat_on_the_same_connection_is_handed_over_once() -> None:
    """Some gateways repeat what was not acknowledged in time, with the same packet id."""
    first, repeat = b"\x32\x07\x00\x02in\x00\x01\x00", b"\x3a\x07\x00\x02in\x00\x01\x00"

    def answer(kind: int, body: bytes) -> bytes | None:
        if kind == 8:
            return b"\x90\x04" + body[:2] + b"\x00\x01" + first + repeat
        return CONNACK_5 if kind == 1 else b""

    async with scripted(answer) as port, peer(port, filters=["in"], acking=False) as us:
        message = await us.next()
        assert message.token.mid == 1
        await until(lambda: us.link.counters.repeated == 1)
        assert us.came.empty()
        assert us.link.unacked == 1


async def test_a_pause_longer_than_the_keepalive_keeps_the_connection() -> None:
    """The library hangs up after one keepalive without a PINGRESP, which cannot be read while
    paused; a broker after one and a half without a word, and here it hears the second PINGREQ."""
    paused, twice = False, asyncio.Event()
    pings = 0

    def answer(kind: int, body: bytes) -> bytes | None:
        nonlocal pings
        if kind == 8:
            return b"\x90\x04" + body[:2] + b"\x00\x01"
        if kind == 12:
            pings += paused
            if pings == 2:
                twice.set()
            return b"\xd0\x00" + b"\x32\x07\x00\x02in\x00\x01\x00" * (pings == 1)
        return CONNACK_5 if kind == 1 else b""

    async with scripted(answer) as port, peer(port, filters=["in"], keepalive_seconds=1) as us:
        us.link.pause()
        paused = True
        await asyncio.wait_for(twice.wait(), WAIT_SECONDS)
        assert us.came.empty()
        us.link.resume()
        assert (await us.next()).token.epoch == 1
        assert us.link.counters.reconnects == 0


async def test_a_refused_subscription_is_a_clear_error() -> None:
    def answer(kind: int, body: bytes) -> bytes | None:
        if kind == 1:
            return CONNACK_5
        return b"\x90\x04" + body[:2] + b"\x00\x87" if kind == 8 else b""

    async with scripted(answer) as port, peer(port, filters=["in/+"], wait=False) as us:
        await until(lambda: us.link.counters.failed_attempts > 0)
        assert "in/+ (Not authorized)" in (us.link.problem or "")
        assert "access list" in (us.link.problem or "")
        assert not us.link.connected.is_set()


async def test_an_embedded_311_broker_carries_messages() -> None:
    amqtt = need_module("amqtt.broker")
    port = free_port()
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {
            "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
        },
    }
    broker = amqtt.Broker(config)
    await broker.start()
    try:
        async with peer(port, filters=["in/#"], protocol="3.1.1") as us:
            result = await us.link.publish("in/a", b"lead", response_topic="ignored")
            assert not result.refused
            assert (await us.next()).payload == b"lead"
    finally:
        await broker.shutdown()


@pytest.mark.real
@pytest.mark.parametrize("chunk", [32_768, 1000])
async def test_over_tls_nothing_is_lost_between_pause_and_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """The TLS layer holds bytes that the event loop does not know of."""
    monkeypatch.setattr("distributor.mqtt.buffered._CHUNK_BYTES", chunk)
    cert, key = self_signed(tmp_path)
    files = f"certfile {cert}\nkeyfile {key}\n"
    sent = [bytes([number % 256]) * (number * 97) for number in range(200)]
    tls = TlsFiles(ca_file=str(cert))
    broker = Mosquitto(tmp_path / "broker", tls=files, durable=False)
    with broker:
        async with peer(broker.port, filters=["in"], tls=tls) as us:
            us.link.pause()
            async with peer(broker.port, "vendor", tls=tls) as vendor:
                await publish_many(vendor.link, "in", sent)
            assert us.came.empty()
            us.link.resume()
            assert [message.payload for message in await us.take(len(sent))] == sent


async def test_a_missing_certificate_is_named() -> None:
    async with peer(free_port(), tls=TlsFiles(ca_file="/nowhere.pem"), wait=False) as us:
        await until(lambda: us.link.counters.failed_attempts > 0)
        assert "check ca_file" in (us.link.problem or "")


@pytest.mark.parametrize("outcome", ["refused", "connected"])
@pytest.mark.parametrize("ended_by", ["close", "cancel"])
async def test_the_link_ends_although_the_library_swallows_the_cancellation(
    monkeypatch: pytest.MonkeyPatch, outcome: str, ended_by: str
) -> None:
    """``asyncio.wait_for`` of Python 3.11, which aiomqtt uses, gives the answer instead when the
    answer and the cancellation come together: the link went on connecting for ever."""
    waiting = asyncio.Event()

    async def swallow(_connection: Connection) -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if outcome == "refused":
                raise Unavailable("refused in the same moment") from None

    monkeypatch.setattr(Connection, "open", swallow)
    link = make_link(free_port())
    task = asyncio.create_task(link.run())
    await waiting.wait()
    if ended_by == "close":
        await asyncio.wait_for(link.close(), WAIT_SECONDS)
        await asyncio.wait_for(task, WAIT_SECONDS)
    else:
        task.cancel()
        await asyncio.wait({task}, timeout=WAIT_SECONDS)
        assert task.cancelled()
    assert not link.connected.is_set()
