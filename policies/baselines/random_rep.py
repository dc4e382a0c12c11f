"""``random``: any rep who is ready, by lot."""

from __future__ import annotations

from typing import ClassVar

from distributor.domain.policy import PoolView
from distributor.domain.rep import Rep
from policies.baselines.first_come import FirstCome
from policies.drawn import Drawn
from policies.push import Key, called


class Random(FirstCome, Drawn):
    """Everybody who may take the lead is as likely."""

    reason: ClassVar[str] = "drawn_by_lot"
    note: ClassVar[str] = "open_leads"

    def _figure(self, rep: Rep) -> float:
        return 0.0

    def _told(self, pool: PoolView, key: Key, place: int, now_ns: int) -> str:
        return f"{place} in the order of the draw"

    def _sentence(
        self, pool: PoolView, best: tuple[Key, Rep], second: Key | None, now_ns: int
    ) -> str:
        after = f"then comes {second[2]}" if second else "no other rep could take it"
        return f"{called(best[1])} was drawn by lot of {len(self._line)} ready reps; {after}."
