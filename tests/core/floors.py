"""A small floor to decide on: an engine, a clock of its own, and short words for events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from distributor.core.engine import Engine
from distributor.domain.decisions import Decision
from distributor.domain.events import (
    Event,
    FloorChanged,
    LeadEvent,
    LeadReceived,
    PresenceReported,
    Ticked,
)
from distributor.domain.floor import Floor, FlowPlan, PoolPlan, RepPlan
from distributor.domain.journal import Entry
from distributor.domain.lead import Lead
from distributor.domain.policy import Policy
from policies.fair import Fair
from policies.lease import Lease
from policies.longest_idle import LongestIdle

SECOND = 1_000_000_000
BEGIN = 1_700_000_000 * SECOND
FACTORIES: dict[str, Callable[[], Policy]] = {
    "fair": Fair,
    "lease": Lease,
    "longest_idle": LongestIdle,
}

D = TypeVar("D")


class Scene:
    """Events at times (seconds after the beginning), and what was decided about them."""

    def __init__(
        self,
        reps: Sequence[str] = ("ana", "ben"),
        *,
        policy: str = "fair",
        pools: Sequence[PoolPlan] = (PoolPlan("default"),),
        plans: Sequence[RepPlan] | None = None,
        **flow: Any,
    ) -> None:
        self.engine = Engine(tag="T3ST", seed=7, factories=FACTORIES)
        self.now_ns = BEGIN
        self.entries: list[Entry] = []
        self.events = 0
        self.idle_ticks: list[int] = []
        plan = FlowPlan(policy=policy, **flow)
        reps_ = tuple(plans) if plans is not None else tuple(RepPlan(rep) for rep in reps)
        self.floor = Floor("digest", reps=reps_, pools=tuple(pools), flow=plan)
        self.do(FloorChanged(self.floor))

    # -- words ---------------------------------------------------------------------------------

    def do(self, event: Event) -> list[Decision]:
        """Decide about one event now."""
        decisions = self.engine.handle(event, self.now_ns)
        if decisions:
            ticks, self.idle_ticks = tuple(self.idle_ticks), []
            number = len(self.entries) + 1
            self.entries.append(Entry(number, self.now_ns, event, tuple(decisions), ticks))
        elif isinstance(event, Ticked):
            self.idle_ticks.append(self.now_ns)
        return decisions

    def at(self, seconds: float) -> list[Decision]:
        """Let time pass until ``seconds`` after the beginning, tick by tick; all that was decided."""
        end = BEGIN + round(seconds * SECOND)
        decided: list[Decision] = []
        while (due := self.engine.next_deadline_ns()) is not None and due <= end:
            self.now_ns = max(self.now_ns, due)
            before = self.engine.next_deadline_ns()
            decided += self.do(Ticked())
            if self.engine.next_deadline_ns() == before and due <= self.now_ns:
                self.now_ns += SECOND // 1000
        self.now_ns = max(self.now_ns, end)
        return decided

    def ready(self, *reps: str, state: Any = "ready") -> list[Decision]:
        """Reps report a state."""
        return [d for rep in reps for d in self.do(PresenceReported(rep, state, "dialer"))]

    def lead(self, name: str, **fields: Any) -> str:
        """A vendor's lead arrives; its key."""
        self.do(LeadReceived("acme", name, self.now_ns, "http", b"{}", **fields))
        return self.key(name)

    def key(self, name: str) -> str:
        """Our key of the vendor's lead ``name``."""
        return self.engine.state.by_vendor["acme", name]

    def report(self, type_: Any, key: str, **fields: Any) -> list[Decision]:
        """The dialer reports about a lead."""
        self.events += 1
        fields.setdefault("evidence", "dialer")
        event = LeadEvent(f"e{self.events}", "dialer", type_, lead_key=key, **fields)
        return self.do(event)

    # -- looks ---------------------------------------------------------------------------------

    def look(self, key: str) -> Lead:
        """The lead as it is now."""
        return self.engine.state.leads[key]

    def decided(self, kind: type[D]) -> list[D]:
        """Every decision of one kind so far."""
        return [d for entry in self.entries for d in entry.decisions if isinstance(d, kind)]


def only(decisions: Sequence[Decision], kind: type[D]) -> D:
    """The one decision of a kind."""
    found = [decision for decision in decisions if isinstance(decision, kind)]
    assert len(found) == 1, f"wanted one {kind.__name__} in {decisions}"
    return found[0]
