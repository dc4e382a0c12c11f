"""The world in virtual time: leads arrive, reps pick up, work, report, go and come back (flow-control 3.1).

The world knows the truth. A dispatcher (the daemon's core, or the bound) gives it leads and takes them
back; it hears only what its kind may hear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from math import exp
from typing import Final, Protocol

from bench.simulate import curves
from bench.simulate.draws import FIFO, LIFO, SECOND, Person, Purpose, Roster, numbers
from bench.simulate.record import Record
from distributor.domain.rep import RepState

FRESH_NS: Final = 180 * SECOND
LOOK_NS: Final = SECOND
"""How often is looked for a fresh lead that waits beside an idle rep."""
PATIENCE_NS: Final = 5 * SECOND


class Dispatcher(Protocol):
    """Who gives the leads. Told in the order in which things happen, at the world's ``now_ns``."""

    fresh: dict[int, int]
    """Leads that wait with nobody, and since when, in that order. Older ones may be taken out."""

    def begin(self, world: World) -> None: ...
    def next_ns(self) -> int | None: ...
    def tick(self) -> None: ...
    def arrived(self, lead: int) -> None: ...
    def contacted(self, rep: int, lead: int, *, claimed: bool) -> None: ...
    def disposed(self, rep: int, lead: int, *, converted: bool) -> None: ...
    def presence(self, rep: int, state: RepState, at_ns: int) -> None: ...
    def changed(self, rep: int) -> None:
        """Something about the rep that no event tells; the bound alone may use it."""
        ...

    def looks_idle(self, rep: int) -> bool:
        """Whether the dispatcher has no reason to think that the rep could not take a lead."""
        ...


class Rep:
    """One rep's true state. ``reach``: the number of the pick-up that is under way; 0 none."""

    __slots__ = (
        "absent", "away", "faked", "gone", "in_hand", "index", "normals", "person", "pipeline",
        "reach", "reaches", "roster", "side", "uniforms",
    )  # fmt: skip

    def __init__(self, index: int, person: Person, roster: Roster) -> None:
        self.index = index
        self.person = person
        self.roster = roster
        self.pipeline: list[int] = []
        self.in_hand = -1
        self.side = False
        self.away = False
        self.absent = False
        self.gone = False
        self.reach = 0
        self.reaches = 0
        self.faked: set[int] = set()
        self.normals: Iterator[float]
        self.uniforms: Iterator[float]

    def able(self) -> bool:
        """Whether the rep could pick a lead up now, or begin to reach for one."""
        out = self.away or self.absent or self.gone
        return self.in_hand < 0 and not self.side and not out


class World:
    """One shift. ``run`` plays it to the end of the drain; ``record`` has what happened."""

    def __init__(self, record: Record, seed: int, number: int = 0) -> None:
        self.record = record
        self.scenario = scenario = record.scenario
        self.leads = record.shift.leads
        self.now_ns = 0
        self.end_ns = round(scenario.end_seconds * SECOND)
        self.reps = [
            Rep(i, person, record.shift.rosters[i]) for i, person in enumerate(record.crew)
        ]
        for rep in self.reps:
            rep.normals = numbers(seed, number, Purpose.PICKUP, rep.index, "normal")
            rep.uniforms = numbers(seed, number, Purpose.PICK, rep.index, "uniform")
        self._healthy = [rep for rep in self.reps if record.is_healthy(rep.index)]
        self._delays = numbers(seed, number, Purpose.EVENT_DELAY, 0, "uniform")
        self._worth = curves.function(scenario.curve)
        self._agenda: list[tuple[int, int, Callable[[int, int], None], int, int]] = []
        self._number = 0
        self._looking = False
        self._looks = 0
        window = scenario.allslow_window
        self._slow_ns = (_ns(window[0]), _ns(window[1])) if window else (0, 0)
        self._desk: Dispatcher

    # -- time ----------------------------------------------------------------------------------

    def run(self, desk: Dispatcher) -> None:
        """Let the shift and the drain pass."""
        self._desk = desk
        self._plan_absences()
        if self.leads.at:
            self._plan_at(self.leads.at[0], self._arrive, 0)
        desk.begin(self)
        agenda, next_ns, end_ns = self._agenda, desk.next_ns, self.end_ns
        events = 0
        while agenda:
            at_ns = agenda[0][0]
            due_ns = next_ns()
            if due_ns is not None and due_ns <= at_ns:
                if due_ns > end_ns:
                    break
                if due_ns > self.now_ns:
                    self.now_ns = due_ns
                desk.tick()
                continue
            if at_ns > end_ns:
                break
            if at_ns > self.now_ns:
                self.now_ns = at_ns
            _, _, action, a, b = heappop(agenda)
            action(a, b)
            events += 1
        self.record.agenda_events += events - self._looks

    def _plan_at(
        self, at_ns: int, action: Callable[[int, int], None], a: int = 0, b: int = 0
    ) -> None:
        self._number += 1
        heappush(self._agenda, (at_ns, self._number, action, a, b))

    def _plan_absences(self) -> None:
        scenario = self.scenario
        for i, rep in enumerate(self.reps):
            roster = rep.roster
            for span, begin, end in (
                (roster.absent, self._vanish, self._reappear),
                (roster.away, self._pause, self._return),
                (roster.lag, self._tell_change, self._tell_change),
            ):
                if span[1]:
                    self._plan_at(span[0], begin, i)
                    self._plan_at(span[1], end, i)
            if roster.leaves:
                self._plan_at(roster.leaves, self._leave, i)
        if scenario.allslow_window:
            self._plan_at(self._slow_ns[1], self._tell_change, 0)

    def is_slow_hour(self) -> bool:
        """Whether it is the time in which everybody is slow."""
        return self._slow_ns[0] <= self.now_ns < self._slow_ns[1]

    def lag_factor(self, rep: Rep) -> float:
        """How many times slower than usual the rep picks up now."""
        return self._slowed(rep, self.scenario.lag_factor, self.scenario.allslow_lag)

    def _handling_factor(self, rep: Rep) -> float:
        return self._slowed(rep, self.scenario.lag_handling, self.scenario.allslow_handling)

    def _slowed(self, rep: Rep, lagging: float, everybody: float) -> float:
        """A factor while the rep lags, times another while everybody is slow."""
        factor = lagging if rep.roster.lag[0] <= self.now_ns < rep.roster.lag[1] else 1.0
        return factor * everybody if self.is_slow_hour() else factor

    # -- what a dispatcher does ----------------------------------------------------------------

    def deliver(self, rep_index: int, lead: int) -> None:
        """The lead lies in the rep's pipeline from now on."""
        rep, now_ns = self.reps[rep_index], self.now_ns
        rep.pipeline.append(lead)
        deliveries = self.record.deliveries
        deliveries.append((now_ns, rep_index, lead, now_ns - self.leads.at[lead]))
        if rep.person.gamer:
            at_ns = now_ns + _ns(self.scenario.gamer_seconds)
            self._plan_at(at_ns, self._fake, len(deliveries) - 1)
        if not rep.reach and rep.able():
            spread = exp(self.scenario.pickup_sigma * next(rep.normals))
            self._reach_in(rep, rep.person.pickup * spread * self.lag_factor(rep))

    def take_back(self, rep_index: int, lead: int) -> None:
        """The lead is no longer the rep's (one in hand goes on all the same)."""
        rep = self.reps[rep_index]
        self.record.returned[lead] += 1
        self.record.returns.append((self.now_ns, rep_index, lead))
        self._begin_to_look()
        if lead in rep.pipeline:
            rep.pipeline.remove(lead)
            if not rep.pipeline:
                rep.reach = 0

    # -- leads ---------------------------------------------------------------------------------

    def _arrive(self, lead: int, _: int) -> None:
        if lead + 1 < len(self.leads.at):
            self._plan_at(self.leads.at[lead + 1], self._arrive, lead + 1)
        self._begin_to_look()
        self._desk.arrived(lead)

    def _fake(self, delivery: int, _: int) -> None:
        """A gamer says that the person was reached."""
        _, rep_index, lead, _ = self.record.deliveries[delivery]
        rep = self.reps[rep_index]
        if lead in rep.pipeline and lead not in rep.faked:
            claimed = self.scenario.gamer_evidence == "claimed"
            rep.faked.add(lead)
            self._desk.contacted(rep_index, lead, claimed=claimed)

    def _reach_in(self, rep: Rep, seconds: float) -> None:
        """The rep will take a lead out of the pipeline after this."""
        rep.reaches += 1
        rep.reach = rep.reaches
        self._plan_at(self.now_ns + _ns(seconds), self._pick_up, rep.index, rep.reach)

    def _resume(self, rep: Rep) -> None:
        """The rep is able to work (again): leads that wait already are taken up soon."""
        if rep.pipeline and not rep.reach and rep.able():
            self._reach_in(rep, self.scenario.pickup_waiting * self.lag_factor(rep))

    def _pick_up(self, rep_index: int, reach: int) -> None:
        """The rep takes a lead out of the pipeline and calls: contact, and handling begins."""
        rep = self.reps[rep_index]
        if rep.reach != reach:
            return
        rep.reach = 0
        lead = self._pick(rep)
        rep.in_hand = lead
        record, now_ns = self.record, self.now_ns
        record.contact_ns[lead] = now_ns
        record.contact_rep[lead] = rep_index
        seconds = rep.person.handling * self._handling_factor(rep) * self.leads.work[lead]
        self._plan_at(now_ns + _ns(seconds), self._finish, rep_index, lead)
        if rep.person.reports:
            self._plan_report(rep, _BUSY)
        hidden = lead in rep.faked and self.scenario.gamer_evidence == "dialer"
        rep.faked.discard(lead)
        if not hidden:
            self._desk.contacted(rep_index, lead, claimed=False)

    def _pick(self, rep: Rep) -> int:
        order, pipeline = rep.person.order, rep.pipeline
        if len(pipeline) == 1 or order == FIFO:
            return pipeline.pop(0)
        if order == LIFO:
            return pipeline.pop()
        return pipeline.pop(int(next(rep.uniforms) * len(pipeline)))

    def _finish(self, rep_index: int, lead: int) -> None:
        """Handling ends: the disposition follows, and perhaps a side task that nobody sees."""
        rep = self.reps[rep_index]
        rep.in_hand = -1
        self._plan_disposition(rep, lead)
        side_ns = self.leads.side[lead]
        if side_ns:
            rep.side = True
            self._plan_at(self.now_ns + side_ns, self._free, rep_index)
        else:
            self._free(rep_index, 0)

    def _free(self, rep_index: int, _: int) -> None:
        rep = self.reps[rep_index]
        rep.side = False
        if rep.person.reports and not rep.away and not rep.gone:
            self._plan_report(rep, _READY)
        self._resume(rep)
        self._desk.changed(rep_index)

    def _plan_disposition(self, rep: Rep, lead: int) -> None:
        scenario, leads, record = self.scenario, self.leads, self.record
        delay = (record.contact_ns[lead] - leads.at[lead]) / SECOND
        chance = scenario.conversion * leads.quality[lead] * rep.person.skill * self._worth(delay)
        converted = leads.chance[lead] < min(MOST_CHANCE, chance)
        if scenario.dispositions == "conversions" and not converted:
            return
        seconds = scenario.disposition_delay
        if rep.person.sloppy:
            if leads.heard[lead] < scenario.sloppy_lost_share:
                return
            seconds = scenario.sloppy_delay
        at_ns = self.now_ns + _ns(seconds * leads.delay[lead])
        self._plan_at(at_ns, self._dispose, rep.index, ~lead if converted else lead)

    def _dispose(self, rep_index: int, lead: int) -> None:
        """The disposition arrives; a negative lead is one that converted."""
        converted = lead < 0
        self._desk.disposed(rep_index, ~lead if converted else lead, converted=converted)

    # -- agent states --------------------------------------------------------------------------

    def _plan_report(self, rep: Rep, state: int) -> None:
        """The dialer reports a state a little later, with its true time."""
        low, high = self.scenario.events_delay
        late_ns = _ns(low + (high - low) * next(self._delays))
        self._plan_at(self.now_ns + late_ns, self._report, rep.index, 2 * late_ns + state)

    def _report(self, rep_index: int, said: int) -> None:
        late_ns, state = divmod(said, 2)
        self._desk.presence(rep_index, _STATES[state], self.now_ns - late_ns)

    # -- absences ------------------------------------------------------------------------------

    def _pause(self, rep_index: int, _: int) -> None:
        """A logged break. Who has silently gone logs none."""
        rep = self.reps[rep_index]
        if rep.gone or rep.absent:
            return
        rep.away, rep.reach = True, 0
        self._desk.presence(rep_index, "away", self.now_ns)
        self._desk.changed(rep_index)

    def _return(self, rep_index: int, _: int) -> None:
        rep = self.reps[rep_index]
        if rep.away and not rep.gone and not rep.absent:
            self._come_back(rep)

    def _come_back(self, rep: Rep) -> None:
        rep.away = False
        if not rep.person.reports or rep.able():
            self._desk.presence(rep.index, "ready", self.now_ns)
        self._resume(rep)
        self._desk.changed(rep.index)

    def _vanish(self, rep_index: int, _: int) -> None:
        """Silently absent: no event, and the pipeline stays."""
        rep = self.reps[rep_index]
        rep.absent, rep.reach = True, 0
        self._desk.changed(rep_index)

    def _reappear(self, rep_index: int, _: int) -> None:
        rep = self.reps[rep_index]
        rep.absent = False
        if rep.away and self.now_ns >= rep.roster.away[1] and not rep.gone:
            self._come_back(rep)
            return
        self._resume(rep)
        self._desk.changed(rep_index)

    def _leave(self, rep_index: int, _: int) -> None:
        """Logs out for good."""
        rep = self.reps[rep_index]
        rep.gone, rep.reach = True, 0
        self._desk.presence(rep_index, "offline", self.now_ns)
        self._desk.changed(rep_index)

    def _tell_change(self, rep_index: int, _: int) -> None:
        self._desk.changed(rep_index)

    # -- what nobody told ----------------------------------------------------------------------

    def _begin_to_look(self) -> None:
        """A lead may have to wait: look after it every second from here on."""
        if not self._looking:
            self._looking = True
            self._plan_at(self.now_ns + LOOK_NS, self._look)

    def _look(self, _a: int, _b: int) -> None:
        """Does a fresh lead wait beside an idle healthy rep?"""
        self._looks += 1
        now_ns, fresh, at = self.now_ns, self._desk.fresh, self.leads.at
        while fresh:
            lead = next(iter(fresh))
            if now_ns - at[lead] < FRESH_NS:
                break
            del fresh[lead]
        self._looking = bool(fresh)
        if not fresh:
            return
        self._plan_at(now_ns + LOOK_NS, self._look)
        minute = now_ns // (60 * SECOND)
        waits = now_ns - next(iter(fresh.values())) > PATIENCE_NS
        if waits and minute not in self.record.idle_minutes and self._somebody_idles():
            self.record.idle_minutes.add(minute)

    def _somebody_idles(self) -> bool:
        looks_idle = self._desk.looks_idle
        return any(
            rep.in_hand < 0 and not rep.pipeline and rep.able() and looks_idle(rep.index)
            for rep in self._healthy
        )


_BUSY, _READY = 0, 1
_STATES: Final[tuple[RepState, RepState]] = ("busy", "ready")
MOST_CHANCE: Final = 0.95


def _ns(seconds: float) -> int:
    return round(seconds * SECOND)
