"""A small floor for the tests of policies: one pool in memory, its facts told as the core tells them.

It is no copy of the core: it keeps just enough state to say whether what a policy asks for is possible.
Every intent is checked before it is carried out; what was wrong is collected in ``problems``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from math import isfinite
from typing import Final

import msgspec

from distributor.domain.curve import worth
from distributor.domain.decisions import EndCause
from distributor.domain.draws import draw
from distributor.domain.floor import FlowPlan, PoolPlan
from distributor.domain.ids import NANOSECONDS, to_ns
from distributor.domain.lead import Lead
from distributor.domain.policy import Defer, Intent, Lease, Policy, Recall
from distributor.domain.rep import Flow, Rep, RepState

START_NS: Final = 1_790_000_000 * NANOSECONDS
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_WAKES_AT_MOST: Final = 5_000


class MiniPool:
    """A ``PoolView`` over plain dictionaries. Tests write to ``reps`` and ``leads`` directly."""

    def __init__(self, flow: FlowPlan | None = None, seed: int = 1) -> None:
        self.plan = PoolPlan(id="mini")
        self.flow = flow or FlowPlan()
        self.reps: dict[str, Rep] = {}
        self.leads: dict[str, Lead] = {}
        self.now_ns = START_NS
        self._seed = seed

    @property
    def members(self) -> dict[str, Rep]:
        return self.reps

    @property
    def receiving(self) -> dict[str, Rep]:
        return {rep.id: rep for rep in self.reps.values() if self._receives(rep)}

    @property
    def available(self) -> dict[str, Rep]:
        return {rep.id: rep for rep in self.receiving.values() if len(rep.open) < rep.window}

    @property
    def waiting(self) -> int:
        return len(self._waiting())

    def lead(self, key: str) -> Lead | None:
        return self.leads.get(key)

    def best(self, now_ns: int) -> Lead | None:
        receiving = self.receiving.values()
        for lead in self.in_order(now_ns, len(self.leads)):
            if any(self.may_take(rep, lead) for rep in receiving):
                return lead
        return None

    def in_order(self, now_ns: int, limit: int) -> Iterator[Lead]:
        ordered = sorted(self._waiting(), key=lambda lead: -self.order_index(lead, now_ns))
        return islice(iter(ordered), limit)

    def oldest(self, limit: int) -> Iterator[Lead]:
        return islice(iter(sorted(self._waiting(), key=lambda lead: lead.clock_ns)), limit)

    def may_take(self, rep: Rep, lead: Lead) -> bool:
        return rep.id not in lead.excluded

    def order_index(self, lead: Lead, now_ns: int) -> float:
        age = self.age_seconds(lead, now_ns)
        return lead.quality * (worth(age + 10.0) - worth(age + 70.0))

    def age_seconds(self, lead: Lead, now_ns: int) -> float:
        return self.seconds(lead.clock_ns, now_ns)

    def seconds(self, since_ns: int, now_ns: int) -> float:
        return self.flow.floor_seconds(now_ns - since_ns)

    def span_ns(self, seconds: float) -> int:
        return self.flow.span_ns(seconds)

    def draw(self, *parts: int) -> float:
        return draw(self._seed, *parts)

    def _waiting(self) -> list[Lead]:
        return [lead for lead in self.leads.values() if lead.state == "waiting"]

    def _receives(self, rep: Rep) -> bool:
        return rep.state == "ready" and rep.paused_until_ns <= self.now_ns


class MiniFloor:
    """One pool with its policy. Each method is something that happens; then the policy is asked.

    ``log`` holds every intent as text, for comparison. With ``restart_every`` the policy is replaced
    after so many events by a new one that gets the recorded memory back, as after a restart.
    """

    def __init__(
        self,
        factory: Callable[[], Policy],
        reps: int = 4,
        *,
        window: int = 1,
        flow: FlowPlan | None = None,
        restart_every: int = 0,
    ) -> None:
        self.pool = MiniPool(flow)
        self.factory = factory
        self.problems: list[str] = []
        self.log: list[str] = []
        self.flows: list[tuple[str, Flow]] = []
        self.memory: dict[str, bytes] = {}
        self.deferred: set[str] = set()
        self._restart_every = restart_every
        self._step = 0
        self._left: dict[str, bytes] = {}
        for number in range(reps):
            rep = Rep(id=f"rep{number}", team="north", window=window, open={}, weight=1.0)
            self.pool.reps[rep.id] = rep
        self.policy = factory()
        self.policy.start(self.pool, self.now_ns)

    @property
    def now_ns(self) -> int:
        return self.pool.now_ns

    # What happens.

    def presence(self, rep_id: str, state: RepState) -> None:
        """A rep's state changes; what it had not contacted comes back when it goes."""
        rep = self.pool.reps[rep_id]
        if state in ("away", "offline"):
            cause: EndCause = "rep_away" if state == "away" else "rep_offline"
            for key in [key for key, uncontacted in rep.open.items() if uncontacted]:
                self._end(self.pool.leads[key], rep, cause, blame=False, excluded=False)
        rep.state = state
        rep.since_ns = rep.state_at_ns = self.now_ns
        if state == "ready":
            rep.last_freed_ns = self.now_ns
        self.changed(rep)

    def changed(self, rep: Rep) -> None:
        """Tell the policy that a rep changed (after a test wrote to it) and ask it."""
        self._tell(lambda: self.policy.rep_changed(rep, self.now_ns))
        self.settle()

    def lead(self, key: str, *, quality: float = 1.0, test: bool = False) -> None:
        """A lead comes in."""
        now = self.now_ns
        lead = Lead(key, "acme", key, "mini", "waiting", now, now, quality, test=test)
        self._keep(lead)
        self._tell(lambda: self.policy.lead_waiting(lead, now))
        self.settle()

    def contact(self, key: str, *, counted: bool = True) -> None:
        """The rep who has the lead talks to the person."""
        lead = self.pool.leads[key]
        rep = self.pool.reps[lead.rep]
        lead = self._replace(lead, state="working", contacted_ns=self.now_ns)
        rep.open[key] = False
        now = self.now_ns
        self._tell(lambda: self.policy.contacted(lead, rep, now, counted=counted, now_ns=now))
        self.settle()

    def finish(self, key: str, *, converted: bool = False) -> None:
        """The conversation is over and the lead closed."""
        lead = self.pool.leads[key]
        rep = self.pool.reps[lead.rep]
        rep.open.pop(key, None)
        rep.last_freed_ns = now = self.now_ns
        lead = self._replace(lead, state="closed", in_pipeline=False)
        self._tell(lambda: self.policy.work_ended(lead, rep, "call_ended", now, now))
        if converted:
            self._tell(lambda: self.policy.converted(lead, rep, now))
        self.changed(rep)

    def end(self, key: str, cause: EndCause, *, blame: bool, excluded: bool = False) -> None:
        """An uncontacted assignment ends and the lead waits again."""
        lead = self.pool.leads[key]
        self._end(lead, self.pool.reps[lead.rep], cause, blame=blame, excluded=excluded)
        self.settle()

    def restarted(self, key: str) -> None:
        """The clocks of a lease begin anew."""
        lead = self.pool.leads[key]
        rep = self.pool.reps[lead.rep]
        lead = self._replace(lead, assigned_ns=self.now_ns)
        self._tell(lambda: self.policy.lease_restarted(lead, rep, self.now_ns))
        self.settle()

    def settings(self, reps: list[str]) -> None:
        """New settings: these are the members now. Leads of others come back."""
        for rep in [rep for rep in self.pool.reps.values() if rep.id not in reps]:
            for key in list(rep.open):
                self._end(self.pool.leads[key], rep, "rep_removed", blame=False, excluded=False)
            del self.pool.reps[rep.id]
        for rep_id in reps:
            self.pool.reps.setdefault(rep_id, Rep(id=rep_id, team="north", open={}))
        self._tell(lambda: self.policy.start(self.pool, self.now_ns))
        self.settle()

    def advance(self, seconds: float) -> None:
        """Time passes; the policy is woken when it asked for it, and leases run out."""
        until = self.now_ns + to_ns(seconds)
        for _ in range(_WAKES_AT_MOST):
            wake = self.policy.wake_ns()
            due = [self._expires_ns(lead) for lead in self._leases()]
            held = [rep.paused_until_ns for rep in self.pool.reps.values() if rep.paused_until_ns]
            moments = [*due, *held, *([] if wake is None else [wake])]
            moment = min(moments, default=until + 1)
            if moment > until or self.problems:
                break
            self.pool.now_ns = max(self.now_ns, moment)
            for lead in [lead for lead in self._leases() if self._expires_ns(lead) <= self.now_ns]:
                self._end(lead, self.pool.reps[lead.rep], "expired", blame=True, excluded=False)
            self._end_pauses()
            self.settle()
        else:
            self._problem(f"wake_ns asked to be woken more than {_WAKES_AT_MOST} times")
        self.pool.now_ns = until
        self.settle()

    def _end_pauses(self) -> None:
        for rep in self.pool.reps.values():
            if 0 < rep.paused_until_ns <= self.now_ns:
                rep.paused_until_ns = 0
                rep.last_freed_ns = self.now_ns
                self.policy.rep_changed(rep, self.now_ns)

    # How the policy is asked.

    def settle(self) -> None:
        """Ask until the policy has nothing to ask for, as the core does after every event."""
        self._step += 1
        bound = 4 * len(self.pool.leads) + 4 * len(self.pool.reps) + 16
        for _ in range(bound):
            before = self._state()
            intent = self.policy.next_intent(self.now_ns)
            if self._state() != before:
                self._problem("the policy wrote to a rep: reps are for reading")
            if intent is None:
                break
            self.log.append(f"{self.now_ns - START_NS} {intent}")
            problem = self._impossible(intent)
            if problem:
                self._problem(problem)
                break
            self._commit(intent)
        else:
            self._problem(f"next_intent did not come to an end after {bound} intents")
        self._after()

    def _after(self) -> None:
        wake = self.policy.wake_ns()
        if wake is not None and wake <= self.now_ns:
            self._problem("wake_ns lies in the past although next_intent had nothing to do")
        for rep_id, flow, _numbers in self.policy.flow_changes(self.now_ns):
            self.flows.append((rep_id, flow))
            if rep_id not in self.pool.reps:
                self._problem(f"flow_changes names {rep_id!r}, who is no member")
            if not 0.0 <= flow.value <= 1.0 or not flow.reason:
                self._problem("a flow is from 0 to 1 and has a reason")
            elif flow.value < 1.0 and not (flow.because and flow.restores):
                self._problem("less than full flow says why and what restores it")
        for rep_id, memory in self.policy.changed_memory():
            self.memory[rep_id] = bytes(memory)
        if any(True for _ in self.policy.changed_memory()):
            self._problem("changed_memory gave the same changes twice")
        if self._restart_every and self._step % self._restart_every == 0:
            self._start_anew()

    def _start_anew(self) -> None:
        self.policy = self.factory()
        for rep_id, memory in self.memory.items():
            self.policy.restore(rep_id, memory)
        self.policy.start(self.pool, self.now_ns)

    def _tell(self, fact: Callable[[], None]) -> None:
        before = self._state()
        fact()
        if self._state() != before:
            self._problem("the policy wrote to a rep: reps are for reading")

    def _state(self) -> bytes:
        return msgspec.msgpack.encode(self.pool.reps)

    def audit(self) -> None:
        """At the end: whether every lead is still as the floor left it."""
        for key, lead in self.pool.leads.items():
            if msgspec.msgpack.encode(lead) != self._left[key]:
                self._problem("the policy wrote to a lead: leads are for reading")

    def _problem(self, text: str) -> None:
        if text not in self.problems:
            self.problems.append(text)

    # What is possible, and what it does.

    def _impossible(self, intent: Intent) -> str:
        """Why this intent cannot be carried out, or ""."""
        texts = _bad_texts(intent)
        if texts:
            return texts
        lead = self.pool.leads.get(intent.lead_key)
        if isinstance(intent, Recall):
            live = lead is not None and lead.state == "assigned" and lead.rep == intent.rep
            return "" if live else "a Recall names an uncontacted lead and the rep who has it"
        if lead is None or lead.state != "waiting":
            return f"a {type(intent).__name__} names a lead that is not waiting"
        return "" if isinstance(intent, Defer) else self._impossible_lease(intent, lead)

    def _impossible_lease(self, lease: Lease, lead: Lead) -> str:
        rep = self.pool.receiving.get(lease.rep)
        if rep is None:
            return "a Lease names a rep who is not receiving"
        if set(lease.presumed_finished) - {key for key, new in rep.open.items() if not new}:
            return "presumed_finished names leads that are not contacted leads of the rep"
        if len(rep.open) - len(lease.presumed_finished) >= rep.window:
            return "a Lease names a rep without a free slot"
        if not self.pool.may_take(rep, lead):
            return "a Lease names a rep who may not take the lead"
        if rep.override == 0.0 and (rep.override_until_ns or self.now_ns + 1) > self.now_ns:
            return "a Lease names a rep whose flow a supervisor set to 0"
        ranked = [name for name, _, _ in lease.ranked]
        if len(ranked) > 16 or (ranked and lease.rep not in ranked):
            return "ranked has at most 16 reps, the chosen one among them"
        return ""

    def _commit(self, intent: Intent) -> None:
        lead = self.pool.leads[intent.lead_key]
        if isinstance(intent, Defer):
            self.deferred.add(lead.key)
            return
        rep = self.pool.reps[intent.rep]
        if isinstance(intent, Recall):
            self._end(lead, rep, "recalled", blame=True, excluded=False)
            return
        for key in intent.presumed_finished:
            del rep.open[key]
            done = self._replace(self.pool.leads[key], in_pipeline=False)
            self.policy.work_ended(done, rep, "presumed", self.now_ns, self.now_ns)
        now = self.now_ns
        rep.open[lead.key] = True
        rep.last_assigned_ns = now
        lead = self._replace(
            lead,
            state="assigned",
            rep=rep.id,
            attempt=lead.attempt + 1,
            assignment_id=f"{lead.key}-{lead.attempt + 1}",
            assigned_ns=now,
            since_ns=now,
            in_pipeline=True,
            probe=intent.probe,
        )
        self._tell(lambda: self.policy.leased(lead, rep, now))
        self._tell(lambda: self.policy.rep_changed(rep, now))

    def _end(self, lead: Lead, rep: Rep, cause: EndCause, *, blame: bool, excluded: bool) -> None:
        now = self.now_ns
        rep.open.pop(lead.key, None)
        rep.last_freed_ns = now
        back = self._replace(
            lead,
            state="waiting",
            rep="",
            assignment_id="",
            since_ns=now,
            epoch=lead.epoch + 1,
            in_pipeline=False,
            recalls=lead.recalls + 1,
            excluded=(*lead.excluded, rep.id) if excluded else lead.excluded,
        )
        self._tell(lambda: self.policy.lease_ended(lead, rep, cause, blame=blame, now_ns=now))
        self._tell(lambda: self.policy.rep_changed(rep, now))
        self._tell(lambda: self.policy.lead_waiting(back, now))

    def _replace(self, lead: Lead, **changes: object) -> Lead:
        changed = msgspec.structs.replace(lead, **changes)
        self._keep(changed)
        return changed

    def _keep(self, lead: Lead) -> None:
        self.pool.leads[lead.key] = lead
        self._left[lead.key] = msgspec.msgpack.encode(lead)

    def _leases(self) -> list[Lead]:
        return [lead for lead in self.pool.leads.values() if lead.state == "assigned"]

    def _expires_ns(self, lead: Lead) -> int:
        return lead.assigned_ns + self.pool.span_ns(self.pool.flow.lease_seconds)


def _bad_texts(intent: Intent) -> str:
    """What is wrong with the reason, the sentence or the numbers, or ""."""
    if not _CODE.fullmatch(intent.reason):
        return "a reason is a short code of a-z, 0-9 and _"
    if len(intent.because) < 10 or " " not in intent.because or "\n" in intent.because:
        return "because is one sentence in one line"
    if isinstance(intent, Defer):
        return ""
    if not all(isfinite(number) for number in intent.numbers.values()):
        return "numbers are finite"
    return ""
