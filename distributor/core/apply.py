"""``apply``: the one place where a decision becomes state. Recovery is nothing but this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from distributor.core.lifecycle import changed, moved
from distributor.core.order import AT_REST, held_by_a_call
from distributor.domain import decisions as d
from distributor.domain.lead import STATUS_MOVES
from distributor.domain.rep import Flow
from distributor.domain.shares import AT_WORK, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributor.core.state import State
    from distributor.domain.lead import Lead
    from distributor.domain.rep import Rep

_SIGNS_OF_LIFE: Final = ("status", "call_ended", "agent_ready", "late")
"""Ends of work that only a rep who is there can bring about."""
_ANEW: Final[dict[str, Any]] = {
    "status": None,
    "status_ns": 0,
    "last_rep": "",
    "last_assignment": "",
}
"""A closed lead that somebody releases begins anew: what was said of it before counts no more."""


class Apply:
    """Applies decisions to a ``State``. Deterministic; asks nobody; raises ``ImpossibleMove`` for a
    decision that does not fit the state, before it has changed anything of that lead."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.touched_leads: dict[str, Lead] = {}
        self.touched_reps: dict[str, None] = {}
        self._by_type: dict[type, Callable[[Any], None] | None] = {
            d.LeadAccepted: self._lead_accepted,
            d.LeadRevived: self._lead_revived,
            d.Assigned: self._assigned,
            d.AssignmentEnded: self._assignment_ended,
            d.DeliveryAccepted: self._delivery_accepted,
            d.AttemptRecorded: self._attempt_recorded,
            d.ContactRecorded: self._contact_recorded,
            d.StandardCounted: self._standard_counted,
            d.WorkEnded: self._work_ended,
            d.StatusChanged: self._status_changed,
            d.LeadHeld: self._lead_held,
            d.LeadReleased: self._lead_released,
            d.LeadRerouted: self._lead_rerouted,
            d.LeaseRestarted: self._lease_restarted,
            d.LeadDeferred: self._lead_deferred,
            d.PresenceChanged: self._presence_changed,
            d.RepControlled: self._rep_controlled,
            d.FlowChanged: self._flow_changed,
            d.MemoryRecorded: self._memory_recorded,
            d.TargetMarked: self._target_marked,
            d.FloorApplied: self._floor_applied,
            d.EpochBegan: self._epoch_began,
            # On record alone: the state is the same afterwards.
            d.LeadDuplicate: None,
            d.LeadRejected: None,
            d.DeadLettered: None,
            d.EventRecorded: None,
        }

    def __call__(self, decision: d.Decision) -> None:
        """Change the state by one decision (a decision that only records something changes none)."""
        change = self._by_type[type(decision)]
        if change is not None:
            change(decision)

    # -- leads ---------------------------------------------------------------------------------

    def _put(self, lead: Lead) -> None:
        self.touched_leads[lead.key] = lead
        self.state.put(lead)

    def _lead_accepted(self, decision: d.LeadAccepted) -> None:
        self.touched_leads[decision.lead.key] = decision.lead
        self.state.begin(decision.lead)

    def _lead_revived(self, decision: d.LeadRevived) -> None:
        lead = decision.lead
        self._put(lead)
        self.state.deadlines.set(self.state.standard_due_ns(lead), "standard", lead.key)

    def _assigned(self, decision: d.Assigned) -> None:
        state = self.state
        lead = state.leads[decision.lead_key]
        rep = state.reps[decision.rep]
        fresh = moved(lead, "assign", decision.at_ns)
        # Field by field: this is the hottest change of all, and keywords cost three times as much.
        fresh.rep = decision.rep
        fresh.assignment_id = decision.assignment_id
        fresh.assigned_ns = decision.at_ns
        fresh.attempt = decision.attempt
        fresh.epoch = decision.epoch
        fresh.contact_by_ns = decision.contact_by_ns
        fresh.deadline_ns = decision.lease_expires_ns
        fresh.in_pipeline = not lead.test
        fresh.probe = decision.probe
        fresh.blameless = fresh.accepted = False
        fresh.attempted_ns = fresh.claimed_ns = fresh.call_ns = fresh.leased_ns = 0
        if fresh.last_rep != decision.rep:
            fresh.last_rep = fresh.last_assignment = ""
        fresh.prefers = ""
        fresh.pool, fresh.dialer = decision.pool, decision.dialer
        fresh.reason, fresh.because = decision.reason, decision.because
        self._put(fresh)
        if lead.test:
            return
        if state.slowed and decision.pool in state.pools:
            self._settle_shares(decision, rep)
        for key in decision.presumed_finished:
            self._leave_pipeline(key, decision.rep)
        rep.open[lead.key] = True
        rep.assignments += 1
        rep.last_assigned_ns = decision.at_ns
        if rep.pace_ns:
            paced_ns = decision.at_ns + rep.pace_ns
            if paced_ns >= rep.free_from_ns:
                rep.free_from_ns, rep.wraps_up = paced_ns, False
            state.deadlines.set(rep.free_from_ns, "rep", rep.id)
        if decision.pool in state.pools:
            state.pools[decision.pool].picks += 1
        self.touched_reps[rep.id] = None

    def _settle_shares(self, decision: d.Assigned, taker: Rep) -> None:
        state, counts = self.state, decision.passed_over_counts
        slowed = state.pools[decision.pool].slowed_at_work(decision.at_ns)
        others = sum([counts.get(code, 0) for code in AT_WORK])
        others -= sum([state.verdict(rep) in AT_WORK for rep in slowed])
        for rep in settle(taker, slowed, max(others, 0), decision.at_ns):
            self.touched_reps[rep.id] = None

    def _leave_pipeline(self, key: str, rep_id: str) -> None:
        rep = self.state.reps.get(rep_id)
        if rep is not None and rep.open.pop(key, None) is not None:
            rep.last_freed_ns = self.state.now_ns
            self.touched_reps[rep_id] = None
        lead = self.state.leads.get(key)
        if lead is not None and lead.in_pipeline:
            self._put(changed(lead, in_pipeline=False))

    def _assignment_ended(self, decision: d.AssignmentEnded) -> None:
        self._leave_pipeline(decision.lead_key, decision.rep)
        lead = self.state.leads[decision.lead_key]
        by_status = decision.cause in ("closed", "parked")
        counts_on = by_status or decision.cause == "working_limit"
        fields: dict[str, Any] = {
            "epoch": lead.epoch + 1,
            "assignment_id": "",
            "had_by": decision.rep,
            "last_rep": decision.rep if counts_on else "",
            "last_assignment": decision.assignment_id if counts_on else "",
        }
        if by_status:
            self._put(changed(lead, **fields))
            return
        flow = self.state.floor.flow
        if decision.excluded and decision.rep not in lead.excluded:
            fields["excluded"] = (*lead.excluded, decision.rep)
        if not lead.contacted_ns:
            fields["recalls"] = lead.recalls + 1
        self._put(
            moved(
                lead,
                "return",
                decision.at_ns,
                rep="",
                deadline_ns=decision.at_ns + flow.span_ns(flow.waiting_limit_seconds),
                probe=False,
                reason=decision.cause,
                because=decision.because,
                **fields,
            )
        )

    def _delivery_accepted(self, decision: d.DeliveryAccepted) -> None:
        self._put(changed(self.state.leads[decision.lead_key], accepted=True))

    def _attempt_recorded(self, decision: d.AttemptRecorded) -> None:
        lead = self.state.leads[decision.lead_key]
        if not lead.attempted_ns:
            self._put(changed(lead, attempted_ns=decision.at_ns))
        if lead.state == "assigned" and lead.rep == decision.rep:
            self.state.dialled[lead.key] = decision.result

    def _contact_recorded(self, decision: d.ContactRecorded) -> None:
        lead = self.state.leads[decision.lead_key]
        rep = self.state.reps.get(decision.rep)
        if not decision.counted:
            if lead.assignment_id:
                deadline_ns = decision.deadline_ns
                self._put(changed(lead, claimed_ns=decision.at_ns, deadline_ns=deadline_ns))
            return
        if rep is not None:
            rep.judged = Flow()
        if rep is not None and lead.key in rep.open:
            rep.open[lead.key] = False
            self.touched_reps[rep.id] = None
        contacted_ns = lead.contacted_ns or decision.at_ns
        call_ns = lead.call_ns or decision.at_ns
        if decision.late:
            self._put(changed(lead, contacted_ns=contacted_ns, call_ns=call_ns))
        else:
            self._put(
                moved(
                    lead,
                    "contact",
                    self.state.now_ns,
                    contacted_ns=contacted_ns,
                    call_ns=decision.at_ns if lead.state in AT_REST else call_ns,
                    deadline_ns=decision.deadline_ns,
                    rep=decision.rep,
                )
            )
            fresh = self.state.leads[lead.key]
            self.state.deadlines.set(self.state.call_due_ns(fresh), "lead", lead.key)
        if rep is not None and decision.response_seconds is not None and not lead.test:
            self._count_contact(rep.id, decision)

    def _count_contact(self, rep_id: str, decision: d.ContactRecorded) -> None:
        rep = self.state.reps[rep_id]
        rep.contacts += 1
        rep.contacts_on_time += decision.on_time
        seconds = decision.response_seconds or 0.0
        old = rep.response_seconds
        rep.response_seconds = seconds if rep.contacts == 1 else old + 0.2 * (seconds - old)
        self.touched_reps[rep_id] = None

    def _standard_counted(self, decision: d.StandardCounted) -> None:
        lead = self.state.leads.get(decision.lead_key)
        if lead is not None:
            self._put(changed(lead, standard="met" if decision.met else "missed"))

    def _work_ended(self, decision: d.WorkEnded) -> None:
        self._leave_pipeline(decision.lead_key, decision.rep)
        rep = self.state.reps.get(decision.rep)
        if rep is not None and decision.cause in _SIGNS_OF_LIFE:
            rep.judged = Flow()
        if rep is not None and decision.free_from_ns > rep.free_from_ns:
            rep.free_from_ns, rep.wraps_up = decision.free_from_ns, True
            self.state.deadlines.set(rep.free_from_ns, "rep", rep.id)
            self.touched_reps[rep.id] = None
        lead = self.state.leads.get(decision.lead_key)
        if lead is not None and held_by_a_call(lead):
            due_ns = max(lead.parked_until_ns, self.state.now_ns + 1)
            self._put(changed(lead, deadline_ns=due_ns))

    def _status_changed(self, decision: d.StatusChanged) -> None:
        lead = self.state.leads[decision.lead_key]
        status_ns = max(lead.status_ns, decision.at_ns)
        if decision.correction:
            said = {"reason": decision.status, "because": decision.because or lead.because}
            self._put(
                moved(
                    lead,
                    "correct",
                    decision.at_ns,
                    status=decision.status,
                    status_ns=status_ns,
                    **said,
                )
            )
            return
        parks = STATUS_MOVES[decision.status] == "park"
        fields: dict[str, Any] = {
            "status": decision.status,
            "status_ns": status_ns,
            "deadline_ns": decision.deadline_ns,
            "parked_until_ns": decision.deadline_ns if parks else 0,
        }
        if decision.rep:
            fields["rep"] = decision.rep
        if decision.because:
            fields["because"] = decision.because
            fields["reason"] = decision.status
        self._put(moved(lead, STATUS_MOVES[decision.status], self.state.now_ns, **fields))

    def _lead_held(self, decision: d.LeadHeld) -> None:
        lead = self.state.leads[decision.lead_key]
        self._put(
            moved(
                lead,
                "hold",
                decision.at_ns,
                rep="",
                deadline_ns=0,
                reason=decision.kind,
                because=decision.because,
            )
        )

    def _lead_released(self, decision: d.LeadReleased) -> None:
        lead = self.state.leads[decision.lead_key]
        self._put(
            moved(
                lead,
                "release",
                decision.at_ns,
                rep="",
                excluded=(),
                recalls=0,
                **_ANEW if lead.state == "closed" else {},
                prefers=decision.prefers,
                deadline_ns=decision.deadline_ns,
                clock_ns=decision.at_ns,
                first_clock_ns=lead.speed_from_ns,
                reason=decision.reason,
                because=decision.because,
            )
        )

    def _lead_rerouted(self, decision: d.LeadRerouted) -> None:
        lead = self.state.leads[decision.lead_key]
        self._put(changed(lead, pool=decision.pool, because=decision.because))

    def _lease_restarted(self, decision: d.LeaseRestarted) -> None:
        lead = self.state.leads[decision.lead_key]
        self._put(
            changed(
                lead,
                assigned_ns=decision.at_ns,
                leased_ns=lead.leased_ns or lead.assigned_ns,
                deadline_ns=decision.lease_expires_ns,
                blameless=decision.blameless,
            )
        )

    def _lead_deferred(self, decision: d.LeadDeferred) -> None:
        self.state.deferred[decision.lead_key] = decision.reason
        lead = self.state.leads[decision.lead_key]
        fresh = changed(lead, reason=decision.reason, because=decision.because)
        self.touched_leads[lead.key] = fresh
        self.state.leads[lead.key] = fresh

    # -- reps ----------------------------------------------------------------------------------

    def _presence_changed(self, decision: d.PresenceChanged) -> None:
        rep = self.state.reps[decision.rep]
        if decision.state != rep.state:
            rep.since_ns = self.state.now_ns
            if decision.state == "ready":
                rep.last_freed_ns = self.state.now_ns
        rep.state = decision.state
        rep.state_at_ns = decision.at_ns
        rep.state_reason = decision.reason
        rep.judged = Flow()
        rep.offline_due_ns = decision.offline_due_ns
        if decision.state in ("busy", "wrap_up"):
            rep.sends_states = True
        self.state.deadlines.set(decision.offline_due_ns, "rep", rep.id)
        self.state.deadlines.set(self.state.back_by_ns(rep), "rep", rep.id)
        self.touched_reps[rep.id] = None

    def _rep_controlled(self, decision: d.RepControlled) -> None:
        rep, now_ns = self.state.reps[decision.rep], self.state.now_ns
        if decision.action == "pause":
            if rep.paused_until_ns <= now_ns:  # else the pause that goes on
                rep.paused_since_ns = now_ns
            rep.paused_until_ns, rep.pause_reason = decision.until_ns, decision.reason
            rep.paused_by = decision.who
        elif decision.action == "resume":
            rep.paused_until_ns, rep.pause_reason, rep.paused_by = 0, "", ""
            rep.last_freed_ns = now_ns
        elif decision.action == "override":
            if rep.override is None:
                rep.override_since_ns = now_ns
            rep.override, rep.override_reason = decision.flow, decision.reason
            rep.override_by = decision.who
            rep.override_until_ns = decision.until_ns
            rep.share_due, rep.share_ns = 0.0, now_ns
        else:
            rep.override, rep.override_reason, rep.override_until_ns = None, "", 0
            rep.override_by, rep.share_due = "", 0.0
        self.state.note_override(rep)
        self.state.deadlines.set(decision.until_ns, "rep", rep.id)
        self.touched_reps[rep.id] = None

    def _flow_changed(self, decision: d.FlowChanged) -> None:
        rep = self.state.reps[decision.rep]
        if decision.flow.reason != "manual":
            rep.judged = Flow()
        elif rep.flow.reason != "manual":
            rep.judged = rep.flow
        rep.flow = decision.flow
        self.touched_reps[decision.rep] = None

    def _memory_recorded(self, decision: d.MemoryRecorded) -> None:
        self.state.memories[decision.pool, decision.rep] = decision.memory

    # -- the rest ------------------------------------------------------------------------------

    def _target_marked(self, decision: d.TargetMarked) -> None:
        if decision.up:
            self.state.targets_down.pop(decision.target, None)
        else:
            self.state.targets_down[decision.target] = decision.reason

    def _floor_applied(self, decision: d.FloorApplied) -> None:
        before = self.state.policy_names()
        self.state.take_floor(decision.floor, decision.windows)
        after = self.state.policy_names()
        for owner in list(self.state.memories):
            pool_id = owner[0]
            if pool_id in before and before[pool_id] != after.get(pool_id):
                del self.state.memories[owner]  # another policy could not read it
        self.state.set_again()
        self.touched_reps.update(dict.fromkeys(self.state.reps))  # also those who left the floor

    def _epoch_began(self, decision: d.EpochBegan) -> None:
        self.state.epoch = decision.epoch
        self.state.salt = decision.salt
