"""A demo in virtual time: the engine, the demo's own floor and story, and no clock, broker or daemon.

``run(main)`` runs a coroutine in a loop of which the time passes only while everybody waits.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from distributor.app.census import rep_view
from distributor.core.engine import Engine
from distributor.delivery.messages import Routes, compose, rfc3339
from distributor.demo import floor as demo_floor
from distributor.demo.eyes import Metrics, View
from distributor.demo.peer import Address
from distributor.demo.plan import Plan
from distributor.demo.stage import _settings
from distributor.demo.vendor import leads
from distributor.domain.decisions import Assigned
from distributor.domain.events import (
    Event,
    FloorChanged,
    LeadEvent,
    LeadReceived,
    PresenceReported,
    Ticked,
)
from distributor.settings import to_floor
from policies.lease import Lease

SECOND = 1_000_000_000
BEGIN_NS = 1_700_000_000 * SECOND


class _Selector(selectors.DefaultSelector):
    """Waits for nothing: it lets the time of its loop pass instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "everybody waits for ever"
            self.now += timeout
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """The answer of ``main``, at once."""
    with asyncio.Runner(loop_factory=_Loop, debug=False) as runner:
        return runner.run(main)


class VirtualDemo:
    """A demo's vendor and floor around an engine; ``view`` is what ``GET /v1/reps`` would answer."""

    def __init__(self, plan: Plan, monkeypatch: Any) -> None:
        monkeypatch.setattr(demo_floor, "Peer", lambda *_: self)
        address = Address("127.0.0.1", 1883, "demo", "auto")
        self.floor = demo_floor.DemoFloor(address, "leads", "demo", plan)
        self.plan = plan
        self._engine = Engine(tag="T3ST", seed=7, factories={"lease": Lease})
        self._leads: dict[str, Any] = {}
        self._news = asyncio.Event()
        self._do(FloorChanged(to_floor(_settings(plan, address, Path("/"), "demo"))))

    @property
    def now_ns(self) -> int:
        return BEGIN_NS + round(asyncio.get_running_loop().time() * SECOND)

    def view(self) -> View:
        reps = [rep_view(rep, self.now_ns, rfc3339) for rep in self._engine.state.reps.values()]
        return View(reps, Metrics())

    async def run(self) -> None:
        """Let everybody work, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for service in (self.floor.run(), self._vendor(), self._tick()):
                group.create_task(service)

    # -- what the floor takes for its client of the broker -----------------------------------------

    async def say(self, topic: str, value: dict[str, Any]) -> None:
        if value["type"] == "agent_state":
            state, event_id = value["state"], value["event_id"]
            self._do(PresenceReported(value["rep"], state, "dialer", event_id=event_id))
        else:
            self._do(LeadEvent(source="dialer", **value))

    # -- inside --------------------------------------------------------------------------------------

    async def _vendor(self) -> None:
        now = asyncio.get_running_loop().time
        begun = now()
        for at_seconds, vendor, body in leads(self.plan):
            await asyncio.sleep(begun + at_seconds - now())
            text, score = msgspec.json.encode(body), body.get("score")
            self._do(LeadReceived(vendor, body["id"], self.now_ns, "http", text, score=score))

    async def _tick(self) -> None:
        while True:
            self._news.clear()
            due = self._engine.next_deadline_ns()
            seconds = None if due is None else max(0.001, (due - self.now_ns) / SECOND)
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                self._do(Ticked())

    def _do(self, event: Event) -> None:
        at_ns = self.now_ns
        decisions = self._engine.handle(event, at_ns)
        for decision in decisions:
            if isinstance(decision, Assigned):
                self._leads[decision.lead_key] = self._engine.state.leads[decision.lead_key]
        for message in compose(decisions, self._leads, Routes("leads"), at_ns):
            if message.address.startswith("leads/dialer/"):
                self.floor._hear(message.address, message.payload)
        self._engine.take_touched()
        self._news.set()
