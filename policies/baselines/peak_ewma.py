"""``peak_ewma``: of two reps by lot the one with the less cost, as Finagle balances its load.

Cost is (open leads + 1) x a latency that jumps up to each peak and decays with ten minutes. It decays while
a rep is silent too, so a rep who is not there looks better every minute: a fault of the method that shows
as soon as an endpoint is a person.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import exp
from typing import ClassVar, Final

from distributor.domain.lead import Lead
from distributor.domain.policy import PoolView
from distributor.domain.rep import Rep
from policies.baselines.answers import Heard, Listening
from policies.baselines.sampled import Sampled
from policies.push import Key, called

DECAY_SECONDS: Final = 600.0
ASSUMED_SECONDS: Final = 10.0


class _Latency(Heard, array_like=True, gc=False):
    """The latency in seconds as of ``stamp_ns`` (0: nothing was seen, it does not decay)."""

    ewma: float = ASSUMED_SECONDS
    stamp_ns: int = 0


class PeakEwma(Listening[_Latency], Sampled):
    """Two by lot, then the least peak-sensitive latency times load."""

    reason: ClassVar[str] = "less_cost_of_two"
    note: ClassVar[str] = "cost_seconds"
    drawn: ClassVar[int] = 2

    def __init__(self) -> None:
        super().__init__(_Latency)

    def _answered(self, lead: Lead, rep: Rep, seconds: float, in_flight: int, at_ns: int) -> None:
        known = self._of(rep.id)
        weight = self._weight(known, at_ns)
        decayed = known.ewma * weight
        # Up at once, down slowly.
        known.ewma = seconds if seconds > decayed else decayed + seconds * (1.0 - weight)
        known.stamp_ns = max(known.stamp_ns, at_ns)

    def _weight(self, known: _Latency, now_ns: int) -> float:
        if self._pool is None or not known.stamp_ns:
            return 1.0
        return exp(-max(self._pool.seconds(known.stamp_ns, now_ns), 0.0) / DECAY_SECONDS)

    def cost(self, rep: Rep, now_ns: int) -> float:
        """The rep's latency now, in seconds, for each lead of its pipeline and one more."""
        known = self._of(rep.id)
        return known.ewma * self._weight(known, now_ns) * (len(rep.open) + 1)

    def _rank(self, pool: PoolView, reps: list[Rep], now_ns: int) -> Iterator[tuple[Key, Rep]]:
        costs = [(self.cost(rep, now_ns), rep) for rep in reps]
        for cost, rep in sorted(costs, key=lambda pair: pair[0]):
            yield (cost, 0, rep.id), rep

    def _told(self, pool: PoolView, key: Key, place: int, now_ns: int) -> str:
        return f"{key[0]:.2f} s of cost"

    def _sentence(
        self, pool: PoolView, best: tuple[Key, Rep], second: Key | None, now_ns: int
    ) -> str:
        (cost, _, _), rep = best
        return (
            f"Drawn with one other at most, {called(rep)} costs less: {cost:.2f} s with "
            f"{len(rep.open)} open lead(s); {self._next(pool, best[0], second, now_ns)}."
        )
