"""A floor in virtual time for the core alone: vendors send, reps pick up, dialers report.

The shapes are those of a real floor, simplified: Poisson arrivals, a lognormal pick-up lag of 8 s in
the middle, a lognormal handling of 240 s, one delivery in twenty that lies for minutes. Leads and
their outcomes are drawn from one seeded source, so that two runs see the same floor.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from time import thread_time_ns

from distributor.core.engine import Engine
from distributor.domain.decisions import Assigned, AssignmentEnded, Decision
from distributor.domain.events import (
    Event,
    FloorChanged,
    LeadEvent,
    LeadReceived,
    PresenceReported,
    Ticked,
)
from distributor.domain.floor import Floor, FlowPlan, PoolPlan, RepPlan
from distributor.domain.policy import PolicyFactory
from distributor.domain.rep import Rep

SECOND = 1_000_000_000
BEGIN_NS = 1_800_000_000 * SECOND
HANDLING_SECONDS = 240.0
LAG_SECONDS = 8.0
BODY = (
    b'{"first_name":"Maria","last_name":"Santos","phone":"+12125550123","email":"m.s@example.com",'
    b'"postal_code":"10001","state":"NY","country":"US","language":"en","product":"auto",'
    b'"segment":"new","source":"search","campaign":"spring-2026","price":12.5,"score":0.5,'
    b'"consent":{"text":"I agree to be called","at":"2026-11-21T09:00:00Z"}}'
)
_STATUSES = ("converted", "lost", "unqualified", "not_ready")


class World:
    """Plays the outside of one engine and keeps what each ``handle`` took."""

    def __init__(
        self, reps: int, policy: str, factories: Mapping[str, PolicyFactory], load: float = 0.8
    ) -> None:
        self.random = random.Random(reps)
        self.now_ns = BEGIN_NS
        self.engine = Engine(tag="BNCH", seed=7, factories=factories)
        self.names = [f"rep{number:05d}" for number in range(reps)]
        self.rate = load * reps * 0.88 / (HANDLING_SECONDS + 18.0)
        self.changed: Callable[[Sequence[Rep]], None] = lambda _: None
        self.timings_ns: list[int] = []
        self.decision_ns: list[float] = []
        self.decisions = 0
        self.assignments = 0
        self.events = 0
        self.leads = 0
        self._number = 0
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._busy: dict[str, str] = {}
        self._queue: dict[str, dict[str, str]] = {name: {} for name in self.names}
        plans = tuple(RepPlan(name, team=f"team{i % 20}") for i, name in enumerate(self.names))
        flow = FlowPlan(policy=policy)
        self.do(FloorChanged(Floor("bench", reps=plans, pools=(PoolPlan("default"),), flow=flow)))
        for name in self.names:
            self.do(PresenceReported(name, "ready", "dialer"))

    # -- the clock -----------------------------------------------------------------------------

    def run(self, until: Callable[[], bool]) -> None:
        """Let time pass, event by event, until ``until`` says so."""
        if not self._agenda:
            self._plan(0.0, self._arrive)
        while not until():
            due_ns = self.engine.next_deadline_ns()
            at_ns = self._agenda[0][0]
            if due_ns is not None and due_ns <= at_ns:
                # The daemon wakes no sooner than a millisecond after it looked last.
                self.now_ns = max(self.now_ns, due_ns)
                self.do(Ticked())
                again = self.engine.next_deadline_ns()
                if again is not None and again <= self.now_ns:
                    self.now_ns += SECOND // 1000
                continue
            self.now_ns = max(self.now_ns, at_ns)
            heappop(self._agenda)[2]()

    def forget(self) -> None:
        """Begin to measure here: what came before was warm-up."""
        self.timings_ns.clear()
        self.decision_ns.clear()
        self.decisions = self.assignments = self.events = self.leads = 0

    def do(self, event: Event) -> list[Decision]:
        """One event through the engine; only the CPU time of this counts."""
        begun = thread_time_ns()
        decisions = self.engine.handle(event, self.now_ns)
        passed = thread_time_ns() - begun
        self.timings_ns.append(passed)
        if decisions:
            self.decision_ns.append(passed / len(decisions))
        self.events += 1
        self.decisions += len(decisions)
        for decision in decisions:
            if type(decision) is Assigned:
                self.assignments += 1
                self._deliver(decision)
            elif type(decision) is AssignmentEnded:
                self._queue[decision.rep].pop(decision.lead_key, None)
        _, reps = self.engine.take_touched()
        self.changed(reps)
        return decisions

    def _plan(self, seconds: float, action: Callable[[], None]) -> None:
        self._number += 1
        heappush(self._agenda, (self.now_ns + round(seconds * SECOND), self._number, action))

    # -- vendors, reps and their dialer --------------------------------------------------------

    def _arrive(self) -> None:
        self._plan(self.random.expovariate(self.rate), self._arrive)
        self.leads += 1
        self.do(lead(self._number, self.now_ns, self.random.choice((0.2, 0.5, 0.5, 0.5, 1.0))))

    def _deliver(self, assigned: Assigned) -> None:
        self._queue[assigned.rep][assigned.lead_key] = assigned.assignment_id
        lag = LAG_SECONDS * self.random.lognormvariate(0.0, 0.6)
        if self.random.random() < 0.05:
            lag *= 30.0
        self._plan(lag, lambda: self._pick_up(assigned.rep))

    def _pick_up(self, rep: str) -> None:
        queue = self._queue[rep]
        if rep in self._busy or not queue:
            return
        key = next(iter(queue))
        assignment = queue.pop(key)
        self._busy[rep] = key
        self._report("contacted", key, assignment, rep)
        seconds = HANDLING_SECONDS * self.random.lognormvariate(-0.3466, 0.8326)
        self._plan(seconds, lambda: self._hang_up(rep, key, assignment))

    def _hang_up(self, rep: str, key: str, assignment: str) -> None:
        self._busy.pop(rep, None)
        self._report("call_ended", key, assignment, rep, talk_seconds=120.0)
        after = self.random.expovariate(0.5)
        self._plan(after, lambda: self._dispose(rep, key, assignment))
        if self._queue[rep]:
            self._plan(LAG_SECONDS, lambda: self._pick_up(rep))

    def _dispose(self, rep: str, key: str, assignment: str) -> None:
        status = self.random.choices(_STATUSES, (2, 60, 30, 8))[0]
        self._report("status", key, assignment, rep, status=status)

    def _report(self, kind: str, key: str, assignment: str, rep: str, **more: object) -> None:
        self._number += 1
        event = LeadEvent(
            f"e{self._number}",
            "dialer",
            kind,  # type: ignore[arg-type]
            lead_key=key,
            assignment_id=assignment,
            rep=rep,
            at_ns=self.now_ns,
            evidence="dialer",
            **more,  # type: ignore[arg-type]
        )
        self.do(event)


def lead(number: int, now_ns: int, score: float = 0.5, body: bytes = BODY) -> LeadReceived:
    """A vendor's lead, as intake would make it."""
    return LeadReceived("acme", f"lead-{number:09d}", now_ns, "mqtt", body, score=score)
