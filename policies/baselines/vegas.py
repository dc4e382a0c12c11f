"""``vegas``: a window that keeps about one lead queued, after TCP Vegas.

Queued are window x (1 - shortest / this round trip). Below 1 the window grows by one lead, above 2 it shrinks
by one. The shortest trip is measured anew with every thirtieth.
"""

from __future__ import annotations

from typing import Final

from distributor.domain.lead import Lead
from distributor.domain.rep import Rep
from policies.baselines.windows import SHORTEST_TRIP, Window, Windowed, within

FEW: Final = 1.0
MANY: Final = 2.0
ANEW_EVERY: Final = 30


class _Vegas(Window, array_like=True, gc=False):
    """The shortest trip in seconds, and how many trips ago it was measured anew."""

    shortest: float = 0.0
    trips: int = 0


class Vegas(Windowed[_Vegas]):
    """The shortest against this round trip."""

    def __init__(self) -> None:
        super().__init__(_Vegas)

    def _answered(self, lead: Lead, rep: Rep, seconds: float, in_flight: int, at_ns: int) -> None:
        known, trip = self._of(rep.id), max(seconds, SHORTEST_TRIP)
        anew = known.trips % ANEW_EVERY == 0
        known.shortest = trip if anew else min(known.shortest, trip)
        known.trips = 1 if anew else known.trips + 1
        queued = known.window * (1.0 - known.shortest / trip)
        if queued < FEW:
            known.window = within(known.window + 1.0)
        elif queued > MANY:
            known.window = within(known.window - 1.0)
