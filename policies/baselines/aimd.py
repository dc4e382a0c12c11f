"""``aimd``: a window that grows by one and is halved, as TCP does it.

A first call within the speed-to-contact standard adds one lead, if at least half of the window was in use;
one that comes later halves the window.
"""

from __future__ import annotations

from distributor.domain.lead import Lead
from distributor.domain.rep import Rep
from policies.baselines.windows import Window, Windowed, within


class Aimd(Windowed[Window]):
    """Additive increase, multiplicative decrease."""

    def __init__(self) -> None:
        super().__init__(Window)

    def _answered(self, lead: Lead, rep: Rep, seconds: float, in_flight: int, at_ns: int) -> None:
        known = self._of(rep.id)
        if self._pool is not None and seconds > self._pool.flow.first_contact_seconds:
            known.window = within(known.window / 2.0)
        elif in_flight >= known.window / 2.0:
            known.window = within(known.window + 1.0)
