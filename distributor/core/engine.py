"""The engine: events in, decisions out. No clock, no disk, no network, no chance.

``handle`` decides and applies; ``fold`` applies what was decided before and asks no policy. Between
the two there is no other way for the state to change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distributor.core.context import Core
from distributor.core.deliveries import Deliveries
from distributor.core.leases import Leases
from distributor.core.matching import Matching
from distributor.core.pipeline import Pipeline
from distributor.core.presence import Presence
from distributor.core.reception import Reception
from distributor.core.state import State
from distributor.core.supervision import Supervision
from distributor.core.ticking import Ticking
from distributor.domain import events as e
from distributor.domain.decisions import EpochBegan, FloorApplied
from distributor.domain.faults import InvariantBroken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from distributor.domain.decisions import Decision
    from distributor.domain.floor import Floor
    from distributor.domain.lead import Lead
    from distributor.domain.policy import PolicyFactory
    from distributor.domain.rep import Rep


class Engine:
    """One partition: leads, reps and the policies of its pools.

    ``tag`` begins every lead key; ``seed`` feeds the policies' draws; ``factories`` makes policies by
    their names. Use: ``restore`` a snapshot (or not), ``fold`` the entries after it, ``resume``, then
    ``handle`` events.
    """

    def __init__(self, *, tag: str, seed: int, factories: Mapping[str, PolicyFactory]) -> None:
        self.state = State(tag=tag, seed=seed)
        self._core = Core(self.state, factories)
        self._leases = Leases(self._core)
        self._matching = Matching(self._core, self._leases)
        self._pipeline = Pipeline(self._core, self._leases)
        self._presence = Presence(self._core, self._leases)
        self._deliveries = Deliveries(self._core, self._leases)
        reception = Reception(self._core, self._leases)
        supervision = Supervision(self._core, self._leases, self._matching)
        self._ticking = Ticking(
            self._core, self._leases, self._presence, self._pipeline, self._matching
        )
        self._by_type: dict[type, Callable[[Any], None]] = {
            e.LeadReceived: reception.received,
            e.LeadRefused: reception.refused,
            e.Undecodable: reception.undecodable,
            e.LeadEvent: self._pipeline.handle,
            e.PresenceReported: self._presence.handle,
            e.SupervisorActed: supervision.handle,
            e.DeliveryFailed: self._deliveries.failed,
            e.DeliveryDelayed: self._deliveries.delayed,
            e.TargetChanged: self._deliveries.target_changed,
            e.StoodStill: self._deliveries.stood_still,
            e.FloorChanged: self._floor_changed,
            e.Started: self._started,
            e.Ticked: self._ticking.handle,
        }

    # -- deciding ------------------------------------------------------------------------------

    def handle(self, event: e.Event, now_ns: int) -> list[Decision]:
        """Decide about one event at ``now_ns`` (never earlier than the last one) and apply it.

        The first decision is the event's answer. Raises ``PolicyMisbehaved`` for a policy that asks
        for the impossible, ``InvariantBroken`` when the ledger does not balance.
        """
        core = self._core
        self.state.now_ns = max(self.state.now_ns, now_ns)
        self.state.forget_closed()
        core.out = []
        self._by_type[type(event)](event)
        if core.shrunk:
            self._leases.hold_all_exhausted()
        self._ticking.place_tests()
        if core.stirred:
            self._matching.run()
        self.state.forget_pools()
        self._forget_policies()
        if self.state.ledger.difference:
            what = type(event).__name__  # not what is in it: that may be a lead
            message = f"the ledger is off by {self.state.ledger.difference} after {what}"
            raise InvariantBroken(message)
        return core.out

    def next_deadline_ns(self) -> int | None:
        """When a ``Ticked`` event is due, though nothing may come of it; None: nothing is."""
        times: list[int | None] = []
        for pool_id, policy in self._core.policies.items():
            pool = self.state.pools[pool_id]
            if not self.state.blocked(pool):
                times += [policy.wake_ns(), pool.look_again_ns()]
        times.append(self.state.next_due_ns())
        due = [time for time in times if time is not None]
        return min(due) if due else None

    def take_touched(self) -> tuple[list[Lead], list[Rep]]:
        """The records of leads and reps that changed since the last call."""
        apply = self._core.apply
        leads = list(apply.touched_leads.values())
        reps = [self.state.reps[rep] for rep in apply.touched_reps]
        apply.touched_leads = {}
        apply.touched_reps = {}
        return leads, reps

    # -- recovery ------------------------------------------------------------------------------

    def restore(self, head: bytes, leads: Iterable[Lead]) -> None:
        """Begin from a snapshot."""
        self.state.restore(head, leads)

    def fold(self, at_ns: int, decisions: Iterable[Decision]) -> None:
        """Apply what was decided before, without asking anyone."""
        self.state.now_ns = max(self.state.now_ns, at_ns)
        self.state.forget_closed()
        for decision in decisions:
            self._core.apply(decision)
        self.state.forget_pools()

    def resume(self) -> None:
        """After the last ``fold``: wake the policies with the memory they left."""
        self.take_touched()
        self._core.policies.clear()
        self._core.policy_names.clear()
        self._make_policies()

    def _make_policies(self) -> None:
        """Bring the policies in line with the floor; each starts (again) with its memory."""
        core, state = self._core, self.state
        for pool_id, pool in state.pools.items():
            name = pool.plan.policy or state.floor.flow.policy
            if core.policy_names.get(pool_id) != name:
                policy = core.policies[pool_id] = core.factories[name]()
                core.policy_names[pool_id] = name
                for (owner, rep), memory in state.memories.items():
                    if owner == pool_id:
                        policy.restore(rep, memory)
            for member in pool.members.values():
                pool.place(member, state.verdict(member))
            policy = core.policies[pool_id]
            pool.keeps_shares = not getattr(policy, "weighs_overrides", False)
            policy.start(pool, state.now_ns)
            core.stir(pool_id)
        self._forget_policies()

    def _forget_policies(self) -> None:
        """Drop the policies of pools that are no more."""
        core = self._core
        if len(core.policies) > len(self.state.pools):
            for pool_id in set(core.policies) - set(self.state.pools):
                del core.policies[pool_id]
                del core.policy_names[pool_id]

    # -- the floor and its surroundings --------------------------------------------------------

    def _started(self, event: e.Started) -> None:
        self._core.emit(EpochBegan(event.epoch, event.version, event.salt))
        self._deliveries.hear_anew("the daemon started anew")

    def _floor_changed(self, event: e.FloorChanged) -> None:
        core = self._core
        core.emit(FloorApplied(event.floor, self._windows(event.floor)))
        self._make_policies()
        for rep in self.state.reps.values():
            if not rep.listed and rep.open:
                self._leases.take_back(rep, "rep_removed", f"{rep.id} is no longer on the floor")
        self._leave_old_pools()
        core.shrink(self.state.pools.values())

    def _windows(self, floor: Floor) -> dict[str, int]:
        """How many open leads the policies need their reps to have, where that is more than one."""
        names = {pool.policy or floor.flow.policy for pool in floor.pools}
        policies = {name: self._core.factories[name]() for name in sorted(names)}
        needed = {name: getattr(policy, "window", 1) for name, policy in policies.items()}
        return {name: window for name, window in needed.items() if window > 1}

    def _leave_old_pools(self) -> None:
        """The leads that wait in a pool that is not configured any more go on elsewhere."""
        for pool_id, pool in list(self.state.pools.items()):
            if not self.state.is_listed(pool_id):
                for key in [*(lead.key for lead in pool.oldest(pool.waiting)), *sorted(pool.tests)]:
                    self._leases.begin_to_wait(self.state.leads[key])
