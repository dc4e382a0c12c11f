"""Faults of a dialer, or of what the operator wrote about it: no lead is lost by them."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from distributor.delivery.lanes import Item
from distributor.domain.dialers import WebhookCall
from tests.http_dialers import Dialer, Room, serving
from tests.real import need_program

QUICK: dict[str, Any] = {"breaker_failures": 3, "breaker_seconds": 0.02}


def answering(key: str, status: int) -> Any:
    """A dialer's answer: the status to messages of this lead, 200 to all others."""

    async def answer(request: web.Request) -> web.Response:
        mine = request.headers["Idempotency-Key"].startswith(f"{key}-")
        return web.Response(status=status if mine else 200)

    return answer


def told(logs: list[Any], event: str) -> list[Any]:
    return [line for line in logs if line["event"] == event]


def results(room: Room, number: int) -> list[str]:
    return [result for one, result in room.settled if one == number]


# --- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A self-made certificate with its key, for a name."""
    openssl = need_program("openssl")
    folder = tmp_path_factory.mktemp("pems")

    def make(name: str) -> Path:
        path = folder / f"{name}.pem"
        subprocess.run(
            [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
            + ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
            + ["-keyout", str(path), "-out", f"{path}.crt"],
            capture_output=True,
            check=True,
        )
        path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
        return path

    return make


async def test_a_certificate_that_is_not_trusted_is_the_dialers_fault(
    room: Room, put: Any, certificate: Callable[[str], Path]
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate("localhost"))
    for number in range(1, 4):
        put(number, f"L{number}")
    with capture_logs() as logs:
        async with (
            serving(tls) as dialer,
            room.running(room.sender(dialer.url, max_attempts=1, **QUICK)),
        ):
            await room.until(lambda: len(room.settled) >= 8)
    assert {result for _, result in room.settled} == {"retry"}
    assert [up for up, _ in room.marks] == [True, False]
    line = told(logs, "target_changed")[0]
    assert (line["target"], line["up"]) == ("vici", False)
    assert "not trusted: self-signed certificate; add who signed it to" in line["reason"]


async def test_a_certificate_of_another_name_and_the_remedy(
    room: Room, put: Any, certificate: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = certificate("dialer.example")
    monkeypatch.setattr(
        "aiohttp.connector._SSL_CONTEXT_VERIFIED", ssl.create_default_context(cafile=str(path))
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(path)
    put(1)
    async with serving(tls) as dialer, room.running(room.sender(dialer.url, max_attempts=1)):
        await room.until(lambda: len(room.settled) >= 2)
    assert {result for _, result in room.settled} == {"retry"}
    assert "name the host in url as its certificate does" in room.settlements[0].error


async def test_a_dialer_that_does_not_speak_tls_is_a_failure(
    dialer: Dialer, room: Room, put: Any
) -> None:
    put(1)
    url = dialer.url.replace("http:", "https:")
    async with room.running(room.sender(url, max_attempts=1)):
        await room.until(lambda: len(room.settled) >= 2)
    assert {result for _, result in room.settled} == {"retry"}
    assert room.settlements[0].error.startswith("no TLS connection: see that url names")


@pytest.mark.parametrize("url", ["http://u:p@127.0.0.1:1", "http://999.1.1.1"])
async def test_what_cannot_be_sent_is_said_of_the_request_and_loses_no_lead(
    url: str, room: Room, put: Any
) -> None:
    for number in range(1, 4):
        put(number, f"L{number}")
    call = WebhookCall(url, headers={"Authorization": "x"})
    async with room.running(room.sender(url, assign=call, max_attempts=2, **QUICK)):
        await room.until(lambda: len(room.settled) >= 12)
    assert {result for _, result in room.settled} == {"retry"}
    assert "not a request: check url and headers" in room.marks[-1][1]


# --- answers that any message would get


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (301, "it moved to /elsewhere and redirects are not followed"),
        (401, "check its headers and the dialer's secret"),
        (403, "check its headers and the dialer's secret"),
        (404, "check its url and method"),
        (405, "check its url and method"),
    ],
)
async def test_what_every_lead_gets_is_the_dialers_fault_and_no_lead_is_lost(
    status: int, remedy: str, dialer: Dialer, room: Room, put: Any
) -> None:
    # Each lead is tried again and again: more often than ``max_attempts`` allows a refused one.
    dialer.answers(*[status] * 15, Location="/elsewhere")
    for number in range(1, 4):
        put(number, f"L{number}")
    with capture_logs() as logs:
        async with room.running(room.sender(dialer.url, max_attempts=2, **QUICK)):
            await room.until(lambda: len(room.lanes) == 0)
    assert {number: results(room, number)[-1] for number in (1, 2, 3)} == dict.fromkeys(
        (1, 2, 3), "done"
    )
    assert "dead" not in [result for _, result in room.settled]
    assert [up for up, _ in room.marks] == [True, False, True]
    down = told(logs, "target_changed")[0]
    assert down["reason"].startswith(f"HTTP {status} to dialers[vici].assign: {remedy}")


async def test_one_message_alone_that_is_misdirected_goes_to_a_human(
    dialer: Dialer, room: Room, put: Any
) -> None:
    """A field of the lead may stand in the url: the others must not wait for it."""
    dialer.script = [answering("L1", 404)] * 100
    put(1)
    async with room.running(room.sender(dialer.url, max_attempts=3, **QUICK)):
        await room.until(lambda: (1, "dead") in room.settled)
        put(2, "L2")
        await room.until(lambda: (2, "done") in room.settled)
    assert results(room, 1) == ["retry", "retry", "dead"]
    assert room.marks[-1][0] is True


async def test_a_message_that_the_dialer_never_answers_well_keeps_it_down_for_no_other(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.script = [answering("L1", 500)] * 100
    put(1)
    async with room.running(room.sender(dialer.url, **QUICK)):
        await room.until(lambda: len(room.marks) == 2)
        put(2, "L2")
        await room.until(lambda: (2, "done") in room.settled)
        assert results(room, 1)[-1] == "retry"


async def test_a_misdirected_assignment_is_known_not_to_be_there(
    dialer: Dialer, room: Room, put: Any
) -> None:
    """Revoked while the secret is wrong, it needs no revocation at the dialer."""
    dialer.answers(401, 401)
    put(1)
    put(2, "L2")
    sender = room.sender(dialer.url, breaker_failures=1, breaker_seconds=60.0, concurrency=2)
    async with room.running(sender):
        await room.until(lambda: len(room.settled) == 2)
        put(3, "L1", "revoke")
        put(4, "L2", "revoke")
        room.forward(61.0)
        await room.until(lambda: len(room.lanes) == 0)
    assert [method for method, _, _ in dialer.requests] == ["POST", "POST"]


async def test_a_misdirected_revocation_stops_no_assignment(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.answers(405, 405, 405, 405)
    for number in (1, 2):
        put(number, f"L{number}", "revoke")
    async with room.running(room.sender(dialer.url, max_attempts=2, breaker_failures=1)):
        await room.until(lambda: len(room.lanes) == 0)
        put(3, "L3")
        await room.until(lambda: (3, "done") in room.settled)
    assert results(room, 1) == results(room, 2) == ["retry", "dead"]
    assert room.marks == [(True, "started")]


async def test_a_revocation_that_is_taken_says_nothing_for_the_assignments(
    dialer: Dialer, room: Room, put: Any
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=404 if request.method == "POST" else 200)

    dialer.script = [answer] * 200
    put(1, "L1")
    put(2, "L2")
    async with room.running(room.sender(dialer.url, max_attempts=3)):
        for number in range(3, 11):
            tries = [len(results(room, one)) for one in (1, 2)]
            put(number, f"L{number}", "revoke")
            await room.until(
                lambda tries=tries, number=number: (  # type: ignore[misc]
                    (number, "done") in room.settled
                    and all(len(results(room, one)) > tries[one - 1] for one in (1, 2))
                )
            )
    assert set(results(room, 1) + results(room, 2)) == {"retry"}


async def test_a_trial_is_an_assignment_where_there_is_one(
    dialer: Dialer, room: Room, put: Any
) -> None:
    """A request for revocations that never works must not keep assignments waiting."""
    dialer.answers(500)
    sender = room.sender(
        dialer.url, breaker_failures=1, breaker_seconds=0.02, concurrency=1, retry_max_seconds=0.01
    )
    put(1, "L1")
    async with room.running(sender):
        await room.until(lambda: len(room.marks) == 2)
        put(2, "L2", "revoke")
        put(3, "L3")
        await room.until(lambda: len(room.lanes) == 0)
    # The trial that closed the breaker came before the revocation, though that is not tried yet.
    assert [method for method, _, _ in dialer.requests[:2]] == ["POST", "POST"]


async def test_another_reason_for_being_down_is_told(dialer: Dialer, room: Room, put: Any) -> None:
    """The operator mends one thing, and hears of the next."""
    dialer.answers(500, 500, 401, 401, text="no")
    put(1)
    put(2, "L2")
    sender = room.sender(dialer.url, breaker_failures=1, breaker_seconds=0.02, concurrency=1)
    async with room.running(sender):
        await room.until(lambda: len(room.lanes) == 0)
    assert [reason.partition(":")[0] for _, reason in room.marks] == [
        "started",
        "HTTP 500",
        "HTTP 401 to dialers[vici].assign",
        "the dialer answers again",
    ]


# --- many refusals


async def test_many_refusals_without_a_success_are_told_once(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.answers(*[422] * 12, text="field phone_number is missing")
    with capture_logs() as logs:
        async with room.running(room.sender(dialer.url, max_attempts=1)):
            for number in range(1, 14):
                put(number, f"L{number}")
                await room.until(lambda number=number: bool(results(room, number)))  # type: ignore[misc]
    assert results(room, 13) == ["done"]
    (line,) = told(logs, "many_refused")
    assert line["target"] == "vici"
    assert line["messages"] == 10
    assert "field phone_number is missing" in line["error"]
    assert "check body and headers of dialers[vici].assign" in line["remedy"]


async def test_refusals_between_successes_are_nothing_special(
    dialer: Dialer, room: Room, put: Any
) -> None:
    with capture_logs() as logs:
        async with room.running(room.sender(dialer.url, max_attempts=1)):
            for number in range(1, 25):
                dialer.answers(200 if number % 8 == 0 else 400)
                put(number, f"L{number}")
                await room.until(lambda number=number: bool(results(room, number)))  # type: ignore[misc]
    assert told(logs, "many_refused") == []


async def test_a_template_that_no_lead_fits_is_told_too(
    dialer: Dialer, room: Room, message: Any
) -> None:
    call = WebhookCall(dialer.url, body="{{ rep }}")
    for number in range(1, 12):
        one = message(number, f"L{number}", payload=b'{"type":"assign","lead":{}}', target="vici")
        room.lanes.put(Item(one))
    with capture_logs() as logs:
        async with room.running(room.sender(dialer.url, assign=call)):
            await room.until(lambda: len(room.lanes) == 0)
    (line,) = told(logs, "many_refused")
    assert "'rep' is undefined" in line["error"]


# --- pauses


@pytest.mark.parametrize("status", [429, 503])
async def test_a_long_pause_is_shortened_told_once_and_counts_as_down(
    status: int, dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.answers(status, status, text="later", **{"Retry-After": "3600"})
    put(1)
    with capture_logs() as logs:
        async with room.running(room.sender(dialer.url)):
            for asked in (1, 2):
                await room.until(lambda asked=asked: len(room.settled) == asked)  # type: ignore[misc]
                room.forward(59.0)
                await room.looked()
                assert len(dialer.requests) == asked
                room.forward(2.0)
            await room.until(lambda: (1, "done") in room.settled)
    assert room.marks == [
        (True, "started"),
        (False, f"HTTP {status}: later; it asks for a pause of 3600 s"),
        (True, "the dialer answers again"),
    ]
    (line,) = told(logs, "pause_shortened")
    assert (line["target"], line["asked_seconds"], line["taken_seconds"]) == ("vici", 3600.0, 60.0)


async def test_a_short_pause_is_kept_and_the_dialer_is_not_down(
    dialer: Dialer, room: Room, put: Any
) -> None:
    dialer.answers(429, **{"Retry-After": "14"})
    put(1)
    with capture_logs() as logs:
        async with room.running(room.sender(dialer.url)):
            await room.until(lambda: bool(room.settled))
            put(2, "L2")
            room.forward(13.0)
            await room.looked()
            assert len(dialer.requests) == 1
            room.forward(2.0)
            await room.until(lambda: len(room.lanes) == 0)
    assert room.marks == [(True, "started")]
    assert told(logs, "pause_shortened") == []
