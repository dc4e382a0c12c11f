"""The one place where a lead meets a rep: a policy asks, the core checks and commits."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from distributor.domain.decisions import Assigned, FlowChanged, LeadDeferred, MemoryRecorded
from distributor.domain.faults import PolicyMisbehaved
from distributor.domain.ids import assignment_id
from distributor.domain.policy import Defer, Lease, Recall

if TYPE_CHECKING:
    from distributor.core.context import Core
    from distributor.core.leases import Leases
    from distributor.core.pool import Pool
    from distributor.domain.lead import Lead
    from distributor.domain.policy import Intent
    from distributor.domain.rep import Flow, Rep

MOST_INTENTS = 100_000
"""Intents that one pass of a pool may take before the policy counts as gone astray."""


class Matching:
    """Runs the policies of the pools in which something happened."""

    def __init__(self, core: Core, leases: Leases) -> None:
        self._core = core
        self._leases = leases
        self._refused: tuple[Recall, ...] = ()
        """The recalls that were refused in this pass."""

    def run(self) -> None:
        """Ask every stirred pool's policy until it has nothing more to do, then record what the
        policies learned."""
        core = self._core
        while core.stirred:
            pool_id = next(iter(core.stirred))
            del core.stirred[pool_id]
            pool = core.state.pools.get(pool_id)
            if pool is not None and pool_id in core.policies:
                self._pump(pool)

    def _pump(self, pool: Pool) -> None:
        core = self._core
        policy = core.policies[pool.plan.id]
        if not core.state.blocked(pool):
            now_ns, next_intent = core.now_ns, policy.next_intent
            self._refused = ()
            for _ in range(MOST_INTENTS):
                intent = next_intent(now_ns)
                if intent is None:
                    break
                self._commit(pool, intent)
            else:
                self._astray(pool, "it never came to an end")
            core.stirred.pop(pool.plan.id, None)
        # By rep: a policy may note them in another order after a restart.
        for rep_id, flow, numbers in sorted(policy.flow_changes(core.now_ns), key=itemgetter(0)):
            self._change_flow(rep_id, flow, numbers)
        for rep_id, memory in sorted(policy.changed_memory()):
            core.emit(MemoryRecorded(pool.plan.id, rep_id, memory))

    def _change_flow(self, rep_id: str, flow: Flow, numbers: dict[str, float]) -> None:
        rep = self._core.state.reps[rep_id]
        if replace(flow, since_ns=rep.flow.since_ns) == rep.flow:
            return
        if rep.flow.reason == flow.reason:
            # Other numbers, the same reason: it began when it began (0: nobody noted it).
            flow = replace(flow, since_ns=rep.flow.since_ns or flow.since_ns)
        elif rep.judged.reason == flow.reason:
            # An override hid it, and is over.
            flow = replace(flow, since_ns=rep.judged.since_ns or flow.since_ns)
        self._core.emit(FlowChanged(rep_id, flow, numbers))
        for pool in self._core.state.pools_of[rep_id]:
            pool.place(rep, self._core.state.verdict(rep))

    def _commit(self, pool: Pool, intent: Intent) -> None:
        core = self._core
        lead = core.state.leads.get(intent.lead_key)
        if isinstance(intent, Recall):
            self._recall(pool, lead, intent)
        elif lead is None or lead.pool != pool.plan.id:
            self._astray(pool, f"lead {intent.lead_key} is not in this pool")
        elif isinstance(intent, Lease):
            self._lease(pool, lead, intent)
        else:
            self._defer(pool, lead, intent)

    def _defer(self, pool: Pool, lead: Lead, intent: Defer) -> None:
        if self._core.state.deferred.get(lead.key) != intent.reason:
            self._core.emit(LeadDeferred(lead.key, pool.plan.id, intent.reason, intent.because))

    def _astray(self, pool: Pool, what: str) -> None:
        name = self._core.policy_names.get(pool.plan.id, "?")
        message = f"policy {name} of pool {pool.plan.id}: {what}"
        raise PolicyMisbehaved(message)

    def _lease(self, pool: Pool, lead: Lead, intent: Lease) -> None:
        rep = pool.receiving.get(intent.rep)
        if lead.state != "waiting":
            self._astray(pool, f"lead {lead.key} is {lead.state}, it cannot be leased")
        elif rep is None:
            self._astray(pool, f"rep {intent.rep} is not receiving leads")
        elif not pool.may_take(rep, lead, self._core.now_ns):
            self._astray(pool, f"rep {rep.id} may not have lead {lead.key}")
        elif unbegun := self._unbegun(pool, rep, intent):
            self._astray(pool, f"rep {rep.id} has not begun lead {unbegun}: it is not finished")
        elif _open_after(rep, intent) >= rep.window:
            self._astray(pool, f"rep {rep.id} has no free slot")
        else:
            self._assign(pool, lead, rep, intent)

    def _unbegun(self, pool: Pool, rep: Rep, intent: Lease) -> str:
        """A lead that is presumed finished and that the rep does not have, or has not begun; "" if none."""
        for key in intent.presumed_finished:
            lead = pool.lead(key)
            if lead is None or key not in rep.open or lead.pool != pool.plan.id or lead.untouched:
                return key
        return ""

    def _assign(self, pool: Pool, lead: Lead, rep: Rep, intent: Lease) -> None:
        core = self._core
        self.commit_assignment(pool, lead, rep, intent, policy_name=core.policy_names[pool.plan.id])

    def commit_assignment(
        self, pool: Pool, lead: Lead, rep: Rep, intent: Lease, *, policy_name: str
    ) -> None:
        """Give the lead to the rep: whoever asked for it has been checked."""
        core = self._core
        now_ns, flow, plan = core.state.now_ns, core.state.floor.flow, pool.plan
        listed, counts = pool.standings(lead)
        key, attempt = lead.key, lead.attempt + 1
        core.emit(
            # By position: the hottest decision of all, and names cost a third of the time.
            Assigned(
                key,
                assignment_id(key, attempt),
                rep.id,
                rep.team,
                plan.id,
                policy_name,
                attempt,
                lead.epoch + 1,
                now_ns,
                lead.clock_ns + flow.span_ns(flow.first_contact_seconds),
                now_ns + flow.span_ns(flow.lease_seconds),
                intent.reason,
                intent.because,
                intent.numbers,
                intent.ranked,
                listed,
                counts,
                intent.presumed_finished,
                intent.probe,
                lead.test,
                plan.dialer or "",
            )
        )
        if lead.test:
            return
        for finished in intent.presumed_finished:
            self._presume(finished, rep)
        lead = core.state.leads[key]
        core.policies[plan.id].leased(lead, rep, now_ns)
        core.stir(plan.id)
        core.refresh(rep, lead)

    def _presume(self, key: str, rep: Rep) -> None:
        lead = self._core.state.leads.get(key)
        policy = self._core.policy_of(lead) if lead is not None else None
        if lead is not None and policy is not None:
            now_ns = self._core.now_ns
            policy.work_ended(lead, rep, "presumed", now_ns, now_ns, counted=False)

    def _recall(self, pool: Pool, lead: Lead | None, intent: Recall) -> None:
        """Take the lead back, unless it went on meanwhile: then the lease stays as it is."""
        if lead is not None and _recallable(pool, lead, intent.rep):
            self._leases.end(lead, "recalled", intent.because, numbers=intent.numbers)
        elif any((r.lead_key, r.rep) == (intent.lead_key, intent.rep) for r in self._refused):
            what = f"lead {intent.lead_key} cannot be recalled from {intent.rep}, and it asks again"
            self._astray(pool, what)
        else:
            self._refused = (*self._refused, intent)


def _recallable(pool: Pool, lead: Lead, rep_id: str) -> bool:
    """Whether the lead is leased to the rep and nobody has begun to call it."""
    return lead.pool == pool.plan.id and lead.rep == rep_id and lead.untouched


def _open_after(rep: Rep, intent: Lease) -> int:
    """The rep's open leads without those that the policy takes for finished."""
    gone = sum(1 for key in intent.presumed_finished if key in rep.open)
    return len(rep.open) - gone
