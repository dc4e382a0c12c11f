"""The ledger: every lead ever accepted is in exactly one state, and is really there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from distributor.domain.lead import LEAD_STATES, LeadState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from distributor.domain.lead import Lead


Held = tuple[int, int, int]
"""Leads that are really there: waiting in the pools, on the desk, and open in memory at all."""


class Ledger:
    """Counts by state, kept move by move and compared with what is ``held``, which is counted elsewhere.

    ``difference`` must be 0 at every commit.
    """

    def __init__(self, held: Callable[[], Held]) -> None:
        self.received = 0
        self.counts: dict[LeadState, int] = dict.fromkeys(LEAD_STATES, 0)
        self._held = held

    def enter(self, state: LeadState) -> None:
        """A new lead begins in ``state``."""
        self.received += 1
        self.counts[state] += 1

    def move(self, old: LeadState, new: LeadState) -> None:
        """A lead went from ``old`` to ``new``."""
        self.counts[old] -= 1
        self.counts[new] += 1

    @property
    def difference(self) -> int:
        """Leads too few or too many anywhere: 0, or the ledger is broken."""
        counts, received = self.counts, self.received
        waiting, desk, open_ = self._held()
        if (
            counts["waiting"] == waiting
            and counts["exception"] == desk
            and counts["closed"] + open_ == received == sum(counts.values())
        ):
            return 0
        return (
            abs(received - sum(counts.values()))
            + abs(counts["waiting"] - waiting)
            + abs(counts["exception"] - desk)
            + abs(received - counts["closed"] - open_)
        )

    def gaps(self, leads: Iterable[Lead]) -> list[str]:
        """What the counts and the records of all open ``leads`` do not agree on, in words."""
        found = Counter(lead.state for lead in leads)
        gaps = [
            f"it counts {self.counts[state]} {state} leads and has {found[state]}"
            for state in LEAD_STATES
            if state != "closed" and self.counts[state] != found[state]
        ]
        total = sum(self.counts.values())
        if total != self.received:
            gaps.append(f"it counts {self.received} leads received and {total} in all states")
        return gaps
