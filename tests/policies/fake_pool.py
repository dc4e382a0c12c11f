"""A small honest pool for tests of policies: an in-memory ``PoolView`` and a driver.

``FakePool`` keeps leads and reps and answers what a policy may ask. ``Floor`` drives one policy: it
tells facts, applies intents (refusing impossible ones with an AssertionError), and logs what happened.
Times of the driver are float seconds since its own beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from distributor.domain.draws import draw
from distributor.domain.floor import FlowPlan, PoolPlan
from distributor.domain.ids import lead_key
from distributor.domain.lead import Lead
from distributor.domain.policy import Defer, Intent, Lease, Recall
from distributor.domain.rep import Flow, Rep

BEGIN_NS = 1_790_000_000_000_000_000
_CURVE = ((30, 4.91), (90, 2.60), (150, 1.98), (570, 1.62), (2700, 1.36), (8100, 1.24), (39600, 1.17),
          (172800, 1.0))  # fmt: skip


def curve(delay: float) -> float:
    """The delay curve, written independently of the policy's own."""
    import math

    if delay <= 30:
        return 4.91
    for (d0, g0), (d1, g1) in zip(_CURVE, _CURVE[1:], strict=False):
        if delay <= d1:
            return float(g0 * (delay / d0) ** (math.log(g1 / g0) / math.log(d1 / d0)))
    return 1.0


class FakePool:
    """One pool's state, as a policy sees it."""

    def __init__(self, reps: int | list[Rep], flow: FlowPlan | None = None, seed: int = 7) -> None:
        self.plan = PoolPlan("default")
        self.flow = flow or FlowPlan()
        self.seed = seed
        if isinstance(reps, int):
            reps = [
                Rep(f"r{i}", "north", window=self.flow.window or 1, open={}) for i in range(reps)
            ]
        self.members: dict[str, Rep] = {rep.id: rep for rep in reps}
        self.leads: dict[str, Lead] = {}
        self.waiting_leads: dict[str, Lead] = {}
        self.forbidden: set[tuple[str, str]] = set()
        self.receiving: dict[str, Rep] = {}

    @property
    def available(self) -> dict[str, Rep]:
        return {k: r for k, r in self.receiving.items() if len(r.open) < r.window}

    @property
    def waiting(self) -> int:
        return len(self.waiting_leads)

    def lead(self, key: str) -> Lead | None:
        return self.leads.get(key)

    def younger(self, now_ns: int, seconds: float) -> int:
        return sum(self.age_seconds(x, now_ns) <= seconds for x in self.waiting_leads.values())

    def best(self, now_ns: int, *, calm: bool = False) -> Lead | None:
        for lead in self.in_order(now_ns, len(self.waiting_leads), calm=calm):
            if any(self.may_take(rep, lead) for rep in self.receiving.values()):
                return lead
        return None

    def in_order(self, now_ns: int, limit: int, *, calm: bool = False) -> Iterator[Lead]:
        key: Callable[[Lead], tuple[float, int, str]] = lambda lead: (  # noqa: E731
            -self.order_index(lead, now_ns, calm=calm), lead.clock_ns, lead.key)  # fmt: skip
        return iter(sorted(self.waiting_leads.values(), key=key)[:limit])

    def oldest(self, limit: int) -> Iterator[Lead]:
        return iter(sorted(self.waiting_leads.values(), key=lambda x: (x.clock_ns, x.key))[:limit])

    def may_take(self, rep: Rep, lead: Lead) -> bool:
        return rep.id not in lead.excluded and (rep.id, lead.key) not in self.forbidden

    def order_index(self, lead: Lead, now_ns: int, *, calm: bool = False) -> float:
        age = self.age_seconds(lead, now_ns)
        age = 20 if calm and 20 < age <= 52 else age
        return lead.quality * (curve(age + 10) - curve(age + 70))

    def age_seconds(self, lead: Lead, now_ns: int) -> float:
        return self.seconds(lead.clock_ns, now_ns)

    def seconds(self, since_ns: int, now_ns: int) -> float:
        return self.flow.floor_seconds(now_ns - since_ns)

    def span_ns(self, seconds: float) -> int:
        return self.flow.span_ns(seconds)

    def draw(self, *parts: int) -> float:
        return draw(self.seed, *parts)


class Floor:
    """Drives one policy over a ``FakePool``; ``log`` holds every intent and core's own expiry."""

    def __init__(
        self, policy: Any, reps: int | list[Rep], flow: FlowPlan | None = None, ready: bool = True
    ) -> None:
        self.policy = policy
        self.pool = FakePool(reps, flow)
        self.now_ns = BEGIN_NS
        self.log: list[tuple[float, Intent]] = []
        self.flows: list[tuple[float, str, Flow]] = []
        self.records: dict[str, bytes] = {}
        self.expired: list[str] = []
        self.exclude_after_recall = False
        self._number = 0
        if ready:
            for rep in self.pool.members.values():
                rep.state, rep.state_at_ns = "ready", BEGIN_NS - 1
                self.pool.receiving[rep.id] = rep
        policy.start(self.pool, self.now_ns)
        self.drain()

    @property
    def now(self) -> float:
        return self.pool.seconds(BEGIN_NS, self.now_ns)

    # Time.

    def to(self, at: float) -> None:
        """Let time pass until ``at`` seconds, waking the policy and expiring leases on the way."""
        end_ns = BEGIN_NS + self.pool.span_ns(at)
        while True:
            times = [t for t in (self.policy.wake_ns(), self._next_expiry_ns()) if t is not None]
            due_ns = min(times, default=end_ns)
            if due_ns >= end_ns:
                break
            assert due_ns >= self.now_ns or due_ns <= self.now_ns, due_ns
            self.now_ns = max(self.now_ns, due_ns)
            before = due_ns
            self._expire()
            self.drain()
            wake = self.policy.wake_ns()
            assert wake is None or wake > before, "a wake must not repeat itself"
        self.now_ns = max(self.now_ns, end_ns)
        self._expire()
        self.drain()

    def after(self, seconds: float) -> None:
        self.to(self.now + seconds)

    def _next_expiry_ns(self) -> int | None:
        spans = [x.deadline_ns for x in self.pool.leads.values() if x.state == "assigned"]
        return min((t for t in spans if t), default=None)

    def _expire(self) -> None:
        for lead in list(self.pool.leads.values()):
            if lead.state == "assigned" and lead.deadline_ns and lead.deadline_ns <= self.now_ns:
                self.expired.append(lead.key)
                self.end(lead.key, "expired", blame=True, drain=False)

    # Facts.

    def lead(self, quality: float = 1.0, age: float = 0.0, prefers: str = "") -> str:
        """A lead joins the waiting ones; returns its key."""
        self._number += 1
        key = lead_key("T", self._number)
        at_ns = self.now_ns - self.pool.span_ns(age)
        lead = Lead(key, "acme", key, "default", "waiting", at_ns, at_ns, quality, prefers=prefers)
        self.pool.leads[key] = self.pool.waiting_leads[key] = lead
        self.policy.lead_waiting(lead, self.now_ns)
        self.drain()
        return key

    def presence(self, rep_id: str, state: Any, at: float | None = None) -> None:
        """A rep's presence changes; away and offline take his uncontacted leads back."""
        rep = self.pool.members[rep_id]
        was = rep.state
        rep.state = state
        rep.state_at_ns = self.now_ns if at is None else BEGIN_NS + self.pool.span_ns(at)
        if state in ("away", "offline"):
            for key in [k for k, waits in rep.open.items() if waits]:
                self.end(key, f"rep_{state}", blame=False, drain=False)
        self._receiving(rep)
        if rep.sends_states and state == "ready" and was in ("busy", "wrap_up"):
            for key in [k for k, waits in rep.open.items() if not waits]:
                self.finish(key, "agent_ready", drain=False)
        self.changed(rep_id)

    def changed(self, rep_id: str) -> None:
        rep = self.pool.members[rep_id]
        self._receiving(rep)
        self.policy.rep_changed(rep, self.now_ns)
        self.drain()

    def _receiving(self, rep: Rep) -> None:
        members = self.pool.members.values()
        self.pool.receiving.clear()
        self.pool.receiving.update(
            {r.id: r for r in members if r.state == "ready" and not r.paused_until_ns}
        )

    def contact(self, key: str, counted: bool = True, at: float | None = None) -> None:
        lead = self.pool.leads[key]
        rep = self.pool.members[lead.rep]
        lead.state, lead.deadline_ns = "working", 0
        if counted:
            rep.open[key] = False
        at_ns = self.now_ns if at is None else BEGIN_NS + self.pool.span_ns(at)
        self.policy.contacted(lead, rep, at_ns, counted=counted, now_ns=self.now_ns)
        self.policy.rep_changed(rep, self.now_ns)
        self.drain()

    def finish(
        self, key: str, cause: Any = "status", *, drain: bool = True, counted: bool = True
    ) -> None:
        """A contacted lead leaves its rep's pipeline."""
        lead = self.pool.leads[key]
        rep = self.pool.members[lead.rep]
        rep.open.pop(key, None)
        now_ns = self.now_ns
        self.policy.work_ended(lead, rep, cause, now_ns, now_ns, counted=counted)
        self.policy.rep_changed(rep, self.now_ns)
        if drain:
            self.drain()

    def end(self, key: str, cause: Any, *, blame: bool, drain: bool = True) -> None:
        """An uncontacted assignment ends and the lead waits again."""
        lead = self.pool.leads[key]
        rep = self.pool.members[lead.rep]
        del rep.open[key]
        lead.state, lead.rep, lead.deadline_ns, lead.probe = "waiting", "", 0, False
        lead.recalls += 1
        lead.reason = ""
        if cause == "recalled" and self.exclude_after_recall:
            lead.excluded = (*lead.excluded, rep.id)
        self.policy.lease_ended(lead, rep, cause, blame=blame, now_ns=self.now_ns)
        self.policy.rep_changed(rep, self.now_ns)
        self.pool.waiting_leads[key] = lead
        self.policy.lead_waiting(lead, self.now_ns)
        if drain:
            self.drain()

    def give(self, key: str, rep_id: str) -> None:
        """A supervisor assigns a waiting lead."""
        self._assign(Lease(key, rep_id, "supervisor", ""))
        self.drain()

    # Intents.

    def drain(self) -> None:
        """Ask for intents until there are none; then collect memory and flow."""
        for _ in range(10_000):
            intent = self.policy.next_intent(self.now_ns)
            if intent is None:
                break
            self.log.append((self.now, intent))
            self._apply(intent)
        else:
            raise AssertionError("the policy never answers None")
        for rep, flow, _ in self.policy.flow_changes(self.now_ns):
            self.flows.append((self.now, rep, flow))
            self.pool.members[rep].flow = flow
        self.records.update(self.policy.changed_memory())

    def _apply(self, intent: Intent) -> None:
        if isinstance(intent, Lease):
            self._assign(intent)
        elif isinstance(intent, Recall):
            lead = self.pool.leads[intent.lead_key]
            assert lead.state == "assigned" and lead.rep == intent.rep, "recall of no live lease"
            self.end(intent.lead_key, "recalled", blame=True, drain=False)
        else:
            assert isinstance(intent, Defer)
            assert intent.lead_key in self.pool.waiting_leads
            self.pool.leads[intent.lead_key].reason = intent.reason

    def _assign(self, intent: Lease) -> None:
        pool = self.pool
        lead, rep = pool.waiting_leads.pop(intent.lead_key), pool.members[intent.rep]
        assert pool.may_take(rep, lead), "a forbidden rep"
        for key in intent.presumed_finished:
            assert rep.open[key] is False
            self.finish(key, "presumed", drain=False)
        if intent.reason != "supervisor":
            assert rep.id in pool.available, "a rep who is not available"
        rep.open[lead.key] = True
        lead.state, lead.rep, lead.probe, lead.reason = "assigned", rep.id, intent.probe, ""
        lead.deadline_ns = self.now_ns + pool.span_ns(pool.flow.lease_seconds)
        self.policy.leased(lead, rep, self.now_ns)
        self.policy.rep_changed(rep, self.now_ns)

    # Reading.

    def holder(self, key: str) -> str:
        return self.pool.leads[key].rep

    def intents(self, since: int = 0) -> list[tuple[str, str, str]]:
        """(kind, lead, rep) of the log from ``since`` on."""
        return [(type(i).__name__, i.lead_key, getattr(i, "rep", "")) for _, i in self.log[since:]]
