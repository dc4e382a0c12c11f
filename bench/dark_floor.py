"""The floor of ``bench dark``: its draws, its reps, and the figures of what happened.

Times are floor seconds since the first lead could come. What a lead or a rep is like is drawn by name
(draw, lead, attempt), so that every run of a draw meets the same floor, whoever distributes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from bench.stats import percentile
from distributor.demo.floor import DemoFloor
from distributor.demo.peer import Address
from distributor.demo.plan import Habits, Plan
from distributor.demo.rep import DemoRep, Given

REPS: Final = tuple(f"rep{number:02d}" for number in range(1, 21))
DARK: Final = REPS[0]
SLOW: Final = REPS[1:3]
HANDLING_SECONDS: Final = 30.0
LEAST_HANDLING_SECONDS: Final = 6.0
CONTACT_SECONDS: Final = 5.0
MISSED_SECONDS: Final = 50.0
SLOWER: Final = 5.0
PROMPT_SECONDS: Final = 60.0
_GAMMA: Final = 4.0
_HABITS: Final = Habits(HANDLING_SECONDS, 0.0, sends_states=False, sloppy=False)


class Case(Struct, frozen=True):
    """One form of the scenario.

    ``load``: handling that arrives, per rep. ``missed``: share of offers to healthy reps that are
    picked up late. ``back``: when the dark rep picks up again; None: never. From ``trouble`` on one
    rep is dark and two are slow; leads arriving from then until ``scored_until`` are scored, and
    everything is over at ``end``.
    """

    load: float = 0.8
    missed: float = 0.0
    back: float | None = None
    trouble: float = 60.0
    scored_until: float = 840.0
    end: float = 900.0

    @property
    def name(self) -> str:
        """In a few words."""
        text = f"load {self.load:.2f}"
        if self.missed:
            text += f", {self.missed:.0%} missed"
        return text if self.back is None else f"{text}, back at {self.back:g}"


def arrivals(case: Case, draw: int) -> list[tuple[float, str]]:
    """(time, lead id) of every lead: Poisson."""
    chance = random.Random(f"{draw}/arrivals/{case.load}")
    rate = case.load * len(REPS) / HANDLING_SECONDS
    found: list[tuple[float, str]] = []
    at = chance.expovariate(rate)
    while at < case.end:
        found.append((at, f"lead-{len(found) + 1:04d}"))
        at += chance.expovariate(rate)
    return found


class Record:
    """What happened. ``gives``: (time, rep, lead id); ``contacts``: the first of each lead;
    ``picked``: (time, rep) of every contact."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        self.gives: list[tuple[float, str, str]] = []
        self.contacts: dict[str, float] = {}
        self.picked: list[tuple[float, str]] = []


class DarkRep(DemoRep):
    """Picks up at once and one at a time, first in first out, in the way of the scenario."""

    def __init__(
        self,
        name: str,
        floor: DarkFloor,
        tell: Callable[[dict[str, Any]], Any],
        ended: Callable[[str, str], None],
    ) -> None:
        super().__init__(name, _HABITS, floor.time_scale, tell, ended, lambda _: None)
        self.slow = False
        self._floor = floor
        self._factor = 1.0

    def give(self, given: Given) -> None:
        self._floor.record.gives.append((self._floor.now(), self.name, given.lead_id))
        super().give(given)

    async def _pick_up(self, given: Given, lag_share: float) -> bool:
        """Until the person is reached; False when the lead was taken away before."""
        floor = self._floor
        seconds, since = 0.0, None
        while not given.revoked:
            if self.dark:
                since = None
                await self._change(None)
                continue
            if since is None:
                since, self._factor = floor.now(), SLOWER if self.slow else 1.0
                seconds = CONTACT_SECONDS * self._factor
                if not self.slow and floor.misses(given):
                    seconds += MISSED_SECONDS
            left = since + seconds - floor.now()
            if left <= 0.0:
                return True
            await self._change(left / floor.time_scale)
        return False

    async def _work(self, given: Given) -> None:
        floor = self._floor
        floor.record.picked.append((floor.now(), self.name))
        floor.record.contacts.setdefault(given.lead_id, floor.now())
        left = (floor.handling(given) - CONTACT_SECONDS) * self._factor
        ends = floor.now() + left
        await self._report(given, "contacted", evidence="dialer")
        while self.dark or floor.now() < ends:
            left = ends - floor.now()
            await self._change(None if self.dark else left / floor.time_scale)
        await self._report(given, "call_ended", talk_seconds=round(left, 1))
        self._ended(given.lead_key, given.assignment_id)
        await self._report(given, "status", status="lost")


class DarkFloor(DemoFloor):
    """The dialer and the reps of one case; ``now`` is the time on the floor."""

    def __init__(
        self,
        case: Case,
        draw: int,
        now: Callable[[], float],
        *,
        address: Address,
        name: str = "bench-dark",
        time_scale: float = 1.0,
    ) -> None:
        self.case = case
        self.draw = draw
        self.now = now
        self.time_scale = time_scale
        self.record = Record()
        self._attempts: dict[str, int] = {}
        super().__init__(address, "leads", name, Plan(None, 0.0, REPS, time_scale))

    def hire(self, name: str) -> DarkRep:
        return DarkRep(name, self, self.tell, self.stream.ended)

    def handling(self, given: Given) -> float:
        """How long this lead keeps a healthy rep, the way to the contact included."""
        chance = random.Random(f"{self.draw}/{given.lead_id}/handling")
        drawn = chance.gammavariate(_GAMMA, HANDLING_SECONDS / _GAMMA)
        return max(LEAST_HANDLING_SECONDS, drawn)

    def misses(self, given: Given) -> bool:
        """Whether this offer is one of those that are picked up late."""
        attempt = self._attempts[given.lead_id] = self._attempts.get(given.lead_id, 0) + 1
        chance = random.Random(f"{self.draw}/{given.lead_id}/{attempt}/missed")
        return chance.random() < self.case.missed

    def begin_trouble(self) -> None:
        """One goes dark, two become slow."""
        for name in SLOW:
            self.rep(name).slow = True
        self.rep(DARK).dark = True
        self.rep(DARK).wake()

    def end_darkness(self) -> None:
        """The dark one picks up again, and says nothing about it."""
        self.rep(DARK).dark = False
        self.rep(DARK).wake()

    async def until(self, at: float) -> None:
        """Wait for a time on the floor."""
        await asyncio.sleep((at - self.now()) / self.time_scale)

    def rep(self, name: str) -> DarkRep:
        found = self.reps[name]
        assert isinstance(found, DarkRep)
        return found


async def story(floor: DarkFloor) -> None:
    """Let the trouble of the case begin, and end where it does, until the case is over."""
    case = floor.case
    await floor.until(case.trouble)
    floor.begin_trouble()
    if case.back is not None:
        await floor.until(case.back)
        floor.end_darkness()
    await floor.until(case.end)


class Figures(Struct, frozen=True):
    """One run. ``within_60``: percent. ``last_at``: when the dark rep was last given a lead, 0: never
    since it was dark. Stuck: leads last given to that rep that nobody had contacted at the end.
    ``held``: those of the dark rep that had lain there for a minute or more. ``returned``: seconds
    from the dark rep's return to its first contact; None where it did not return."""

    leads: int
    scored: int
    within_60: float
    uncontacted: int
    p50: float
    p95: float
    given_dark: int
    last_at: float
    stuck_dark: int
    held_dark: int
    given_slow: int
    stuck_slow: int
    revoked: int
    returned: float | None


def figures(case: Case, record: Record, revoked: int) -> Figures:
    """Counted from the record, up to the end of the case."""
    scored = {i: at for i, at in record.arrived.items() if case.trouble < at <= case.scored_until}
    contacts = {i: at for i, at in record.contacts.items() if at <= case.end}
    waits = [contacts[lead] - at for lead, at in scored.items() if lead in contacts]
    gives = [give for give in record.gives if give[0] <= case.end]
    last: Mapping[str, tuple[float, str]] = {lead: (at, rep) for at, rep, lead in gives}
    stuck = [(at, rep) for lead, (at, rep) in last.items() if lead not in contacts]
    since = [(at, rep) for at, rep, _ in gives if at > case.trouble]
    to_dark = [at for at, rep in since if rep == DARK]
    return Figures(
        leads=len(record.arrived),
        scored=len(scored),
        within_60=100.0 * sum(w <= PROMPT_SECONDS for w in waits) / max(1, len(scored)),
        uncontacted=len(scored) - len(waits),
        p50=percentile(waits, 0.5),
        p95=percentile(waits, 0.95),
        given_dark=len(to_dark),
        last_at=max(to_dark, default=0.0),
        stuck_dark=sum(rep == DARK for _, rep in stuck),
        held_dark=sum(rep == DARK and at <= case.end - PROMPT_SECONDS for at, rep in stuck),
        given_slow=sum(rep in SLOW for _, rep in since),
        stuck_slow=sum(rep in SLOW for _, rep in stuck),
        revoked=revoked,
        returned=_returned(case, record),
    )


def _returned(case: Case, record: Record) -> float | None:
    if case.back is None:
        return None
    back = case.back
    first = min((at for at, rep in record.picked if rep == DARK and at >= back), default=case.end)
    return first - back
