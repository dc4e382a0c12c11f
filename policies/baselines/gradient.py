"""``gradient``: a window that follows the ratio of long to short round trips, after Netflix' Gradient2Limit.

With every trip the long mean moves by a sixtieth. While a trip is longer than one and a half times the long
mean the window shrinks, down to half of itself; else it grows by one. It moves a fifth of the way at a time
and does not grow while less than half of it is in use.
"""

from __future__ import annotations

from typing import Final

from distributor.domain.lead import Lead
from distributor.domain.rep import Rep
from policies.baselines.windows import SHORTEST_TRIP, Window, Windowed, within

LONG: Final = 1.0 / 60.0
TOLERANCE: Final = 1.5
SMOOTHING: Final = 0.2
ROOM: Final = 1.0


class _Gradient(Window, array_like=True, gc=False):
    """The long mean of the trips in seconds; 0: none was seen."""

    long: float = 0.0


class Gradient(Windowed[_Gradient]):
    """Long against short round trips."""

    def __init__(self) -> None:
        super().__init__(_Gradient)

    def _answered(self, lead: Lead, rep: Rep, seconds: float, in_flight: int, at_ns: int) -> None:
        known, short = self._of(rep.id), max(seconds, SHORTEST_TRIP)
        long = known.long + LONG * (short - known.long) if known.long else short
        # After a spell of long trips the mean must come down again.
        known.long = long * 0.9 if long / short > 2.0 else long
        gradient = min(max(TOLERANCE * long / short, 0.5), 1.0)
        target = known.window * gradient + ROOM
        window = within(known.window + SMOOTHING * (target - known.window))
        if window < known.window or in_flight >= known.window / 2.0:
            known.window = window
