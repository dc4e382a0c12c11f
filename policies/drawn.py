"""What the policies share that draw lots: the least figure is first, and among equals anybody may be.

The draw comes from ``PoolView.draw`` and depends on the lead and its attempt, so that the same journal
gives the same choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar
from zlib import crc32

from distributor.domain.decisions import EndCause, WorkEndCause
from distributor.domain.lead import Lead
from distributor.domain.policy import PoolView
from distributor.domain.rep import Rep
from policies.push import Key, PushPolicy, RepOrder


def shuffled(pool: PoolView, lead: Lead, first: int, end: int) -> Iterator[int]:
    """The places from ``first`` to before ``end`` in a drawn order; each costs one draw."""
    name, moved = crc32(lead.key.encode()), dict[int, int]()
    for place in range(first, end):
        pick = place + int(pool.draw(name, lead.attempt, place) * (end - place))
        yield moved.get(pick, pick)
        moved[pick] = moved.get(place, place)


class Drawn(PushPolicy):
    """The available reps by a figure, least first; ties are drawn. A subclass gives ``_figure``."""

    equals: ClassVar[str] = "drawn by lot among equals"

    def __init__(self) -> None:
        super().__init__()
        self._line = RepOrder()

    def _figure(self, rep: Rep) -> float:
        """What the rep is ordered by."""
        raise NotImplementedError

    def start(self, pool: PoolView, now_ns: int) -> None:
        """Line up who is available."""
        super().start(pool, now_ns)
        self._line.clear()
        for rep in list(pool.available.values()):
            self._place(rep)

    def rep_changed(self, rep: Rep, now_ns: int) -> None:
        """The rep may have become available, or ceased to be."""
        super().rep_changed(rep, now_ns)
        self._place(rep)

    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """One lead more."""
        super().leased(lead, rep, now_ns)
        self._place(rep)

    def lease_ended(
        self, lead: Lead, rep: Rep, cause: EndCause, *, blame: bool, now_ns: int
    ) -> None:
        """One lead fewer."""
        super().lease_ended(lead, rep, cause, blame=blame, now_ns=now_ns)
        self._place(rep)

    def work_ended(
        self,
        lead: Lead,
        rep: Rep,
        cause: WorkEndCause,
        at_ns: int,
        now_ns: int,
        *,
        counted: bool,
    ) -> None:
        """One lead fewer."""
        super().work_ended(lead, rep, cause, at_ns, now_ns, counted=counted)
        self._place(rep)

    def _place(self, rep: Rep) -> None:
        if self._pool is not None and rep.id in self._pool.available:
            self._line.put((self._figure(rep), 0, rep.id))
        else:
            self._line.drop(rep.id)

    def _order(
        self, pool: PoolView, lead: Lead, available: Mapping[str, Rep], now_ns: int
    ) -> Iterator[tuple[Key, Rep]]:
        first, line = 0, self._line
        while first < len(line):
            end = line.end_of_equals(first)
            for place in shuffled(pool, lead, first, end):
                key = line[place]
                rep = available.get(key[2])
                if rep is not None:
                    yield key, rep
            first = end
