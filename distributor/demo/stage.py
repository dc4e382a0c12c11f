"""Puts a demo together: broker, daemon, dialer, vendors and the watcher, and takes it apart again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from distributor.app import Daemon
from distributor.demo import ending
from distributor.demo.board import Board
from distributor.demo.broker import USERNAME, EmbeddedBroker, outside_broker
from distributor.demo.eyes import Eyes
from distributor.demo.floor import DemoFloor
from distributor.demo.peer import Address
from distributor.demo.plan import Plan
from distributor.demo.prometheus import Prometheus
from distributor.demo.story import Story
from distributor.demo.summary import Summary, summarise
from distributor.demo.vendor import Vendors
from distributor.errors import Unavailable
from distributor.observe import rules
from distributor.runtime.clock import Clock
from distributor.settings import Settings, parse

_PREFIX: Final = "leads"
_READY_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.5
_ANSWER_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 20.0
_LEDGER: Final = "distributor_lead_conservation_difference"


async def perform(plan: Plan, folder: Path, console: Console) -> Summary:
    """Play one demo to its end: until the time is up or somebody presses Ctrl-C.

    Raises what ended the daemon, and ``Unavailable`` when a part does not come up.
    """
    beside: list[Prometheus] = []
    ended = _ctrl_c(beside)
    name = f"demo-{uuid.uuid4().hex[:8]}"  # a broker from outside may remember other demos
    async with contextlib.AsyncExitStack() as stack:
        address = await _open_broker(stack, console)
        floor = DemoFloor(address, _PREFIX, name, plan)
        await floor.connect()
        stack.push_async_callback(floor.stop)
        settings = _settings(plan, address, folder, name)
        daemon = await Daemon.start(settings)
        stack.push_async_callback(daemon.stop)
        assert daemon.web is not None
        eyes = Eyes(f"http://127.0.0.1:{daemon.web.port}")
        stack.push_async_callback(eyes.close)
        vendors = Vendors(address, _PREFIX, name, plan)
        await vendors.connect()
        stack.push_async_callback(vendors.stop)
        await _until_ready(eyes)
        _introduce(console, eyes.url, folder)
        if plan.prometheus is not None:
            target = f"127.0.0.1:{daemon.web.port}"
            place, text = folder / "prometheus", rules.text(settings)
            beside.append(Prometheus(place, target, port=plan.prometheus, rules=text))
            await _open_prometheus(stack, beside[0], console)
        board = Board(eyes, floor.stream, console, plan.time_scale)
        story = Story(plan, floor.reps, board.say)
        daemon.failed.add_done_callback(lambda _: ended.set())
        async with asyncio.TaskGroup() as group:
            services = [floor.run(), story.play(), board.run(story.see)]
            services += [_watch(prometheus, board.say) for prometheus in beside]
            tasks = [group.create_task(service) for service in services]
            sending = group.create_task(vendors.run(eyes.url))
            if plan.seconds is not None:
                tasks.append(group.create_task(ending.after(plan.seconds, ended)))
            elif plan.trace is not None:
                through = ending.of_trace(plan, sending, vendors, floor, board, ended)
                tasks.append(group.create_task(through))
            else:
                tasks.append(group.create_task(ending.of_story(story, ended)))
            await ended.wait()
            vendors.leave()
            await asyncio.wait({sending}, timeout=_ANSWER_SECONDS)
            for task in (sending, *tasks):
                task.cancel()
        if daemon.failed.done():
            raise daemon.failed.result()
        await vendors.settled(_SETTLE_SECONDS)
        last = await eyes.look()
        board.see(last)
        return summarise(
            vendors.book,
            await eyes.leads(),
            floor.stream,
            time_scale=plan.time_scale,
            held_back=board.held_back,
            now_ns=Clock().now_ns(),
            difference=last.metrics.total(_LEDGER),
            arrivals=len(plan.trace.arrivals) if plan.trace is not None else None,
            unseen=story.unseen,
            seconds=board.seconds,
        )


async def _open_broker(stack: contextlib.AsyncExitStack, console: Console) -> Address:
    outside = outside_broker()
    if outside is not None:
        return Address(*outside, USERNAME, "auto")
    broker = EmbeddedBroker()
    await asyncio.to_thread(broker.start)
    stack.push_async_callback(asyncio.to_thread, broker.stop)
    console.print(
        f"broker    127.0.0.1:{broker.port} (MQTT 3.1.1, any user name; for this demo only: it keeps "
        "nothing on disk)",
        highlight=False,
        soft_wrap=True,
    )
    return Address("127.0.0.1", broker.port, USERNAME, "3.1.1")


def _settings(plan: Plan, address: Address, folder: Path, name: str) -> Settings:
    """The daemon's settings, checked as if they had come from a file."""
    teams = ("north", "south")
    reps = [
        {"id": rep, "name": rep.title(), "team": teams[number % 2]}
        for number, rep in enumerate(plan.reps)
    ]
    tree: dict[str, object] = {
        "store": {"path": "distributor.db"},
        "mqtt": {
            "host": address.host,
            "port": address.port,
            "username": address.username,
            "protocol": address.protocol,
            "client_id": name,
        },
        "http": {"host": "127.0.0.1", "port": 0},
        "flow": {"policy": "lease", "time_scale": plan.time_scale},
        "teams": [{"id": team} for team in teams],
        "reps": reps,
        "pools": [{"id": "default"}],
    }
    return parse(tree, folder)


async def _until_ready(eyes: Eyes) -> None:
    """A lead that is sent before the daemon listens would be lost by the broker."""
    end = asyncio.get_running_loop().time() + _READY_SECONDS
    while problem := await eyes.ready():
        if asyncio.get_running_loop().time() > end:
            raise Unavailable(f"the daemon is not ready: {problem}")
        await asyncio.sleep(0.02)


def _introduce(console: Console, url: str, folder: Path) -> None:
    for what, text in (
        ("API", f"{url}/v1/reps   {url}/v1/leads"),
        ("metrics", f"{url}/metrics"),
        ("health", f"{url}/healthz"),
        ("store", f"{folder / 'distributor.db'} (removed at the end)"),
        ("log", f"{folder / 'daemon.log'}"),
        ("ask", f"distributor why LEAD_KEY --store {folder / 'distributor.db'}"),
    ):
        console.print(f"{what:<10}{text}", highlight=False, soft_wrap=True, markup=False)


async def _open_prometheus(
    stack: contextlib.AsyncExitStack, prometheus: Prometheus, console: Console
) -> None:
    stack.push_async_callback(asyncio.to_thread, prometheus.stop)
    await asyncio.to_thread(prometheus.start)
    console.print(
        f"prometheus {prometheus.url} (in Grafana: a data source of type Prometheus with this URL, then "
        "the dashboards in grafana/dashboards; see docs/grafana.md)",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


async def _watch(prometheus: Prometheus, say: Callable[[str, str], None]) -> None:
    """The show goes on without it."""
    while prometheus.running:  # noqa: ASYNC110 - a process has no event
        await asyncio.sleep(_LOOK_SECONDS)
    say("prometheus has ended, the demo goes on", prometheus.last_words())


def _ctrl_c(beside: Sequence[Prometheus]) -> asyncio.Event:
    """The first Ctrl-C (or SIGTERM, or the end of the terminal) ends the show in order, the second one
    at once, with what runs ``beside``."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if ended.is_set():
            for process in beside:
                process.kill()
            os._exit(130)
        ended.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
        numbers.append(signal.SIGHUP)
    with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):  # no main thread
        for number in numbers:
            loop.add_signal_handler(number, on_signal)
    return ended
