"""``least_loaded``: the rep whose pipeline is emptiest for its window; ties to the longest idle."""

from __future__ import annotations

from typing import ClassVar

from distributor.domain.rep import Rep
from policies.longest_idle import LongestIdle


class LeastLoaded(LongestIdle):
    """Fewest open leads relative to the window, then longest idle, then the id."""

    reason: ClassVar[str] = "least_loaded"
    note: ClassVar[str] = "load"

    def load(self, rep: Rep) -> float:
        """Open leads as a share of the window."""
        return len(rep.open) / max(rep.window, 1)
