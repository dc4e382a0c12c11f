"""How long a scrape of many reps holds up the loop: a heartbeat of 1 ms runs beside it."""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, thread_time

from msgspec import Struct, structs

from bench import options
from bench.output import finish, goal, say
from bench.stats import percentile
from bench.world import BEGIN_NS, World
from distributor.app.census import EngineCensus
from distributor.app.policies import Policies
from distributor.app.process import GARBAGE_THRESHOLDS
from distributor.delivery.outbox import Outbox
from distributor.domain.messages import Outgoing
from distributor.observe.exposition import Exposition
from distributor.observe.metrics import Metrics

BEAT_SECONDS = 0.001
GOAL_MS = 10.0
SCRAPES = 12


class Scrape(Struct, frozen=True):
    """Milliseconds. ``*_stall``: the longest delay of a heartbeat by the clock, which on a busy
    machine holds the work of others; ``*_work``: what our own thread worked between two beats.
    ``idle_*``: the heartbeat's delay without a scrape, on the same loop.

    ``first`` writes every rep's lines; the later ones only those of reps that changed (a tenth).
    """

    reps: int
    bytes: int
    first_total_ms: float
    first_stall_ms: float
    first_work_ms: float
    later_total_ms: float
    later_stall_p50_ms: float
    later_work_p50_ms: float
    later_work_max_ms: float
    idle_p99_ms: float
    idle_max_ms: float


class Heart:
    """Beats every millisecond and remembers how late each beat was, and what our thread worked
    in between: on a busy machine the first holds other programs' work, too."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self.work_ms: list[float] = []

    async def beat(self) -> None:
        last, worked = perf_counter(), thread_time()
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            now, work = perf_counter(), thread_time()
            self.late_ms.append(max(0.0, now - last - BEAT_SECONDS) * 1e3)
            self.work_ms.append((work - worked) * 1e3)
            last, worked = now, work

    def take(self) -> tuple[list[float], list[float]]:
        taken = self.late_ms, self.work_ms
        self.late_ms, self.work_ms = [], []
        return taken


async def measure(reps: int, folder: Path) -> Scrape:
    """Scrape a floor of so many reps, again and again."""
    world = World(reps, "lease", Policies())
    census = EngineCensus(
        world.engine.state,
        Outbox(["mqtt"], _nothing, lambda: BEGIN_NS),
        folder / "none.db",
        lambda: world.now_ns,
    )
    exposition = Exposition(Metrics(world.engine.state.floor, [], "all"), census)
    heart = Heart()
    task = asyncio.create_task(heart.beat())
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)  # as in the daemon
    await asyncio.sleep(1.0)
    idle, _ = heart.take()
    totals, stalls, works, size = [], [], [], 0
    for _ in range(SCRAPES):
        world.run(_more(world, reps // 10))
        await asyncio.sleep(0.02)
        heart.take()
        exposition.forget()
        begun = perf_counter()
        size = sum(map(len, await exposition.render()))
        totals.append((perf_counter() - begun) * 1e3)
        await asyncio.sleep(0.005)
        late, work = heart.take()
        stalls.append(max(late))
        works.append(max(work))
    task.cancel()
    return Scrape(
        reps=reps,
        bytes=size,
        first_total_ms=totals[0],
        first_stall_ms=stalls[0],
        first_work_ms=works[0],
        later_total_ms=percentile(totals[1:], 0.5),
        later_stall_p50_ms=percentile(stalls[1:], 0.5),
        later_work_p50_ms=percentile(works[1:], 0.5),
        later_work_max_ms=max(works[1:]),
        idle_p99_ms=percentile(idle, 0.99),
        idle_max_ms=max(idle),
    )


def _more(world: World, count: int) -> Callable[[], bool]:
    end = world.assignments + count
    return lambda: world.assignments >= end


async def _nothing(_target: str, _after: int, _limit: int) -> list[tuple[Outgoing, int, int]]:
    return []


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reps", type=options.count, metavar="N", default=10_000)


def run(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(args.reps, Path(folder)))
    say(f"{found.reps} reps, {found.bytes / 1e6:.1f} MB of text")
    say("the longest hold of the loop, ms: by the clock / our own work in it")
    say(
        f"first scrape ({found.first_total_ms:.0f} ms): {found.first_stall_ms:.1f} / {found.first_work_ms:.1f}"
    )
    say(
        f"later ones ({found.later_total_ms:.0f} ms): {found.later_stall_p50_ms:.1f}"
        f" / {found.later_work_p50_ms:.1f} (worst work {found.later_work_max_ms:.1f})"
    )
    say(f"no scrape: p99 {found.idle_p99_ms:.1f}, worst {found.idle_max_ms:.1f}")
    worst = max(found.first_work_ms, found.later_work_max_ms)
    met = goal("a scrape's longest hold of the loop, ms of work", worst, GOAL_MS, least=False)
    finish(structs.asdict(found) | {"goals_met": met}, as_json=args.json)
    return 0
