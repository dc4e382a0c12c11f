"""The port of the journal: what the rest needs from whatever keeps the record.

One journal holds one partition. ``SQLite`` is today's only keeper (``distributor.store``); the
conformance suite in ``tests/store`` says what any keeper must do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from distributor.domain.decisions import Decision
from distributor.domain.events import Event
from distributor.domain.lead import Lead
from distributor.domain.messages import Outgoing, Settlement
from distributor.domain.rep import Rep


class Entry(Struct, frozen=True, gc=False):
    """One event and all that was decided about it. ``seq`` starts at 1 and has no gaps.

    ``idle_ticks``: times (ns) of the ticks since the entry before of which nothing came. They changed
    no state, but who decides again must let time pass in the same steps.
    """

    seq: int
    at_ns: int
    event: Event
    decisions: tuple[Decision, ...]
    idle_ticks: tuple[int, ...] = ()


class Batch(Struct):
    """What one transaction writes.

    ``leads`` and ``reps``: the records as they are after the last entry, for those that it touched.
    ``outgoing``: new outbox messages with their ids set. ``settlements``: what became of older ones.
    """

    entries: Sequence[Entry] = ()
    leads: Iterable[Lead] = ()
    reps: Iterable[Rep] = ()
    outgoing: Sequence[Outgoing] = ()
    settlements: Sequence[Settlement] = ()


class Found(Struct):
    """What the store knew before a batch is decided.

    ``originals``: (vendor, vendor's id) -> lead key. ``seen``: (source, event_id) already recorded.
    ``leads``: closed leads by key.
    """

    originals: dict[tuple[str, str], str]
    seen: set[tuple[str, str]]
    leads: dict[str, Lead]


class CommitStats(Struct, frozen=True):
    """How a commit went: rows written, and seconds it took (queueing in front of it not counted)."""

    rows: int
    seconds: float


class SnapshotImage(Struct):
    """The core's whole state after entry ``seq``: a small head and many leads.

    ``head`` is the core's own encoding of everything but the leads; ``leads`` are the records of the
    leads in memory. A record is never changed after it was put here.
    """

    seq: int
    head: bytes
    leads: Sequence[Lead]


class Journal(Protocol):
    """Append-only record of events and decisions with snapshots. ``Fenced`` and ``StoreFailed`` (see
    ``distributor.errors``) end the process: memory is rebuilt from here, never repaired."""

    @property
    def last_seq(self) -> int:
        """The newest committed entry's number, 0 for none."""
        ...

    async def append(self, batch: Batch, *, expect: int, epoch: int) -> CommitStats:
        """Write the batch in one transaction, durable when this returns. ``expect`` is the ``last_seq``
        the writer believes in, ``epoch`` the one it was given; either wrong raises ``Fenced`` and
        writes nothing."""
        ...

    def read(self, after: int) -> AsyncIterator[list[Entry]]:
        """Entries with a greater ``seq``, in order, in chunks."""
        ...

    async def lookup(
        self,
        vendor_ids: Sequence[tuple[str, str]],
        event_ids: Sequence[tuple[str, str]],
        lead_keys: Sequence[str],
    ) -> Found:
        """What is already known of these, as of the last commit."""
        ...

    async def put_snapshot(self, image: SnapshotImage) -> None:
        """Keep a snapshot, in slices that do not hold up appends; it counts once it is complete."""
        ...

    async def snapshots(self) -> list[int]:
        """After which entries there is a complete snapshot, the newest first."""
        ...

    async def get_snapshot(self, seq: int) -> SnapshotImage:
        """One of those. Raises ``Damaged`` (see ``distributor.errors``) when it cannot be read."""
        ...

    async def pending(
        self, target: str, after_id: int, limit: int
    ) -> list[tuple[Outgoing, int, int]]:
        """Undelivered outbox messages of a target with a greater id, in order: (message, attempts,
        next_ns)."""
        ...
