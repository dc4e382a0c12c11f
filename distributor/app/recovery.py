"""Rebuilds the engine from disk: the newest snapshot, and the recorded decisions after it."""

from __future__ import annotations

import gc
from time import perf_counter
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct

from distributor.core.engine import Engine
from distributor.domain.faults import InvariantBroken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distributor.domain.policy import PolicyFactory
    from distributor.store.sqlite import SQLiteStore

log = structlog.get_logger(__name__)


class Recovered(Struct):
    """What recovery did, for the log and the benches."""

    engine: Engine
    snapshot_seq: int
    entries: int
    leads: int
    seconds: float


async def recover(store: SQLiteStore, factories: Mapping[str, PolicyFactory]) -> Recovered:
    """An engine that is where the last commit left it; no policy is asked on the way.

    Raises ``InvariantBroken`` when the ledger does not balance afterwards.
    """
    begun = perf_counter()
    engine = Engine(tag=store.tag, seed=store.seed, factories=factories)
    entries = 0
    collecting = gc.isenabled()
    gc.disable()  # a million new records and nothing to collect among them
    try:
        image = await store.get_snapshot()
        if image is not None:
            engine.restore(image.head, image.leads)
        snapshot_seq = 0 if image is None else image.seq
        del image
        async for chunk in store.read(snapshot_seq):
            for entry in chunk:
                engine.fold(entry.at_ns, entry.decisions)
            entries += len(chunk)
    finally:
        if collecting:
            gc.enable()
    gc.freeze()
    difference = engine.state.ledger.difference
    if difference:
        message = f"the ledger is off by {difference} leads after recovery: run distributor verify"
        raise InvariantBroken(message)
    seconds = perf_counter() - begun
    leads = len(engine.state.leads)
    log.info("recovered", leads=leads, entries=entries, seconds=round(seconds, 3))
    return Recovered(engine, snapshot_seq, entries, leads, seconds)
