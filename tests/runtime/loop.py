"""A dispatcher with everything around it in the test's hands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from distributor.core.engine import Engine
from distributor.domain.decisions import (
    Decision,
)
from distributor.domain.events import (
    Event,
    FloorChanged,
    LeadReceived,
    PresenceReported,
)
from distributor.domain.floor import Floor, FlowPlan, PoolPlan, RepPlan
from distributor.domain.journal import Batch, CommitStats, Found, SnapshotImage
from distributor.domain.lead import Lead
from distributor.domain.messages import Outgoing, Settlement
from distributor.runtime.dispatcher import Dispatcher, Hooks
from distributor.runtime.inbox import Inbox, Submission
from distributor.runtime.quarantine import Quarantine
from tests.core.floors import BEGIN, FACTORIES


class FakeJournal:
    """Keeps batches in memory. ``gate`` holds appends up; ``failure`` ends them."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.last_seq = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.appending = asyncio.Event()
        self.failure: Exception | None = None
        self.snapshots: list[SnapshotImage] = []
        self.snapshot_failure: Exception | None = None
        self.originals: dict[tuple[str, str], str] = {}
        self.seen: set[tuple[str, str]] = set()
        self.closed: dict[str, Lead] = {}
        self.asked: list[tuple[Any, Any, Any]] = []

    async def append(self, batch: Batch, *, expect: int, epoch: int) -> CommitStats:
        assert epoch == 3
        assert expect == self.last_seq
        assert [entry.seq for entry in batch.entries] == list(
            range(expect + 1, expect + 1 + len(batch.entries))
        )
        self.appending.set()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.batches.append(batch)
        self.last_seq += len(batch.entries)
        return CommitStats(1, 0.001)

    async def lookup(
        self,
        vendor_ids: Sequence[tuple[str, str]],
        event_ids: Sequence[tuple[str, str]],
        lead_keys: Sequence[str],
    ) -> Found:
        self.asked.append((list(vendor_ids), list(event_ids), list(lead_keys)))
        return Found(
            {pair: key for pair, key in self.originals.items() if pair in vendor_ids},
            {mark for mark in self.seen if mark in event_ids},
            {key: lead for key, lead in self.closed.items() if key in lead_keys},
        )

    async def put_snapshot(self, image: SnapshotImage) -> None:
        if self.snapshot_failure is not None:
            raise self.snapshot_failure
        self.snapshots.append(image)

    @property
    def entries(self) -> list[Any]:
        return [entry for batch in self.batches for entry in batch.entries]


class Loop:
    """A dispatcher with everything around it in the test's hands."""

    def __init__(
        self,
        *,
        limit: int = 20_000,
        snapshot_entries: int = 50_000,
        quarantine: Quarantine | None = None,
        **flow: Any,
    ) -> None:
        self.journal = FakeJournal()
        self.inbox = Inbox(limit)
        self.now_ns = BEGIN
        self.ahead_ns = 0
        self.jumped_ns = 0
        self.told: list[Any] = []
        self.changed: set[str] = set()
        self.sent: list[Outgoing] = []
        self.settlements: list[Settlement] = []
        self.composing: Callable[[Sequence[Decision]], list[Outgoing]] = lambda _: []
        self.engine = Engine(tag="T3ST", seed=7, factories=FACTORIES)
        hooks = Hooks(
            now_ns=lambda: self.now_ns,
            ahead_ns=lambda: self.ahead_ns,
            steady_ns=lambda: self.now_ns - self.jumped_ns,
            compose=lambda decisions, _: self.composing(decisions),
            send=self._send,
            settlements=self._take_settlements,
            changed=lambda reps: self.changed.update(rep.id for rep in reps),
            committed=lambda entries, _: self.told.append(("committed", len(entries))),
            decided=lambda _: None,
            late=lambda seconds: self.told.append(("late", seconds)),
            acked=lambda channel, _: self.told.append(("acked", channel)),
            repeated=lambda kind: self.told.append(("repeated", kind)),
        )
        self.dispatcher = Dispatcher(
            self.engine,
            self.journal,  # type: ignore[arg-type]
            self.inbox,
            hooks,
            epoch=3,
            next_outbox_id=41,
            snapshot_entries=snapshot_entries,
            quarantine=quarantine,
        )
        plan = FlowPlan(policy="longest_idle", **flow)
        reps = (RepPlan("ana"), RepPlan("ben"))
        self.floor = Floor("d", reps=reps, pools=(PoolPlan("default"),), flow=plan)

    def _send(self, messages: Sequence[Outgoing]) -> None:
        self.sent += messages

    def _take_settlements(self) -> list[Settlement]:
        taken, self.settlements = self.settlements, []
        return taken

    async def begin(self) -> None:
        self.task = asyncio.create_task(self.dispatcher.run())
        await self.give(FloorChanged(self.floor))

    def submit(self, *events: Event, **more: Any) -> asyncio.Future[Any]:
        """Hand events in; the future has their answers once they are told."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(answers: Any) -> None:
            self.told.append(("done", len(answers)))
            answered.set_result(answers)

        self.inbox.push(Submission(events, done=done, **more))
        return answered

    async def give(self, *events: Event) -> Any:
        """As ``submit``, awaited."""
        return await asyncio.wait_for(self.submit(*events), 60)

    async def end(self) -> None:
        self.journal.gate.set()
        self.dispatcher.stop()
        await asyncio.wait_for(asyncio.wait({self.task}), 60)


def lead(name: str, **fields: Any) -> LeadReceived:
    return LeadReceived("acme", name, BEGIN, "http", b"{}", **fields)


def ready(rep: str) -> PresenceReported:
    return PresenceReported(rep, "ready", "desktop")


def message(kind: Any = "result", order: str = "") -> Outgoing:
    return Outgoing("mqtt", kind, "leads/x", order, "m", b"{}", BEGIN)
