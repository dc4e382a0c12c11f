"""A journal in memory, a broker link that does what a test says, and messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from distributor.delivery.lanes import Item, Lanes
from distributor.delivery.templates import SAMPLE_ASSIGN, SAMPLE_REVOKE
from distributor.domain.messages import Outgoing, Settlement
from distributor.mqtt.values import ConnectionLost, PublishResult
from tests.http_dialers import Dialer, Room, serving


class FakeJournal:
    """Keeps outbox rows as the store does: settled rows go, retried ones remember."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[Outgoing, int, int]] = {}
        self.reads: list[tuple[str, int, int]] = []

    def commit(self, messages: list[Outgoing], settlements: list[Settlement] = []) -> None:  # noqa: B006
        for message in messages:
            self.rows[message.id] = (message, 0, 0)
        for settlement in settlements:
            message, _, _ = self.rows.pop(settlement.id)
            if settlement.result == "retry":
                self.rows[settlement.id] = (message, settlement.attempts, settlement.next_ns)
        self.rows = dict(sorted(self.rows.items()))

    async def pending(
        self, target: str, after_id: int, limit: int
    ) -> list[tuple[Outgoing, int, int]]:
        self.reads.append((target, after_id, limit))
        rows = [
            row for row in self.rows.values() if row[0].target == target and row[0].id > after_id
        ]
        return rows[:limit]


class FakeLink:
    """Takes publishes up to its slots; the test answers them."""

    def __init__(self, slots: int = 100) -> None:
        self.slots = slots
        self.up = True
        self.sent: list[tuple[str, bytes]] = []
        self.unanswered: list[Callable[[Any], None]] = []
        self.asked = asyncio.Event()

    @property
    def free_slots(self) -> int:
        return self.slots - len(self.unanswered) if self.up else 0

    def send(self, topic: str, payload: bytes, on_result: Any, *, correlation: bytes = b"") -> None:
        assert self.free_slots > 0
        if "#" in topic:
            raise ValueError("wildcard")
        self.sent.append((topic, payload))
        self.unanswered.append(on_result)
        self.asked.set()

    def answer(self, code: int = 0, index: int = 0) -> None:
        self.unanswered.pop(index)(PublishResult(code, packet_bytes=300, limit_bytes=200))

    def answer_all(self, code: int = 0) -> None:
        while self.unanswered:
            self.answer(code)

    def lose(self, *, cut: bool = False) -> None:
        self.up = False
        lost, self.unanswered = self.unanswered, []
        for on_result in lost:
            on_result(ConnectionLost("gone", cut=cut))


class Clock:
    """Wall time that a test moves."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000_000

    def __call__(self) -> int:
        return self.ns

    def forward(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


@pytest.fixture
def journal() -> FakeJournal:
    return FakeJournal()


@pytest.fixture(scope="session")
def make_journal() -> type[FakeJournal]:
    return FakeJournal


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()


@pytest.fixture
def make_link() -> type[FakeLink]:
    return FakeLink


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def make_clock() -> type[Clock]:
    return Clock


def make_message(
    number: int,
    key: str = "L1",
    kind: Any = "assign",
    *,
    attempt: int = 1,
    target: str = "mqtt",
    payload: bytes | None = None,
) -> Outgoing:
    """``make_message(3, "L1", "assign")`` is the third row of the outbox."""
    address = {"assign": "leads/dialer/assign", "revoke": "leads/dialer/revoke"}.get(
        kind, f"leads/rep/ana/{kind}"
    )
    body = payload if payload is not None else b'{"n":%d}' % number
    at_ns = 1_000_000_000_000
    return Outgoing(target, kind, address, key, f"{key}-{attempt}", body, at_ns, id=number)


@pytest.fixture(scope="session")
def message() -> Callable[..., Outgoing]:
    return make_message


@pytest.fixture(scope="session")
def make() -> Callable[..., Outgoing]:
    return make_message


class Settled(list[Settlement]):
    """What lanes settled, in order."""

    def results(self) -> list[tuple[int, str]]:
        return [(one.id, one.result) for one in self]


@pytest.fixture
def settled() -> Settled:
    return Settled()


@pytest.fixture
def lanes(settled: Settled) -> Lanes:
    return Lanes(lambda _item, settlement: settled.append(settlement))


@pytest.fixture
def fill(lanes: Lanes) -> Callable[..., None]:
    """Put messages into the lanes, as the outbox does."""

    def put(*messages: Outgoing, loaded: bool = False) -> None:
        for one in messages:
            lanes.put(Item(one, loaded=loaded))
        lanes.on_ready()

    return put


@pytest.fixture
async def dialer() -> AsyncIterator[Dialer]:
    async with serving() as dialer:
        yield dialer


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def put(room: Room, message: Any) -> Callable[..., None]:
    def put(number: int, key: str = "L1", kind: str = "assign", **more: Any) -> None:
        loaded = more.pop("loaded", False)
        payload = SAMPLE_ASSIGN if kind == "assign" else SAMPLE_REVOKE
        one = message(number, key, kind, target="vici", payload=payload, **more)
        room.lanes.put(Item(one, loaded=loaded))
        room.lanes.on_ready()

    return put
