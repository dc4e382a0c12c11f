"""``rotate``: a pointer goes round the members in the order of the configuration.

Kept because people ask for it by name. It is NOT fair where reps differ in what they may take: with 3
of 10 reps licensed for everything and 30 % of the leads for them alone, a pointer gave one rep 11 times
the leads of another (least virtual time: 1.01 times). Use ``fair`` unless a contract says "rotation".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import ClassVar

from distributor.domain.lead import Lead
from distributor.domain.policy import PoolView
from distributor.domain.rep import Rep
from policies.push import Key, PushPolicy, called, several


class Rotate(PushPolicy):
    """The first available rep after the one who got the last lead."""

    reason: ClassVar[str] = "next_in_rotation"
    note: ClassVar[str] = "steps"

    def __init__(self) -> None:
        super().__init__()
        self._last = ""
        self._ring: list[str] = []
        self._places: dict[str, int] = {}

    def start(self, pool: PoolView, now_ns: int) -> None:
        """Form the ring. If the last rep is no member any more, it begins at the top."""
        super().start(pool, now_ns)
        self._ring = list(pool.members)
        self._places = {rep: place for place, rep in enumerate(self._ring)}

    def restore(self, rep: str, memory: bytes) -> None:
        """Take back where the pointer stood."""
        self._last = memory.decode()

    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """The pointer moves to the rep, unless it was a test lead."""
        if not lead.test and rep.id != self._last:
            self._last = rep.id
            self._changed[""] = None

    def _order(
        self, pool: PoolView, lead: Lead, available: Mapping[str, Rep], now_ns: int
    ) -> Iterator[tuple[Key, Rep]]:
        first = self._places.get(self._last, -1) + 1
        ring = self._ring
        round_once = chain(range(first, len(ring)), range(min(first, len(ring))))
        for step, place in enumerate(round_once, start=1):
            rep_id = ring[place]
            rep = available.get(rep_id)
            if rep is not None:
                yield (float(step), 0, rep_id), rep

    def _sentence(
        self, pool: PoolView, best: tuple[Key, Rep], second: Key | None, now_ns: int
    ) -> str:
        step = f"{best[0][0]:.0f} place(s) after {self._last}" if self._last else "first in line"
        after = f"then comes {second[2]}" if second else "no other rep could take it"
        return f"{called(best[1])} is next in the rotation of {len(self._ring)}: {step}; {after}."

    def _told(self, pool: PoolView, key: Key, place: int, now_ns: int) -> str:
        return f"{several(key[0], 'place')} on in the rotation"

    def _memory(self, rep: str) -> bytes:
        return self._last.encode()
