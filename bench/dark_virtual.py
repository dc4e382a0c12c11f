"""``bench dark --virtual``: the floor around the engine alone, or around a central queue, at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from bench.actors import VENDOR, lead_fields
from bench.dark_floor import REPS, Case, DarkFloor, Figures, arrivals, figures, story
from bench.virtual import VirtualDaemon, run
from distributor.demo.peer import Address
from distributor.domain.floor import Floor, FlowPlan, PoolPlan, RepPlan

_NOBODY = Address("127.0.0.1", 1, "", "auto")


class Distributor(Protocol):
    """Who distributes the leads."""

    async def run(self) -> None: ...

    def lead(self, vendor: str, body: dict[str, Any]) -> None: ...

    def tell(self, event: dict[str, Any]) -> None: ...


Maker = Callable[[Callable[[str, bytes], None], Case], Distributor]


def lease(hear: Callable[[str, bytes], None], case: Case) -> Distributor:
    """The product, with its default settings."""
    plans = tuple(RepPlan(rep) for rep in REPS)
    floor = Floor("dark", reps=plans, pools=(PoolPlan("default"),), flow=FlowPlan(policy="lease"))
    return VirtualDaemon(floor, hear)


class _VirtualFloor(DarkFloor):
    """Speaks to its distributor directly."""

    def __init__(self, case: Case, draw: int, make: Maker) -> None:
        now = asyncio.get_running_loop().time
        super().__init__(case, draw, now, address=_NOBODY)
        self.distributor = make(self.hear, case)

    async def tell(self, event: dict[str, Any]) -> None:
        event.setdefault("event_id", f"dialer-{next(self._numbers)}")
        self.distributor.tell(event)


def play(case: Case, draw: int, make: Maker = lease) -> Figures:
    """One run. The same case and draw give the same figures, on every machine."""
    found: Figures = run(_play(case, draw, make))
    return found


async def _play(case: Case, draw: int, make: Maker) -> Figures:
    floor = _VirtualFloor(case, draw, make)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(floor.run()), group.create_task(floor.distributor.run())]
        tasks.append(group.create_task(_sell(floor)))
        await story(floor)
        for task in tasks:
            task.cancel()
    assert not floor.stream.twice, "a lead with two reps at once"
    return figures(case, floor.record, floor.stream.revocations)


async def _sell(floor: _VirtualFloor) -> None:
    for at, lead_id in arrivals(floor.case, floor.draw):
        await floor.until(at)
        floor.record.arrived[lead_id] = at
        floor.distributor.lead(VENDOR, lead_fields(lead_id))
