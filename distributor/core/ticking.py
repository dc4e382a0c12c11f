"""Time as an event: what happens to leads, standards, reps and pools when their deadline is due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distributor.core.pipeline import STANDARD
from distributor.domain.decisions import StandardCounted, StatusChanged
from distributor.domain.policy import Lease

if TYPE_CHECKING:
    from distributor.core.context import Core
    from distributor.core.leases import Leases
    from distributor.core.matching import Matching
    from distributor.core.pipeline import Pipeline
    from distributor.core.presence import Presence
    from distributor.domain.events import Ticked
    from distributor.domain.lead import Lead
    from distributor.domain.rep import Rep


class Ticking:
    """Fires due deadlines, oldest first."""

    def __init__(
        self,
        core: Core,
        leases: Leases,
        presence: Presence,
        pipeline: Pipeline,
        matching: Matching,
    ) -> None:
        self._core = core
        self._leases = leases
        self._presence = presence
        self._pipeline = pipeline
        self._matching = matching

    def handle(self, event: Ticked) -> None:
        """Do all that is due now; most ticks find nothing and decide nothing."""
        core = self._core
        state = core.state
        while (due := state.deadlines.pop_due(core.now_ns)) is not None:
            due_ns, kind, key = due
            if kind == "rep":
                if key in state.reps:
                    self._rep(state.reps[key], due_ns)
            elif kind == "pool":
                core.stir(key)
            elif key in state.leads:
                if kind == "standard":
                    self._standard(state.leads[key], due_ns)
                else:
                    self._lead(state.leads[key], due_ns)
        for pool_id, policy in core.policies.items():
            wake_ns = policy.wake_ns()
            woken = wake_ns is not None and wake_ns <= core.now_ns
            if woken or core.state.pools[pool_id].look_again_ns() is not None:
                core.stir(pool_id)

    def _rep(self, rep: Rep, due_ns: int) -> None:
        self._presence.due(rep, due_ns)
        if due_ns == self._core.state.back_by_ns(rep):
            # It did not come back: what only this rep had not refused goes to the desk.
            self._core.shrink(self._core.state.pools_of.get(rep.id, ()))

    def _standard(self, lead: Lead, due_ns: int) -> None:
        """Nobody had reached the lead when its time was over."""
        if not lead.standard and due_ns == self._core.state.standard_due_ns(lead):
            self._core.emit(
                StandardCounted(lead.key, lead.pool, STANDARD, met=False, test=lead.test)
            )

    def _lead(self, lead: Lead, due_ns: int) -> None:
        if due_ns == self._core.state.call_due_ns(lead):
            self._leases.end_work(lead, "call_limit", self._core.now_ns)
            return
        if due_ns != lead.deadline_ns:
            return
        if lead.state == "assigned":
            self._lease_over(lead)
        elif lead.state == "parked":
            self._parked_over(lead)
        elif lead.state == "waiting":
            self._leases.hold(lead, "waiting_limit", "nobody could take it within the limit")
        elif lead.state == "working":
            self._working_over(lead)

    def _lease_over(self, lead: Lead) -> None:
        core = self._core
        if core.state.is_down(lead.dialer):
            self._leases.restart(lead, "the dialer is down: its clocks wait")
            return
        if lead.claimed_ns:
            self._leases.end(lead, "working_limit", "claimed, and nothing more was heard")
            return
        self._leases.end(lead, "expired", self._not_reached(lead))
        if lead.test and core.state.leads[lead.key].state == "waiting":
            self._close_test(lead.key)

    def _not_reached(self, lead: Lead) -> str:
        """What the rep did, and did not, while the lease lasted."""
        state = self._core.state
        within = state.floor.flow.floor_seconds(state.now_ns - lead.assigned_ns)
        if not lead.attempted_ns:
            return f"{lead.rep} did not call it within {within:.0f} s"
        result = state.dialled.get(lead.key)
        told = f" ({result})" if result else ""
        return f"{lead.rep} dialled it{told} and did not reach anybody within {within:.0f} s"

    def _close_test(self, key: str) -> None:
        """A test lead that nobody touched, or that all refused, has shown what it was sent for."""
        core = self._core
        lead = core.state.leads[key]
        core.emit(
            StatusChanged(
                lead.key, "invalid", "", lead.vendor, core.now_ns, because="a test lead ends here"
            )
        )

    def _parked_over(self, lead: Lead) -> None:
        if lead.status == "callback":
            because = f"the callback agreed with {lead.rep} is due"
            self._leases.release(lead, "callback_due", because, prefers=lead.rep)
        else:
            self._leases.release(lead, "recycled", "its time as not ready is over")

    def _working_over(self, lead: Lead) -> None:
        because = f"{lead.rep} has it in work and nothing more was heard"
        if lead.assignment_id:
            self._leases.end(lead, "working_limit", because)
            lead = self._core.state.leads[lead.key]
        if lead.state != "exception":
            self._leases.hold(lead, "working_limit", because)

    def place_tests(self) -> None:
        """Test leads go to any ready rep at once, once around: they take no slot and no turn."""
        core = self._core
        for pool in core.state.pools.values():
            # By key: in the order of their coming back, a restart would change who is first.
            for key in sorted(pool.tests) if pool.tests else ():
                lead = core.state.leads[key]
                left = [rep_id for rep_id in pool.receiving if rep_id not in lead.excluded]
                if left:
                    rep = pool.receiving[min(left)]
                    ask = Lease(lead.key, rep.id, "test", f"a test lead, shown to {rep.id}")
                    self._matching.commit_assignment(pool, lead, rep, ask, policy_name="test")
                elif pool.exhausted(lead):
                    self._close_test(key)
