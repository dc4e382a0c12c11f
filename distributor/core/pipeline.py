"""What reps and dialers report about leads: accepted, rejected, attempted, contacted, ended, status."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from distributor.core.order import AT_REST, believed_ns, doubted, held_by_a_call, over, overtaken
from distributor.domain.decisions import (
    AttemptRecorded,
    ContactRecorded,
    DeliveryAccepted,
    EventOutcome,
    EventRecorded,
    LeadRevived,
    StandardCounted,
    StatusChanged,
    WorkEnded,
)
from distributor.domain.ids import lead_key_of
from distributor.domain.lead import STATUS_MOVES

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributor.core.context import Core
    from distributor.core.leases import Leases
    from distributor.domain.events import LeadEvent
    from distributor.domain.lead import Lead

STANDARD = "speed_to_contact"


class _Match(NamedTuple):
    """To what an event speaks: whether it counts, for which owner, and whether the lease is live."""

    outcome: EventOutcome
    rep: str = ""
    live: bool = False
    reason: str = ""
    note: str = ""
    """Why it counts, where that is not plain."""
    again: bool = False
    """It names an assignment of the same rep before the present one."""


class Pipeline:
    """Decides about events of leads."""

    def __init__(self, core: Core, leases: Leases) -> None:
        self._core = core
        self._leases = leases
        self._by_type: dict[str, Callable[[LeadEvent, Lead, _Match, int], None]] = {
            "accepted": self._accepted,
            "rejected": self._rejected,
            "attempted": self._attempted,
            "contacted": self._contacted,
            "call_ended": self._call_ended,
            "status": self._status,
        }

    def handle(self, event: LeadEvent) -> None:
        """Record the event and, where it speaks for the owner, do what it says."""
        core = self._core
        key = event.lead_key or lead_key_of(event.assignment_id)
        known = core.state.leads.get(key)
        lead = known or event.recalled
        match = self._match(event, lead)
        at_ns = 0
        if match.outcome == "accepted" and lead is not None:
            at_ns = self._when(event, lead, match)
            if self._too_late(event, lead, match, at_ns):
                match = _Match("stale", match.rep, reason=_older(lead))
        core.emit(
            EventRecorded(
                event_id=event.event_id,
                source=event.source,
                type=event.type,
                lead_key=key,
                assignment_id=event.assignment_id or (lead.assignment_id if lead else ""),
                rep=event.rep or match.rep,
                at_ns=min(event.at_ns or core.now_ns, core.now_ns),
                outcome=match.outcome,
                reason=match.reason,
            )
        )
        if match.outcome != "accepted" or lead is None:
            return
        if known is None:
            core.emit(LeadRevived(lead))
        self._by_type[event.type](event, lead, match, at_ns)

    def _when(self, event: LeadEvent, lead: Lead, match: _Match) -> int:
        """The time that counts for an event. When an earlier assignment began is not known any more."""
        now_ns = self._core.now_ns
        if match.again:
            return min(event.at_ns or now_ns, now_ns)
        return believed_ns(lead, event.at_ns, now_ns)

    def _too_late(self, event: LeadEvent, lead: Lead, match: _Match, at_ns: int) -> bool:
        """Whether what was said since stands against an event."""
        if event.status is not None:
            return overtaken(lead, event.status, at_ns, again=match.again)
        return match.again and self._is_over(lead, at_ns)

    def _is_over(self, lead: Lead, at_ns: int) -> bool:
        flow = self._core.state.floor.flow
        return over(lead, at_ns, self._core.now_ns - flow.span_ns(flow.call_limit_seconds))

    def _match(self, event: LeadEvent, lead: Lead | None) -> _Match:
        if lead is None:
            return _Match("rejected", reason="no lead of this key: check lead_key or assignment_id")
        if event.rep and event.rep not in self._core.state.reps:
            return _Match("rejected", reason=f"rep {event.rep!r} is not known: see [[reps]]")
        live = bool(lead.assignment_id)
        current = lead.assignment_id if live else lead.last_assignment
        owner = lead.rep if live else lead.last_rep
        again = live and _goes_on(event, lead)
        if not current or (event.assignment_id and event.assignment_id != current and not again):
            if _may_forbid_calls(event, lead):
                note = "; nobody had the lead, and a do-not-call counts all the same"
                return _Match("accepted", event.rep, note=note)
            return _Match("stale", reason="not the lead's present assignment")
        if event.rep and event.rep != owner:
            if event.assignment_id:
                return _Match("rejected", reason=f"the assignment is {owner}'s, not {event.rep}'s")
            return _Match("stale", reason=f"the lead is {owner}'s now")
        return _Match("accepted", owner, live, again=again)

    # -- one method for each type of event -------------------------------------------------------

    def _accepted(self, event: LeadEvent, lead: Lead, match: _Match, at_ns: int) -> None:
        if match.live and not lead.accepted:
            self._core.emit(DeliveryAccepted(lead.key, lead.assignment_id, lead.rep))

    def _rejected(self, event: LeadEvent, lead: Lead, match: _Match, at_ns: int) -> None:
        if match.live:
            why = f": {event.reason}" if event.reason else ""
            self._leases.end(lead, "rejected", f"{lead.rep} refused it{why}", revoke=False)

    def _attempted(self, event: LeadEvent, lead: Lead, match: _Match, at_ns: int) -> None:
        first = match.live and not lead.dialled
        response = self._seconds(lead.assigned_ns, at_ns) if first else None
        told = first and not lead.test
        self._core.emit(AttemptRecorded(lead.key, match.rep, at_ns, event.result, response))
        if told:
            self._tell_contact(event, lead, at_ns)

    def _contacted(self, event: LeadEvent, lead: Lead, match: _Match, at_ns: int) -> None:
        counted = self._believed(event)
        self._record_contact(event, lead, match, at_ns, counted=counted)
        if counted and not match.live and at_ns > lead.call_ns:
            self._tell_late(event, lead, match, at_ns)
        if match.live and not lead.call_ns and (counted or not lead.attempted_ns):
            self._tell_contact(event, lead, at_ns)
        if counted and not lead.standard:
            self.count_standard(self._core.state.leads[lead.key], at_ns)

    def _record_contact(
        self, event: LeadEvent, lead: Lead, match: _Match, at_ns: int, *, counted: bool
    ) -> None:
        core = self._core
        flow = core.state.floor.flow
        first = counted and not lead.contacted_ns
        late = lead.state in AT_REST and self._is_over(lead, at_ns)
        core.emit(
            ContactRecorded(
                lead_key=lead.key,
                assignment_id=lead.assignment_id or lead.last_assignment,
                rep=match.rep,
                team=core.state.reps[match.rep].team,
                pool=lead.pool,
                at_ns=at_ns,
                evidence=event.evidence,
                counted=counted,
                deadline_ns=self._contact_deadline_ns(lead, at_ns, late=late),
                speed_seconds=self._seconds(lead.speed_from_ns, at_ns) if first else None,
                response_seconds=self._response(lead, at_ns, late=late) if counted else None,
                on_time=at_ns <= lead.clock_ns + flow.span_ns(flow.first_contact_seconds),
                blameless=lead.blameless,
                late=late,
                doubted_ns=event.at_ns if not match.again and doubted(lead, event.at_ns) else 0,
            )
        )

    def _contact_deadline_ns(self, lead: Lead, at_ns: int, *, late: bool) -> int:
        """When the state after a contact ends. What was agreed for a parked lead stays; while its rep
        is talking to the person, it waits for the end of the call."""
        flow = self._core.state.floor.flow
        if late or lead.state == "closed":
            return lead.deadline_ns
        if lead.state == "parked":
            return max(lead.deadline_ns, at_ns + flow.span_ns(flow.call_limit_seconds))
        return self._core.now_ns + flow.span_ns(flow.working_limit_seconds)

    def _response(self, lead: Lead, at_ns: int, *, late: bool) -> float | None:
        """Seconds from the assignment, or from a release since, to the first sign of a call; None where
        the call was counted before."""
        released = lead.state in ("waiting", "exception")
        if late if released else lead.call_ns:
            return None
        since_ns = max(lead.assigned_ns, lead.clock_ns) if released else lead.assigned_ns
        first_ns = lead.attempted_ns if lead.attempted_ns >= since_ns else at_ns
        return self._seconds(since_ns, first_ns)

    def _seconds(self, since_ns: int, at_ns: int) -> float:
        """A span in seconds of the floor's time."""
        return self._core.state.floor.flow.floor_seconds(max(0, at_ns - since_ns))

    def _believed(self, event: LeadEvent) -> bool:
        """Whether an event is more than a bare claim."""
        return event.evidence == "dialer" or self._core.state.floor.flow.accept_claims

    def _tell_contact(self, event: LeadEvent, lead: Lead, at_ns: int) -> None:
        """The policy learns of the first sign of life on a lease. Only a dialer's record of a healthy
        delivery is evidence about the rep."""
        core = self._core
        policy = core.policy_of(lead)
        if policy is None or not lead.in_pipeline:
            return
        policy.contacted(
            lead,
            core.state.reps[lead.rep],
            max(at_ns, lead.assigned_ns),
            counted=self._believed(event) and not lead.blameless,
            now_ns=core.now_ns,
        )
        core.stir(lead.pool)

    def count_standard(self, lead: Lead, at_ns: int) -> None:
        """Give the lead its speed-to-contact verdict, by the time of the contact."""
        flow = self._core.state.floor.flow
        met = at_ns <= lead.speed_from_ns + flow.span_ns(flow.first_contact_seconds)
        self._core.emit(StandardCounted(lead.key, lead.pool, STANDARD, met, lead.test))

    def _tell_late(self, event: LeadEvent, lead: Lead, match: _Match, at_ns: int) -> None:
        """The end of a lead that had left the pipeline before, by presumption or by a limit."""
        core = self._core
        policy = core.policy_of(lead)
        if policy is not None and match.rep in core.state.reps:
            rep, counted = core.state.reps[match.rep], self._believed(event)
            policy.work_ended(lead, rep, "late", at_ns, core.now_ns, counted=counted)
            core.stir(lead.pool)

    def _call_ended(self, event: LeadEvent, lead: Lead, match: _Match, at_ns: int) -> None:
        if not lead.in_pipeline:
            self._tell_late(event, lead, match, at_ns)
            if held_by_a_call(lead) and at_ns >= lead.call_ns:
                core = self._core
                core.emit(WorkEnded(lead.key, match.rep, "call_ended", at_ns, event.talk_seconds))
            return
        if not lead.dialled:
            self._core.emit(
                AttemptRecorded(
                    lead.key, lead.rep, at_ns, "", self._seconds(lead.assigned_ns, at_ns)
                )
            )
            self._tell_contact(event, lead, at_ns)
        current = self._core.state.leads[lead.key]
        counted = self._believed(event)
        self._leases.end_work(current, "call_ended", at_ns, event.talk_seconds, counted=counted)

    def _status(self, event: LeadEvent, lead: Lead, match: _Match, at_ns: int) -> None:
        status = event.status
        if status is None:
            return
        core = self._core
        correction = lead.state == "closed"
        if lead.in_pipeline and status != "working":
            self._leases.end_work(lead, "status", at_ns, counted=self._believed(event))
            lead = core.state.leads[lead.key]
        elif lead.in_pipeline:
            self._tell_working(lead, at_ns)
        else:
            self._tell_late(event, lead, match, at_ns)
        if STATUS_MOVES[status] != "work" and match.live:
            parked = STATUS_MOVES[status] == "park"
            because = f"status {status}"
            self._leases.end(lead, "parked" if parked else "closed", because, revoke=False)
            lead = core.state.leads[lead.key]
        core.emit(
            StatusChanged(
                lead_key=lead.key,
                status=status,
                rep=match.rep,
                vendor=lead.vendor,
                at_ns=at_ns,
                deadline_ns=0 if correction else self._deadline_ns(event, status),
                correction=correction,
                note=event.note,
                value=event.value,
                because=f"{match.rep or event.source} set {status}{match.note}",
            )
        )
        if lead.state == "waiting":
            core.stir(lead.pool)
        if status == "converted":
            self._tell_conversion(lead, match.rep)

    def _tell_working(self, lead: Lead, at_ns: int) -> None:
        """Said to be in work: as a bare claim it keeps the lease, and is no evidence."""
        core = self._core
        policy = core.policy_of(lead)
        if policy is not None and not lead.dialled:
            rep = core.state.reps[lead.rep]
            at_ns = max(at_ns, lead.assigned_ns)
            policy.contacted(lead, rep, at_ns, counted=False, now_ns=core.now_ns)
            core.stir(lead.pool)

    def _deadline_ns(self, event: LeadEvent, status: str) -> int:
        flow = self._core.state.floor.flow
        now_ns = self._core.now_ns
        move = STATUS_MOVES[status]  # type: ignore[index]
        if move == "close":
            return 0
        if status == "callback":
            return max(event.callback_ns, now_ns + 1)
        limit = flow.recycle_seconds if move == "park" else flow.working_limit_seconds
        return now_ns + flow.span_ns(limit)

    def _tell_conversion(self, lead: Lead, rep_id: str) -> None:
        policy = self._core.policy_of(lead)
        if policy is not None:
            policy.converted(lead, self._core.state.reps[rep_id], self._core.now_ns)
            self._core.stir(lead.pool)


def _goes_on(event: LeadEvent, lead: Lead) -> bool:
    """Whether an event goes on with the assignment that the same rep had before the present one: a
    callback that is due comes back under a new name, of which a dialer need not know."""
    before = event.assignment_id and event.assignment_id == lead.last_assignment
    return bool(before) and event.type in ("contacted", "status")


def _may_forbid_calls(event: LeadEvent, lead: Lead) -> bool:
    """Whether an event says that a lead which nobody has must never be called. It is heard from the rep
    who had the lead last, and where it names none, so that no rep speaks: else it would be dialled."""
    idle = lead.state != "closed" and not lead.assignment_id
    return event.status == "dnc" and idle and (not event.rep or event.rep == lead.had_by)


def _older(lead: Lead) -> str:
    if lead.status is None:
        return "older than the present assignment"
    return f"older than {lead.status}, now in force"
