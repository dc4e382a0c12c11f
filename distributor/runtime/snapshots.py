"""When a snapshot of the engine is due, and that it is written beside everything else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from distributor.domain.journal import SnapshotImage

if TYPE_CHECKING:
    from distributor.core.engine import Engine
    from distributor.domain.journal import Journal

log = structlog.get_logger(__name__)

SNAPSHOT_ENTRIES = 50_000
"""After so many entries a snapshot is due, or after as many as there are leads in memory."""


class Snapshots:
    """The snapshots of one engine. One that fails costs nothing but time at the next start."""

    def __init__(self, engine: Engine, journal: Journal, every_entries: int) -> None:
        self._engine = engine
        self._journal = journal
        self._every_entries = every_entries
        self._last_seq = journal.last_seq
        self._writing: asyncio.Task[None] | None = None

    def image_if_due(self, seq: int) -> SnapshotImage | None:
        """As ``image``; None where none is due, or the one before is still being written."""
        due = max(self._every_entries, len(self._engine.state.leads))
        if seq - self._last_seq < due or self._writing is not None:
            return None
        self._last_seq = seq
        return self.image(seq)

    def image(self, seq: int) -> SnapshotImage:
        """The engine's state, which is that after the entry ``seq``. Lead records are never changed in
        place, so the list is a picture that may be written at leisure, once that entry is on disk."""
        state = self._engine.state
        return SnapshotImage(seq, state.head(), list(state.leads.values()))

    def keep(self, image: SnapshotImage) -> None:
        """Begin to write a picture."""
        loop = asyncio.get_running_loop()
        self._writing = loop.create_task(self._journal.put_snapshot(image), name="snapshot")
        self._writing.add_done_callback(self._kept)

    def _kept(self, task: asyncio.Task[None]) -> None:
        self._writing = None
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("snapshot_failed", error=str(error))

    async def finish(self) -> None:
        """Wait for the one that is being written."""
        if self._writing is not None:
            await asyncio.wait({self._writing})  # how it went is told by its callback
