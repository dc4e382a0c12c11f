"""``bench dark --daemon``: the floor around the running daemon, over MQTT on a mosquitto of its own."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from bench.actors import VENDOR, lead_fields
from bench.broker import Mosquitto
from bench.daemon import DaemonProcess
from bench.dark_floor import REPS, Case, DarkFloor, Figures, arrivals, figures, story
from distributor.demo.peer import Address, Peer
from distributor.errors import Unavailable

PREFIX = "leads"


class Clock:
    """The floor's own time: ``scale`` times as fast as ours, from ``begin`` on."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self._begun = 0.0

    def begin(self) -> None:
        self._begun = asyncio.get_running_loop().time()

    def now(self) -> float:
        return (asyncio.get_running_loop().time() - self._begun) * self.scale


def play(case: Case, draw: int, scale: float) -> tuple[Figures, float]:
    """One run at ``scale`` times the floor's speed, with the daemon's default settings: the figures, and
    by how many floor seconds the vendor was late at most. Raises ``Unavailable`` where mosquitto is not
    installed, or the daemon or a lead gets lost."""
    with tempfile.TemporaryDirectory(prefix="dark-") as name:
        folder = Path(name)
        broker = Mosquitto(folder / "broker", durable=False)
        broker.start()
        try:
            tables = {
                "reps": [{"id": rep} for rep in REPS],
                "pools": [{"id": "default"}],
                "flow": {"time_scale": scale},
            }
            with DaemonProcess(folder / "daemon", broker.port, tables) as daemon:
                return asyncio.run(_play(case, draw, scale, daemon, broker.port))
        finally:
            broker.stop()


async def _play(
    case: Case, draw: int, scale: float, daemon: DaemonProcess, port: int
) -> tuple[Figures, float]:
    clock = Clock(scale)
    address = Address("127.0.0.1", port, "", "auto")
    floor = DarkFloor(case, draw, clock.now, address=address, time_scale=scale)
    vendor = Peer(address, "dark-vendor", (), lambda *_: None)
    await floor.connect()
    await vendor.start()
    try:
        await asyncio.to_thread(daemon.start)
        try:
            late = await _shift(floor, vendor, clock)
        finally:
            await asyncio.to_thread(daemon.stop)
    finally:
        await vendor.stop()
        await floor.stop()
    if floor.stream.twice:
        raise Unavailable(f"{len(floor.stream.twice)} leads were with two reps at once")
    return figures(case, floor.record, floor.stream.revocations), late


async def _shift(floor: DarkFloor, vendor: Peer, clock: Clock) -> float:
    """The shift from its beginning to its end; how late the vendor was at most."""
    late = [0.0]
    clock.begin()
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[Any]] = [group.create_task(floor.run())]
        tasks.append(group.create_task(_sell(floor, vendor, late)))
        await story(floor)
        for task in tasks:
            task.cancel()
    return max(late)


async def _sell(floor: DarkFloor, vendor: Peer, late: list[float]) -> None:
    async with asyncio.TaskGroup() as group:
        for at, lead_id in arrivals(floor.case, floor.draw):
            await floor.until(at)
            late.append(floor.now() - at)
            floor.record.arrived[lead_id] = at
            group.create_task(vendor.say(f"{PREFIX}/in/{VENDOR}", lead_fields(lead_id)))
