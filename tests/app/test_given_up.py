"""Assignments that a dialer refuses, or may or may not have taken: a human hears of each, whenever the
daemon ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from distributor.app.verification import verify
from distributor.domain.events import DeliveryFailed, PresenceReported
from distributor.runtime import dispatcher
from distributor.runtime.inbox import Submission
from tests.app.conftest import until


class Dialer:
    """Answers assignments with ``status`` (None: not at all) once ``answering`` is set, and takes every
    revocation. ``on_assign`` is called for each assignment before the answer."""

    def __init__(self) -> None:
        self.url = ""
        self.status: int | None = 200
        self.requests: list[tuple[str, str]] = []
        self.asked = asyncio.Event()
        self.answering = asyncio.Event()
        self.answering.set()
        self.on_assign: Callable[[], None] = lambda: None

    async def heard(self, count: int) -> None:
        """Return when so many requests have come."""
        async with asyncio.timeout(60):
            while len(self.requests) < count:
                self.asked.clear()
                await self.asked.wait()

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.requests.append((request.path, body["assignment_id"]))
        self.asked.set()
        if request.path == "/revoke":
            return web.Response()
        self.on_assign()
        if self.status is None:
            await asyncio.Event().wait()
        await self.answering.wait()
        assert self.status is not None
        return web.Response(status=self.status)

    def tables(self, **more: Any) -> dict[str, Any]:
        """The settings of a floor where this dialer calls."""
        calls = {name: {"url": f"{self.url}/{name}"} for name in ("assign", "revoke")}
        return {
            "dialers": [{"id": "cloud", "max_attempts": 1, **calls, **more}],
            "pools": [{"id": "default", "dialer": "cloud"}],
            "reps": [{"id": "ana"}],
        }


@pytest.fixture
async def dialer() -> AsyncIterator[Dialer]:
    dialer = Dialer()
    app = web.Application()
    app.router.add_post("/{call}", dialer.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    dialer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield dialer
    await runner.cleanup()


@pytest.fixture
def on_the_desk(committed: asyncio.Event) -> Callable[..., Awaitable[dict[str, Any]]]:
    """The lead's case, once there is one."""

    async def wait(client: Any, key: str) -> dict[str, Any]:
        async def cases() -> Any:
            return (await client.ask("GET", "/v1/exceptions"))["items"]

        (case,) = await until(committed, cases)
        assert (case["lead_key"], case["kind"]) == (key, "delivery_failed")
        assert (await client.ask("GET", "/v1/reps/ana"))["flow"] == 1.0
        found: dict[str, Any] = case
        return found

    return wait


async def test_what_nobody_knows_of_is_held_for_a_human_and_revoked_at_the_dialer(
    dialer, open_daemon, connect, on_the_desk
):
    dialer.status = None
    tables = dialer.tables(unknown_outcome="hold", timeout_seconds=0.2)
    daemon = await open_daemon(**tables)
    client = connect(daemon)
    await client.be("ana", "ready")
    key = await client.lead("one")
    name = daemon.engine.state.leads[key].assignment_id

    case = await on_the_desk(client, key)

    assert "cloud: may have it all the same" in case["because"]
    await dialer.heard(2)
    assert dialer.requests == [("/assign", name), ("/revoke", name)]
    await daemon.stop()
    assert verify(daemon.store.path) is None


async def test_a_dialer_that_refused_an_assignment_is_not_asked_to_revoke_it(
    dialer, open_daemon, connect, on_the_desk
):
    dialer.status = 422
    daemon = await open_daemon(**dialer.tables())
    client = connect(daemon)
    await client.be("ana", "ready")
    key = await client.lead("one")
    await on_the_desk(client, key)
    dialer.status = 200

    body = {"rep": "ana", "reason": "try again"}
    await client.ask("POST", f"/v1/leads/{key}/assign", body)

    await dialer.heard(2)  # a revocation would come before it
    assert dialer.requests == [("/assign", f"{key}-1"), ("/assign", f"{key}-2")]


@pytest.mark.parametrize("status", [422, None])
async def test_what_is_given_up_while_the_daemon_stops_is_known_after_the_restart(
    dialer, open_daemon, connect, on_the_desk, monkeypatch, status
):
    if status is None:
        monkeypatch.setattr("distributor.app.daemon.FLUSH_SECONDS", -0.9)
    dialer.status = status
    dialer.answering.clear()
    tables = dialer.tables(unknown_outcome="hold", timeout_seconds=60.0)
    daemon = await open_daemon(**tables)
    client = connect(daemon)
    await client.be("ana", "ready")
    key = await client.lead("one")
    await dialer.heard(1)

    stopping = asyncio.create_task(daemon.stop())
    await asyncio.wait({daemon._dispatching})
    dialer.answering.set()
    await stopping

    again = await open_daemon(**tables)
    await on_the_desk(connect(again), key)
    if status is None:
        await dialer.heard(2)
        assert dialer.requests == [("/assign", f"{key}-1"), ("/revoke", f"{key}-1")]
    else:
        assert dialer.requests == [("/assign", f"{key}-1")]
    assert verify(again.store.path) is None


async def test_no_commit_holds_one_without_the_other(
    dialer, open_daemon, connect, on_the_desk, monkeypatch
):
    """Wherever a kill -9 comes: what is given up in the outbox is known to the engine."""
    monkeypatch.setattr(dispatcher, "BATCH_EVENTS", 1)
    dialer.status = 422
    daemon = await open_daemon(**dialer.tables())

    def keep_it_busy() -> None:
        for _ in range(50):
            event = PresenceReported("ana", "ready", "rep:ana")
            daemon.inbox.push(Submission([event]))

    dialer.on_assign = keep_it_busy
    commits: list[tuple[int, int]] = []
    append = daemon.store.append

    async def counted(batch: Any, **more: Any) -> Any:
        given_up = [one for one in batch.settlements if one.result in ("dead", "in_doubt")]
        failed = [one for one in batch.entries if isinstance(one.event, DeliveryFailed)]
        commits.append((len(given_up), len(failed)))
        return await append(batch, **more)

    daemon.store.append = counted
    client = connect(daemon)
    await client.be("ana", "ready")
    key = await client.lead("one")

    await on_the_desk(client, key)

    assert (1, 1) in commits
    assert all(given_up == failed for given_up, failed in commits)


async def test_a_dialer_that_does_not_answer_is_no_reps_silence(dialer, open_daemon, connect):
    """The lead lies with us: nobody is slowed by it, and it goes to nobody else. Once the dialer has
    it, the rep has as long as ever."""
    dialer.answering.clear()
    tables = dialer.tables(max_attempts=9, timeout_seconds=30)
    flow = {"policy": "lease", "time_scale": 20}
    daemon = await open_daemon(**tables | {"reps": [{"id": "ana"}, {"id": "ben"}], "flow": flow})
    client = connect(daemon)
    await client.be("ana", "ready")
    await client.be("ben", "ready")
    key = await client.lead("one")
    lead_of = daemon.engine.state.leads
    waits = "its dialer does not have it yet: its clocks wait"

    async def restarts() -> list[str]:
        shown = await client.ask("GET", f"/v1/leads/{key}")
        return [i["because"] for i in shown["history"] if i["type"] == "lease_restarted"]

    # Five times: longer than the flow control would wait for any rep.
    async with asyncio.timeout(60):
        while (await restarts()).count(waits) < 5:
            await asyncio.sleep(0.05)
    assert lead_of[key].attempt == 1
    assert {rep.flow.value for rep in daemon.engine.state.reps.values()} == {1.0}

    dialer.answering.set()

    async with asyncio.timeout(60):
        while (await restarts())[-1] == waits:
            await asyncio.sleep(0.05)
    assert (await restarts())[-1] == "its dialer has it only now: its clocks begin here"
    async with asyncio.timeout(60):
        while lead_of[key].attempt == 1:  # now it is the rep's own silence
            await asyncio.sleep(0.05)
