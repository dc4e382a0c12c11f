"""``least_loaded``: the rep with the fewest open leads, known as "join the shortest queue"; ties are drawn.

Open are the leads that wait for a call and those in a call: the rep's whole queue.
"""

from __future__ import annotations

from typing import ClassVar

from distributor.domain.policy import PoolView
from distributor.domain.rep import Rep
from policies.drawn import Drawn
from policies.push import Key, called, several


class LeastLoaded(Drawn):
    """Fewest open leads, uncontacted and in hand."""

    reason: ClassVar[str] = "least_loaded"
    note: ClassVar[str] = "open_leads"

    def _figure(self, rep: Rep) -> float:
        return float(len(rep.open))

    def _sentence(
        self, pool: PoolView, best: tuple[Key, Rep], second: Key | None, now_ns: int
    ) -> str:
        key, rep = best
        return (
            f"{called(rep)} has {several(key[0], 'open lead')}, nobody of the {len(self._line)} reps with a "
            f"free slot who may take it has fewer; {self._next(pool, best[0], second, now_ns)}."
        )

    def _told(self, pool: PoolView, key: Key, place: int, now_ns: int) -> str:
        return several(key[0], "open lead")
