"""The link against a real mosquitto."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from distributor.mqtt import (
    AckToken,
    ConnectionLost,
    Inbound,
    LastWill,
    NoFreeSlot,
)
from tests.brokers import Mosquitto
from tests.mqtt.peers import make_link, peer, publish_many, until

pytestmark = pytest.mark.real


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker", durable=False) as running:
        yield running


async def test_a_message_that_was_not_acknowledged_comes_again(broker: Mosquitto) -> None:
    """No lead is lost when we die between receipt and commit."""
    async with peer(broker.port, "vendor") as vendor:
        async with peer(broker.port, filters=["in/#"], acking=False) as us:
            await publish_many(vendor.link, "in/a", [b"1", b"2"])
            first, second = await us.take(2)
            us.link.ack([first.token])
            assert us.link.unacked == 1
            assert us.link.oldest_unacked_seconds() >= 0
        async with peer(broker.port, filters=["in/#"]) as us:
            again = await us.next()
            assert (again.payload, again.inbound.dup) == (second.payload, True)
            await us.settled()
            assert us.came.empty()


async def test_a_token_of_an_earlier_connection_acknowledges_nothing(broker: Mosquitto) -> None:
    """Packet ids restart: an old token would acknowledge somebody else's message."""
    async with (
        peer(broker.port, "vendor") as vendor,
        peer(broker.port, filters=["in"], acking=False) as us,
    ):
        await publish_many(vendor.link, "in", [b"lead"])
        old = await us.next()
        broker.restart()
        again = await us.next()
        assert again.token != old.token
        us.link.ack([old.token])
        assert us.link.unacked == 1
        assert us.link.counters.stale_acks == 1
        us.link.ack([again.token, again.token])
        assert us.link.unacked == 0
        assert us.link.counters.stale_acks == 2


async def test_tokens_are_counted_as_stale_while_disconnected(broker: Mosquitto) -> None:
    async with (
        peer(broker.port, "vendor") as vendor,
        peer(broker.port, filters=["in"], acking=False) as us,
    ):
        await publish_many(vendor.link, "in", [b"lead"])
        old = await us.next()
        broker.stop()
        await until(lambda: not us.link.connected.is_set())
        us.link.ack([old.token])
        assert us.link.counters.stale_acks == 1


async def test_the_session_keeps_messages_while_we_are_away(broker: Mosquitto) -> None:
    async with peer(broker.port, filters=["in"]):
        pass
    async with peer(broker.port, "vendor") as vendor:
        await publish_many(vendor.link, "in", [b"meanwhile"])
    present: list[bool] = []
    async with peer(broker.port, filters=["in"], wait=False, expect_session=True) as us:
        us.link.on_connected.append(present.append)
        assert (await us.next()).payload == b"meanwhile"
        await us.connected()
        assert present == [True]
        assert us.link.counters.lost_sessions == 0


async def test_a_lost_session_is_noticed(broker: Mosquitto) -> None:
    async with peer(broker.port, filters=["in"]) as us:
        assert us.link.counters.lost_sessions == 0
        broker.stop()
        broker.forget()
        broker.start()
        await until(lambda: us.link.counters.lost_sessions == 1)
        assert us.link.counters.reconnects == 1


async def test_an_expected_session_that_is_not_there_is_noticed_at_the_first_connection(
    broker: Mosquitto,
) -> None:
    async with peer(broker.port, expect_session=True) as us:
        assert us.link.counters.lost_sessions == 1


async def test_the_link_comes_back_and_listens_again_after_the_broker_was_away(
    broker: Mosquitto,
) -> None:
    reasons: list[str] = []
    async with peer(broker.port, filters=["in"]) as us, peer(broker.port, "vendor") as vendor:
        us.link.on_disconnected.append(reasons.append)
        broker.stop()
        await until(lambda: not us.link.connected.is_set() and not vendor.link.connected.is_set())
        assert len(reasons) == 1
        assert us.link.problem
        broker.forget()
        broker.start()
        await us.connected()
        await vendor.connected()
        assert us.link.problem is None
        await publish_many(vendor.link, "in", [b"back"])
        assert (await us.next()).payload == b"back"


async def test_the_link_starts_before_the_broker(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "late")
    async with peer(broker.port, wait=False) as us:
        await until(lambda: us.link.counters.failed_attempts > 0)
        assert us.link.problem is not None
        with broker:
            await us.connected()


async def test_a_publish_that_the_access_list_forbids_is_refused(tmp_path: Path) -> None:
    """The library itself reports it as done."""
    with Mosquitto(tmp_path / "acl", acl="topic readwrite allowed\n") as broker:
        async with peer(broker.port) as us:
            result = await us.link.publish("forbidden", b"x")
            assert result.refused
            assert us.link.counters.refused_publishes == 1
            await us.connected()


async def test_a_publish_without_listeners_is_taken_and_says_so(broker: Mosquitto) -> None:
    async with peer(broker.port) as us:
        result = await us.link.publish("nobody", b"x")
        assert result.no_subscribers
        assert not result.refused
        assert us.link.counters.unheard_publishes == 1


async def test_a_publish_while_disconnected_fails_with_connection_lost(broker: Mosquitto) -> None:
    async with peer(broker.port) as us:
        broker.stop()
        await until(lambda: not us.link.connected.is_set())
        assert us.link.free_slots == 0
        with pytest.raises(ConnectionLost):
            await us.link.publish("out", b"x")


async def test_close_fails_what_is_in_flight(broker: Mosquitto) -> None:
    async with peer(broker.port) as us:
        us.link.pause()
        answer = us.link.publish("out", b"x")
        await us.close()
        with pytest.raises(ConnectionLost):
            await answer
        assert us.task.done()
        assert us.task.exception() is None


async def test_the_result_is_never_given_from_within_send(broker: Mosquitto) -> None:
    """Else a sender that sends again on failure would recurse."""
    link = make_link(broker.port)
    results: list[object] = []
    link.send("out", b"x", results.append)
    assert results == []
    await asyncio.sleep(0)
    assert isinstance(results[0], ConnectionLost)


async def test_publishes_in_flight_stay_within_the_brokers_receive_maximum(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "small", extra="max_inflight_messages 7\n") as broker:
        async with peer(broker.port) as us:
            assert us.link.free_slots == 7
            answers = [us.link.publish("out", b"x") for _ in range(7)]
            with pytest.raises(NoFreeSlot):
                us.link.publish("out", b"x")
            await us.link.wait_for_slots()
            assert us.link.free_slots > 0
            assert not any(result.refused for result in await asyncio.gather(*answers))


async def test_an_impossible_topic_is_a_value_error(broker: Mosquitto) -> None:
    async with peer(broker.port) as us:
        with pytest.raises(ValueError, match="wildcard"):
            us.link.publish("out/#", b"x")
        assert us.link.in_flight == 0


async def test_unacknowledged_messages_stay_bounded_and_all_come_in_the_end(
    broker: Mosquitto,
) -> None:
    """mosquitto 2.0.11 sends more than the receive maximum; the link stops reading at twice it."""
    sent = [b"%d" % number for number in range(300)]
    async with (
        peer(broker.port, filters=["in"], acking=False, receive_maximum=10) as us,
        peer(broker.port, "vendor") as vendor,
    ):
        await publish_many(vendor.link, "in", sent)
        came: list[bytes] = []
        while len(came) < len(sent):
            message = await us.next()
            came.append(message.payload)
            assert us.link.unacked <= 20
            us.link.ack([message.token])
        assert came == sent


async def test_pausing_stops_the_flow_and_resuming_loses_nothing(broker: Mosquitto) -> None:
    sent = [b"%d" % number for number in range(200)]
    async with (
        peer(broker.port, filters=["in"]) as us,
        peer(broker.port, "vendor") as vendor,
    ):
        us.link.pause()
        await publish_many(vendor.link, "in", sent)
        assert us.came.empty()
        us.link.resume()
        assert [message.payload for message in await us.take(len(sent))] == sent


async def test_pausing_from_the_handler_takes_effect_at_once(broker: Mosquitto) -> None:
    sent = [b"%d" % number for number in range(50)]
    came: list[bytes] = []
    link = make_link(broker.port)

    def handler(_topic: str, payload: bytes, *_more: object) -> None:
        came.append(payload)
        link.pause()

    link.listen(["in"], handler)
    task = asyncio.create_task(link.run())
    await link.connected.wait()
    async with peer(broker.port, "vendor") as vendor:
        await publish_many(vendor.link, "in", sent)
        for number in range(1, len(sent) + 1):
            await until(lambda: len(came) >= number)  # noqa: B023 (used before the next turn)
            assert len(came) == number
            link.resume()
    assert came == sent
    await link.close()
    await task


async def test_the_last_will_comes_when_we_vanish_and_not_after_a_goodbye(
    broker: Mosquitto,
) -> None:
    will = LastWill("status", b"offline", retain=True)
    async with peer(broker.port, "watcher", ["status"]) as watcher:
        async with peer(broker.port, will=lambda: will):
            pass
        async with peer(broker.port, will=lambda: will) as us:
            us.task.cancel()
            assert (await watcher.next()).payload == b"offline"
        async with peer(broker.port, will=lambda: will) as us:
            await us.link.close(with_will=True)
            assert (await watcher.next()).payload == b"offline"
        assert watcher.came.empty()
    async with peer(broker.port, "later", ["status"]) as later:
        assert (await later.next()).inbound.retain


async def test_retained_messages_come_marked(broker: Mosquitto) -> None:
    async with peer(broker.port) as us:
        await us.link.publish("status", b"online", retain=True)
    async with peer(broker.port, "watcher", ["status"]) as watcher:
        message = await watcher.next()
        assert (message.payload, message.inbound.retain) == (b"online", True)


async def test_response_topic_and_correlation_data_pass_through(broker: Mosquitto) -> None:
    async with peer(broker.port, filters=["in"]) as us:
        await us.link.publish("in", b"x", response_topic="reply/here", correlation=b"\x00\xff")
        message = await us.next()
        assert message.inbound.response_topic == "reply/here"
        assert message.inbound.correlation_data == b"\x00\xff"


async def test_an_oversize_payload_is_handed_over_with_a_flag(broker: Mosquitto) -> None:
    async with peer(broker.port, filters=["in"], max_payload_bytes=1000) as us:
        big = bytes(range(256)) * 2000
        await us.link.publish("in", big)
        await us.link.publish("in", b"small")
        first, second = await us.take(2)
        assert (first.payload == big, first.inbound.oversize) == (True, True)
        assert not second.inbound.oversize


async def test_a_handler_that_raises_costs_the_connection_and_not_the_message(
    broker: Mosquitto,
) -> None:
    """The message comes again on the next one; what came beside it is acknowledged before."""
    async with peer(broker.port, filters=["in"]) as us:
        good = us.link._handler
        broken = [b"bad"]

        def sometimes_broken(topic: str, payload: bytes, token: AckToken, more: Inbound) -> None:
            if payload in broken:
                raise RuntimeError("a mistake of ours")
            good(topic, payload, token, more)

        us.link.listen(["in"], sometimes_broken)
        broker.restart()
        await until(lambda: us.link.counters.reconnects == 1 and us.link.connected.is_set())
        await publish_many(us.link, "in", [b"bad", b"beside"])
        assert (await us.next()).payload == b"beside"
        await until(lambda: us.link.counters.handler_errors >= 1)
        broken.clear()
        again = await us.next()
        assert (again.payload, again.token.epoch > 2) == (b"bad", True)
        await us.connected()
        await us.settled()
        assert us.link.unacked == 0
        assert us.came.empty()


async def test_each_connection_has_a_last_will_of_its_own(broker: Mosquitto) -> None:
    numbers = iter(range(10))

    def will() -> LastWill:
        return LastWill("status", b"offline %d" % next(numbers))

    async with (
        peer(broker.port, "watcher", ["status"]) as watcher,
        peer(broker.port, will=will) as us,
    ):
        assert us.link._connection is not None
        us.link._connection.drop("a test")
        assert (await watcher.next()).payload == b"offline 0"
        await us.connected()
        us.task.cancel()
        assert (await watcher.next()).payload == b"offline 1"


async def test_a_callback_that_raises_does_not_end_the_connection(broker: Mosquitto) -> None:
    async with peer(broker.port) as us:

        def broken(_result: object) -> None:
            raise RuntimeError("a mistake of ours")

        us.link.send("out", b"x", broken)
        await us.settled()
        assert us.link.counters.reconnects == 0


async def test_many_large_messages_go_out_and_come_in_whole(broker: Mosquitto) -> None:
    """More than the socket takes at once, and more than one read holds."""
    sent = [bytes([number]) * 300_000 for number in range(30)]
    async with peer(broker.port, filters=["in"]) as us:
        await publish_many(us.link, "in", sent)
        assert [message.payload for message in await us.take(len(sent))] == sent
