"""The time to start again with many open leads: a store is made, then recovered as at a start."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from time import perf_counter

from msgspec import Struct, structs

from bench import options
from bench.output import Progress, finish, goal, say
from bench.world import BEGIN_NS, BODY, lead
from distributor import __version__
from distributor.app.recovery import recover
from distributor.core.engine import Engine
from distributor.domain.events import Event, FloorChanged, Started
from distributor.domain.floor import Floor, FlowPlan, PoolPlan, RepPlan
from distributor.domain.journal import Batch, Entry, SnapshotImage
from distributor.runtime.clock import entropy
from distributor.settings.policies import Policies
from distributor.store.sqlite import SQLiteStore

GOAL_SECONDS = 20.0
BATCH = 2_000
REPS = 200


class Recovery(Struct, frozen=True):
    """``seconds``: until the engine decides again; ``open``, ``recover``, ``resume`` its parts."""

    leads: int
    entries_after_snapshot: int
    store_bytes: int
    open_seconds: float
    recover_seconds: float
    resume_seconds: float
    seconds: float
    wrote_leads_per_second: float


class Builder:
    """Writes a store the way the daemon does, in larger batches."""

    def __init__(self, store: SQLiteStore) -> None:
        self.store = store
        self.engine = Engine(tag=store.tag, seed=store.seed, factories=Policies())
        self.entries: list[Entry] = []
        self.now_ns = BEGIN_NS

    def take(self, event: Event) -> None:
        self.now_ns += 1_000_000
        decisions = tuple(self.engine.handle(event, self.now_ns))
        seq = self.store.last_seq + len(self.entries) + 1
        self.entries.append(Entry(seq, self.now_ns, event, decisions))

    async def write(self) -> None:
        leads, reps = self.engine.take_touched()
        batch = Batch(self.entries, leads, reps)
        await self.store.append(batch, expect=self.store.last_seq, epoch=self.store.epoch)
        self.entries = []

    async def snapshot(self) -> None:
        state = self.engine.state
        image = SnapshotImage(self.store.last_seq, state.head(), list(state.leads.values()))
        await self.store.put_snapshot(image)


async def measure(leads: int, behind: int, folder: Path) -> Recovery:
    """Make a store of ``leads`` open leads, the last ``behind`` of them after its snapshot."""
    path = folder / "distributor.db"
    store = await SQLiteStore.open(path, "normal", entropy=entropy)
    writing = await _build(store, leads, behind)
    await store.close()
    size = sum(file.stat().st_size for file in folder.iterdir())
    begun = perf_counter()
    store = await SQLiteStore.open(path, "full", entropy=entropy)
    opened = perf_counter()
    recovered = await recover(store, Policies())
    folded = perf_counter()
    recovered.engine.resume()
    ended = perf_counter()
    await store.close()
    assert recovered.leads == leads, f"{recovered.leads} of {leads} leads came back"
    return Recovery(
        leads=leads,
        entries_after_snapshot=recovered.entries,
        store_bytes=size,
        open_seconds=opened - begun,
        recover_seconds=folded - opened,
        resume_seconds=ended - folded,
        seconds=ended - begun,
        wrote_leads_per_second=leads / writing,
    )


async def _build(store: SQLiteStore, leads: int, behind: int) -> float:
    builder = Builder(store)
    plans = tuple(RepPlan(f"rep{i:03d}") for i in range(REPS))
    # Nobody signs on, and nothing is too much: all of them wait.
    flow = FlowPlan(pool_limit=leads + 1)
    builder.take(Started(store.epoch, __version__))
    builder.take(FloorChanged(Floor("bench", reps=plans, pools=(PoolPlan("default"),), flow=flow)))
    progress = Progress("writing leads", leads)
    begun = perf_counter()
    for number in range(leads):
        body = BODY.replace(b"Maria", b"M%08d" % number)
        builder.take(lead(number, builder.now_ns, body=body))
        if len(builder.entries) >= BATCH or number == leads - 1:
            await builder.write()
            progress.show(number + 1)
        if number == leads - behind - 1:
            await builder.write()
            await builder.snapshot()
    progress.end()
    return perf_counter() - begun


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--leads", type=options.count, metavar="N", default=1_000_000)
    parser.add_argument(
        "--behind",
        type=options.count_or_none,
        metavar="N",
        default=50_000,
        help="leads after the snapshot (50000)",
    )
    parser.add_argument(
        "--folder", type=options.folder, metavar="DIR", help="where to write (a temporary folder)"
    )


def run(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        found = asyncio.run(measure(args.leads, min(args.behind, args.leads), Path(folder)))
    say(
        f"{found.leads:,} open leads ({found.store_bytes / 1e6:,.0f} MB), the last"
        f" {found.entries_after_snapshot:,} entries after the snapshot"
    )
    say(
        f"open {found.open_seconds:.2f} s + recover {found.recover_seconds:.2f} s"
        f" + wake the policies {found.resume_seconds:.2f} s = {found.seconds:.2f} s"
    )
    met = goal("seconds to recover", found.seconds, GOAL_SECONDS, least=False)
    finish(structs.asdict(found) | {"goals_met": met}, as_json=args.json)
    return 0
