"""What lies between us and a rep who was given a lead: a dialer that is late, refuses or is gone, and the
times in which we could not hear. None of it is the rep's fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distributor.domain.decisions import EventRecorded, TargetMarked
from distributor.domain.ids import lead_key_of
from distributor.domain.messages import BROKER_TARGET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributor.core.context import Core
    from distributor.core.leases import Leases
    from distributor.domain import events as e
    from distributor.domain.lead import Lead


class Deliveries:
    """Begins the clocks of a lease anew when they ran without the rep, and takes back what nobody got."""

    def __init__(self, core: Core, leases: Leases) -> None:
        self._core = core
        self._leases = leases

    def failed(self, event: e.DeliveryFailed) -> None:
        """Nobody could have called: the rep is not to blame, and the lead goes on. Where somebody
        called all the same, it stays."""
        core = self._core
        lead = core.state.leads.get(lead_key_of(event.assignment_id))
        fits = (
            lead is not None
            and lead.assignment_id == event.assignment_id
            and _still_undelivered(lead, event)
        )
        core.emit(
            EventRecorded(
                event_id="",
                source="delivery",
                type="delivery_failed",
                lead_key=lead_key_of(event.assignment_id),
                assignment_id=event.assignment_id,
                rep=lead.rep if lead is not None else "",
                at_ns=core.now_ns,
                outcome="accepted" if fits else "stale",
                reason=event.reason,
            )
        )
        if lead is None or not fits:
            return
        self._leases.end(lead, "delivery_failed", event.reason, untaken=not event.doubtful)
        lead = core.state.leads[lead.key]
        if event.hold and lead.state == "waiting":
            self._leases.hold(lead, "delivery_failed", event.reason)

    def delayed(self, event: e.DeliveryDelayed) -> None:
        """The lease begins when the dialer has the lead; until then its clocks begin again and again."""
        for assignment_id in event.assignment_ids:
            lead = self._core.state.leads.get(lead_key_of(assignment_id))
            if lead is None or lead.assignment_id != assignment_id or not lead.untouched:
                continue
            if event.delivered:
                because = "its dialer has it only now: its clocks begin here"
                self._leases.restart(lead, because, blameless=False)
            elif not lead.accepted and not self._core.state.is_down(lead.dialer):
                why = event.reason or "its dialer does not have it yet"
                self._leases.restart(lead, f"{why}: its clocks wait")

    def target_changed(self, event: e.TargetChanged) -> None:
        """A dialer is gone or back. While it is gone, its pools are asked for nothing."""
        core = self._core
        was_down = event.target in core.state.targets_down
        core.emit(TargetMarked(event.target, event.up, event.reason))
        for pool_id, pool in core.state.pools.items():
            if (pool.plan.dialer or BROKER_TARGET) == event.target:
                core.stir(pool_id)
        if event.up and was_down:
            because = "the link to its dialer was down: its clocks begin anew"
            for lead in self._silent():
                if (lead.dialer or BROKER_TARGET) == event.target:
                    self._leases.restart(lead, because)

    def stood_still(self, event: e.StoodStill) -> None:
        """What was said meanwhile is still to be read: nobody's silence counts."""
        what = "the clock was put forward by" if event.jumped else "the daemon stood still for"
        self.hear_anew(f"{what} {event.seconds:.0f} s or more")

    def hear_anew(self, why: str) -> None:
        """Begin the clocks of all silent leases anew: for a while nobody could be heard. Those of a
        dialer that is down begin when it is back."""
        for lead in self._silent():
            if not self._core.state.is_down(lead.dialer):
                because = f"{why}: its clocks begin anew"
                self._leases.restart(lead, because, blameless=lead.blameless)

    def _silent(self) -> Iterator[Lead]:
        """The leads that lie with a rep who gave no sign."""
        state = self._core.state
        for rep in state.reps.values():
            for key, uncontacted in list(rep.open.items()):
                lead = state.leads[key]
                if uncontacted and lead.untouched:
                    yield lead


def _still_undelivered(lead: Lead, event: e.DeliveryFailed) -> bool:
    """Whether nothing shows that somebody has the lead although handing it over failed."""
    return lead.untouched and not (event.doubtful and lead.accepted)
