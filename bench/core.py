"""The core alone: how many decisions a second on one core, at what memory."""

from __future__ import annotations

import argparse
import gc
import tracemalloc
from time import thread_time

from msgspec import Struct, structs

from bench import options
from bench.output import Progress, finish, goal, say, table
from bench.stats import percentile
from bench.world import BODY, SECOND, World, lead
from distributor.settings.policies import Policies

REPS = (10, 50, 200, 1_000, 10_000)
WARM_SECONDS = 900.0
"""Virtual time until a floor is as busy as its load says."""
OPEN_LEADS = 100_000
MEMORY_REPS = 2_000
GOAL_DECISIONS = 20_000.0
GOAL_GROWTH = 3.0
GOAL_P99_US = {200: 50.0, 10_000: 200.0}
GOAL_LEAD_BYTES = 2_048.0
GOAL_REP_BYTES = 4_096.0


class Speed(Struct, frozen=True):
    """One floor, measured for so many events after its warm-up. ``decision_p99_us``: of the time of an
    event that decided something, divided by how many decisions it took."""

    policy: str
    reps: int
    events: int
    leads: int
    decisions: int
    decisions_per_second: float
    events_per_second: float
    assignments_per_second: float
    microseconds_per_event: float
    microseconds_per_decision: float
    microseconds_per_lead: float
    handle_p50_us: float
    handle_p99_us: float
    handle_max_us: float
    decision_p99_us: float


def yardstick(rounds: int = 20) -> float:
    """Milliseconds of CPU time that a fixed piece of plain Python takes here and now (the median):
    on a shared machine the same core may be twice as slow a minute later."""
    taken = []
    for _ in range(rounds):
        begun = thread_time()
        table = {str(i): i for i in range(10_000)}
        sum(table[str(i)] for i in range(10_000))
        taken.append((thread_time() - begun) * 1e3)
    return percentile(taken, 0.5)


def speed(policy: str, reps: int, events: int) -> Speed:
    """Measure ``policy`` on a floor of ``reps``: only time inside ``Engine.handle`` counts."""
    progress = Progress(f"{policy}, {reps} reps", events)
    world = World(reps, policy, Policies())
    warm_ns = world.now_ns + round(WARM_SECONDS * SECOND)
    world.run(lambda: world.now_ns >= warm_ns)
    world.forget()
    gc.collect()
    gc.freeze()

    def enough() -> bool:
        progress.show(world.events)
        return world.events >= events

    world.run(enough)
    gc.unfreeze()
    progress.end()
    return _figures(policy, reps, world)


def _figures(policy: str, reps: int, world: World) -> Speed:
    seconds = sum(world.timings_ns) / 1e9
    return Speed(
        policy=policy,
        reps=reps,
        events=world.events,
        leads=world.leads,
        decisions=world.decisions,
        decisions_per_second=world.decisions / seconds,
        events_per_second=world.events / seconds,
        assignments_per_second=world.assignments / seconds,
        microseconds_per_event=seconds * 1e6 / world.events,
        microseconds_per_decision=seconds * 1e6 / world.decisions,
        microseconds_per_lead=seconds * 1e6 / max(1, world.leads),
        handle_p50_us=percentile(world.timings_ns, 0.5) / 1e3,
        handle_p99_us=percentile(world.timings_ns, 0.99) / 1e3,
        handle_max_us=max(world.timings_ns) / 1e3,
        decision_p99_us=percentile(world.decision_ns, 0.99) / 1e3,
    )


def lead_bytes(count: int = OPEN_LEADS) -> float:
    """Bytes that one waiting lead takes beyond its raw payload."""
    world = World(1, "lease", Policies())
    world.timings_ns = []
    gc.collect()
    tracemalloc.start()
    for number in range(count):
        # A payload of its own for each lead, as it would come from the network.
        body = BODY.replace(b"Maria", b"M%08d" % number)
        world.engine.handle(lead(number, world.now_ns + number, body=body), world.now_ns + number)
        if number % 1_000 == 0:
            world.engine.take_touched()
    world.engine.take_touched()
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken / count - len(BODY)


def rep_bytes(count: int = MEMORY_REPS) -> float:
    """Bytes that one rep takes who is signed on and had a lead."""
    gc.collect()
    tracemalloc.start()
    world = World(count, "lease", Policies())
    world.run(lambda: world.assignments >= count)
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    open_leads = len(world.engine.state.leads)
    tracemalloc.stop()
    # What the world itself keeps and what its leads take is not the reps'.
    own = _world_bytes(world)
    return max(0.0, taken - own - open_leads * (len(BODY) + 1_200)) / count


def _world_bytes(world: World) -> int:
    from sys import getsizeof  # noqa: PLC0415

    kept = (world.timings_ns, world.decision_ns)
    total = sum(getsizeof(one) + 32 * len(one) for one in kept) + 250 * len(world._agenda)  # noqa: SLF001
    total += sum(getsizeof(queue) for queue in world._queue.values())  # noqa: SLF001
    return total


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reps", type=options.count, metavar="N", help="one size of floor only")
    parser.add_argument(
        "--events", type=options.count, metavar="N", default=40_000, help="measured (40000)"
    )
    parser.add_argument(
        "--policy",
        type=options.policy,
        action="append",
        metavar="NAME",
        help="default: lease and fair",
    )


def run(args: argparse.Namespace) -> int:
    sizes = (args.reps,) if args.reps else REPS
    policies = args.policy or ["lease", "fair"]
    before = yardstick()
    rows = [speed(policy, reps, args.events) for policy in policies for reps in sizes]
    after = yardstick()
    _print(rows)
    say(f"yardstick (20,000 dictionary steps): {before:.2f} ms before, {after:.2f} ms after")
    memory = {"bytes_per_open_lead": lead_bytes(), "bytes_per_rep": rep_bytes()}
    met = _goals(rows, memory)
    result = {"speed": [structs.asdict(row) for row in rows], **memory, "goals_met": met}
    result["yardstick_ms"] = [before, after]
    finish(result, as_json=args.json)
    return 0


def _print(rows: list[Speed]) -> None:
    heads = ("policy", "reps", "decisions/s", "events/s", "assigned/s", "us/event", "us/decision",
             "us/lead", "p50 us", "p99 us", "max us", "p99 us/decision")  # fmt: skip
    cells = [
        (row.policy, row.reps, f"{row.decisions_per_second:,.0f}", f"{row.events_per_second:,.0f}",
         f"{row.assignments_per_second:,.0f}", f"{row.microseconds_per_event:.1f}",
         f"{row.microseconds_per_decision:.1f}", f"{row.microseconds_per_lead:.0f}",
         f"{row.handle_p50_us:.0f}", f"{row.handle_p99_us:.0f}", f"{row.handle_max_us:.0f}",
         f"{row.decision_p99_us:.0f}")
        for row in rows
    ]  # fmt: skip
    table(heads, cells)


def _goals(rows: list[Speed], memory: dict[str, float]) -> bool:
    by_reps = {row.reps: row for row in rows if row.policy == "lease"}
    met = []
    if 200 in by_reps:
        figure = by_reps[200].decisions_per_second
        met.append(goal("decisions/s, 200 reps", figure, GOAL_DECISIONS, least=True))
    if 200 in by_reps and 10_000 in by_reps:
        small, large = by_reps[200], by_reps[10_000]
        growth = large.microseconds_per_decision / small.microseconds_per_decision
        met.append(goal("cost at 10,000 reps / 200", growth, GOAL_GROWTH, least=False))
    for reps, limit in GOAL_P99_US.items():
        if reps in by_reps:
            name = f"us a decision, p99, {reps:,} reps"
            met.append(goal(name, by_reps[reps].decision_p99_us, limit, least=False))
    per_lead, per_rep = memory["bytes_per_open_lead"], memory["bytes_per_rep"]
    met.append(goal("bytes per open lead", per_lead, GOAL_LEAD_BYTES, least=False))
    met.append(goal("bytes per rep", per_rep, GOAL_REP_BYTES, least=False))
    if not all(met):
        say("a goal was missed: see above")
    return all(met)
