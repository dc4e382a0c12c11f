"""What the congestion controls share: a window of uncontacted leads for each rep that answers move.

From 2 leads on, never below 1 (a rep would never be heard of again) nor above 20. A "round trip" is the time
from delivery to the first call.
"""

from __future__ import annotations

from typing import Final, TypeVar

from distributor.domain.rep import Rep
from policies.baselines.answers import Heard, Listening
from policies.baselines.central import Uncontacted

FIRST: Final = 2.0
LEAST: Final = 1.0
MOST: Final = 20.0
SHORTEST_TRIP: Final = 0.1
"""Seconds; trips are divided by."""


class Window(Heard, array_like=True, gc=False):
    """A window in leads; its whole part counts."""

    window: float = FIRST


W = TypeVar("W", bound=Window)


class Windowed(Listening[W], Uncontacted):
    """One queue, and at most a window of uncontacted leads. A subclass moves it in ``_answered``."""

    def _limit(self, rep: Rep, now_ns: int) -> int:
        return int(self._of(rep.id).window)


def within(window: float) -> float:
    """The window that is allowed."""
    return min(max(window, LEAST), MOST)
