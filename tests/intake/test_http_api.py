"""HTTP: every request, every refusal, and answers only after the commit."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from distributor.domain.decisions import (
    Decision,
    EventRecorded,
    LeadAccepted,
    LeadDuplicate,
    LeadRejected,
    PresenceChanged,
)
from distributor.domain.events import (
    Event,
    LeadEvent,
    LeadReceived,
    LeadRefused,
    PresenceReported,
    SupervisorActed,
)
from distributor.domain.lead import Lead
from distributor.intake.directory import Directory
from distributor.intake.http_api import make_http_app, routes
from distributor.intake.http_auth import ROLES, Token, Tokens
from distributor.intake.http_parts import Parts
from distributor.runtime.inbox import Inbox

NOW = 1_795_251_660_000_000_000
GOOD = {"id": "L-1", "phone": "+13125550142"}
EVENT = {"event_id": "e1", "type": "contacted", "lead_key": "K1"}
JSON_TYPE = {"Content-Type": "application/json"}
LEAD: dict[str, Any] = {"lead_key": "K1", "vendor": "acme", "state": "assigned", "rep": "ana"}


class FakeReader:
    """A store of one lead."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.pools = {"default"}
        self.reps = {"ana", "ben", "gone"}

    async def lead(self, lead_key: str) -> Mapping[str, Any] | None:
        return LEAD if lead_key == "K1" else None

    async def history(self, lead_key: str) -> Sequence[Mapping[str, Any]]:
        return [{"at": "2026-11-21T09:00:00.000Z", "type": "accepted", "because": "came in"}]

    async def leads(self, **asked: Any) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        self.asked = asked
        return ([], None) if asked["pool"] not in (None, *self.pools) else ([LEAD], "K1")

    async def knows_rep(self, rep: str) -> bool:
        return rep in self.reps

    async def why(self, lead_key: str, rep: str | None) -> Mapping[str, Any] | None:
        return {"lead_key": lead_key, "rep": "ana", "because": f"asked for {rep}"}

    async def exceptions(self) -> Sequence[Mapping[str, Any]]:
        return [{"lead_key": "K9", "kind": "no_pool"}]


class FakeRuntime:
    """Answers what is queued, one batch after the other, until it is told to ``hold``."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.events: list[Event] = []
        self.may_commit = asyncio.Event()
        self.may_commit.set()
        self.at_the_gate = asyncio.Event()
        self.seen: set[str] = set()
        self.pool_full = False

    async def run(self) -> None:
        while True:
            await self.inbox.wait()
            self.at_the_gate.set()
            await self.may_commit.wait()
            for submission in self.inbox.take(100):
                answers = [self.answer(event) for event in submission.events]
                assert submission.done is not None
                submission.done(answers)

    def answer(self, event: Event) -> Decision:
        self.events.append(event)
        if isinstance(event, LeadReceived):
            return self.answer_lead(event)
        if isinstance(event, LeadRefused):
            return LeadRejected(event.vendor, event.vendor_id, event.reason, "http")
        if isinstance(event, PresenceReported):
            if event.at_ns and event.at_ns < NOW - 60 * 10**9:
                return self.record(event.event_id, "stale", "older")
            return PresenceChanged(event.rep, event.state, NOW, event.source)
        if isinstance(event, LeadEvent):
            outcomes = {"OLD": "stale", "NONE": "rejected"}
            duplicate = event.event_id in self.seen
            self.seen.add(event.event_id)
            outcome = "duplicate" if duplicate else outcomes.get(event.lead_key, "accepted")
            return self.record(event.event_id, outcome, "no lead of this key")
        assert isinstance(event, SupervisorActed)
        refused = event.action == "assign" and event.rep == "ben" and not event.force
        return self.record("", "rejected" if refused else "accepted", "ben is not ready (away)")

    def answer_lead(self, event: LeadReceived) -> Decision:
        if self.pool_full:
            return LeadRejected(event.vendor, event.vendor_id, "pool full", "http", retryable=True)
        if event.vendor_id in self.seen:
            return LeadDuplicate(event.vendor, event.vendor_id, "K1", "http")
        self.seen.add(event.vendor_id)
        lead = Lead("K1", event.vendor, event.vendor_id, "default", "waiting", NOW, NOW)
        return LeadAccepted(lead, 1, "http", note=event.note)

    def record(self, event_id: str, outcome: Any, reason: str) -> EventRecorded:
        return EventRecorded(event_id, "s", "t", "K1", "", "ana", NOW, outcome, reason)


class World:
    """The application behind a real socket, with fakes behind it."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.runtime = FakeRuntime(self.inbox)
        self.reader = FakeReader()
        self.tokens = Tokens()
        self.directory = Directory(["ana", "ben"], {"acme": "US", "zeta": "US"}, (), ["default"])
        self.reasons: list[str] = []
        self.parts = Parts(
            inbox=self.inbox,
            directory=lambda: self.directory,
            reader=self.reader,
            reps=lambda: [{"id": "ana"}, {"id": "ben"}],
            rep=lambda rep: {"id": rep, "flow": 1} if rep in ("ana", "ben") else None,
            metrics=self.metrics,
            health=list,
            ready=lambda: self.reasons,
            now_ns=lambda: NOW,
        )
        app = make_http_app(self.parts, lambda: self.tokens, max_body_bytes=1_048_576)
        self.client: TestClient[Any, Any] = TestClient(TestServer(app, host="127.0.0.1"))

    async def metrics(self, compressed: bool) -> tuple[list[bytes], str]:
        text = b"# HELP x\n"
        content_type = "text/plain; version=0.0.4; charset=utf-8"
        return [gzip.compress(text) if compressed else text], content_type

    async def ask(
        self, method: str, path: str, status: int, **options: Any
    ) -> tuple[Any, Mapping[str, str]]:
        """The decoded answer and the headers of a request that must end with ``status``."""
        async with self.client.request(method, path, **options) as response:
            text = await response.text()
            assert response.status == status, text
            if status >= 400:
                assert response.content_type == "application/problem+json"
                problem = json.loads(text)
                assert problem["status"] == status
                assert problem["title"]
                assert problem["detail"]
            json_like = response.content_type.endswith("json")
            return (json.loads(text) if json_like else text), response.headers


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    runtime = asyncio.create_task(world.runtime.run())
    async with world.client:
        yield world
    runtime.cancel()
    await asyncio.gather(runtime, return_exceptions=True)


# --- leads ---------------------------------------------------------------------------------------


async def test_a_lead_is_answered_with_the_unified_reply(world: World) -> None:
    reply, _ = await world.ask("POST", "/v1/leads/acme", 200, json=GOOD)
    assert reply == {
        "outcome": "accepted",
        "reason": None,
        "lead_id": "L-1",
        "lead_key": "K1",
        "retryable": False,
    }
    again, _ = await world.ask("POST", "/v1/leads/acme", 200, json=GOOD)
    assert (again["outcome"], again["lead_key"]) == ("duplicate", "K1")


async def test_an_array_is_answered_in_its_order_with_a_bad_lead_among_good_ones(
    world: World,
) -> None:
    items = [{**GOOD, "id": 1}, {"id": 2}, {**GOOD, "id": 3}]
    replies, _ = await world.ask("POST", "/v1/leads/acme", 200, json=items)
    assert [(r["outcome"], r["lead_id"]) for r in replies] == [
        ("accepted", "1"),
        ("rejected", "2"),
        ("accepted", "3"),
    ]
    empty, _ = await world.ask("POST", "/v1/leads/acme", 200, json=[])
    assert empty == []


async def test_an_invalid_lead_in_well_formed_json_is_200_and_rejected(world: World) -> None:
    reply, _ = await world.ask("POST", "/v1/leads/acme", 200, json={"id": "1", "product": 5})
    assert reply["outcome"] == "rejected"
    assert reply["reason"].startswith("product:")


async def test_a_form_is_a_lead(world: World) -> None:
    form = {"id": "7", "phone": "312 555 0142", "roof": "flat"}
    reply, _ = await world.ask("POST", "/v1/leads/acme", 200, data=form)
    assert (reply["outcome"], reply["lead_id"]) == ("accepted", "7")
    (event,) = world.runtime.events
    assert isinstance(event, LeadReceived)
    assert json.loads(event.body)["attributes"] == {"roof": "flat"}


async def test_json_that_a_tool_calls_a_form_is_read_as_json(world: World) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = json.dumps(GOOD).encode()
    reply, _ = await world.ask("POST", "/v1/leads/acme", 200, data=body, headers=headers)
    assert reply["outcome"] == "accepted"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"nope", 400),
        (b"", 400),
        (b"5", 400),
        (b'{"id": NaN}', 400),
        (b'{"id": "\xff"}', 400),
        (b"[" * 40 + b"]" * 40, 400),
        (b"[" + b",".join([b"{}"] * 1001) + b"]", 413),
        (b'{"id": 1, "comments": "' + b"x" * 10_485_760 + b'"}', 413),
    ],
)
@pytest.mark.parametrize("path", ["/v1/leads/acme", "/v1/events"])
async def test_what_cannot_be_decoded_is_a_problem(
    world: World, path: str, body: bytes, status: int
) -> None:
    headers = {"Content-Type": "application/json"}
    await world.ask("POST", path, status, data=io.BytesIO(body), headers=headers)
    assert world.runtime.events == []


PACKED: dict[str, bytes] = {
    "gzip": gzip.compress(json.dumps(GOOD).encode(), mtime=0),
    "x-gzip": gzip.compress(json.dumps(GOOD).encode(), mtime=0),
    "deflate": zlib.compress(json.dumps(GOOD).encode()),
    "Identity": json.dumps(GOOD).encode(),
}


async def post_packed(world: World, status: int, coding: str, body: bytes) -> Any:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    # From a stream: the client would pack the bytes itself.
    return await world.ask("POST", "/v1/leads/acme", status, data=io.BytesIO(body), headers=headers)


@pytest.mark.parametrize("coding", sorted(PACKED))
async def test_a_packed_body_is_read(world: World, coding: str) -> None:
    reply, _ = await post_packed(world, 200, coding, PACKED[coding])
    assert reply["lead_id"] == "L-1"


async def test_deflate_without_its_head_is_read_too(world: World) -> None:
    packer = zlib.compressobj(wbits=-15)
    body = packer.compress(json.dumps(GOOD).encode()) + packer.flush()
    reply, _ = await post_packed(world, 200, "deflate", body)
    assert reply["lead_id"] == "L-1"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"notgzip"),
        ("gzip", PACKED["gzip"][:-1]),
        ("gzip", PACKED["gzip"] + b"more"),
        ("deflate", b"notdeflate"),
        ("deflate", PACKED["deflate"][:-1]),
    ],
)
async def test_a_body_that_is_not_what_its_coding_says_is_400(
    world: World, caplog: pytest.LogCaptureFixture, coding: str, body: bytes
) -> None:
    problem, _ = await post_packed(world, 400, coding, body)
    assert problem["detail"].startswith("Content-Encoding: ")
    await world.ask("POST", "/v1/leads/acme", 200, json=GOOD)  # the connection goes on
    assert ours(caplog) == []


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip"])
async def test_a_coding_that_is_not_read_is_415(
    world: World, caplog: pytest.LogCaptureFixture, coding: str
) -> None:
    """Whatever else is installed: the HTTP library would know some of them then."""
    problem, headers = await post_packed(world, 415, coding, b"whatever")
    assert problem["detail"].startswith(f"Content-Encoding: {coding} is not read here")
    assert headers["Accept-Encoding"] == "gzip, deflate"
    assert ours(caplog) == []


async def test_the_limit_holds_for_what_a_body_unpacks_to(world: World) -> None:
    await post_packed(world, 413, "gzip", gzip.compress(b" " * 1_048_577))
    await post_packed(world, 400, "gzip", gzip.compress(b" " * 1_048_576))  # fits, but is no JSON


def ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, but for asyncio's remarks on a slow machine."""
    return [record.getMessage() for record in caplog.records if record.name != "asyncio"]


HEAD = b"POST /v1/leads/acme HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHo st: x\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nnope",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_http_are_400_and_leave_no_traceback(
    world: World, caplog: pytest.LogCaptureFixture, text: bytes
) -> None:
    """Strangers must not fill the log."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.client.port)
    writer.write(text)
    async with asyncio.timeout(60):
        answer = await reader.read()
    assert answer.split(b" ", 2)[1] == b"400"
    writer.close()
    assert ours(caplog) == []


@pytest.mark.parametrize(
    "text",
    [
        HEAD + b"Content-Length: 50\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
@pytest.mark.parametrize("rest", [b"", b"zz\r\n"])
async def test_a_caller_who_leaves_in_the_middle_of_a_body_leaves_no_traceback(
    world: World, caplog: pytest.LogCaptureFixture, text: bytes, rest: bytes
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", world.client.port)
    writer.write(text)
    await writer.drain()
    await world.ask("GET", "/healthz", 200)  # the server has read it
    writer.write(rest)
    writer.close()
    await writer.wait_closed()
    for _ in range(3):
        await world.ask("GET", "/healthz", 200)
    assert world.runtime.events == []
    assert ours(caplog) == []


async def test_the_limit_holds_for_a_body_of_unknown_length(world: World) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    headers = {"Content-Type": "application/json"}
    await world.ask("POST", "/v1/leads/acme", 413, data=endless(), headers=headers)


@pytest.mark.parametrize(
    "body", [b"a=%ff", b"a=\xff", b"&".join([b"a=1"] * 1001), b"=", b"%", b"&&&"]
)
async def test_a_form_that_is_none_has_an_answer(world: World, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with world.client.post("/v1/leads/acme", data=body, headers=headers) as response:
        assert response.status in (200, 400)


async def test_another_media_type_is_415(world: World) -> None:
    for path in ("/v1/leads/acme", "/v1/events"):
        headers = {"Content-Type": "text/xml"}
        _, said = await world.ask("POST", path, 415, data=b"<lead/>", headers=headers)
        assert "application/json" in said["Accept"]


async def test_an_unknown_vendor_is_404_where_vendors_are_configured(world: World) -> None:
    await world.ask("POST", "/v1/leads/nobody", 404, json=GOOD)
    world.directory = Directory([], {})
    await world.ask("POST", "/v1/leads/nobody", 200, json=GOOD)
    said, _ = await world.ask("POST", "/v1/leads/a%20b", 404, json=GOOD)
    assert said["detail"].startswith('vendor: "a b" is no name; use 1 to 64 characters from A-Z')
    said, _ = await world.ask("POST", f"/v1/leads/{'x' * 65}", 404, json=GOOD)
    assert "is no name" in said["detail"]


async def test_a_body_without_a_content_type_is_what_its_vendor_sends(world: World) -> None:
    world.directory = Directory([], {"acme": "US", "zeta": "US"}, {"zeta"})
    bare = {"skip_auto_headers": ["Content-Type"]}
    form = b"id=F1&phone=%2B13125550142"

    said, _ = await world.ask("POST", "/v1/leads/zeta", 200, data=form, **bare)
    assert (said["outcome"], said["lead_id"]) == ("accepted", "F1")
    body = json.dumps(GOOD).encode()
    said, _ = await world.ask("POST", "/v1/leads/acme", 200, data=body, **bare)
    assert said["outcome"] == "accepted"
    await world.ask("POST", "/v1/leads/acme", 400, data=form, **bare)
    # What the body says of itself counts more.
    said, _ = await world.ask("POST", "/v1/leads/zeta", 200, json={**GOOD, "id": "J1"})
    assert (said["outcome"], said["lead_id"]) == ("accepted", "J1")


async def test_the_answer_waits_for_the_commit(world: World) -> None:
    world.runtime.may_commit.clear()
    asking = asyncio.create_task(world.ask("POST", "/v1/leads/acme", 200, json=GOOD))
    await world.runtime.at_the_gate.wait()
    for _ in range(2):  # an answer before the commit would be here before those of later requests
        await world.ask("GET", "/healthz", 200)
    assert not asking.done()
    world.runtime.may_commit.set()
    reply, _ = await asking
    assert reply["outcome"] == "accepted"


async def test_a_client_that_goes_away_loses_and_breaks_nothing(world: World) -> None:
    world.runtime.may_commit.clear()
    asking = asyncio.create_task(world.ask("POST", "/v1/leads/acme", 200, json=GOOD))
    await world.inbox.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    world.runtime.may_commit.set()
    again, _ = await world.ask("POST", "/v1/leads/acme", 200, json=GOOD)
    assert again["outcome"] == "duplicate"


async def test_a_full_or_closed_inbox_is_503_with_retry_after(world: World) -> None:
    world.inbox.open = False
    _, headers = await world.ask("POST", "/v1/leads/acme", 503, json=GOOD)
    assert int(headers["Retry-After"]) > 0
    world.inbox.open = True
    world.inbox.limit = 0
    world.runtime.may_commit.clear()
    waiting = asyncio.create_task(world.ask("POST", "/v1/leads/acme", 200, json=GOOD))
    await world.inbox.wait()
    _, headers = await world.ask("POST", "/v1/events", 503, json=EVENT)
    assert int(headers["Retry-After"]) > 0
    world.runtime.may_commit.set()
    await waiting


async def test_a_full_pool_is_429_for_all_and_an_error_reply_for_some(world: World) -> None:
    world.runtime.pool_full = True
    _, headers = await world.ask("POST", "/v1/leads/acme", 429, json=GOOD)
    assert int(headers["Retry-After"]) > 0
    replies, _ = await world.ask("POST", "/v1/leads/acme", 200, json=[GOOD, {"id": 2}])
    assert [(r["outcome"], r["retryable"]) for r in replies] == [
        ("error", True),
        ("rejected", False),
    ]


# --- events and presence -------------------------------------------------------------------------


async def test_events_are_counted_and_the_rejected_ones_listed(world: World) -> None:
    items = [
        EVENT,
        {**EVENT, "event_id": "e2", "lead_key": "OLD"},
        EVENT,
        {"event_id": "e3"},
        {**EVENT, "event_id": "e4", "lead_key": "NONE"},
        {**EVENT, "event_id": "e5", "rep": "zed"},
        {"event_id": "e6", "type": "agent_state", "rep": "ana", "state": "busy"},
        6,
    ]
    said, _ = await world.ask("POST", "/v1/events", 200, json=items)
    assert (said["accepted"], said["duplicate"]) == (3, 1)
    assert [(r["index"], r["event_id"]) for r in said["rejected"]] == [
        (3, "e3"),
        (4, "e4"),
        (5, "e5"),
        (7, None),
    ]
    assert all(r["reason"] for r in said["rejected"])


async def test_one_bad_event_is_200_and_rejected(world: World) -> None:
    said, _ = await world.ask("POST", "/v1/events", 200, json={"type": "contacted"})
    assert said["rejected"][0]["reason"].startswith("event_id: missing")
    assert (said["accepted"], said["duplicate"]) == (0, 0)


async def test_a_presence_is_taken_and_an_older_one_is_stale(world: World) -> None:
    path = "/v1/reps/ana/presence"
    said, _ = await world.ask("PUT", path, 200, json={"state": "ready"})
    assert said == {"outcome": "accepted", "rep": "ana", "state": "ready"}
    old = {"state": "away", "at": "2026-11-20T09:00:00Z"}
    said, _ = await world.ask("PUT", path, 200, json=old)
    assert said["outcome"] == "stale"
    await world.ask("PUT", path, 400, json={"state": "asleep"})
    await world.ask("PUT", path, 400, json={"state": "ready", "rep": "ben"})
    await world.ask("PUT", path, 400, data=b"x", headers={"Content-Type": "application/json"})
    await world.ask("PUT", "/v1/reps/zed/presence", 404, json={"state": "ready"})


# --- reads ---------------------------------------------------------------------------------------


async def test_a_lead_comes_with_its_history_and_its_why(world: World) -> None:
    lead, _ = await world.ask("GET", "/v1/leads/K1", 200)
    assert lead["lead_key"] == "K1"
    assert lead["history"][0]["type"] == "accepted"
    why, _ = await world.ask("GET", "/v1/leads/K1/why?rep=ben", 200)
    assert why["because"] == "asked for ben"
    await world.ask("GET", "/v1/leads/K2", 404)
    await world.ask("GET", "/v1/leads/K2/why", 404)
    said, _ = await world.ask("GET", "/v1/leads/K1/why?rep=zed", 404)
    assert said["detail"] == "rep: zed is not known; see GET /v1/reps"
    await world.ask("GET", "/v1/leads/K1/why?rep=gone", 200)  # was on the floor at the time


async def test_leads_are_listed_by_page(world: World) -> None:
    page, _ = await world.ask("GET", "/v1/leads?state=waiting&rep=ana&limit=2&after=K1", 200)
    assert page == {"items": [LEAD], "next": "K1"}
    assert world.reader.asked == {
        "state": "waiting",
        "status": None,
        "pool": None,
        "rep": "ana",
        "limit": 2,
        "after": "K1",
    }


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("limit=0", "limit: not usable; send a number from 1 to 1000"),
        ("limit=1001", "limit: not usable; send a number from 1 to 1000"),
        ("limit=x", "limit: not usable; send a number from 1 to 1000"),
        ("limit=-1", "limit: not usable; send a number from 1 to 1000"),
        ("state=lost", 'state: "lost" is none of them; send one of waiting, assigned, working,'),
        ("status=waiting", 'status: "waiting" is none of them; send one of working, callback,'),
        ("stat=closed", '"stat": no such parameter; did you mean state? use state, status, pool,'),
        ("vendor=acme", '"vendor": no such parameter; use state, status, pool, rep, limit, after'),
        ("%0A=1", '"\\n": no such parameter; use state,'),
        ("rep=ana&rep=ben", "rep: comes more than once; send it once"),
        ("pool=foo", 'pool: "foo" is not configured and has no leads; send one of default'),
        ("rep=zed", 'rep: "zed" is not known; see GET /v1/reps'),
        ("after=foo", 'after: "foo" is no cursor; send the "next" of the page before'),
    ],
)
async def test_a_query_that_means_nothing_is_400(world: World, query: str, detail: str) -> None:
    said, _ = await world.ask("GET", f"/v1/leads?{query}", 400)
    assert said["detail"].startswith(detail)


@pytest.mark.parametrize(
    "path", ["/v1/leads/K1", "/v1/leads/K1/why", "/v1/reps", "/v1/reps/ana", "/v1/exceptions"]
)
async def test_a_read_takes_no_parameter_that_it_does_not_know(world: World, path: str) -> None:
    said, _ = await world.ask("GET", f"{path}?state=closed", 400)
    assert said["detail"].startswith('"state": no such parameter; ')


async def test_an_empty_parameter_says_nothing(world: World) -> None:
    await world.ask("GET", "/v1/leads?state=&status=&pool=&rep=&limit=&after=", 200)


async def test_probes_and_metrics_pass_over_parameters(world: World) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        await world.ask("GET", f"{path}?t=1", 200)


async def test_who_is_gone_can_still_be_asked_for(world: World) -> None:
    world.reader.pools.add("old")
    for query in ("rep=gone", "pool=old"):
        page, _ = await world.ask("GET", f"/v1/leads?{query}", 200)
        assert page["items"] == [LEAD]


async def test_reps_exceptions_and_metrics_are_shown(world: World) -> None:
    reps, _ = await world.ask("GET", "/v1/reps", 200)
    assert [rep["id"] for rep in reps["items"]] == ["ana", "ben"]
    rep, _ = await world.ask("GET", "/v1/reps/ana", 200)
    assert rep["flow"] == 1
    await world.ask("GET", "/v1/reps/zed", 404)
    cases, _ = await world.ask("GET", "/v1/exceptions", 200)
    assert cases["items"][0]["kind"] == "no_pool"
    for coding in ("gzip", "identity"):
        options = {"headers": {"Accept-Encoding": coding}}
        text, headers = await world.ask("GET", "/metrics", 200, **options)
        assert text.startswith("# HELP")
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert headers.get("Content-Encoding", "identity") == coding


async def test_readiness_gives_its_reasons(world: World) -> None:
    await world.ask("GET", "/healthz", 200)
    await world.ask("GET", "/readyz", 200)
    world.reasons = ["broker: not connected"]
    said, headers = await world.ask("GET", "/readyz", 503)
    assert said["reasons"] == ["broker: not connected"]
    assert "Retry-After" in headers


# --- supervisors ---------------------------------------------------------------------------------


async def test_a_supervisor_controls_a_rep(world: World) -> None:
    body = {"reason": "lunch", "until": "2026-11-21T10:00:00Z", "flow": 0.5}
    for action in ("pause", "resume", "override"):
        await world.ask("POST", f"/v1/reps/ana/{action}", 200, json=body)
    await world.ask("POST", "/v1/reps/ana/pause", 200)
    events = [event for event in world.runtime.events if isinstance(event, SupervisorActed)]
    assert [e.until_ns for e in events] == [NOW + 3_540 * 10**9] * 3 + [0]
    assert [(e.action, e.rep, e.flow) for e in events] == [
        ("pause", "ana", None),
        ("resume", "ana", None),
        ("override", "ana", 0.5),
        ("pause", "ana", None),
    ]
    assert (events[0].reason, events[0].until_ns - NOW) == ("lunch", 3_540 * 10**9)


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("pause", {"until": "2020-01-01T00:00:00Z"}),
        ("pause", {"until": "9999-01-01T00:00:00Z"}),
        ("pause", {"until": "soon"}),
        ("pause", {"reason": 5}),
        ("pause", []),
    ],
)
async def test_a_rep_action_that_means_nothing_is_400(
    world: World, action: str, body: object
) -> None:
    await world.ask("POST", f"/v1/reps/ana/{action}", 400, json=body)
    assert world.runtime.events == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"flow": None}, "flow: "),
        ({"flow": 2}, "flow: "),
        ({"flow": "half"}, "flow: "),
        ({"reason": None}, "reason: "),
        ({"reason": ""}, "reason: "),
        ({"reason": " \n"}, "reason: empty; say why in 1 to 500 characters"),
        ({"reason": "x" * 501}, "reason: "),
        ({"until": None}, "until: "),
        ({"until": "soon"}, "until: "),
        ({"until": "2026-11-21T09:01:00Z"}, "until: not within the next 31 days; send a later"),
        ({"until": "2026-12-22T09:01:01Z"}, "until: not within the next 31 days; send a later"),
    ],
)
async def test_an_override_has_a_flow_a_reason_and_an_end(
    world: World, change: dict[str, Any], says: str
) -> None:
    good = {"flow": 0.5, "reason": "first week", "until": "2026-12-22T09:01:00Z"}
    for body in (
        good | change,
        {key: value for key, value in (good | change).items() if value is not None},
    ):
        said, _ = await world.ask("POST", "/v1/reps/ana/override", 400, json=body)
        assert said["detail"].startswith(says)
        assert ";" in said["detail"]
    assert world.runtime.events == []
    await world.ask("POST", "/v1/reps/ana/override", 200, json=good)


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("/v1/reps/ana/override", b'{"flow": 2}', "flow: out of range; send a number from 0 to 1"),
        ("/v1/reps/ana/pause", b"[]", "body: got an array; send a JSON object"),
        (
            "/v1/leads/K1/assign",
            b'{"rep": "ana", "force": 1}',
            "force: got an integer; send true or false",
        ),
        (
            "/v1/leads/K1/close",
            b'{"status": "working"}',
            'status: "working" is none of them; send one of converted, dnc, invalid, lost, unqualified',
        ),
    ],
)
async def test_an_action_that_means_nothing_is_told_what_may_be_sent(
    world: World, path: str, body: bytes, detail: str
) -> None:
    said, _ = await world.ask("POST", path, 400, data=body, headers=JSON_TYPE)
    assert said["detail"] == detail


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/reps/ana/pause", {}),
        ("POST", "/v1/reps/ana/resume", {}),
        ("POST", "/v1/leads/K1/assign", {"rep": "ana"}),
        ("POST", "/v1/leads/K1/recycle", {}),
        ("POST", "/v1/leads/K1/close", {"status": "lost"}),
        ("PUT", "/v1/reps/ana/presence", {"state": "away"}),
    ],
)
async def test_a_reason_is_up_to_500_characters(
    world: World, method: str, path: str, body: dict[str, str]
) -> None:
    said, _ = await world.ask(method, path, 400, json={**body, "reason": "x" * 501})
    assert said["detail"].startswith("reason: ")
    assert world.runtime.events == []
    await world.ask(method, path, 200, json={**body, "reason": "x" * 500})


async def test_half_a_character_in_a_reason_is_no_reason_to_refuse(world: World) -> None:
    body = b'{"reason": "lunch \\ud83d"}'
    await world.ask("POST", "/v1/reps/ana/pause", 200, data=body, headers=JSON_TYPE)
    (event,) = world.runtime.events
    assert isinstance(event, SupervisorActed)
    assert event.reason == "lunch \ufffd"


async def test_a_supervisor_moves_a_lead(world: World) -> None:
    await world.ask("POST", "/v1/leads/K1/assign", 200, json={"rep": "ana", "reason": "knows her"})
    await world.ask("POST", "/v1/leads/K1/recycle", 200, json={"reason": "again"})
    await world.ask("POST", "/v1/leads/K1/close", 200, json={"status": "lost"})
    events = [event for event in world.runtime.events if isinstance(event, SupervisorActed)]
    assert [(e.action, e.rep, e.status, e.lead_key) for e in events] == [
        ("assign", "ana", None, "K1"),
        ("recycle", "", None, "K1"),
        ("close", "", "lost", "K1"),
    ]


async def test_a_rep_who_is_not_ready_is_409_unless_forced(world: World) -> None:
    said, _ = await world.ask("POST", "/v1/leads/K1/assign", 409, json={"rep": "ben"})
    assert "not ready" in said["detail"]
    await world.ask("POST", "/v1/leads/K1/assign", 200, json={"rep": "ben", "force": True})


async def test_a_lead_action_that_means_nothing_has_an_answer(world: World) -> None:
    await world.ask("POST", "/v1/leads/K1/assign", 400, json={})
    await world.ask("POST", "/v1/leads/K1/assign", 404, json={"rep": "zed"})
    await world.ask("POST", "/v1/leads/K2/assign", 404, json={"rep": "ana"})
    await world.ask("POST", "/v1/leads/K1/close", 400, json={"status": "working"})
    await world.ask("POST", "/v1/leads/K1/close", 400, json={})
    assert world.runtime.events == []


async def test_no_action_by_get_and_allow_names_the_methods(world: World) -> None:
    actions = [path for method, path, _, _ in routes(world.parts) if method in ("POST", "PUT")]
    assert len(actions) == 9
    for path in actions:
        url = path.format(vendor="acme", rep="ana", lead_key="K1")
        async with world.client.get(url) as response:
            if url == "/v1/leads/acme":  # the same path as GET /v1/leads/{lead_key}
                assert response.status == 404
                continue
            assert response.status == 405
            assert response.headers["Allow"] in ("POST", "PUT")
            assert response.content_type == "application/problem+json"
    assert world.runtime.events == []


async def test_what_answers_get_answers_head_without_a_body(world: World) -> None:
    """Load balancers ask so."""
    paths = [path for method, path, _, _ in routes(world.parts) if method == "GET"]
    assert "/healthz" in paths
    for path in paths:
        url = path.format(rep="ana", lead_key="K1")
        async with world.client.head(url) as response:
            assert response.status == 200, url
            assert await response.read() == b""
    world.reasons = ["stopping"]
    async with world.client.head("/readyz") as response:
        assert response.status == 503
    _, headers = await world.ask("POST", "/healthz", 405)
    assert headers["Allow"] == "GET, HEAD"


async def test_what_is_not_there_is_404_and_a_fault_of_ours_is_500(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said, _ = await world.ask("GET", "/v2/nothing", 404)
    see = "see docs/http.md for the list of requests"
    assert said["detail"] == f'nothing is at "/v2/nothing"; {see}'
    said, _ = await world.ask("DELETE", "/v1/leads/K1", 405)
    assert said["detail"] == f"DELETE does nothing here; use GET, HEAD, POST, {see}"
    monkeypatch.setattr(world.reader, "exceptions", None)
    said, _ = await world.ask("GET", "/v1/exceptions", 500)
    assert "Traceback" not in json.dumps(said)
    assert "request failed" in caplog.text


# --- tokens --------------------------------------------------------------------------------------

TOKENS = [
    Token("acme-web", "vendor", "s-vendor", vendor="acme"),
    Token("dial", "dialer", "s-dialer"),
    Token("ana-desk", "rep", "s-rep", rep="ana"),
    Token("mia", "supervisor", "s-supervisor"),
    Token("dora", "decider", "s-decider"),
    Token("root", "admin", "s-admin"),
]


def bearer(role: str) -> dict[str, dict[str, str]]:
    return {"headers": {"Authorization": f"Bearer s-{role}"}}


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic s-admin", "s-admin", "Bearer é"],
)
async def test_without_a_known_token_everything_but_the_probes_is_401(
    world: World, header: str | None
) -> None:
    world.tokens = Tokens(TOKENS)
    headers = {} if header is None else {"Authorization": header}
    for method, path, _, right in routes(world.parts):
        url = path.format(vendor="acme", rep="ana", lead_key="K1")
        async with world.client.request(method, url, headers=headers) as response:
            assert (response.status == 401) == (right is not None)
            assert ("WWW-Authenticate" in response.headers) == (right is not None)
    assert world.runtime.events == []


async def test_each_role_may_do_what_the_table_says_and_nothing_else(world: World) -> None:
    world.tokens = Tokens(TOKENS)
    for method, path, _, right in routes(world.parts):
        url = path.format(vendor="acme", rep="ana", lead_key="K1")
        for token in TOKENS:
            headers = {"Authorization": f"Bearer {token.secret}"}
            async with world.client.request(method, url, headers=headers) as response:
                allowed = right is None or token.role in ROLES[right]
                assert (response.status == 403) != allowed, (url, token.role)


async def test_a_vendor_s_token_is_good_for_that_vendor_alone(world: World) -> None:
    world.tokens = Tokens(TOKENS)
    await world.ask("POST", "/v1/leads/acme", 200, json=GOOD, **bearer("vendor"))
    _, headers = await world.ask("POST", "/v1/leads/zeta", 403, json=GOOD, **bearer("vendor"))
    assert "insufficient_scope" in headers["WWW-Authenticate"]
    await world.ask("POST", "/v1/leads/zeta", 200, json=GOOD, **bearer("admin"))


async def test_a_rep_s_token_speaks_for_that_rep_alone(world: World) -> None:
    world.tokens = Tokens(TOKENS)
    mine = bearer("rep")
    await world.ask("PUT", "/v1/reps/ana/presence", 200, json={"state": "ready"}, **mine)
    await world.ask("PUT", "/v1/reps/ben/presence", 403, json={"state": "ready"}, **mine)
    await world.ask("GET", "/v1/reps/ben", 403, **mine)
    await world.ask("GET", "/v1/leads/K1", 200, **mine)
    said, _ = await world.ask("POST", "/v1/events", 200, json={**EVENT, "rep": "ben"}, **mine)
    assert "ana speaks for ben" in said["rejected"][0]["reason"]


async def test_a_token_that_is_bound_to_nobody_speaks_for_whom_it_is_called(world: World) -> None:
    world.tokens = Tokens([Token("zeta", "vendor", "s-vendor"), Token("ben", "rep", "s-rep")])
    await world.ask("POST", "/v1/leads/zeta", 200, json=GOOD, **bearer("vendor"))
    await world.ask("POST", "/v1/leads/acme", 403, json=GOOD, **bearer("vendor"))

    mine = bearer("rep")
    await world.ask("PUT", "/v1/reps/ben/presence", 200, json={"state": "ready"}, **mine)
    await world.ask("GET", "/v1/reps/ben", 200, **mine)
    await world.ask("PUT", "/v1/reps/ana/presence", 403, json={"state": "ready"}, **mine)
    other = {"event_id": "e1", "type": "agent_state", "rep": "ana", "state": "ready"}
    said, _ = await world.ask("POST", "/v1/events", 200, json=other, **mine)
    assert "ben speaks for ana" in said["rejected"][0]["reason"]


@pytest.mark.parametrize(
    ("role", "evidence", "source"),
    [("dialer", "dialer", "token:dial"), ("rep", "claimed", "token:ana-desk")],
)
async def test_who_sends_an_event_says_its_scope_and_what_it_may_claim(
    world: World, role: str, evidence: str, source: str
) -> None:
    world.tokens = Tokens(TOKENS)
    body = {**EVENT, "evidence": "dialer"}
    await world.ask("POST", "/v1/events", 200, json=body, **bearer(role))
    (event,) = world.runtime.events
    assert isinstance(event, LeadEvent)
    assert (event.evidence, event.source) == (evidence, source)


async def test_over_open_http_every_named_rep_is_a_scope(world: World) -> None:
    """Reps count their own events; without tokens nothing else tells them apart."""
    events = [{**EVENT, "rep": "ana"}, {**EVENT, "rep": "ben"}, EVENT]
    await world.ask("POST", "/v1/events", 200, json=events)
    sources = [event.source for event in world.runtime.events]  # type: ignore[union-attr]
    assert sources == ["http:ana", "http:ben", "http"]


async def test_over_open_http_a_dialer_s_evidence_is_believed(world: World) -> None:
    await world.ask("POST", "/v1/events", 200, json={**EVENT, "evidence": "dialer"})
    (event,) = world.runtime.events
    assert isinstance(event, LeadEvent)
    assert event.evidence == "dialer"


async def test_a_supervisor_s_action_is_journalled_with_the_token_s_name(world: World) -> None:
    world.tokens = Tokens(TOKENS)
    await world.ask("POST", "/v1/reps/ana/pause", 200, json={}, **bearer("supervisor"))
    (event,) = world.runtime.events
    assert isinstance(event, SupervisorActed)
    assert event.who == "mia"


def test_a_token_without_a_secret_lets_nobody_in() -> None:
    tokens = Tokens([Token("empty", "admin", "")])
    assert tokens.caller("Bearer ") is None
    assert tokens.caller(None) is None


def test_a_token_does_not_show_its_secret() -> None:
    assert "s-vendor" not in repr(TOKENS)


async def test_garbage_on_the_socket_is_answered_by_closing_it(world: World) -> None:
    server = world.client.server
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"\x00\xff nonsense\r\n\r\n")
    await writer.drain()
    async with asyncio.timeout(60):
        assert b"400" in await reader.read()
    writer.close()
    await writer.wait_closed()
    await world.ask("GET", "/healthz", 200)
