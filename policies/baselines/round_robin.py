"""``round_robin``: the pointer of ``rotate``, pushing at once, as most lead distribution does.

The pointer is no fairer here: see ``policies.rotate``.
"""

from __future__ import annotations

from policies.baselines.first_come import FirstCome
from policies.rotate import Rotate


class RoundRobin(FirstCome, Rotate):
    """The next ready rep after the one who got the last lead, however many it has."""
