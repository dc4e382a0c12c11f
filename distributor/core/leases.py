"""The end of assignments, and what follows for the lead: back to the pool, or to the desk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distributor.core.routing import route
from distributor.domain.decisions import (
    AssignmentEnded,
    EndCause,
    HoldKind,
    LeadHeld,
    LeadReleased,
    LeadRerouted,
    LeaseRestarted,
    ReleaseReason,
    WorkEndCause,
    WorkEnded,
)

if TYPE_CHECKING:
    from distributor.core.context import Core
    from distributor.domain.lead import Lead
    from distributor.domain.rep import Rep

SAYS_SOMETHING: frozenset[EndCause] = frozenset({"rejected", "expired", "recalled"})
"""Ends that the rep could have prevented: they exclude the rep for this lead, unless a fault of the
dialer touched the lease (a refusal is the rep's own all the same)."""


class Leases:
    """Ends leases for every cause there is."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def end(
        self,
        lead: Lead,
        cause: EndCause,
        because: str,
        *,
        revoke: bool = True,
        numbers: dict[str, float] | None = None,
        by: str = "",
        untaken: bool = False,
    ) -> None:
        """End a live assignment. The policy hears of it when the lead was not contacted."""
        core = self._core
        rep = core.state.reps[lead.rep]
        told = lead.dialled
        blame = cause in SAYS_SOMETHING and not lead.blameless and not told
        core.emit(
            AssignmentEnded(
                lead_key=lead.key,
                assignment_id=lead.assignment_id,
                rep=rep.id,
                cause=cause,
                at_ns=core.now_ns,
                revoke=revoke,
                blame=blame,
                excluded=cause == "rejected"
                or (cause in SAYS_SOMETHING and not lead.test and not lead.blameless),
                because=because,
                numbers=numbers or {},
                by=by,
                dialer=lead.dialer,
                untaken=untaken,
            )
        )
        policy = core.policy_of(lead)
        if policy is not None:
            if lead.in_pipeline and told:
                why = _end_of_work(cause)
                policy.work_ended(lead, rep, why, core.now_ns, core.now_ns, counted=False)
            elif lead.in_pipeline:
                policy.lease_ended(lead, rep, cause, blame=blame, now_ns=core.now_ns)
            core.stir(lead.pool)
        core.refresh(rep, lead)
        self._wait_or_hold(lead.key)

    def _wait_or_hold(self, key: str) -> None:
        """A lead that came back waits again, unless everybody who could have it let it lie."""
        lead = self._core.state.leads[key]
        if lead.state == "waiting":
            self.hold_if_exhausted(self.begin_to_wait(lead))

    def begin_to_wait(self, lead: Lead) -> Lead:
        """A lead waits: its policy hears of it. Where its pool is not configured any more it goes on
        in the one that is, or to the desk. Its record afterwards."""
        core = self._core
        if not core.state.is_listed(lead.pool):
            self._reroute(lead)
            lead = core.state.leads[lead.key]
        policy = core.policy_of(lead)
        if lead.state == "waiting":
            core.stir(lead.pool)
            if policy is not None:
                policy.lead_waiting(lead, core.now_ns)
        return lead

    def _reroute(self, lead: Lead) -> None:
        old, new = lead.pool, route(self._core.state)
        if new is None:
            self.hold(lead, "no_pool", f"pool {old} is no longer configured")
        else:
            because = f"pool {old} is no longer configured: it goes on in {new}"
            self._core.emit(LeadRerouted(lead.key, new, because))

    def hold_if_exhausted(self, lead: Lead) -> None:
        """Send a lead that all signed-on reps refused or let lie to the desk."""
        pool = self._core.pool_of(lead)
        if pool is None or lead.state != "waiting" or lead.test or not pool.exhausted(lead):
            return  # a test lead that all refused ends by itself
        self._hold_as_refused(lead)

    def hold_all_exhausted(self) -> None:
        """Do so with all leads of the pools where somebody left."""
        core = self._core
        for pool_id in core.shrunk:
            pool = core.state.pools.get(pool_id)
            for lead in pool.all_exhausted() if pool is not None else ():
                self._hold_as_refused(lead)
        core.shrunk = {}

    def _hold_as_refused(self, lead: Lead) -> None:
        names = ", ".join(lead.excluded)
        self.hold(lead, "all_refused", f"every signed-on rep was asked once: {names}")

    def hold(self, lead: Lead, kind: HoldKind, because: str) -> None:
        """A human decides about this lead."""
        self._core.emit(LeadHeld(lead.key, kind, self._core.now_ns, because))

    def release(
        self, lead: Lead, reason: ReleaseReason, because: str, prefers: str = "", by: str = ""
    ) -> None:
        """A lead that is with nobody, whatever its state, waits in its pool again."""
        core = self._core
        flow = core.state.floor.flow
        core.emit(
            LeadReleased(
                lead_key=lead.key,
                reason=reason,
                at_ns=core.now_ns,
                deadline_ns=core.now_ns + flow.span_ns(flow.waiting_limit_seconds),
                because=because,
                prefers=prefers,
                by=by,
            )
        )
        self.begin_to_wait(core.state.leads[lead.key])

    def take_back(self, rep: Rep, cause: EndCause, because: str) -> None:
        """All uncontacted leads of a rep come back at once. One that is dialled stays with a rep who
        only takes a break: it may be ringing."""
        for key in list(rep.open):
            lead = self._core.state.leads[key]
            dialled = cause == "rep_away" and lead.attempted_ns
            untouched = not lead.claimed_ns and not dialled
            if lead.state == "assigned" and lead.assignment_id and untouched:
                self.end(lead, cause, because)

    def restart(self, lead: Lead, because: str, *, blameless: bool = True) -> None:
        """Begin a lease's clocks anew. ``blameless``: nor will its end speak against the rep."""
        core = self._core
        flow = core.state.floor.flow
        expires = core.now_ns + flow.span_ns(flow.lease_seconds)
        core.emit(LeaseRestarted(lead.key, lead.rep, core.now_ns, expires, because, blameless))
        policy = core.policy_of(lead)
        if policy is not None:
            rep = core.state.reps[lead.rep]
            policy.lease_restarted(core.state.leads[lead.key], rep, core.now_ns)
            core.stir(lead.pool)

    def end_work(
        self,
        lead: Lead,
        cause: WorkEndCause,
        at_ns: int,
        talk_seconds: float | None = None,
        *,
        counted: bool = True,
    ) -> None:
        """The lead leaves its rep's pipeline; the rep's wrap-up begins. ``counted`` False: a bare claim."""
        core = self._core
        rep = core.state.reps[lead.rep]
        flow = core.state.floor.flow
        wraps = cause in ("call_ended", "status") and flow.wrap_up_seconds
        free_from = at_ns + flow.span_ns(flow.wrap_up_seconds) if wraps else 0
        core.emit(WorkEnded(lead.key, rep.id, cause, at_ns, talk_seconds, free_from))
        policy = core.policy_of(lead)
        if policy is not None:
            # Policies know a lease from where its clocks began (anew), and nothing before.
            at_ns = max(at_ns, lead.assigned_ns)
            policy.work_ended(lead, rep, cause, at_ns, core.now_ns, counted=counted)
            core.stir(lead.pool)
        core.refresh(rep, lead)


def _end_of_work(cause: EndCause) -> WorkEndCause:
    """What the end of an assignment says about the work on a lead that was dialled."""
    if cause == "rejected":
        return "status"
    return "unheard" if cause in ("expired", "working_limit") else "taken_back"
