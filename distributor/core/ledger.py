"""The ledger: every lead ever accepted is in exactly one state."""

from __future__ import annotations

from distributor.domain.lead import LEAD_STATES, LeadState


class Ledger:
    """Counts by state, kept move by move. ``difference`` must be 0 at every commit."""

    def __init__(self) -> None:
        self.received = 0
        self.counts: dict[LeadState, int] = dict.fromkeys(LEAD_STATES, 0)

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
        """Received minus the sum over all states: 0, or the ledger is broken."""
        return self.received - sum(self.counts.values())
