"""A demo in virtual time: the engine, the demo's own floor and story, and no clock, broker or daemon."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from bench.virtual import VirtualDaemon, run
from distributor.app.census import rep_view
from distributor.delivery.messages import rfc3339
from distributor.demo import floor as demo_floor
from distributor.demo.eyes import Metrics, View
from distributor.demo.peer import Address
from distributor.demo.plan import Plan
from distributor.demo.stage import _settings
from distributor.demo.vendor import leads
from distributor.settings import to_floor

__all__ = ["VirtualDemo", "run"]


class VirtualDemo:
    """A demo's vendor and floor around an engine; ``view`` is what ``GET /v1/reps`` would answer."""

    def __init__(self, plan: Plan, monkeypatch: Any) -> None:
        monkeypatch.setattr(demo_floor, "Peer", lambda *_: self)
        address = Address("127.0.0.1", 1883, "demo", "auto")
        self.floor = demo_floor.DemoFloor(address, "leads", "demo", plan)
        self.plan = plan
        settings = _settings(plan, address, Path("/"), "demo")
        self._daemon = VirtualDaemon(to_floor(settings), self.floor.hear)

    def view(self) -> View:
        reps, now_ns = self._daemon.engine.state.reps, self._daemon.now_ns
        return View([rep_view(rep, now_ns, rfc3339) for rep in reps.values()], Metrics())

    async def run(self) -> None:
        """Let everybody work, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for service in (self.floor.run(), self._vendor(), self._daemon.run()):
                group.create_task(service)

    async def say(self, topic: str, value: dict[str, Any]) -> None:
        """What the floor takes for its client of the broker."""
        self._daemon.tell(value)

    async def _vendor(self) -> None:
        now = asyncio.get_running_loop().time
        begun = now()
        for at_seconds, vendor, body in leads(self.plan):
            await asyncio.sleep(begun + at_seconds - now())
            self._daemon.lead(vendor, body)
