"""Timers as data: a heap of due times, checked against the state when they fire."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Literal

TimerKind = Literal["lead", "standard", "rep", "pool"]

Stands = Callable[[int, TimerKind, str], bool]
"""(due_ns, kind, key) -> whether anything would come of this entry."""

FEWEST_TO_PRUNE = 20_000
PER_LEAD = 4
"""An open lead has two deadlines at once: its standard and its lease, callback or desk."""


class Deadlines:
    """Due times of leads, standards, reps and pools. An entry that is no longer true is skipped by
    whoever handles it: setting a new deadline never needs to find the old one."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, TimerKind, str]] = []
        self._most = FEWEST_TO_PRUNE

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, due_ns: int, kind: TimerKind, key: str) -> None:
        """Ask for ``(kind, key)`` at ``due_ns``; 0 means no deadline."""
        if due_ns:
            heappush(self._heap, (due_ns, kind, key))

    def next_ns(self, stands: Stands) -> int | None:
        """The earliest due time; entries in front of it that do not stand any more are forgotten."""
        while self._heap and not stands(*self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_ns: int) -> tuple[int, TimerKind, str] | None:
        """The earliest entry that is due, or None."""
        if self._heap and self._heap[0][0] <= now_ns:
            return heappop(self._heap)
        return None

    def prune(self, stands: Stands, leads: int) -> None:
        """Forget entries that do not stand any more, once they are more than those that do: more than
        ``leads`` in memory account for.

        Else a lead that was closed within minutes would be remembered until the latest end it ever
        had, a week ahead."""
        if len(self._heap) < max(self._most, PER_LEAD * leads):
            return
        self._heap = [entry for entry in self._heap if stands(*entry)]
        heapify(self._heap)
        self._most = max(FEWEST_TO_PRUNE, 2 * len(self._heap))
