"""A quarter of an hour on an invented floor, scraped by a real Prometheus whose data stay for the pictures.

Daemon, mosquitto and Prometheus are real and are spoken to from outside, over MQTT and HTTP; the reps are
those of the demo, and a little more happens to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.broker import Mosquitto, free_port
from bench.daemon import DaemonProcess
from distributor.demo.floor import DemoFloor
from distributor.demo.peer import Address, Peer
from distributor.demo.plan import Plan, rep_names
from distributor.demo.prometheus import Prometheus
from distributor.observe import rules
from distributor.runtime.clock import Clock
from distributor.settings import load

SCALE: Final = 4.0
"""Seconds of the floor in one of the wall's."""
MINUTES: Final = 15.0
REPS: Final = rep_names(18)
TEAMS: Final = ("north", "south", "west")
RATE: Final = 30.0
"""Leads a minute, of the wall."""

# vendor -> (over HTTP, share, score from and to, seconds old on arrival)
VENDORS: Final = {
    "acme": (False, 0.40, (0.35, 0.9), 2),
    "bolt": (True, 0.30, (0.2, 0.7), 8),
    "cedar": (False, 0.20, (0.5, 1.0), 1),
    "delta": (True, 0.10, (0.0, 0.5), 45),
}
PRODUCTS: Final = ("auto", "home", "life", "solar")


def tables() -> dict[str, Any]:
    """The daemon's settings."""
    return {
        "flow": {"time_scale": SCALE, "waiting_limit_seconds": 150},
        "teams": [{"id": team} for team in TEAMS],
        "reps": [
            {"id": rep, "name": rep.title(), "team": TEAMS[number % 3]}
            for number, rep in enumerate(REPS)
        ],
        "pools": [{"id": "default"}],
        "vendors": [{"id": vendor} for vendor in VENDORS],
    }


class _Reps(DemoFloor):
    """The demo's reps, whose dialer reports the time after a call as well."""

    async def tell(self, event: dict[str, Any]) -> None:
        await super().tell(event)
        if event["type"] == "call_ended":
            rep = self.reps[event["rep"]]
            if rep.online and rep.habits.sends_states:
                state = {"type": "agent_state", "rep": rep.name, "state": "wrap_up"}
                await super().tell(state)


class Floor:
    """The run: everything that happens, at its minute."""

    def __init__(self, daemon: DaemonProcess, address: Address) -> None:
        self._daemon = daemon
        plan = Plan(seconds=None, rate=RATE, reps=REPS, time_scale=SCALE)
        self._floor = _Reps(address, "leads", "picture", plan)
        self._peer = Peer(address, "picture-vendor", ["leads/in/+/result"], lambda *_: None)
        self._chance = random.Random(20)
        self._silent: set[str] = set()
        self._rate = 1.0

    async def play(self) -> None:
        """All of it."""
        await self._floor.connect()
        await self._peer.start()
        url = f"http://127.0.0.1:{self._daemon.http_port}"
        async with aiohttp.ClientSession(url) as self._http, asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(work)
                for work in (self._floor.run(), self._vendors(), self._human(), self._story())
            ]
            await asyncio.sleep(MINUTES * 60)
            for task in tasks:
                task.cancel()

    async def leave(self) -> None:
        """Hang up."""
        await self._peer.stop()
        await self._floor.stop()

    async def _story(self) -> None:
        """What happens, by the minute. At the end one rep is dark, one slow, one paused, one held by
        hand, one gone, and half of the floor away; a vendor is silent."""
        reps, now = self._floor.reps, asyncio.get_running_loop().time
        script: tuple[tuple[float, Callable[[], Awaitable[None]]], ...] = (
            (2.0, lambda: reps["ben"].go_dark()),
            (3.0, lambda: reps["cleo"].go_slow()),
            (3.5, lambda: reps["ben"].recover()),
            (4.0, lambda: self._control("dev", "pause", reason="training")),
            (4.5, lambda: reps["cleo"].recover()),
            (6.0, lambda: self._lunch(*REPS[4:15])),
            (7.0, lambda: self._control("dev", "resume", reason="back")),
            (8.0, self._reload),
            (9.0, self._rush),
            (11.0, lambda: self._silence("delta")),
            (12.0, self._override),
            (12.3, lambda: reps["ned"].go_slow()),
            (12.5, lambda: reps["kim"].go_dark()),
            (13.2, lambda: self._control("leo", "pause", reason="with the trainer")),
            (14.2, lambda: reps["rosa"].go_online(False)),
            (14.2, lambda: self._break("paul", "quin", *REPS[2:9])),
        )
        start = now()
        async with asyncio.TaskGroup() as group:
            for minute, act in script:
                await asyncio.sleep(start + minute * 60 - now())
                group.create_task(_done(act))

    async def _vendors(self) -> None:
        names, shares = list(VENDORS), [share for _, share, _, _ in VENDORS.values()]
        number = 0
        while True:
            await asyncio.sleep(self._chance.expovariate(RATE * self._rate / 60))
            (vendor,) = self._chance.choices(names, shares)
            if vendor in self._silent:
                continue
            number += self._chance.random() > 0.03  # else the same once more
            await self._send(vendor, self._lead(vendor, number))

    def _lead(self, vendor: str, number: int) -> dict[str, Any]:
        _, _, (least, most), age = VENDORS[vendor]
        born = datetime.fromtimestamp(Clock().now_ns() / 1e9, UTC) - timedelta(
            seconds=self._chance.expovariate(1 / age)
        )
        lead: dict[str, Any] = {
            "id": f"{vendor}-{number:05d}",
            "first_name": "Alma",
            "phone": f"(212) 555-01{number % 100:02d}",
            "product": self._chance.choice(PRODUCTS),
            "score": round(self._chance.triangular(least, most), 2),
            "submitted_at": born.isoformat(),
        }
        if self._chance.random() < 0.03:
            del lead["phone"]
        if self._chance.random() < 0.02:
            lead["test"] = True
        return lead

    async def _send(self, vendor: str, lead: dict[str, Any]) -> None:
        if VENDORS[vendor][0]:
            with contextlib.suppress(aiohttp.ClientError):
                await self._ask("POST", f"/v1/leads/{vendor}", lead)
        else:
            topic = f"leads/in/{vendor}"
            await self._peer.say(topic, "what?" if self._chance.random() < 0.01 else lead)

    async def _human(self) -> None:
        """The one who decides about cases, now and then."""
        while True:
            await asyncio.sleep(20)
            for case in (await self._ask("GET", "/v1/exceptions"))["items"][:2]:
                key = case["lead_key"]
                if self._chance.random() < 0.7:
                    await self._ask("POST", f"/v1/leads/{key}/recycle", {"reason": "once more"})
                else:
                    body = {"status": "lost", "reason": "too late"}
                    await self._ask("POST", f"/v1/leads/{key}/close", body)

    async def _lunch(self, *names: str) -> None:
        await self._break(*names)
        await asyncio.sleep(70)
        for name in names:
            await self._floor.reps[name].go_online(True)

    async def _break(self, *names: str) -> None:
        for name in names:
            self._floor.reps[name].online = False
            await self._ask("PUT", f"/v1/reps/{name}/presence", {"state": "away"})

    async def _rush(self) -> None:
        self._rate = 2.2
        await asyncio.sleep(45)
        self._rate = 1.0

    async def _silence(self, vendor: str) -> None:
        self._silent.add(vendor)

    async def _reload(self) -> None:
        new = self._daemon.config.with_suffix(".new")
        new.write_text(self._daemon.config.read_text() + "\n[alerts]\nleast_leads = 15\n")
        new.replace(self._daemon.config)

    async def _override(self) -> None:
        until = datetime.fromtimestamp(Clock().now_ns() / 1e9, UTC) + timedelta(days=5)
        await self._control(
            "oona", "override", flow=0.5, reason="first week", until=until.isoformat()
        )

    async def _control(self, name: str, action: str, **body: object) -> None:
        await self._ask("POST", f"/v1/reps/{name}/{action}", body)

    async def _ask(self, method: str, path: str, body: object = None) -> Any:
        async with self._http.request(method, path, json=body) as answer:
            return await answer.json()


async def _done(act: Callable[[], Awaitable[None]]) -> None:
    await act()


def play(folder: Path) -> None:
    """Play it all. Prometheus' data stay in ``folder``, and ``run.json`` says when it ended."""
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder / "broker", durable=False))
        daemon = stack.enter_context(DaemonProcess(folder / "daemon", broker.port, tables()))
        daemon.start()
        alerts = rules.text(load(daemon.config))
        target = f"127.0.0.1:{daemon.http_port}"
        kept = Prometheus(folder / "prometheus", target, port=free_port(), rules=alerts)
        stack.enter_context(kept)
        asyncio.run(_play(daemon, broker.port))
        end = Clock().now_ns() / 1e9
    (folder / "run.json").write_text(json.dumps({"end": end, "minutes": MINUTES}))


async def _play(daemon: DaemonProcess, port: int) -> None:
    floor = Floor(daemon, Address("127.0.0.1", port, "picture", "auto"))
    try:
        await floor.play()
    finally:
        await floor.leave()
