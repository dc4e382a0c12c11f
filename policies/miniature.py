"""A small floor for the tests of policies: one pool in memory, its facts told as the core tells them.

It is no copy of the core: it keeps just enough state to say whether what a policy asks for is possible.
How the policy is asked, and what is noted of it, is in ``policies.asking``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from distributor.domain.decisions import EndCause, WorkEndCause
from distributor.domain.floor import FlowPlan
from distributor.domain.ids import to_ns
from distributor.domain.lead import Lead, LeadStatus
from distributor.domain.policy import Defer, Intent, Policy, Recall
from distributor.domain.rep import Rep, RepState
from policies.asking import Asking
from policies.minipool import MiniPool

__all__ = ["MiniFloor", "MiniPool"]

_WAKES_AT_MOST: Final = 5_000
_SAYS_SOMETHING: Final = ("rejected", "expired", "recalled")


class MiniFloor(Asking):
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
        super().__init__(factory, MiniPool(flow), restart_every)
        self.deferred: set[str] = set()
        self._left: dict[str, bytes] = {}
        self._tests: list[str] = []
        self._unlisted: dict[str, Rep] = {}
        for number in range(reps):
            rep = Rep(id=f"rep{number}", team="north", window=window, open={}, weight=1.0)
            self.pool.reps[rep.id] = rep
        self.policy = factory()
        self.pool.keeps_shares = not getattr(self.policy, "weighs_overrides", False)
        self.policy.start(self.pool, self.now_ns)

    # What happens.

    def presence(self, rep_id: str, state: RepState) -> None:
        """A rep's state changes; what it had not contacted comes back when it goes."""
        rep = self.pool.reps[rep_id]
        rep.state = state
        rep.since_ns = rep.state_at_ns = self.now_ns
        if state == "ready":
            rep.last_freed_ns = self.now_ns
            if rep.sends_states:
                self._end_calls(rep)
        rep.sends_states = rep.sends_states or state in ("busy", "wrap_up")
        self._tell(lambda: self.policy.rep_changed(rep, self.now_ns))
        if state in ("away", "offline"):
            self._take_back(rep, "rep_away" if state == "away" else "rep_offline")
        self.settle()

    def _end_calls(self, rep: Rep) -> None:
        for lead in [self.pool.leads[key] for key in rep.open]:
            if lead.dialled:
                self._leave(lead, rep, "agent_ready", counted=True)

    def _take_back(self, rep: Rep, cause: EndCause) -> None:
        """What the rep has not begun; what is dialled only from who signs off: it may be ringing."""
        for lead in [self.pool.leads[key] for key in rep.open]:
            ringing = cause == "rep_away" and lead.attempted_ns
            if lead.state == "assigned" and not lead.claimed_ns and not ringing:
                self._end(lead, rep, cause)

    def changed(self, rep: Rep) -> None:
        """Tell the policy that a rep changed (after a test wrote to it) and ask it."""
        self._tell(lambda: self.policy.rep_changed(rep, self.now_ns))
        self.settle()

    def lead(
        self, key: str, *, quality: float = 1.0, test: bool = False, prefers: str = ""
    ) -> None:
        """A lead comes in; ``prefers``: the rep who is asked first. A test lead is shown to somebody
        without asking the policy, and takes no slot."""
        now = self.now_ns
        lead = Lead(key, "acme", key, "mini", "waiting", now, now, quality, test=test)
        lead.since_ns, lead.prefers = now, prefers
        self._keep(lead)
        self._waits(lead)
        self.settle()

    def _waits(self, lead: Lead) -> None:
        if lead.test:
            self._tests.append(lead.key)
        else:
            self._tell(lambda: self.policy.lead_waiting(lead, self.now_ns))

    def _before_asking(self) -> None:
        for key in list(self._tests):
            lead, receiving = self.pool.leads[key], self.pool.receiving
            left = [rep_id for rep_id in receiving if rep_id not in lead.excluded]
            if left:
                self._tests.remove(key)
                self._assign(lead, receiving[min(left)], "test", probe=False)

    def attempt(self, key: str) -> None:
        """The dialer places a call; nobody has answered yet."""
        lead = self.pool.leads[key]
        first = not lead.dialled
        if not lead.attempted_ns:
            self._replace(lead, attempted_ns=self.now_ns)
        if first:
            self._hear(lead, counted=True)
        self.settle()

    def contact(self, key: str, *, counted: bool = True) -> None:
        """The rep who has the lead talks to the person; not ``counted``: so the rep claims, and the
        lead stays leased."""
        lead = self.pool.leads[key]
        now = self.now_ns
        if counted:
            self._replace(lead, state="working", contacted_ns=now, call_ns=lead.call_ns or now)
            if lead.in_pipeline:
                self._rep(lead).open[key] = False
        else:
            self._replace(lead, claimed_ns=now)
        if not lead.call_ns and (counted or not lead.attempted_ns):
            self._hear(lead, counted=counted)
        self.settle()

    def claim(self, key: str) -> None:
        """The rep says that it talks to the person; nobody else saw it."""
        self.contact(key, counted=False)

    def working(self, key: str) -> None:
        """The rep says that the lead is in work; nobody saw a call."""
        lead = self.pool.leads[key]
        self._replace(lead, state="working")
        if not lead.dialled:
            self._hear(lead, counted=False)
        self.settle()

    def _hear(self, lead: Lead, *, counted: bool) -> None:
        """The policy hears of a sign of life; ``lead`` is the record before it, as in the core."""
        if not lead.in_pipeline:
            return
        rep, now = self._rep(lead), self.now_ns
        counted = counted and not lead.blameless
        self._tell(lambda: self.policy.contacted(lead, rep, now, counted=counted, now_ns=now))

    def finish(
        self,
        key: str,
        *,
        converted: bool = False,
        cause: WorkEndCause = "call_ended",
        status: LeadStatus | None = None,
        counted: bool = True,
    ) -> None:
        """The conversation is over and the lead closed, as ``status`` where one is given; with
        ``call_limit`` its end is inferred, and the lead stays in work until somebody says more (``late``). Not ``counted``: the rep
        claims so."""
        lead = self.pool.leads[key]
        rep = self._rep(lead)
        if lead.in_pipeline:
            self._leave(lead, rep, cause, counted=counted)
        if cause != "call_limit":
            self._replace(self.pool.leads[key], state="closed", status=status)
        if converted and not lead.test:
            self._tell(lambda: self.policy.converted(lead, rep, self.now_ns))
        self._rep_changed(rep)
        self.settle()

    def late(self, key: str, status: LeadStatus | None = None, *, counted: bool = True) -> None:
        """The status of a lead that had left the pipeline before."""
        lead = self.pool.leads[key]
        rep = self.pool.reps.get(lead.rep)
        if rep is not None and not lead.test:
            now = self.now_ns
            self._tell(lambda: self.policy.work_ended(lead, rep, "late", now, now, counted=counted))
        self._replace(lead, state="closed", status=status)
        self.settle()

    def _leave(self, lead: Lead, rep: Rep, cause: WorkEndCause, *, counted: bool) -> None:
        rep.open.pop(lead.key, None)
        rep.last_freed_ns = now = self.now_ns
        if cause in ("call_ended", "status"):
            free_ns = now + self.pool.span_ns(self.pool.flow.wrap_up_seconds)
            if free_ns > max(now, rep.free_from_ns):
                rep.free_from_ns, rep.wraps_up = free_ns, True
        self._replace(lead, in_pipeline=False)
        self._tell(lambda: self.policy.work_ended(lead, rep, cause, now, now, counted=counted))

    def end(
        self, key: str, cause: EndCause, *, blame: bool = True, excluded: bool | None = None
    ) -> None:
        """An assignment ends and the lead waits again. ``excluded``: whether the rep is asked no more;
        by default as the core has it."""
        lead = self.pool.leads[key]
        self._end(lead, self._rep(lead), cause, blame=blame, excluded=excluded)
        self.settle()

    def restarted(self, key: str) -> None:
        """The clocks of a lease begin anew."""
        lead = self.pool.leads[key]
        rep = self._rep(lead)
        lead = self._replace(lead, assigned_ns=self.now_ns, blameless=True)
        self._tell(lambda: self.policy.lease_restarted(lead, rep, self.now_ns))
        self.settle()

    def settings(self, reps: list[str]) -> None:
        """New settings: these are the members now. What others have not begun comes back."""
        known = self.pool.reps | self._unlisted
        for rep_id in reps:
            known.setdefault(rep_id, Rep(id=rep_id, team="north", open={}))
        self._unlisted = {rep_id: rep for rep_id, rep in known.items() if rep_id not in reps}
        for rep in self._unlisted.values():
            rep.state = "offline"
        for rep_id, rep in known.items():
            rep.listed = rep_id in reps
        self.pool.reps.clear()
        self.pool.reps.update({rep_id: known[rep_id] for rep_id in reps})
        self._tell(lambda: self.policy.start(self.pool, self.now_ns))
        for rep in self._unlisted.values():
            self._take_back(rep, "rep_removed")
        self.settle()

    def _rep(self, lead: Lead) -> Rep:
        """The rep who has the lead, listed or not."""
        rep = self.pool.reps.get(lead.rep)
        return self._unlisted[lead.rep] if rep is None else rep

    def _rep_changed(self, rep: Rep) -> None:
        if rep.listed:
            self._tell(lambda: self.policy.rep_changed(rep, self.now_ns))

    def advance(self, seconds: float) -> None:
        """Time passes; the policy is woken when it asked for it, and leases run out."""
        until = self.now_ns + to_ns(seconds)
        for _ in range(_WAKES_AT_MOST):
            wake = self.policy.wake_ns()
            due = [self._expires_ns(lead) for lead in self._leases()]
            held = [rep.paused_until_ns for rep in self.pool.reps.values() if rep.paused_until_ns]
            held += [rep.free_from_ns for rep in self._not_free_yet()]
            holds = [self.pool.hold_ends_ns(lead) for lead in self.pool.waiting_for_owners()]
            held += [at_ns for at_ns in holds if at_ns > self.now_ns]
            moments = [*due, *held, *([] if wake is None else [wake]), *self.pool.looks_again()]
            moment = min(moments, default=until + 1)
            if moment > until or self.problems:
                break
            waited = self._not_free_yet()
            self.pool.now_ns = max(self.now_ns, moment)
            for lead in [lead for lead in self._leases() if self._expires_ns(lead) <= self.now_ns]:
                cause: EndCause = "working_limit" if lead.claimed_ns else "expired"
                self._end(lead, self._rep(lead), cause)
            self._end_pauses()
            for rep in [rep for rep in waited if rep.free_from_ns <= self.now_ns]:
                self._rep_changed(rep)
            self.settle()
        else:
            self._problem(f"wake_ns asked to be woken more than {_WAKES_AT_MOST} times")
        self.pool.now_ns = until
        self.settle()

    def _not_free_yet(self) -> list[Rep]:
        """Who waits for the end of a wrap-up or of the pace."""
        return [rep for rep in self.pool.reps.values() if rep.free_from_ns > self.now_ns]

    def _end_pauses(self) -> None:
        for rep in self.pool.reps.values():
            if 0 < rep.paused_until_ns <= self.now_ns:
                rep.paused_until_ns = 0
                rep.last_freed_ns = self.now_ns
                self.policy.rep_changed(rep, self.now_ns)

    def audit(self) -> None:
        """At the end: whether every lead is still as the floor left it."""
        for key, lead in self.pool.leads.items():
            if msgspec.msgpack.encode(lead) != self._left[key]:
                self._problem("the policy wrote to a lead: leads are for reading")

    # What is possible, and what it does.

    def _commit(self, intent: Intent) -> None:
        lead = self.pool.leads[intent.lead_key]
        if isinstance(intent, Defer):
            self.deferred.add(lead.key)
            self._replace(lead, reason=intent.reason, because=intent.because)
            return
        rep = self.pool.reps[intent.rep]
        if isinstance(intent, Recall):
            self._end(lead, rep, "recalled")
            return
        for key in intent.presumed_finished:
            self._leave(self.pool.leads[key], rep, "presumed", counted=False)
        now = self.now_ns
        if not lead.test:
            self.pool.given(rep)
        rep.open[lead.key] = True
        rep.last_assigned_ns = now
        if rep.pace_ns and now + rep.pace_ns >= rep.free_from_ns:
            rep.free_from_ns, rep.wraps_up = now + rep.pace_ns, False
        lead = self._assign(lead, rep, intent.reason, probe=intent.probe)
        self._tell(lambda: self.policy.leased(lead, rep, now))
        self._rep_changed(rep)

    def _assign(self, lead: Lead, rep: Rep, reason: str, *, probe: bool) -> Lead:
        now = self.now_ns
        return self._replace(
            lead,
            state="assigned",
            rep=rep.id,
            attempt=lead.attempt + 1,
            assignment_id=f"{lead.key}-{lead.attempt + 1}",
            assigned_ns=now,
            since_ns=now,
            in_pipeline=not lead.test,
            probe=probe,
            reason=reason,
            prefers="",
            blameless=False,
            attempted_ns=0,
            claimed_ns=0,
            call_ns=0,
        )

    def _end(
        self,
        lead: Lead,
        rep: Rep,
        cause: EndCause,
        *,
        blame: bool = True,
        excluded: bool | None = None,
    ) -> None:
        now = self.now_ns
        told = lead.dialled
        blame = blame and cause in _SAYS_SOMETHING and not lead.blameless and not told
        if excluded is None:
            excluded = cause == "rejected" or (cause in _SAYS_SOMETHING and not lead.blameless)
        if lead.in_pipeline:
            del rep.open[lead.key]
            rep.last_freed_ns = now
        back = self._replace(
            lead,
            state="waiting",
            rep="",
            assignment_id="",
            since_ns=now,
            epoch=lead.epoch + 1,
            in_pipeline=False,
            probe=False,
            reason=cause,
            recalls=lead.recalls + (not lead.contacted_ns),
            excluded=(*lead.excluded, rep.id) if excluded else lead.excluded,
        )
        if told and lead.in_pipeline:
            after = _after_a_dial(cause)
            self._tell(lambda: self.policy.work_ended(lead, rep, after, now, now, counted=False))
        elif lead.in_pipeline:
            self._tell(lambda: self.policy.lease_ended(lead, rep, cause, blame=blame, now_ns=now))
        self._rep_changed(rep)
        self._waits(back)
        signed_on = [rep.id for rep in self.pool.reps.values() if rep.state != "offline"]
        if back.excluded and set(signed_on) <= set(back.excluded):
            self._replace(back, state="exception")  # once around: the desk decides
            if back.test:
                self._tests.remove(back.key)

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
        if lead.claimed_ns:
            return lead.claimed_ns + self.pool.span_ns(self.pool.flow.working_limit_seconds)
        return lead.assigned_ns + self.pool.span_ns(self.pool.flow.lease_seconds)


def _after_a_dial(cause: EndCause) -> WorkEndCause:
    """What a policy hears when a lead ends that was dialled already."""
    if cause == "rejected":
        return "status"
    return "unheard" if cause in ("expired", "working_limit") else "taken_back"
