"""One run of one policy (or the bound) on one scenario and seed, with its earlier shifts."""

from __future__ import annotations

import gc
from time import thread_time

from msgspec import Struct

from bench.simulate import draws
from bench.simulate.bound import CHOICES, PoolDesk
from bench.simulate.desk import CoreDesk
from bench.simulate.metrics import Figures, measure
from bench.simulate.record import Record
from bench.simulate.scenario import Scenario
from bench.simulate.world import World
from distributor.settings.policies import Policies
from policies.push import PushPolicy

MANY_LEADS = 1000
NO_END_SECONDS = 1e7


class Ran(Struct, frozen=True):
    """What a run found, and the CPU seconds it cost, ``core_seconds`` of them in the core."""

    figures: Figures
    agenda_events: int
    core_events: int
    core_seconds: float
    seconds: float


def split(name: str) -> tuple[str, int | None]:
    """``NAME`` or ``NAME:WINDOW`` of a policy."""
    policy, colon, window = name.partition(":")
    return policy, int(window) if colon else None


def run(scenario: Scenario, name: str, seed: int, *, delays: bool = False) -> Ran:
    """Play the earlier shifts and the measured one."""
    begun = thread_time()
    enabled = gc.isenabled()
    gc.disable()  # everything lives to the end of the run
    try:
        record = play(scenario, name, seed)
    finally:
        if enabled:
            gc.enable()
    return Ran(
        measure(record, delays=delays),
        record.agenda_events,
        record.core_events,
        record.core_seconds,
        thread_time() - begun,
    )


def play(scenario: Scenario, name: str, seed: int) -> Record:
    """The record of the measured shift."""
    crew = draws.people(scenario, seed)
    desk = _desk(scenario, crew, name, seed)
    earlier = scenario.history if isinstance(desk, CoreDesk) else 0
    for number in range(earlier, -1, -1):
        record = Record(scenario, crew, draws.shift(scenario, crew, seed, number), name)
        World(record, seed, number).run(desk)
        if number and isinstance(desk, CoreDesk):
            desk.night()
    if isinstance(desk, CoreDesk):
        record.core_events, record.core_seconds = desk.events, desk.core_ns / 1e9
    return record


def _desk(
    scenario: Scenario, crew: tuple[draws.Person, ...], name: str, seed: int
) -> CoreDesk | PoolDesk:
    if name in CHOICES:
        return PoolDesk(CHOICES[name])
    factories = Policies()
    policy, window = split(name)
    # A push baseline leases at once and without an end: leads queue at the reps.
    push = window is None and isinstance(factories[policy](), PushPolicy)
    return CoreDesk(
        scenario,
        crew,
        policy,
        factories,
        seed=seed,
        window=window or (MANY_LEADS if push else 1),
        lease_seconds=NO_END_SECONDS if push else scenario.lease_seconds,
        says_ends=push,
    )
