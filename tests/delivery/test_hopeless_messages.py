"""Messages that the broker will never take: too large, or ones on which it hangs up."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from distributor.delivery.cuts import CAREFUL_AFTER, GIVE_UP_AFTER
from distributor.delivery.lanes import Item, Lanes
from distributor.delivery.mqtt_sender import MqttSender
from tests.delivery.test_mqtt_sender import running, settle_down

TOO_LARGE = "larger than the broker takes (300 of 200 bytes): raise max_packet_size there"


async def quiet_over(link: Any) -> None:
    """Return when the sender has sent again."""
    async with asyncio.timeout(60):
        while not link.unanswered:
            link.asked.clear()
            await link.asked.wait()


async def cut(sender: MqttSender, link: Any) -> None:
    """The broker hangs up and lets us in again."""
    link.lose(cut=True)
    await settle_down()
    link.up = True
    sender.connected()
    await settle_down()


async def test_a_message_that_is_too_large_is_given_up_and_the_lead_named(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    fill(message(1, "L1"), message(2, "L1", "revoke"), message(3, "L2"))
    with capture_logs() as lines:
        async with running(MqttSender(lanes, link, clock)):
            link.answer(0x95)
            link.answer()
            await settle_down()
            assert [topic for topic, _ in link.sent][2:] == ["leads/dialer/revoke"]
    assert settled.results() == [(1, "dead"), (3, "done")]
    assert settled[0].error == TOO_LARGE
    (line,) = lines
    assert (line["event"], line["lead_key"], line["error"]) == (
        "message_too_large",
        "L1",
        TOO_LARGE,
    )


@pytest.mark.parametrize(("attempts", "loaded"), [(0, False), (3, True)])
async def test_nobody_has_what_was_too_large(
    link: Any, clock: Any, message: Any, attempts: int, loaded: bool
) -> None:
    """So nobody is asked about it first, also after a restart."""
    given_up: list[Item] = []
    lanes = Lanes(lambda item, _: given_up.append(item))
    lanes.put(Item(message(1), attempts=attempts, loaded=loaded))
    async with running(MqttSender(lanes, link, clock)):
        link.answer(0x95)
    assert [item.untaken for item in given_up] == [True]


async def test_what_the_broker_refused_each_time_nobody_has(
    link: Any, clock: Any, message: Any
) -> None:
    told: list[Item] = []
    lanes = Lanes(lambda item, _: told.append(item))
    lanes.put(Item(message(1)))
    async with running(MqttSender(lanes, link, clock)):
        link.answer(0x87)
    assert [item.untaken for item in told] == [True]


async def test_of_an_array_only_the_message_that_is_too_large_is_given_up(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    """Whatever stands before it and after it, and at once: no lead waits for the next try."""
    sizes = {1: 5, 2: 5, 3: 5000, 4: 5, 5: 5}
    fill(
        *(
            message(n, f"L{n}", payload=json.dumps({"n": n, "x": "x" * size}).encode())
            for n, size in sizes.items()
        )
    )
    async with running(MqttSender(lanes, link, clock, assign_batch=5)):
        for _ in range(20):
            if link.unanswered:
                _, payload = link.sent[-len(link.unanswered)]
                link.answer(0x95 if len(payload) > 1000 else 0)
            await settle_down()
    assert sorted(settled.results()) == [
        (1, "done"),
        (2, "done"),
        (3, "dead"),
        (4, "done"),
        (5, "done"),
    ]


async def test_the_message_on_which_the_broker_hangs_up_is_found_and_the_others_go_on(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    fill(*(message(n, f"L{n}") for n in (1, 2, 3)))
    with capture_logs() as lines:
        async with running(MqttSender(lanes, link, clock, quiet_seconds=0.01)) as sender:
            for _ in range(CAREFUL_AFTER):
                assert len(link.unanswered) == 3
                await cut(sender, link)
            assert not link.unanswered  # it looks whether the connection lasts
            for _ in range(GIVE_UP_AFTER - CAREFUL_AFTER):
                await quiet_over(link)
                assert [payload for _, payload in link.sent[-1:]] == [b'{"n":1}']
                assert len(link.unanswered) == 1
                await cut(sender, link)
            await quiet_over(link)
            link.answer()
            await settle_down()
            link.answer_all()
            await settle_down()
    assert settled.results() == [(1, "in_doubt"), (2, "done"), (3, "done")]
    assert "hung up 5 times when this came" in settled[0].error
    assert [(line["event"], line["lead_key"]) for line in lines] == [("message_cut_off", "L1")]


async def test_a_network_that_breaks_now_and_then_costs_no_message(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    fill(*(message(n, f"L{n}") for n in range(1, 30)))
    async with running(MqttSender(lanes, link, clock, quiet_seconds=0.01)) as sender:
        for _ in range(10):
            for _ in range(GIVE_UP_AFTER - 1):
                await quiet_over(link)
                await cut(sender, link)
            await quiet_over(link)
            link.answer()
            await settle_down()
        # While nothing is under way, a cut says nothing of any message.
        for _ in range(CAREFUL_AFTER):
            await quiet_over(link)
            await cut(sender, link)
        for _ in range(10):
            link.lose(cut=True)
            link.up = True
            sender.connected()
            await settle_down()
    assert {result for _, result in settled.results()} == {"done"}


async def test_an_end_with_a_reason_blames_no_message(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    fill(message(1))
    async with running(MqttSender(lanes, link, clock, quiet_seconds=0.01)) as sender:
        for _ in range(3 * GIVE_UP_AFTER):
            await quiet_over(link)
            link.lose()
            link.up = True
            sender.connected()
            await settle_down()
    assert settled == []


async def test_of_an_array_on_which_the_broker_hangs_up_one_message_is_found(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    fill(*(message(n, f"L{n}") for n in range(1, 9)))
    sender = MqttSender(lanes, link, clock, assign_batch=8, quiet_seconds=0.01)
    async with running(sender):
        for _ in range(100):
            if len(settled) == 8:
                break
            await quiet_over(link)
            _, payload = link.sent[-len(link.unanswered)]
            if b'"n":5' in payload:
                await cut(sender, link)
            else:
                link.answer()
                await settle_down()
    results = dict(settled.results())
    assert results.pop(5) == "in_doubt"
    assert set(results.values()) == {"done"}
