"""A small floor for the tests of policies: the daemon's core with one pool, a clock of its own, and short
words for what happens."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any, Final

from msgspec.structs import replace

from distributor.core.engine import Engine
from distributor.domain.decisions import Decision, LeadAccepted, LeadRevived
from distributor.domain.events import (
    DeliveryDelayed,
    DeliveryFailed,
    Event,
    FloorChanged,
    LeadEvent,
    LeadEventType,
    LeadReceived,
    PresenceReported,
    SupervisorActed,
    SupervisorAction,
    TargetChanged,
    Ticked,
)
from distributor.domain.faults import PolicyMisbehaved
from distributor.domain.floor import Floor, FlowPlan, PoolPlan, RepPlan
from distributor.domain.ids import NANOSECONDS, to_ns
from distributor.domain.lead import Lead
from distributor.domain.policy import Intent, Policy, PolicyFactory, PoolView
from distributor.domain.rep import Flow, Rep, RepState
from policies.conformance.recorder import Notes, recorded

START_NS: Final = 1_790_000_000 * NANOSECONDS
POOL: Final = "default"
NAME: Final = "tried"
"""What the policy is called."""
WAKES_AT_MOST: Final = 5_000
_LEAST_SLEEP_NS: Final = NANOSECONDS // 1000
"""The daemon wakes no sooner than a millisecond after it looked last."""

Happened = tuple[int, Event, list[Decision]]
"""When an event came, and what was decided about it."""


class SmallFloor:
    """One pool under a policy, its reps ``rep0``, ``rep1`` and so on, all offline at first.

    Each method is something that happens; time passes with ``advance`` alone. ``window`` of None: as many open
    leads a rep as the policy wants. ``flow``: settings of ``FlowPlan``. What the policy does wrong raises
    ``PolicyMisbehaved``. ``leads`` holds the latest record of each lead by the name it came with.
    """

    def __init__(
        self, factory: PolicyFactory, reps: int = 4, *, window: int | None = None, **flow: Any
    ) -> None:
        self.notes = Notes()
        self.now_ns = START_NS
        self.happened: list[Happened] = []
        self.leads: dict[str, Lead] = {}
        self._engine = new_engine(recorded(factory, self.notes))
        self._shadow = new_engine(factory)
        plans = tuple(RepPlan(f"rep{number}", "north") for number in range(reps))
        plan = FlowPlan(policy=NAME, window=window, **flow)
        self._floor = Floor("0", reps=plans, pools=(PoolPlan(POOL),), flow=plan)
        self.do(FloorChanged(self._floor))

    # -- what is there -------------------------------------------------------------------------

    @property
    def pool(self) -> PoolView:
        """The pool as the policy sees it."""
        return self._engine.state.pools[POOL]

    @property
    def reps(self) -> dict[str, Rep]:
        """Every rep there ever was; for reading."""
        return self._engine.state.reps

    @property
    def policy(self) -> Policy:
        """The policy itself."""
        return self.notes.policy

    @property
    def intents(self) -> list[Intent]:
        """All that the policy asked for."""
        return self.notes.intents

    @property
    def flows(self) -> list[tuple[str, Flow]]:
        """Every flow that the policy changed, by rep."""
        return self.notes.flows

    @property
    def memory(self) -> dict[str, bytes]:
        """What is recorded of the policy's memory, by rep."""
        return {rep: memory for (_, rep), memory in self._engine.state.memories.items()}

    def those(self, state: str) -> list[str]:
        """The names of the leads in a state."""
        return [name for name, lead in self.leads.items() if lead.state == state]

    # -- what happens --------------------------------------------------------------------------

    def do(self, event: Event) -> list[Decision]:
        """Anything at all happens now."""
        decisions = self._engine.handle(event, self.now_ns)
        self.happened.append((self.now_ns, event, decisions))
        leads, _ = self._engine.take_touched()
        self.leads.update({lead.vendor_id: lead for lead in leads})
        self._compare(decisions)
        return decisions

    def _compare(self, decisions: list[Decision]) -> None:
        """Whether what was decided, applied elsewhere, gives the records that are here."""
        self._shadow.fold(self.now_ns, [_copied(decision) for decision in decisions])
        if self._shadow.state.reps != self._engine.state.reps:
            raise PolicyMisbehaved("the policy wrote to a rep: reps are for reading")
        if self._shadow.state.leads != self._engine.state.leads:
            raise PolicyMisbehaved("the policy wrote to a lead: leads are for reading")

    def ready(self, *reps: str) -> None:
        """Reps are ready, all of them where none is named."""
        for rep in reps or tuple(self.pool.members):
            self.presence(rep, "ready")

    def presence(self, rep: str, state: RepState) -> None:
        """A rep's dialer reports its state."""
        self.do(PresenceReported(rep, state, "dialer"))

    def lead(
        self, name: str, *, score: float | None = None, test: bool = False, prefers: str = ""
    ) -> None:
        """A vendor's lead comes in; ``prefers``: the rep who is asked first."""
        more: dict[str, Any] = {"score": score, "test": test, "prefers": prefers}
        self.do(LeadReceived("acme", name, self.now_ns, "http", b"{}", **more))

    def report(self, what: LeadEventType, name: str, **fields: Any) -> None:
        """The dialer reports about a lead; ``evidence="claimed"``: the rep says so. A closed lead that the core
        forgot is looked up, as in the daemon's store."""
        lead = self.leads[name]
        if lead.key not in self._engine.state.leads:
            fields["recalled"] = lead
        fields = {"evidence": "dialer"} | fields
        self.do(LeadEvent(f"e{len(self.happened)}", "dialer", what, lead_key=lead.key, **fields))

    def fail(self, name: str, *, hold: bool = False) -> None:
        """The lead could not be handed to its dialer: nobody is to blame. ``hold``: nor would another rep
        fare better, so it goes to the desk."""
        assignment = self.leads[name].assignment_id
        self.do(DeliveryFailed(assignment, "the dialer refused it", hold))

    def delay(self, name: str, *, delivered: bool = False) -> None:
        """The dialer does not have the lead yet, or only now: the clocks of the lease begin anew."""
        self.do(DeliveryDelayed((self.leads[name].assignment_id,), delivered))

    def dialer(self, *, up: bool) -> None:
        """The dialer stops, or begins again, to take leads."""
        self.do(TargetChanged("mqtt", up, "its link"))

    def supervise(
        self,
        action: SupervisorAction,
        rep: str = "",
        seconds: float = 0.0,
        lead: str = "",
        **fields: Any,
    ) -> None:
        """A supervisor acts on a rep or a lead, for so many seconds (0: until further notice)."""
        until_ns = self.now_ns + to_ns(seconds) if seconds else 0
        key = self.leads[lead].key if lead else ""
        self.do(SupervisorActed(action, "mia", "training", rep, key, until_ns, **fields))

    def stray(self) -> None:
        """Something is said that the core ignores: of no lead, of no rep, of an earlier time."""
        self.do(LeadEvent("stray", "dialer", "contacted", lead_key="none", evidence="dialer"))
        self.do(PresenceReported("nobody", "ready", "dialer"))
        for rep in tuple(self.pool.members):
            self.do(PresenceReported(rep, "away", "dialer", at_ns=1))

    def tick(self) -> None:
        """Time is looked at although nothing is due."""
        self.do(Ticked())

    def settings(self, reps: Iterable[str | RepPlan] | None = None, **flow: Any) -> None:
        """New settings: these are the reps now, where given, and this of the flow."""
        wanted = self._floor.reps if reps is None else reps
        plans = tuple(RepPlan(rep, "north") if isinstance(rep, str) else rep for rep in wanted)
        self._floor = replace(
            self._floor,
            digest=str(len(self.happened)),
            reps=plans,
            flow=replace(self._floor.flow, **flow),
        )
        self.do(FloorChanged(self._floor))

    def advance(self, seconds: float) -> None:
        """Time passes, from one deadline to the next."""
        end_ns = self.now_ns + to_ns(seconds)
        for _ in range(WAKES_AT_MOST):
            due_ns = self._engine.next_deadline_ns()
            if due_ns is None or due_ns > end_ns:
                break
            self.now_ns = max(self.now_ns, due_ns)
            self.tick()
            again_ns = self._engine.next_deadline_ns()
            if again_ns is not None and again_ns <= self.now_ns:
                self.now_ns += _LEAST_SLEEP_NS
        else:
            raise PolicyMisbehaved(f"wake_ns asked to be woken more than {WAKES_AT_MOST} times")
        self.now_ns = max(self.now_ns, end_ns)


def _copied(decision: Decision) -> Decision:
    """A decision that shares no lead with the core: alone of what decisions hold, a lead can be written to."""
    if isinstance(decision, LeadAccepted | LeadRevived):
        return replace(decision, lead=copy(decision.lead))
    return decision


def new_engine(factory: PolicyFactory) -> Engine:
    """The daemon's core, with one policy to choose from."""
    return Engine(tag="M1N1", seed=1, factories={NAME: factory})


def play_again(happened: list[Happened], factory: PolicyFactory, restart_every: int = 0) -> str:
    """Decide the same events once more, with a restart after every so many of them (0: none). The first
    difference, or ""."""
    engine = new_engine(factory)
    for number, (now_ns, event, decided) in enumerate(happened, 1):
        again = engine.handle(event, now_ns)
        if again != decided:
            return _difference(decided, again)
        if restart_every and number % restart_every == 0:
            engine = _restarted(engine, factory)
    return ""


def _restarted(engine: Engine, factory: PolicyFactory) -> Engine:
    fresh = new_engine(factory)
    fresh.restore(engine.state.head(), engine.state.leads.values())
    fresh.resume()
    return fresh


def _difference(first: list[Decision], second: list[Decision]) -> str:
    """The first decision that is not the same, and in what."""
    for one, other in zip(first, second, strict=False):
        if type(one) is not type(other):
            return f"{type(one).__name__} | {type(other).__name__}"
        for field in one.__struct_fields__:
            was, now = getattr(one, field), getattr(other, field)
            if was != now:
                return f"{type(one).__name__} with {field} {str(was)[:120]} | {str(now)[:120]}"
    return f"{len(first)} decisions | {len(second)} decisions"
