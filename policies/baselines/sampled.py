"""What the baselines share that look at a few reps drawn by lot and take the best of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import ClassVar

from distributor.domain.lead import Lead
from distributor.domain.policy import PoolView
from distributor.domain.rep import Rep
from policies.baselines.first_come import FirstCome
from policies.drawn import Drawn, shuffled
from policies.push import Key


class Sampled(FirstCome, Drawn):
    """``drawn`` reps who may have the lead, by lot, then in the order of ``_rank``."""

    drawn: ClassVar[int] = 2

    def _rank(self, pool: PoolView, reps: list[Rep], now_ns: int) -> Iterator[tuple[Key, Rep]]:
        """The drawn reps, first choice first; ties stay in the order of the draw."""
        raise NotImplementedError

    def _figure(self, rep: Rep) -> float:
        return float(len(rep.open))

    def _order(
        self, pool: PoolView, lead: Lead, available: Mapping[str, Rep], now_ns: int
    ) -> Iterator[tuple[Key, Rep]]:
        places = shuffled(pool, lead, 0, len(self._line))
        found = (available.get(self._line[place][2]) for place in places)
        may = (rep for rep in found if rep and self._may_have(pool, rep, lead, now_ns))
        return self._rank(pool, list(islice(may, self.drawn)), now_ns)
