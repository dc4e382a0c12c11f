"""A supervisor's actions: pause, resume, override a rep; assign, recycle, close a lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from distributor.core.lifecycle import can
from distributor.core.pool import RECEIVING
from distributor.domain.decisions import (
    EventRecorded,
    LeadRevived,
    RepControlled,
    StatusChanged,
)
from distributor.domain.lead import STATUS_MOVES
from distributor.domain.policy import Lease
from distributor.domain.rep import FOREVER_NS

if TYPE_CHECKING:
    from distributor.core.context import Core
    from distributor.core.leases import Leases
    from distributor.core.matching import Matching
    from distributor.core.pool import Pool
    from distributor.domain.events import SupervisorActed
    from distributor.domain.lead import Lead
    from distributor.domain.rep import Rep


_DO_NOT_CALL: Final = "the person asked not to be called (status dnc)"


class Supervision:
    """Decides about actions of people. The answer says ``rejected`` with the remedy, or ``accepted``."""

    def __init__(self, core: Core, leases: Leases, matching: Matching) -> None:
        self._core = core
        self._leases = leases
        self._matching = matching

    def handle(self, event: SupervisorActed) -> None:
        """Check the action, put it on record, and carry it out."""
        reason = self._refusal(event)
        lead = self._lead(event)
        self._core.emit(
            EventRecorded(
                event_id="",
                source=f"supervisor:{event.who}",
                type=event.action,
                lead_key=event.lead_key,
                assignment_id=lead.assignment_id if lead else "",
                rep=event.rep,
                at_ns=self._core.now_ns,
                outcome="rejected" if reason else "accepted",
                reason=reason or event.reason,
            )
        )
        if reason:
            return
        if event.action in ("pause", "resume", "override"):
            self._control(event, self._core.state.reps[event.rep])
        elif lead is not None:
            if lead.key not in self._core.state.leads:
                self._core.emit(LeadRevived(lead))
            self._on_lead(event, lead)

    def _lead(self, event: SupervisorActed) -> Lead | None:
        return self._core.state.leads.get(event.lead_key) or event.recalled

    def _refusal(self, event: SupervisorActed) -> str:
        """Why the action cannot be done; "" when it can."""
        rep = self._core.state.reps.get(event.rep)
        if event.action in ("pause", "resume", "override"):
            return "" if rep is not None and rep.listed else f"rep {event.rep!r} is not known"
        lead = self._lead(event)
        if lead is None:
            return f"no lead has the key {event.lead_key!r}"
        if event.action == "assign":
            return self._assign_refusal(event, lead, rep)
        if event.action == "recycle" and lead.state == "waiting":
            return "the lead waits already"
        if event.action == "recycle" and lead.status == "dnc":
            remedy = "correct its status with an event, or assign it to a rep with force"
            return f"{_DO_NOT_CALL}: {remedy}"
        if event.action == "close":
            if lead.state == "closed":
                return "the lead is closed already"
            if event.status is None or STATUS_MOVES[event.status] != "close":
                return "status: give one that closes a lead, such as lost or invalid"
        return ""

    def _assign_refusal(self, event: SupervisorActed, lead: Lead, rep: Rep | None) -> str:
        if rep is None or not rep.listed:
            return f"rep {event.rep!r} is not known"
        if self._pool_for(lead, rep.id) is None:
            return f"{rep.id} belongs to no pool: see [[pools]]"
        if lead.assignment_id and lead.rep == rep.id:
            return f"{rep.id} has the lead already"
        if lead.status == "dnc" and not event.force:
            return f"{_DO_NOT_CALL}: correct its status with an event, or force it"
        verdict = self._core.state.verdict(rep)
        if verdict not in RECEIVING and not event.force:
            return f"{rep.id} is not ready ({verdict}): choose another, or force it"
        return ""

    # -- reps ----------------------------------------------------------------------------------

    def _control(self, event: SupervisorActed, rep: Rep) -> None:
        core = self._core
        if event.action == "resume":
            core.emit(RepControlled(rep.id, "resume", event.who, event.reason))
            if rep.override is not None:
                core.emit(RepControlled(rep.id, "override_ended", event.who, event.reason))
        else:
            core.emit(
                RepControlled(
                    rep=rep.id,
                    action=event.action,  # type: ignore[arg-type]
                    who=event.who,
                    reason=event.reason,
                    until_ns=event.until_ns or FOREVER_NS,
                    flow=event.flow,
                )
            )
        core.refresh(rep)
        core.tell_pools(rep)
        if event.action == "pause":
            self._leases.take_back(rep, "rep_away", f"{rep.id} was paused by {event.who}")

    # -- leads ---------------------------------------------------------------------------------

    def _on_lead(self, event: SupervisorActed, lead: Lead) -> None:
        because = f"by {event.who}: {event.reason}" if event.reason else f"by {event.who}"
        if event.action == "close":
            self._close(event, lead, because)
            return
        self._back_to_pool(lead, because, event.who)
        if event.action == "assign":
            self._assign(event, self._core.state.leads[lead.key], because)

    def _back_to_pool(self, lead: Lead, because: str, who: str) -> None:
        """Bring a lead back to its pool from wherever it is."""
        if lead.assignment_id:
            self._leases.end(lead, "supervisor", because, by=who)
            lead = self._core.state.leads[lead.key]
        if can(lead, "release"):
            self._leases.release(lead, "supervisor", because, by=who)

    def _assign(self, event: SupervisorActed, lead: Lead, because: str) -> None:
        core = self._core
        pool = self._pool_for(lead, event.rep)
        if pool is None:
            return
        rep = core.state.reps[event.rep]
        ask = Lease(lead.key, rep.id, "supervisor", f"assigned {because}")
        self._matching.commit_assignment(pool, lead, rep, ask, policy_name="supervisor")

    def _pool_for(self, lead: Lead, rep_id: str) -> Pool | None:
        """The pool in which the rep gets the lead: its own, or one of the rep's where that is gone."""
        state = self._core.state
        if state.is_listed(lead.pool):
            return state.pool(lead.pool)
        return next(iter(state.pools_of.get(rep_id, ())), None)

    def _close(self, event: SupervisorActed, lead: Lead, because: str) -> None:
        core = self._core
        if lead.in_pipeline and lead.dialled:
            self._leases.end_work(lead, "taken_back", core.now_ns)
            lead = core.state.leads[lead.key]
        if lead.assignment_id:
            self._leases.end(lead, "closed", because, revoke=True, by=event.who)
        assert event.status is not None
        core.emit(
            StatusChanged(
                lead_key=lead.key,
                status=event.status,
                rep=lead.rep,
                vendor=lead.vendor,
                at_ns=core.now_ns,
                because=because,
                by=event.who,
            )
        )
