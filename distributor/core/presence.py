"""Reps come and go: presence, what a rep's absence does to the leads, and a supervisor's hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distributor.domain.decisions import EventRecorded, PresenceChanged, RepControlled

if TYPE_CHECKING:
    from distributor.core.context import Core
    from distributor.core.leases import Leases
    from distributor.domain.events import PresenceReported
    from distributor.domain.rep import Rep


class Presence:
    """Decides about presence. The newest report by its own time counts, whoever sent it."""

    def __init__(self, core: Core, leases: Leases) -> None:
        self._core = core
        self._leases = leases

    def handle(self, event: PresenceReported) -> None:
        """Take a report in; an older one than the last known, or one of a stranger, changes nothing."""
        core = self._core
        rep = core.state.reps.get(event.rep)
        at_ns = min(event.at_ns or core.now_ns, core.now_ns)
        if rep is None or not rep.listed:
            self._record(event, at_ns, "rejected", f"rep {event.rep!r} is not known: see [[reps]]")
            return
        if event.at_ns and at_ns < rep.state_at_ns:
            self._record(event, at_ns, "stale", "older than the last known presence")
            return
        if event.retained and not event.at_ns and rep.state_at_ns:
            self._record(event, at_ns, "stale", "a repeat without a time, and the rep is known")
            return
        if event.event_id:
            self._record(event, at_ns, "accepted", "")
        self._change(rep, event, at_ns)

    def _record(self, event: PresenceReported, at_ns: int, outcome: str, reason: str) -> None:
        self._core.emit(
            EventRecorded(
                event_id=event.event_id,
                source=event.source,
                type="agent_state" if event.event_id else "presence",
                lead_key="",
                assignment_id="",
                rep=event.rep,
                at_ns=at_ns,
                outcome=outcome,  # type: ignore[arg-type]
                reason=reason,
            )
        )

    def _change(self, rep: Rep, event: PresenceReported, at_ns: int) -> None:
        core = self._core
        flow = core.state.floor.flow
        grace = flow.span_ns(flow.offline_grace_seconds)
        offline = event.state == "offline"
        due = core.now_ns + grace if offline and grace else 0
        if offline and rep.state == "offline":
            due = rep.offline_due_ns  # said again: the grace goes on from the first time
        spoke_of_work = rep.sends_states
        core.emit(PresenceChanged(rep.id, event.state, at_ns, event.source, event.reason, due))
        if event.state == "ready" and spoke_of_work:
            self._finish_work(rep, at_ns)
        core.refresh(rep)
        core.tell_pools(rep)
        if event.state == "away":
            self._leases.take_back(rep, "rep_away", f"{rep.id} went away")
        elif offline and not grace:
            self.go_offline(rep)

    def _finish_work(self, rep: Rep, at_ns: int) -> None:
        """A dialer that reports every state says "ready" when the call is over."""
        for key in list(rep.open):
            lead = self._core.state.leads[key]
            began_ns = lead.call_ns or lead.attempted_ns
            if began_ns and began_ns <= at_ns and lead.rep == rep.id:
                self._leases.end_work(lead, "agent_ready", at_ns)

    def go_offline(self, rep: Rep) -> None:
        """The grace is over: what the rep did not call goes back."""
        self._leases.take_back(rep, "rep_offline", f"{rep.id} went offline")
        self._core.shrink(self._core.state.pools_of.get(rep.id, ()))

    def due(self, rep: Rep, due_ns: int) -> None:
        """A time of this rep has come: grace, pace, wrap-up, pause or override is over. A time that
        was replaced since means nothing."""
        core = self._core
        if rep.state == "offline" and rep.offline_due_ns == due_ns:
            rep_at = rep.state_at_ns
            core.emit(PresenceChanged(rep.id, "offline", rep_at, "time", rep.state_reason))
            self.go_offline(rep)
        if rep.paused_until_ns == due_ns:
            core.emit(RepControlled(rep.id, "resume", "time", "the pause is over"))
            core.tell_pools(rep)
        if rep.override_until_ns == due_ns:
            core.emit(RepControlled(rep.id, "override_ended", "time", "the override is over"))
            core.tell_pools(rep)
        core.refresh(rep)
