"""The webhook sender against a real HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web

from distributor.delivery.lanes import Item, Lanes
from distributor.delivery.mqtt_sender import MqttSender
from distributor.domain.dialers import WebhookCall
from distributor.errors import BadConfig
from tests.http_dialers import TIMEOUT_SECONDS, Dialer, Room


async def test_an_assignment_is_sent_with_its_key_and_taken(
    dialer: Dialer, room: Room, put: Any
) -> None:
    put(1)
    async with room.running(room.sender(dialer.url)):
        await room.until(lambda: bool(room.settled))
    assert room.settled == [(1, "done")]
    assert dialer.requests == [("POST", "/assign", "L1-1:assign")]
    assert json.loads(dialer.bodies[0])["type"] == "assign"
    assert room.marks == [(True, "started")]


async def test_a_revocation_uses_its_own_request_after_the_assignment(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.hangs()
    put(1)
    async with room.running(room.sender(dialer.url)):
        await dialer.received(1)
        put(2, kind="revoke")
        await room.looked()
        assert room.lanes.sent == 1  # the lead's first message is not answered yet
        dialer.release.set()
        await room.until(lambda: len(room.settled) == 2)
    assert dialer.requests[1] == ("DELETE", "/revoke", "L1-1:revoke")


async def test_an_answer_without_the_success_body_is_a_refusal_and_then_dead(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.answers(200, 200, text="ERROR: no such list")
    put(1)
    async with room.running(room.sender(dialer.url, success_body="^SUCCESS", max_attempts=2)):
        await room.until(lambda: (1, "dead") in room.settled)
    assert room.settled == [(1, "retry"), (1, "dead")]
    assert "ERROR: no such list" in room.settlements[-1].error


async def test_a_duplicate_counts_as_taken(dialer: Dialer, room: Room, put: Any) -> None:
    dialer.answers(409, text="DUPLICATE")
    put(1)
    async with room.running(room.sender(dialer.url, duplicate_body="DUPLICATE")):
        await room.until(lambda: bool(room.settled))
    assert room.settled == [(1, "done")]


async def test_refusals_end_after_max_attempts_and_failures_do_not_count(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.answers(400, 500, 500, 500, 429, 400)
    put(1)
    async with room.running(room.sender(dialer.url, max_attempts=2)):
        await room.until(lambda: (1, "dead") in room.settled)
    assert [result for _, result in room.settled] == ["retry"] * 5 + ["dead"]
    assert room.settlements[-1].attempts == 6


async def test_a_dead_assignment_does_not_hold_back_the_next_of_its_lead(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.answers(400)
    put(1)
    put(2, attempt=2)
    async with room.running(room.sender(dialer.url, max_attempts=1)):
        await room.until(lambda: (2, "done") in room.settled)
    assert room.settled == [(1, "dead"), (2, "done")]


async def test_failures_open_the_breaker_and_a_trial_closes_it(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.answers(500, 500, 500, 500, text="down")
    put(1)
    sender = room.sender(
        dialer.url, breaker_failures=3, breaker_seconds=0.05, retry_max_seconds=60.0
    )
    async with room.running(sender):
        await room.until(lambda: (1, "done") in room.settled)
    # Three failures open it, the first trial fails, the second is taken.
    assert len(dialer.requests) == 5
    assert room.marks == [
        (True, "started"),
        (False, "HTTP 500: down"),
        (True, "the dialer answers again"),
    ]
    assert min(late - early for early, late in pairwise(dialer.times[2:])) > 0.04


async def test_while_the_breaker_is_open_nothing_is_sent_and_one_trial_goes(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.answers(500)
    dialer.hangs()
    put(1)
    async with room.running(room.sender(dialer.url, breaker_failures=1, breaker_seconds=0.1)):
        await room.until(lambda: bool(room.settled))
        for number in range(2, 6):
            put(number, f"L{number}")
        await dialer.received(2)
        assert dialer.times[1] - dialer.times[0] > 0.08
        await room.looked()
        assert room.lanes.sent == 1  # the trial is under way, alone
        dialer.release.set()
        await room.until(lambda: len(room.settled) == 6)


async def test_a_target_with_nothing_left_to_try_is_up_again(
    dialer: Dialer, room: Room, put: Any
) -> None:
    """While a target is down nobody sends it leads: without this it would stay down for ever."""
    dialer.hangs()
    put(1)
    sender = room.sender(
        dialer.url,
        breaker_failures=1,
        breaker_seconds=0.05,
        unknown_outcome="hold",
    )
    async with room.running(sender):
        await dialer.received(1)
        room.forward(TIMEOUT_SECONDS + 1)
        await room.until(lambda: len(room.marks) == 3)
        assert [up for up, _ in room.marks] == [True, False, True]
        assert room.settled == [(1, "in_doubt")]
        dialer.answers(500)
        put(2, "L2")
        await room.until(lambda: len(room.marks) == 4)
        assert room.marks[3][0] is False  # that message was the trial


async def test_no_connection_is_a_failure_and_is_tried_again(room: Room, put: Any) -> None:
    put(1)
    async with room.running(room.sender("http://127.0.0.1:1", unknown_outcome="hold")):
        await room.until(lambda: len(room.settled) >= 2)
    assert {result for _, result in room.settled} == {"retry"}
    assert "no connection" in room.settlements[0].error


async def test_a_time_out_is_repeated_with_the_same_key(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.hangs()
    put(1)
    async with room.running(room.sender(dialer.url)):
        await dialer.received(1)
        room.forward(TIMEOUT_SECONDS + 1)
        await room.until(lambda: (1, "done") in room.settled)
    assert dialer.requests == [("POST", "/assign", "L1-1:assign")] * 2
    assert "no answer after the request was sent" in room.settlements[0].error


LOOKUP: dict[str, Any] = {"unknown_outcome": "lookup", "lookup_found": "FOUND"}


def lookup(dialer: Dialer) -> dict[str, Any]:
    return LOOKUP | {"lookup": WebhookCall(dialer.url + "/lookup/{{ lead_key }}", method="GET")}


async def test_a_time_out_with_a_lookup_that_finds_it_is_not_repeated(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.hangs()
    dialer.answers(500)
    dialer.answers(200, text="LEADS FOUND")
    put(1)
    async with room.running(room.sender(dialer.url, **lookup(dialer))):
        await dialer.received(1)
        room.forward(TIMEOUT_SECONDS + 1)
        await room.until(lambda: (1, "done") in room.settled)
    paths = [path for _, path, _ in dialer.requests]
    assert paths == ["/assign", "/lookup/A0000000001", "/lookup/A0000000001"]
    assert dialer.bodies[1] == b""


async def test_a_time_out_with_a_lookup_that_does_not_find_it_is_repeated(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.hangs()
    dialer.answers(200, text="NO MATCHES")
    put(1)
    async with room.running(room.sender(dialer.url, **lookup(dialer))):
        await dialer.received(1)
        room.forward(TIMEOUT_SECONDS + 1)
        await room.until(lambda: (1, "done") in room.settled)
    assert [path for _, path, _ in dialer.requests] == ["/assign", "/lookup/A0000000001", "/assign"]


async def test_what_an_earlier_process_may_have_sent_is_looked_up_first(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.answers(200, text="FOUND")
    put(1, loaded=True)
    async with room.running(room.sender(dialer.url, **lookup(dialer))):
        await room.until(lambda: (1, "done") in room.settled)
    assert [path for _, path, _ in dialer.requests] == ["/lookup/A0000000001"]


async def test_a_time_out_with_hold_waits_for_a_human_but_a_revocation_is_repeated(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.hangs()
    dialer.hangs()
    put(1)
    async with room.running(room.sender(dialer.url, unknown_outcome="hold")):
        await dialer.received(1)
        room.forward(TIMEOUT_SECONDS + 1)
        await room.until(lambda: bool(room.settled))
        put(2, kind="revoke")
        await dialer.received(2)
        room.forward(TIMEOUT_SECONDS + 1)
        await room.until(lambda: (2, "done") in room.settled)
    assert room.settled == [(1, "in_doubt"), (2, "retry"), (2, "done")]
    assert [path for _, path, _ in dialer.requests] == ["/assign", "/revoke", "/revoke"]


async def test_a_connection_cut_after_the_request_is_unknown_too(
    dialer: Dialer, room: Room, put: Any
) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    dialer.script.append(cut)
    put(1)
    async with room.running(room.sender(dialer.url, unknown_outcome="hold")):
        await room.until(lambda: bool(room.settled))
    assert room.settled == [(1, "in_doubt")]


async def test_retry_after_is_honoured_for_the_whole_target(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.answers(429, **{"Retry-After": "1"})
    put(1)
    async with room.running(room.sender(dialer.url)):
        await room.until(lambda: bool(room.settled))
        put(2, "L2")
        await room.until(lambda: len(room.settled) == 3)
    assert dialer.times[1] - dialer.times[0] >= 0.95


async def test_the_rate_is_a_limit(dialer: Dialer, room: Room, put: Any) -> None:
    for number in range(1, 7):
        put(number, f"L{number}")
    began = asyncio.get_running_loop().time()
    async with room.running(room.sender(dialer.url, rate_per_second=50.0)):
        await room.until(lambda: len(room.settled) == 6)
    assert dialer.times[-1] - began >= 5 / 50.0


async def test_the_concurrency_is_a_limit(dialer: Dialer, room: Room, put: Any) -> None:
    for number in range(1, 7):
        dialer.hangs()
        put(number, f"L{number}")
    async with room.running(room.sender(dialer.url, concurrency=3)):
        await dialer.received(3)
        dialer.release.set()
        await room.until(lambda: len(room.settled) == 6)
    assert dialer.most == 3


async def test_an_assignment_revoked_before_it_left_is_not_sent(
    dialer: Dialer, room: Room, put: Any
) -> None:
    """After an outage nobody should dial what another rep has by now."""
    put(1)
    put(2, kind="revoke")
    put(3, attempt=2)
    async with room.running(room.sender(dialer.url)):
        await room.until(lambda: (3, "done") in room.settled)
    assert [key for _, _, key in dialer.requests] == ["L1-2:assign"]
    assert sorted(room.settled) == [(1, "done"), (2, "done"), (3, "done")]


async def test_what_the_dialer_refused_for_good_is_not_revoked_there(
    dialer: Dialer, room: Room, put: Any
) -> None:
    """It would be refused as well, and cry wolf."""

    async def refuse(_request: web.Request) -> web.Response:
        await dialer.release.wait()
        return web.Response(status=422)

    dialer.script.append(refuse)
    put(1)
    async with room.running(room.sender(dialer.url, max_attempts=1)):
        await dialer.received(1)
        put(2, kind="revoke")
        put(3, attempt=2)
        dialer.release.set()
        await room.until(lambda: (3, "done") in room.settled)
    assert room.settled == [(1, "dead"), (2, "done"), (3, "done")]
    assert [key for _, _, key in dialer.requests] == ["L1-1:assign", "L1-2:assign"]


async def test_a_refusal_after_an_unknown_outcome_is_revoked_all_the_same(
    dialer: Dialer, room: Room, put: Any
) -> None:
    """The first request may have been taken: the refusal may be of the repeat."""
    dialer.hangs()

    async def refuse(_request: web.Request) -> web.Response:
        put(2, kind="revoke")
        return web.Response(status=409)

    dialer.script.append(refuse)
    put(1)
    async with room.running(room.sender(dialer.url, max_attempts=1)):
        await dialer.received(1)
        room.forward(TIMEOUT_SECONDS + 1)
        await room.until(lambda: (2, "done") in room.settled)
    assert room.settled == [(1, "retry"), (1, "dead"), (2, "done")]
    assert dialer.requests[-1] == ("DELETE", "/revoke", "L1-1:revoke")


async def test_an_assignment_that_may_have_left_is_revoked_at_the_dialer(
    dialer: Dialer, room: Room, put: Any
) -> None:
    put(1, loaded=True)
    put(2, kind="revoke", loaded=True)
    async with room.running(room.sender(dialer.url)):
        await room.until(lambda: (2, "done") in room.settled)
    assert [key for _, _, key in dialer.requests] == ["L1-1:revoke"]


async def test_without_a_revoke_request_revocations_are_not_sent(
    dialer: Dialer, room: Room, put: Any
) -> None:
    put(1, kind="revoke")
    async with room.running(room.sender(dialer.url, revoke=None)):
        await room.until(lambda: bool(room.settled))
    assert room.settled == [(1, "done")]
    assert dialer.requests == []


async def test_redirects_are_not_followed_and_no_proxy_is_used(
    dialer: Dialer, room: Room, put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    dialer.answers(302, Location="/elsewhere")
    put(1)
    async with room.running(room.sender(dialer.url, max_attempts=1)):
        await room.until(lambda: bool(room.settled))
    assert room.settled == [(1, "dead")]
    assert len(dialer.requests) == 1


async def test_a_long_answer_is_read_no_further_than_its_limit(
    dialer: Dialer, room: Room, put: Any
) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while True:
                await response.write(b"x" * 8192)
        return response

    dialer.script.append(endless)
    put(1)
    async with room.running(room.sender(dialer.url, success_body="^x+$")):
        await room.until(lambda: bool(room.settled))
    assert room.settled == [(1, "done")]


async def test_the_secret_is_sent_and_never_shown(dialer: Dialer, room: Room, put: Any) -> None:
    dialer.answers(400, text="who is hush-hush?")
    put(1)
    call = WebhookCall(dialer.url + "/assign", headers={"X-Key": "{{ secret }}"})
    sender = room.sender(dialer.url, assign=call, max_attempts=1, secret="hush-hush")
    async with room.running(sender):
        await room.until(lambda: bool(room.settled))
    assert dialer.headers[0]["X-Key"] == "hush-hush"
    assert room.settlements[0].error == "HTTP 400: who is ***?"


async def test_a_message_that_does_not_fit_its_template_is_given_up(
    dialer: Dialer, room: Room, message: Any
) -> None:
    room.lanes.put(Item(message(1, payload=b'{"type":"assign","lead":{}}', target="vici")))
    call = WebhookCall(dialer.url, body="{{ rep }}")
    async with room.running(room.sender(dialer.url, assign=call)):
        await room.until(lambda: bool(room.settled))
    assert room.settled == [(1, "dead")]
    assert room.settlements[0].error.startswith("dialers[vici].assign.body: 'rep' is undefined")


async def test_a_wrong_template_is_refused_at_the_start(room: Room) -> None:
    with pytest.raises(BadConfig, match=r"dialers\[vici\]\.assign\.body.*fone"):
        room.sender("http://h", assign=WebhookCall("http://h", body="{{ lead.fone }}"))


async def test_stopping_lets_requests_finish_within_the_grace(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.hangs()
    put(1)
    sender = room.sender(dialer.url)
    task = asyncio.create_task(sender.run())
    await dialer.received(1)
    stopping = asyncio.create_task(sender.stop(5.0))
    await asyncio.sleep(0)  # it has begun to stop
    put(2, "L2")
    dialer.release.set()
    await stopping
    await task
    assert room.settled == [(1, "done")]
    assert len(dialer.requests) == 1


@pytest.mark.parametrize(("unknown", "settled"), [("repeat", []), ("hold", [(1, "in_doubt")])])
async def test_what_is_under_way_at_the_end_of_the_grace(
    unknown: str, settled: list[Any], dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.hangs()
    put(1)
    sender = room.sender(dialer.url, unknown_outcome=unknown)
    task = asyncio.create_task(sender.run())
    await dialer.received(1)
    await sender.stop(0.01)
    await task
    assert room.settled == settled


async def test_stopping_what_was_never_started_is_fine(room: Room) -> None:
    await room.sender("http://h").stop()


async def test_a_dead_dialer_does_not_hold_back_the_mqtt_target(
    room: Room, put: Any, lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any
) -> None:
    put(1)
    mqtt = MqttSender(lanes, link, clock)
    task = asyncio.create_task(mqtt.run())
    async with room.running(room.sender("http://127.0.0.1:1", breaker_failures=1)):
        await room.until(lambda: len(room.marks) == 2)
        fill(message(2, "L1"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(link.sent) == 1
    await mqtt.stop(0.0)
    await task
