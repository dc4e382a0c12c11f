"""The waiting leads of one pool, kept apart by who may have them, each queue in the order of age.

Three tables, so that leads which only a few may have never stand in front of those for everybody:

- ``open``: anybody may have it;
- ``refused``: everybody but those who had it before (its ``excluded``);
- ``held``: for a short while its owner alone, by owner.

Within a quality class the value of leads rises up to the age of 20 s and falls from then on, so the most
valuable ones are the nearest to that peak on either side of it.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from sortedcontainers import SortedList

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from distributor.domain.lead import Lead

Slot = tuple[int, str]
"""(clock_ns, lead key): the order of age."""


class Queues:
    """Waiting leads by audience. ``leads`` holds their records."""

    def __init__(self, leads: Mapping[str, Lead]) -> None:
        self.open: dict[float, SortedList] = {}
        self.refused: dict[float, SortedList] = {}
        self.held: dict[tuple[str, float], SortedList] = {}
        self.by_excluded: dict[tuple[str, ...], dict[str, None]] = {}
        """The keys of the leads that somebody had before, by who that was."""
        self._leads = leads
        self._owners: dict[str, str] = {}
        self._holds: list[Slot] = []

    def add(self, lead: Lead) -> None:
        """A lead waits now."""
        if lead.prefers and lead.prefers not in lead.excluded:
            self._owners[lead.key] = lead.prefers
            heappush(self._holds, (lead.since_ns, lead.key))
        if lead.excluded:
            self.by_excluded.setdefault(lead.excluded, {})[lead.key] = None
        self._queue(lead).add((lead.clock_ns, lead.key))

    def remove(self, lead: Lead) -> None:
        """A lead waits no more; ``lead`` is its record while it waited."""
        if lead.excluded:
            group = self.by_excluded[lead.excluded]
            del group[lead.key]
            if not group:
                del self.by_excluded[lead.excluded]
        self._take_out(lead)

    def _take_out(self, lead: Lead) -> None:
        queue = self._queue(lead)
        queue.remove((lead.clock_ns, lead.key))
        owner = self._owners.pop(lead.key, "")
        if queue:
            return
        if owner:
            del self.held[owner, lead.quality]
        elif queue is self.refused.get(lead.quality):
            del self.refused[lead.quality]

    def _queue(self, lead: Lead) -> SortedList:
        if not lead.excluded and not lead.prefers:
            queue = self.open.get(lead.quality)
            return self.open.setdefault(lead.quality, SortedList()) if queue is None else queue
        owner = self._owners.get(lead.key)
        if owner is None:
            return self.refused.setdefault(lead.quality, SortedList())
        return self.held.setdefault((owner, lead.quality), SortedList())

    def end_holds(self, begun_by_ns: int) -> None:
        """Leads held for their owners since ``begun_by_ns`` or longer may go to others from now on."""
        while self._holds and self._holds[0][0] <= begun_by_ns:
            since_ns, key = heappop(self._holds)
            if key in self._owners and self._leads[key].since_ns == since_ns:
                lead = self._leads[key]
                self._take_out(lead)
                self._queue(lead).add((lead.clock_ns, key))

    # -- looks ---------------------------------------------------------------------------------

    def all(self) -> list[SortedList]:
        """Every queue."""
        return [*self.open.values(), *self.refused.values(), *self.held.values()]

    def open_heads(self, peak: Slot) -> Iterator[Lead]:
        """The open lead next to ``peak`` on either side in each class."""
        for queue in self.open.values():
            at = queue.bisect_left(peak)
            if at:
                yield self._leads[queue[at - 1][1]]
            if at < len(queue):
                yield self._leads[queue[at][1]]

    def open_near(self, peak: Slot, limit: int) -> Iterator[Lead]:
        """The open leads nearest to ``peak``: ``limit`` on either side in each class."""
        for queue in self.open.values():
            at = queue.bisect_left(peak)
            for _, key in queue.islice(max(0, at - limit), at + limit):
                yield self._leads[key]

    def restricted_near(
        self,
        peak: Slot,
        limit: int,
        each: int,
        reps: Collection[str],
        gone: Callable[[str], bool],
    ) -> Iterator[Lead]:
        """The restricted leads nearest to ``peak`` that one of ``reps`` may have: ``limit`` on either
        side in each class, and of those with the same audience ``each``.

        Goes past those that none of ``reps`` may have; they are many only where ``reps`` are few.
        ``gone`` says of an owner that nobody waits for it.
        """
        known: dict[tuple[str, ...], bool] = {}

        def wanted(excluded: tuple[str, ...]) -> bool:
            found = known.get(excluded)
            if found is None:
                found = known[excluded] = any(rep not in excluded for rep in reps)
            return found

        for queue in self.refused.values():
            yield from self._near(queue, peak, limit, each, wanted)
        for (owner, _), queue in self.held.items():
            if owner in reps:
                yield from self._near(queue, peak, min(limit, each), each, _anybody)
            elif gone(owner):
                yield from self._near(queue, peak, limit, each, wanted)

    def _near(
        self,
        queue: SortedList,
        peak: Slot,
        limit: int,
        each: int,
        wanted: Callable[[tuple[str, ...]], bool],
    ) -> Iterator[Lead]:
        at = queue.bisect_left(peak)
        for side in (queue.islice(0, at, reverse=True), queue.islice(at)):
            taken: dict[tuple[str, ...], int] = {}
            left = limit
            for _, key in side:
                lead = self._leads[key]
                count = taken.get(lead.excluded, 0)
                if count < each and wanted(lead.excluded):
                    taken[lead.excluded] = count + 1
                    yield lead
                    left -= 1
                    if not left:
                        break


def _anybody(_excluded: tuple[str, ...]) -> bool:
    return True
