"""The daemon's own core in the simulated world: its events go in, its decisions move the leads."""

from __future__ import annotations

from collections.abc import Mapping
from time import thread_time_ns
from typing import Final

from bench.simulate.draws import SECOND, Person
from bench.simulate.scenario import Scenario
from bench.simulate.world import World
from distributor.core.engine import Engine
from distributor.domain.decisions import (
    Assigned,
    AssignmentEnded,
    Decision,
    FlowChanged,
    LeadAccepted,
    LeadHeld,
)
from distributor.domain.events import (
    Event,
    FloorChanged,
    LeadEvent,
    LeadReceived,
    PresenceReported,
    Started,
    SupervisorActed,
    Ticked,
)
from distributor.domain.floor import Floor, FlowPlan, PoolPlan, RepPlan
from distributor.domain.policy import PolicyFactory
from distributor.domain.rep import RepState

BEGIN_NS: Final = 1_800_000_000 * SECOND
DAY_NS: Final = 86_400 * SECOND
MILLISECOND_NS: Final = SECOND // 1000
_NOTHING, _SILENCE = -1, -2
"""What was last heard of a rep: nothing that speaks against being idle, or an unanswered lead; else
the lead that it called, of which no end was heard."""
_STAYS: Final = ("closed", "parked")
"""Ends of an assignment that take the lead from nobody."""


class CoreDesk:
    """One engine with one policy, for one shift or several in a row.

    ``says_ends``: the next call of a rep tells the end of the one before, where its disposition was
    lost. Without it such a lead fills a place in the pipeline for an hour, which no push policy sees
    through; ``lease`` infers it and is not told.
    """

    def __init__(
        self,
        scenario: Scenario,
        crew: tuple[Person, ...],
        policy: str,
        factories: Mapping[str, PolicyFactory],
        *,
        seed: int,
        window: int,
        lease_seconds: float,
        says_ends: bool = False,
    ) -> None:
        self.fresh: dict[int, int] = {}
        self.events = 0
        self.core_ns = 0
        self._engine = Engine(tag="SIML", seed=seed, factories=factories)
        self._names = [person.name for person in crew]
        self._indexes = {person.name: i for i, person in enumerate(crew)}
        self._begin_ns = BEGIN_NS
        self._shift = 0
        self._keys: list[str] = []
        self._leads: dict[str, int] = {}
        self._assignments: dict[int, str] = {}
        self._says_ends = says_ends
        self._last = [_NOTHING] * len(crew)
        self._scores = {q: _score(q) for q, _ in scenario.qualities}
        self._world: World
        self._now_ns = BEGIN_NS
        flow = FlowPlan(
            policy=policy,
            window=window,
            lease_seconds=lease_seconds,
            pace_seconds=scenario.pace_seconds,
            wrap_up_seconds=scenario.wrap_up_seconds,
            visible_throttle=scenario.visible_throttle,
            accept_claims=scenario.accept_claims,
        )
        self._engine.handle(Started(1, "simulated"), BEGIN_NS)
        self._engine.handle(FloorChanged(_floor(scenario, crew, flow)), BEGIN_NS)
        if scenario.groups:
            self._route([group.id for group in scenario.groups])

    def _route(self, pools: list[str]) -> None:
        """Send each lead to the pool of its segment.

        A stand-in: the core has no rules yet by which a lead with a choice of pools finds its own.
        """
        handlers = self._engine._by_type  # noqa: SLF001
        accept = handlers[LeadReceived].__self__._accept  # type: ignore[attr-defined]  # noqa: SLF001

        def received(event: LeadReceived) -> None:
            accept(event, pools[self._world.leads.group[len(self._keys)]])

        handlers[LeadReceived] = received

    # -- shifts --------------------------------------------------------------------------------

    def begin(self, world: World) -> None:
        """A shift begins: everybody signs on."""
        self._world = world
        self._keys, self._leads, self._assignments = [], {}, {}
        self.fresh = {}
        self._last = [_NOTHING] * len(self._names)
        for rep in range(len(self._names)):
            self.presence(rep, "ready", 0)

    def night(self) -> None:
        """The shift is over: what is left is closed, everybody goes home, and time passes till morning."""
        engine = self._engine
        self._world.now_ns = max(self._world.now_ns, self._world.end_ns)
        for name in self._names:
            self._do(PresenceReported(name, "offline", "dialer"))
        left = [lead.key for lead in engine.state.leads.values() if lead.state != "closed"]
        for key in left:
            self._do(
                SupervisorActed("close", "night", "the shift is over", lead_key=key, status="lost")
            )
        morning_ns = self._begin_ns + DAY_NS
        while (due_ns := self.next_ns()) is not None and due_ns + self._begin_ns < morning_ns:
            self._world.now_ns = max(self._world.now_ns, due_ns)
            self.tick()
        self._begin_ns = morning_ns
        self._shift += 1

    # -- what the world tells ------------------------------------------------------------------

    def arrived(self, lead: int) -> None:
        at_ns = self._begin_ns + self._world.now_ns
        vendor_id = f"{self._shift}-{lead}"
        score = self._scores[self._world.leads.quality[lead]]
        self._do(LeadReceived("sim", vendor_id, at_ns, "mqtt", b"{}", 0, score))

    def contacted(self, rep: int, lead: int, *, claimed: bool) -> None:
        earlier, self._last[rep] = self._last[rep], lead
        if self._says_ends and earlier >= 0 and earlier != lead:
            self._end(rep, earlier)
        self._do(
            LeadEvent(
                "e", "dialer", "contacted", self._keys[lead], self._assignments[lead],
                self._names[rep], self._begin_ns + self._world.now_ns, "", "", "",
                "claimed" if claimed else "dialer",
            )
        )  # fmt: skip

    def _end(self, rep: int, earlier: int) -> None:
        """One call at a time: the dialer of a push floor knows that an earlier one is over."""
        key, name = self._keys[earlier], self._names[rep]
        if key in self._engine.state.reps[name].open:
            at_ns = self._begin_ns + self._world.now_ns
            self._do(LeadEvent("e", "dialer", "call_ended", key, "", name, at_ns))

    def disposed(self, rep: int, lead: int, *, converted: bool) -> None:
        if self._last[rep] == lead:
            self._last[rep] = _NOTHING
        self._do(
            LeadEvent(
                "e", "dialer", "status", self._keys[lead], "", self._names[rep],
                self._begin_ns + self._world.now_ns, "", "", "", "dialer", None,
                "converted" if converted else "lost",
            )
        )  # fmt: skip

    def presence(self, rep: int, state: RepState, at_ns: int) -> None:
        if state != "busy":
            self._last[rep] = _NOTHING
        self._do(PresenceReported(self._names[rep], state, "dialer", self._begin_ns + at_ns))

    def changed(self, rep: int) -> None:
        """The daemon sees no truth."""

    def looks_idle(self, rep: int) -> bool:
        if self._last[rep] != _NOTHING:
            return False
        seen = self._engine.state.reps[self._names[rep]]
        return seen.state == "ready" and not seen.open and seen.flow.value >= 1.0

    # -- time and decisions --------------------------------------------------------------------

    def next_ns(self) -> int | None:
        begun = thread_time_ns()
        due_ns = self._engine.next_deadline_ns()
        self.core_ns += thread_time_ns() - begun
        return None if due_ns is None else due_ns - self._begin_ns

    def tick(self) -> None:
        self._do(Ticked())
        again = self._engine.next_deadline_ns()
        if again is not None and again <= self._begin_ns + self._world.now_ns:
            # The daemon looks again no sooner than after a millisecond.
            self._world.now_ns += MILLISECOND_NS

    def _do(self, event: Event) -> None:
        world = self._world
        begun = thread_time_ns()
        decisions = self._engine.handle(event, self._begin_ns + world.now_ns)
        self.core_ns += thread_time_ns() - begun
        self.events += 1
        if not self.events & 0xFF:
            self._engine.take_touched()  # nobody keeps the tables here
        for decision in decisions:
            kind = type(decision)
            if kind in _FOLLOWED:
                self._follow(decision)

    def _follow(self, decision: Decision) -> None:
        """Carry a decision out in the world."""
        world = self._world
        if isinstance(decision, Assigned):
            lead = self._leads[decision.lead_key]
            self._assignments[lead] = decision.assignment_id
            self.fresh.pop(lead, None)
            world.deliver(self._indexes[decision.rep], lead)
        elif isinstance(decision, AssignmentEnded):
            if decision.cause not in _STAYS:
                lead, rep = self._leads[decision.lead_key], self._indexes[decision.rep]
                self.fresh[lead] = world.now_ns
                if decision.blame:
                    self._last[rep] = _SILENCE
                world.take_back(rep, lead)
        elif isinstance(decision, LeadAccepted):
            self._leads[decision.lead.key] = len(self._keys)
            self.fresh[len(self._keys)] = world.now_ns
            self._keys.append(decision.lead.key)
        elif isinstance(decision, FlowChanged):
            rep = self._indexes[decision.rep]
            world.record.flows.append((world.now_ns, rep, decision.flow.value))
        elif isinstance(decision, LeadHeld):
            world.record.held += 1
            self.fresh.pop(self._leads.get(decision.lead_key, -1), None)


_FOLLOWED: Final = frozenset({Assigned, AssignmentEnded, LeadAccepted, FlowChanged, LeadHeld})


def _floor(scenario: Scenario, crew: tuple[Person, ...], flow: FlowPlan) -> Floor:
    """One pool for everybody, or one for each skill."""
    ids = [group.id for group in scenario.groups]
    reps = tuple(
        RepPlan(person.name, skills=tuple(ids[g] for g in sorted(person.groups)) if ids else ())
        for person in crew
    )
    pools = tuple(PoolPlan(name, skills=(name,)) for name in ids) or (PoolPlan("default"),)
    return Floor("simulated", reps=reps, pools=pools, flow=flow)


def _score(quality: float) -> float:
    """The score from which the core reads this quality: half of it, above 1 as one of 100."""
    half = 0.5 * quality
    return half if half <= 1.0 else 100.0 * half
