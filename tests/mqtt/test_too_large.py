"""Packets that are larger than a broker takes: what brokers do about them, and what we make of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from distributor.mqtt import ConnectionLost, PublishResult
from distributor.mqtt.in_flight import InFlight
from distributor.mqtt.values import PACKET_TOO_LARGE, LinkCounters
from tests.brokers import Mosquitto
from tests.mqtt.peers import WAIT_SECONDS, peer, publish_many
from tests.mqtt.test_other_brokers import CONNACK_5, CONNACK_311, scripted

LIMIT = 1500


@pytest.mark.real
async def test_the_limit_that_the_broker_tells_is_kept_to_the_byte(tmp_path: Path) -> None:
    """One byte less is taken; what is too large never leaves, and costs no connection."""
    with Mosquitto(tmp_path / "broker", extra=f"max_packet_size {LIMIT}\n") as broker:
        async with peer(broker.port) as us:
            topic = "out/\u00fc"
            room = LIMIT - len(b"\x32\xff\x0b" + b"\x00\x06out/\xc3\xbc" + b"\x00\x01" + b"\x00")
            for more, correlation in ((0, b""), (-8, b"12345")):
                await publish_many(us.link, topic, [b"x"])
                fits = await us.link.publish(topic, b"x" * (room + more), correlation=correlation)
                assert not fits.refused
                too_large = await us.link.publish(
                    topic, b"x" * (room + more + 1), correlation=correlation
                )
                assert too_large == PublishResult(PACKET_TOO_LARGE, LIMIT + 1, LIMIT)
            assert us.link.counters.too_large_publishes == 2
            assert us.link.counters.refused_publishes == 0
            assert us.link.counters.reconnects == 0


@pytest.mark.real
async def test_a_limit_that_the_broker_does_not_tell_costs_one_connection(tmp_path: Path) -> None:
    """mosquitto with message_size_limit answers with 0x95 and hangs up."""
    with Mosquitto(tmp_path / "broker", extra=f"message_size_limit {LIMIT}\n") as broker:
        async with peer(broker.port, protocol="5") as us:
            result = await asyncio.wait_for(us.link.publish("out", b"x" * 3000), WAIT_SECONDS)
            assert (result.reason_code, result.limit_bytes) == (PACKET_TOO_LARGE, 0)
            assert result.packet_bytes > 3000
            await us.connected()
            await publish_many(us.link, "out", [b"small"])


def test_a_second_answer_to_a_publish_is_none() -> None:
    results: list[object] = []
    in_flight = InFlight(LinkCounters())
    in_flight.add(7, results.append, 10)
    assert 7 in in_flight
    assert in_flight.answered(7, 0)
    assert not in_flight.answered(7, 0)
    assert results == [PublishResult(0)]
    assert 7 not in in_flight


async def test_of_what_is_in_flight_the_largest_is_what_was_too_large() -> None:
    """A broker that tells no limit and ends the connection with 0x95. All else comes again."""
    kinds: list[int] = []

    def answer(kind: int, body: bytes) -> bytes | None:
        kinds.append(kind)
        if kind == 1:
            return CONNACK_5
        return b"\xe0\x01\x95" if kinds.count(3) == 3 else b""

    async with scripted(answer) as port, peer(port) as us:
        answers = [us.link.publish("out", b"x" * size) for size in (10, 100, 20)]
        small, large, other = await asyncio.gather(*answers, return_exceptions=True)
        assert isinstance(large, PublishResult)
        assert large.reason_code == PACKET_TOO_LARGE
        assert [(type(one), getattr(one, "cut", None)) for one in (small, other)] == [
            (ConnectionLost, False),
            (ConnectionLost, False),
        ]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_hang_up_without_a_word_is_told_as_one(protocol: str) -> None:
    def answer(kind: int, body: bytes) -> bytes | None:
        connack = CONNACK_5 if protocol == "5" else CONNACK_311
        return connack if kind == 1 else None

    async with scripted(answer) as port, peer(port, protocol=protocol) as us:
        with pytest.raises(ConnectionLost) as lost:
            await asyncio.wait_for(us.link.publish("out", b"x"), WAIT_SECONDS)
        assert lost.value.cut


@pytest.mark.real
async def test_mosquitto_hangs_up_without_a_word_on_311(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", extra=f"max_packet_size {LIMIT}\n") as broker:
        async with peer(broker.port, protocol="3.1.1") as us:
            with pytest.raises(ConnectionLost) as lost:
                await asyncio.wait_for(us.link.publish("out", b"x" * 3000), WAIT_SECONDS)
            assert lost.value.cut
            await us.connected()
            await publish_many(us.link, "out", [b"small"])


async def test_our_own_end_is_no_cut() -> None:
    def answer(kind: int, body: bytes) -> bytes | None:
        return CONNACK_5 if kind == 1 else b""

    async with scripted(answer) as port, peer(port) as us:
        pending = us.link.publish("out", b"x")
        await us.link.close()
        with pytest.raises(ConnectionLost) as lost:
            await pending
        assert not lost.value.cut
