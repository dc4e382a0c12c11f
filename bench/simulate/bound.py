"""POOL: what a dispatcher could reach who knows the present state of every rep, and no future (3.4).

One central pool in the same world. A lead is bound to a rep only when that rep is truly free, which no
event tells; so no policy can be expected to do this. It is a bound in practice, not a proof: it looks
at the next minute and no further, and a policy may exceed it a little.
"""

from __future__ import annotations

from typing import Final, Literal

from bench.simulate import curves
from bench.simulate.draws import SECOND
from bench.simulate.world import FRESH_NS, Rep, World
from distributor.domain.rep import RepState

Choice = Literal["fair", "best", "fifo"]
BOUND: Final = "pool"
BEST: Final = "pool_best"
CHOICES: Final[dict[str, Choice]] = {BOUND: "fair", BEST: "best", "pool_fifo": "fifo"}
"""The names under which the bound appears beside the policies."""

WAIT_SECONDS: Final = 60.0
HANDLING_SECONDS: Final = 10.0
RESERVE: Final = 0.08
"""Leads older than three minutes wait while no more than this share of the reps is free: 4 of 50."""
SLOW_FACTOR: Final = 3.0
"""Reps who pick up so many times slower than usual are avoided."""


class PoolDesk:
    """The bound. ``choice``: ``fair`` gives a lead to the rep who worked least, ``best`` to the one who
    makes most of it, ``fifo`` is fair and takes the oldest lead first, without a reserve."""

    def __init__(self, choice: Choice) -> None:
        self.fresh: dict[int, int] = {}
        self._choice = choice
        self._waiting: dict[int, None] = {}
        self._world: World
        self._work: list[float]

    def begin(self, world: World) -> None:
        self._world = world
        self._work = [0.0] * len(world.reps)
        self._worth = curves.function(world.scenario.curve)
        self._reserve = int(RESERVE * len(world.reps))

    def next_ns(self) -> int | None:
        return None

    def tick(self) -> None:
        """It waits for nothing but changes."""

    def arrived(self, lead: int) -> None:
        self._put_back(lead)
        self._match()

    def contacted(self, rep: int, lead: int, *, claimed: bool) -> None:
        """A rep who picked up is busy: nothing to be done."""

    def disposed(self, rep: int, lead: int, *, converted: bool) -> None:
        """The end of the work was seen when it came."""

    def presence(self, rep: int, state: RepState, at_ns: int) -> None:
        """The truth is known already."""

    def changed(self, rep: int) -> None:
        """A rep became free, came, went, or got slow or quick again."""
        seen = self._world.reps[rep]
        if seen.away or seen.absent or seen.gone:
            for lead in list(seen.pipeline):
                self._world.take_back(rep, lead)
                self._put_back(lead)
        self._match()

    def looks_idle(self, rep: int) -> bool:
        return self._world.lag_factor(self._world.reps[rep]) <= SLOW_FACTOR

    # -- one decision after the other ----------------------------------------------------------

    def _put_back(self, lead: int) -> None:
        self._waiting[lead] = None
        self.fresh[lead] = self._world.now_ns

    def _match(self) -> None:
        world = self._world
        while self._waiting:
            free = [rep for rep in world.reps if not rep.pipeline and rep.able()]
            able = self._usable(free)
            if not able:
                return
            lead = self._next_lead(able)
            if lead < 0:
                return
            group = world.leads.group[lead]
            rep = self._next_rep([r for r in able if group in r.person.groups], lead)
            del self._waiting[lead]
            self.fresh.pop(lead, None)
            self._work[rep.index] += rep.person.handling
            world.deliver(rep.index, lead)

    def _usable(self, free: list[Rep]) -> list[Rep]:
        """Those who pick up at about their usual speed; when everybody is slow, anybody."""
        world = self._world
        quick = [rep for rep in free if world.lag_factor(rep) <= SLOW_FACTOR]
        if quick or not world.is_slow_hour():
            return quick
        least = min((world.lag_factor(rep) for rep in free), default=0.0)
        return [rep for rep in free if world.lag_factor(rep) == least]

    def _next_lead(self, able: list[Rep]) -> int:
        """The lead that a minute's wait would cost most; -1: none that may be given."""
        leads, now_ns, worth = self._world.leads, self._world.now_ns, self._worth
        skills = frozenset().union(*(rep.person.groups for rep in able))
        best, chosen = -1.0, -1
        for lead in self._waiting:
            if leads.group[lead] not in skills:
                continue
            age_ns = now_ns - leads.at[lead]
            if self._choice == "fifo":
                if chosen < 0 or leads.at[lead] < leads.at[chosen]:
                    chosen = lead
                continue
            if age_ns > FRESH_NS and len(able) <= self._reserve:
                continue
            start = age_ns / SECOND + HANDLING_SECONDS
            index = leads.quality[lead] * (worth(start) - worth(start + WAIT_SECONDS))
            if index > best or (index == best and leads.at[lead] > leads.at[chosen]):
                best, chosen = index, lead
        return chosen

    def _next_rep(self, able: list[Rep], lead: int) -> Rep:
        if self._choice != "best":
            return min(able, key=lambda rep: (self._work[rep.index], rep.index))
        world = self._world
        age = (world.now_ns - world.leads.at[lead]) / SECOND

        def promise(rep: Rep) -> tuple[float, int]:
            lag = rep.person.pickup * world.lag_factor(rep)
            return rep.person.skill * self._worth(age + lag), -rep.index

        return max(able, key=promise)
