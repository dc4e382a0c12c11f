"""What a scrape asks of the running daemon: gauges are read when they are wanted, never maintained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from distributor.domain.rep import Rep


class Census(Protocol):
    """The present state, as the application reads it from the engine, the outbox and the store.

    Called on the event loop, at most once a second; each answer must be cheap (well below 1 ms).
    """

    def leads_in_state(self) -> Mapping[str, int]:
        """Every lead ever accepted, by state."""
        ...

    def conservation_difference(self) -> int:
        """Received less accounted for: 0, or we have a fault."""
        ...

    def pools(self) -> Iterable[tuple[str, int, float]]:
        """(pool, waiting leads, age of the oldest in seconds of the floor's time or 0)."""
        ...

    def reps(self) -> Sequence[Rep]:
        """Every rep, in a stable order: the same unchanged list as long as nobody comes or goes."""
        ...

    def exceptions(self) -> Iterable[tuple[str, int, float]]:
        """(kind, open cases, age of the oldest in seconds or 0)."""
        ...

    def outbox(self) -> Iterable[tuple[str, int, float]]:
        """(target, undelivered messages, age of the oldest in seconds or 0), idle targets included."""
        ...

    def store_bytes(self) -> int:
        """Size of the store on disk."""
        ...

    def now_ns(self) -> int:
        """The wall clock."""
        ...
