"""What a scrape costs the event loop, through the daemon's own HTTP: the CPU time of the loop's thread, and
the longest time that the loop is held. Beside it the same series made by prometheus_client on the loop."""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import tracemalloc
from pathlib import Path
from time import thread_time
from typing import get_args

from msgspec import Struct, structs
from prometheus_client import generate_latest

from bench import options
from bench.output import Progress, finish, goal, say, table
from bench.scrape_library import LibraryScrape
from bench.scrape_site import Heart, Site, as_in_the_daemon
from bench.stats import middle, percentile
from bench.world import World
from distributor.observe.metrics import PerRep
from distributor.settings.policies import Policies

GOALS_MS = {2_000: 5.0, 10_000: 10.0}
"""The most reps -> milliseconds of the loop that a scrape of so many may cost."""
SCRAPES = 12
SETTINGS: tuple[PerRep, ...] = get_args(PerRep)


class Scrape(Struct):
    """Medians and the worst of ``SCRAPES`` answers, a tenth of the reps having got a lead before each; milliseconds.

    ``loop``: CPU time of the loop's thread for one answer as Prometheus asks for it (gzip), connection and
    HTTP included; ``plain_loop``: the same without gzip. ``thread``: CPU time of the scrape's thread, which
    shares the interpreter's lock. ``answer``: until the client has it all, by the clock. ``hold``: the longest
    that the loop's thread worked between two beats of a heart of 1 ms. ``late``: the longest delay of a
    beat by the clock; ``idle_late``: the p99 without a scrape. ``library``: CPU time of the same series made by
    prometheus_client. ``held_bytes``: what the metrics hold between scrapes, texts included;
    ``peak_bytes``: the most while the first was made.
    """

    reps: int
    per_rep: PerRep
    series: int
    bytes: int
    packed_bytes: int
    loop_ms: float
    loop_worst_ms: float
    plain_loop_ms: float
    thread_ms: float
    answer_ms: float
    hold_ms: float
    hold_worst_ms: float
    late_ms: float
    late_worst_ms: float
    idle_late_ms: float
    by_client_ms: float
    held_bytes: int
    peak_bytes: int


async def measure(world: World, per_rep: PerRep, folder: Path) -> Scrape:
    """Scrape a floor again and again: for what it costs, then beside a heart."""
    held, peak = await memory(world, per_rep, folder)
    site = Site(world, per_rep, folder)
    async with site.open():
        with as_in_the_daemon():
            await site.ask()  # the first writes every line
            packed, plain, library = [], [], []
            for _ in range(SCRAPES):
                site.live()
                packed.append(await site.ask())
                site.live()
                plain.append(await site.ask(compressed=False))
                library.append(_by_library(site))
            idle, lates, works = await _beside_a_heart(site)
        text = b"".join(await site.exposition.render())
    loops = [cost.loop * 1e3 for cost in packed]
    return Scrape(
        reps=len(world.names),
        per_rep=per_rep,
        series=sum(not line.startswith(b"#") for line in text.splitlines()),
        bytes=len(text),
        packed_bytes=packed[-1].received,
        loop_ms=middle(loops),
        loop_worst_ms=max(loops),
        plain_loop_ms=middle([cost.loop * 1e3 for cost in plain]),
        thread_ms=middle([cost.thread * 1e3 for cost in packed]),
        answer_ms=middle([cost.seconds * 1e3 for cost in packed]),
        hold_ms=middle(works),
        hold_worst_ms=max(works),
        late_ms=middle(lates),
        late_worst_ms=max(lates),
        idle_late_ms=percentile(idle, 0.99),
        by_client_ms=middle(library),
        held_bytes=held,
        peak_bytes=peak,
    )


async def memory(world: World, per_rep: PerRep, folder: Path) -> tuple[int, int]:
    """Bytes that metrics and texts (plain and packed) hold after a scrape, and the most during it."""
    gc.collect()
    tracemalloc.start()
    try:
        site = Site(world, per_rep, folder)
        await site.exposition.render(compressed=True)
        _, peak = tracemalloc.get_traced_memory()
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return held, peak


def _by_library(site: Site) -> float:
    """Milliseconds of CPU time."""
    begun = thread_time()
    reps = list(site.census.reps())
    generate_latest(LibraryScrape(site.metrics, reps, site.census.now_ns()))
    return (thread_time() - begun) * 1e3


async def _beside_a_heart(site: Site) -> tuple[list[float], list[float], list[float]]:
    """Delays without a scrape; the longest delay and the longest work of each scrape."""
    heart = Heart()
    beating = asyncio.create_task(heart.beat())
    await asyncio.sleep(0.5)
    idle, _ = heart.take()
    lates, works = [], []
    for _ in range(SCRAPES):
        site.live()
        await asyncio.sleep(0.02)
        heart.take()
        await site.ask()
        await asyncio.sleep(0.005)
        late, work = heart.take()
        lates.append(max(late))
        works.append(max(work))
    beating.cancel()
    return idle, lates, works


def arguments(parser: argparse.ArgumentParser) -> None:
    about = "reps of the floor (default: 2,000, then 10,000)"
    parser.add_argument("--reps", type=options.count, metavar="N", help=about)


def run(args: argparse.Namespace) -> int:
    found: list[Scrape] = []
    sizes = [args.reps] if args.reps else list(GOALS_MS)
    progress = Progress("scrape", len(sizes) * len(SETTINGS))
    with tempfile.TemporaryDirectory() as folder:
        for reps in sizes:
            world = World(reps, "lease", Policies())
            for per_rep in SETTINGS:
                progress.show(len(found), f"{reps} reps, {per_rep}")
                found.append(asyncio.run(measure(world, per_rep, Path(folder))))
    progress.end()
    _print(found)
    met = [_met(scrape) for scrape in found if scrape.reps <= max(GOALS_MS)]
    result = {"floors": [structs.asdict(scrape) for scrape in found], "goals_met": all(met)}
    finish(result, as_json=args.json)
    return 0


def _print(found: list[Scrape]) -> None:
    say(
        f"medians of {SCRAPES} scrapes, the worst in brackets; a tenth of the reps got a lead before each"
    )
    heads = ("reps", "per_rep", "series", "text MB", "gzip MB", "held MB", "peak MB")
    sizes = [
        (s.reps, s.per_rep, s.series)
        + tuple(f"{b / 1e6:.2f}" for b in (s.bytes, s.packed_bytes, s.held_bytes, s.peak_bytes))
        for s in found
    ]
    table(heads, sizes)
    say(
        "CPU time, ms: the loop's thread (gzip; plain), its longest hold, the scrape's thread; the library"
    )
    table(
        ("reps", "per_rep", "loop", "plain", "hold", "thread", "library"),
        [
            (
                s.reps,
                s.per_rep,
                f"{s.loop_ms:.1f} ({s.loop_worst_ms:.1f})",
                f"{s.plain_loop_ms:.1f}",
                f"{s.hold_ms:.1f} ({s.hold_worst_ms:.1f})",
                f"{s.thread_ms:.0f}",
                f"{s.by_client_ms:.0f}",
            )
            for s in found
        ],
    )
    say(
        "by the clock, ms, other programs' work included: a beat's longest delay, without a scrape; answer"
    )
    table(
        ("reps", "per_rep", "late", "idle p99", "answer"),
        [
            (
                s.reps,
                s.per_rep,
                f"{s.late_ms:.1f} ({s.late_worst_ms:.1f})",
                f"{s.idle_late_ms:.1f}",
                f"{s.answer_ms:.0f}",
            )
            for s in found
        ],
    )


def _met(scrape: Scrape) -> bool:
    limit = min(ms for reps, ms in GOALS_MS.items() if reps >= scrape.reps)
    name = f"{scrape.reps} reps, {scrape.per_rep}: "
    total = goal(name + "ms of the loop for a scrape", scrape.loop_ms, limit, least=False)
    hold = goal(name + "longest hold, ms of work", scrape.hold_ms, limit, least=False)
    return total and hold
