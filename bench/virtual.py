"""Virtual time: a loop of which the time passes only while everybody waits, and a daemon in it that is
the engine alone, without clock, broker or disk."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from distributor.core.engine import Engine
from distributor.delivery.messages import Routes, compose
from distributor.domain.decisions import Assigned
from distributor.domain.events import (
    Event,
    FloorChanged,
    LeadEvent,
    LeadReceived,
    PresenceReported,
    Ticked,
)
from distributor.domain.floor import Floor
from policies.lease import Lease

SECOND: Final = 1_000_000_000
BEGIN_NS: Final = 1_700_000_000 * SECOND


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


class VirtualDaemon:
    """Takes leads and events at once; ``hear`` gets what a dialer on MQTT would get."""

    def __init__(self, floor: Floor, hear: Callable[[str, bytes], None]) -> None:
        self.engine = Engine(tag="T3ST", seed=7, factories={"lease": Lease})
        self._hear = hear
        self._leads: dict[str, Any] = {}
        self._news = asyncio.Event()
        self._do(FloorChanged(floor))

    @property
    def now_ns(self) -> int:
        return BEGIN_NS + round(asyncio.get_running_loop().time() * SECOND)

    async def run(self) -> None:
        """Keep the engine's deadlines, until cancelled."""
        while True:
            self._news.clear()
            due = self.engine.next_deadline_ns()
            seconds = None if due is None else max(0.001, (due - self.now_ns) / SECOND)
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                self._do(Ticked())

    def lead(self, vendor: str, body: dict[str, Any]) -> None:
        """A vendor sends a lead."""
        text, score = msgspec.json.encode(body), body.get("score")
        self._do(LeadReceived(vendor, body["id"], self.now_ns, "http", text, score=score))

    def tell(self, event: dict[str, Any]) -> None:
        """The dialer reports an event."""
        if event["type"] == "agent_state":
            state, event_id = event["state"], event["event_id"]
            self._do(PresenceReported(event["rep"], state, "dialer", event_id=event_id))
        else:
            self._do(LeadEvent(source="dialer", **event))

    def _do(self, event: Event) -> None:
        at_ns = self.now_ns
        decisions = self.engine.handle(event, at_ns)
        for decision in decisions:
            if isinstance(decision, Assigned):
                self._leads[decision.lead_key] = self.engine.state.leads[decision.lead_key]
        for message in compose(decisions, self._leads, Routes("leads"), at_ns):
            if message.address.startswith("leads/dialer/"):
                self._hear(message.address, message.payload)
        self.engine.take_touched()
        self._news.set()
