"""``prequal``: of five reps by lot the quickest of those that are not among the fullest quarter.

After Prequal ("Load is not what you should balance"): a rep is hot whose open leads are as many as those of
the 75th percentile of the free reps. Among the cold the lowest latency wins; if all are hot, the fewest open
leads. Latency is a mean that moves by a fifth with each answer, from 10 s on.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import ClassVar, Final

from distributor.domain.lead import Lead
from distributor.domain.policy import PoolView
from distributor.domain.rep import Rep
from policies.baselines.answers import Heard, Listening
from policies.baselines.sampled import Sampled
from policies.push import Key, called

HOT_FROM: Final = 0.75
MOVES_BY: Final = 0.2
ASSUMED_SECONDS: Final = 10.0


class _Latency(Heard, array_like=True, gc=False):
    """The mean time in seconds from delivery to the first call."""

    mean: float = ASSUMED_SECONDS


class Prequal(Listening[_Latency], Sampled):
    """Five by lot; cold before hot; the cold by latency, the hot by load."""

    reason: ClassVar[str] = "best_of_five"
    note: ClassVar[str] = "latency_seconds"
    drawn: ClassVar[int] = 5

    def __init__(self) -> None:
        super().__init__(_Latency)

    def _answered(self, lead: Lead, rep: Rep, seconds: float, in_flight: int, at_ns: int) -> None:
        known = self._of(rep.id)
        known.mean += MOVES_BY * (seconds - known.mean)

    def hot_from(self) -> float:
        """The open leads from which on a rep is hot."""
        return self._line[ceil(HOT_FROM * len(self._line)) - 1][0]

    def _rank(self, pool: PoolView, reps: list[Rep], now_ns: int) -> Iterator[tuple[Key, Rep]]:
        hot_from = self.hot_from() if reps else 0.0

        def order(rep: Rep) -> tuple[bool, float]:
            hot = len(rep.open) >= hot_from
            return hot, float(len(rep.open)) if hot else self._of(rep.id).mean

        for rep in sorted(reps, key=order):
            yield (self._of(rep.id).mean, 0, rep.id), rep

    def _told(self, pool: PoolView, key: Key, place: int, now_ns: int) -> str:
        return f"{key[0]:.0f} s to the first call, usually"

    def _sentence(
        self, pool: PoolView, best: tuple[Key, Rep], second: Key | None, now_ns: int
    ) -> str:
        (latency, _, _), rep = best
        hot_from = self.hot_from()
        why = "the fewest, and all drawn are full" if len(rep.open) >= hot_from else "not full"
        return (
            f"Of {self.drawn} drawn at most, {called(rep)} is best: {len(rep.open)} open lead(s), {why} "
            f"(full from {hot_from:.0f}), usually calls in {latency:.0f} s; {self._next(pool, best[0], second, now_ns)}."
        )
