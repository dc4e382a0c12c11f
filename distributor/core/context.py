"""What the rooms of the core share: the state, the policies, and the way to decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distributor.core.apply import Apply

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from distributor.core.pool import Pool
    from distributor.core.state import State
    from distributor.domain.decisions import Decision
    from distributor.domain.lead import Lead
    from distributor.domain.policy import Policy, PolicyFactory
    from distributor.domain.rep import Rep


class Core:
    """``emit`` is the only way to decide: it applies the decision and puts it on record."""

    def __init__(self, state: State, factories: Mapping[str, PolicyFactory]) -> None:
        self.state = state
        self.factories = factories
        self.apply = Apply(state)
        self.policies: dict[str, Policy] = {}
        self.policy_names: dict[str, str] = {}
        self.stirred: dict[str, None] = {}
        self.shrunk: dict[str, None] = {}
        self.out: list[Decision] = []

    @property
    def now_ns(self) -> int:
        return self.state.now_ns

    def emit(self, decision: Decision) -> None:
        """Decide: the decision is a fact from here on."""
        self.apply(decision)
        self.out.append(decision)

    def stir(self, pool_id: str) -> None:
        """Something changed in a pool: its policy will be asked."""
        self.stirred[pool_id] = None

    def shrink(self, pools: Iterable[Pool]) -> None:
        """There may be fewer to ask in these pools: their leads are looked through after the event."""
        for pool in pools:
            self.shrunk[pool.plan.id] = None

    def policy_of(self, lead: Lead) -> Policy | None:
        """The policy that must hear about this lead; None for a test lead, which is nobody's work."""
        return None if lead.test else self.policies.get(lead.pool)

    def refresh(self, rep: Rep, lead: Lead | None = None) -> None:
        """Note a rep's standing in its pools, and tell their policies when it changed. ``lead``: it began or
        ended with the rep. Its own pool's policy knows; those of the rep's other pools hear that the
        open leads changed, whatever the standing. (A test lead is none of them.)"""
        verdict = self.state.verdict(rep)
        for pool in self.state.pools_of.get(rep.id, ()):
            elsewhere = lead is not None and not lead.test and lead.pool != pool.plan.id
            if pool.place(rep, verdict) or elsewhere:
                self.policies[pool.plan.id].rep_changed(rep, self.now_ns)
                self.stir(pool.plan.id)

    def tell_pools(self, rep: Rep) -> None:
        """Tell the policies about a rep although its standing is the same."""
        for pool in self.state.pools_of.get(rep.id, ()):
            self.policies[pool.plan.id].rep_changed(rep, self.now_ns)
            self.stir(pool.plan.id)

    def pool_of(self, lead: Lead) -> Pool | None:
        """The lead's pool, if it still exists."""
        return self.state.pools.get(lead.pool)
