"""Rebuilds the engine from disk: the newest snapshot, and the recorded decisions after it."""

from __future__ import annotations

import gc
from time import perf_counter
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct

from distributor.core.engine import Engine
from distributor.domain.faults import InvariantBroken
from distributor.runtime.progress import Progress

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

    A snapshot that cannot be read is passed over, for an older one or the journal from its beginning.
    Raises ``InvariantBroken`` when the ledger does not balance afterwards, ``Damaged`` for an entry of
    the journal that cannot be read.
    """
    begun = perf_counter()
    entries = 0
    collecting = gc.isenabled()
    gc.disable()  # a million new records and nothing to collect among them
    try:
        engine, snapshot_seq = await _from_snapshot(store, factories)
        with Progress("recovery", "entries", store.last_seq - snapshot_seq) as progress:
            async for chunk in store.read(snapshot_seq):
                for entry in chunk:
                    engine.fold(entry.at_ns, entry.decisions)
                entries += len(chunk)
                progress(entries)
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


async def _from_snapshot(
    store: SQLiteStore, factories: Mapping[str, PolicyFactory]
) -> tuple[Engine, int]:
    """An engine as the newest snapshot that can be read has it, and where that stands; 0: there is
    none, and the engine is empty."""
    for seq in await store.snapshots():
        engine = Engine(tag=store.tag, seed=store.seed, factories=factories)
        try:
            image = await store.get_snapshot(seq)
            engine.restore(image.head, image.leads)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the journal has it all
            remedy = "the start takes longer, nothing is lost; look at the disk"
            log.error("snapshot_unreadable", seq=seq, error=str(error), remedy=remedy)
        else:
            return engine, seq
    return Engine(tag=store.tag, seed=store.seed, factories=factories), 0
