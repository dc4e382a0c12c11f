"""The core's whole state: what is rebuilt from the journal and nothing else."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from distributor.core.deadlines import Deadlines
from distributor.core.ledger import Ledger
from distributor.core.pool import OWNER_HOLD_SECONDS, Pool, back_by_ns
from distributor.domain.faults import InvariantBroken
from distributor.domain.floor import Floor, PoolPlan
from distributor.domain.lead import Lead, LeadState
from distributor.domain.messages import BROKER_TARGET
from distributor.domain.rep import Rep

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributor.core.deadlines import TimerKind
    from distributor.core.ledger import Held

CLOSED_KEPT_NS = 60 * 1_000_000_000
"""How long a closed lead stays in memory for late events; after that the store is asked."""


class Head(Struct):
    """Everything of the state but the leads: the head of a snapshot.

    ``closed``: since when a closed lead is kept in memory, where that is not when it was closed.
    ``windows``: open leads that policies need their reps to have, see ``FloorApplied``. ``dialled``: what
    the last dial of a lead that its rep has not reached came to.
    """

    floor: Floor
    reps: list[Rep]
    received: int
    counts: dict[LeadState, int]
    memories: list[tuple[str, str, bytes]]
    picks: dict[str, int]
    targets_down: list[str]
    deferred: dict[str, str]
    epoch: int
    now_ns: int
    salt: str = ""
    closed: dict[str, int] = {}
    windows: dict[str, int] = {}
    dialled: dict[str, str] = {}


class State:
    """Leads, reps and pools in memory. Changed by ``Apply`` only."""

    def __init__(self, *, tag: str, seed: int) -> None:
        self.tag = tag
        self.seed = seed
        self.floor = Floor(digest="")
        self.windows: dict[str, int] = {}
        self.now_ns = 0
        self.epoch = 0
        self.salt = ""
        self.leads: dict[str, Lead] = {}
        self.by_vendor: dict[tuple[str, str], str] = {}
        self.reps: dict[str, Rep] = {}
        self.slowed: dict[str, Rep] = {}
        """The reps whose flow a supervisor's override lessens. Pools hold this very dictionary."""
        self.pools: dict[str, Pool] = {}
        self.pools_of: dict[str, list[Pool]] = {}
        self.ledger = Ledger(self._held)
        self.deadlines = Deadlines()
        self.memories: dict[tuple[str, str], bytes] = {}
        self.targets_down: dict[str, str] = {}
        self.deferred: dict[str, str] = {}
        self.dialled: dict[str, str] = {}
        self.closed: OrderedDict[str, int] = OrderedDict()
        self._forget_ns = 0
        self.desk: dict[str, None] = {}

    # -- leads ---------------------------------------------------------------------------------

    def put(self, lead: Lead) -> None:
        """Hold a lead's new record: pool membership, ledger and deadline follow from it."""
        old = self.leads.get(lead.key)
        if old is None:
            self.by_vendor[lead.vendor, lead.vendor_id] = lead.key
        elif old.state != lead.state:
            self.ledger.move(old.state, lead.state)
        if lead.state != "waiting" and self.deferred:
            self.deferred.pop(lead.key, None)
        if lead.state != "assigned" and self.dialled:
            self.dialled.pop(lead.key, None)
        if lead.state == "exception":
            self.desk[lead.key] = None
        elif old is not None and old.state == "exception":
            self.desk.pop(lead.key, None)
        stays = old is not None and _same_place(old, lead)
        if old is not None and old.state == "waiting" and not stays:
            self.pools[old.pool].remove(old)
        self.leads[lead.key] = lead
        if lead.state == "waiting" and not stays:
            self._wait(lead)
        if lead.deadline_ns and (old is None or old.deadline_ns != lead.deadline_ns):
            self.deadlines.set(lead.deadline_ns, "lead", lead.key)
        if lead.state == "closed":
            self.closed.setdefault(lead.key, self.now_ns)
        elif old is not None and old.state == "closed":
            del self.closed[lead.key]

    def _wait(self, lead: Lead) -> None:
        pool = self.pool(lead.pool)
        pool.add(lead)
        if lead.prefers:
            end_of_hold = lead.since_ns + pool.span_ns(OWNER_HOLD_SECONDS)
            self.deadlines.set(end_of_hold, "pool", lead.pool)

    def begin(self, lead: Lead) -> None:
        """Take in a new lead."""
        self.put(lead)
        self.ledger.enter(lead.state)
        self.deadlines.set(self.standard_due_ns(lead), "standard", lead.key)

    def _held(self) -> Held:
        """The open leads that are here, each counted where it is and not by what happened to it."""
        waiting = 0
        for pool in self.pools.values():
            waiting += pool.waiting + len(pool.tests)
        return waiting, len(self.desk), len(self.leads) - len(self.closed)

    def has_open(self, pair: tuple[str, str]) -> bool:
        """Whether a vendor's id is that of a lead that stays in memory (a closed one may be forgotten
        at any event)."""
        lead = self.leads.get(self.by_vendor.get(pair, ""))
        return lead is not None and lead.state != "closed"

    def forget_closed(self) -> None:
        """Drop closed leads that were kept long enough, and deadlines that mean nothing any more."""
        while self._forget_ns <= self.now_ns:
            key, at_ns = next(iter(self.closed.items()), ("", self.now_ns))
            self._forget_ns = at_ns + CLOSED_KEPT_NS
            if self._forget_ns <= self.now_ns:
                del self.closed[key]
                lead = self.leads.pop(key)
                self.by_vendor.pop((lead.vendor, lead.vendor_id), None)
        self.deadlines.prune(self._stands, len(self.leads))

    def next_due_ns(self) -> int | None:
        """When the next deadline is due of which something would come; None: there is none."""
        return self.deadlines.next_ns(self._stands)

    def _stands(self, due_ns: int, kind: TimerKind, key: str) -> bool:
        """Whether anything would come of a deadline; those of reps and pools are few and short."""
        if kind in ("rep", "pool"):
            return True
        lead = self.leads.get(key)
        if lead is None:
            return False
        if kind == "standard":
            return due_ns == self.standard_due_ns(lead)
        return due_ns in (lead.deadline_ns, self.call_due_ns(lead))

    def call_due_ns(self, lead: Lead) -> int:
        """When a call of which no end is heard is taken for ended; 0 for none under way."""
        if not lead.in_pipeline or not lead.call_ns:
            return 0
        return lead.call_ns + self.floor.flow.span_ns(self.floor.flow.call_limit_seconds)

    def standard_due_ns(self, lead: Lead) -> int:
        """When the lead's speed-to-contact standard is missed; 0 once the verdict is known."""
        if lead.standard:
            return 0
        return lead.speed_from_ns + self.floor.flow.span_ns(self.floor.flow.first_contact_seconds)

    def set_again(self) -> None:
        """Set the deadlines that follow from the settings anew: those changed."""
        for lead in self.leads.values():
            self.deadlines.set(self.standard_due_ns(lead), "standard", lead.key)
            self.deadlines.set(self.call_due_ns(lead), "lead", lead.key)
        for rep in self.reps.values():
            self.deadlines.set(self.back_by_ns(rep), "rep", rep.id)

    def back_by_ns(self, rep: Rep) -> int:
        """Until when a rep who is offline counts as one who will be asked; 0 where none is waited for."""
        return back_by_ns(rep, self.floor.flow) if rep.state == "offline" else 0

    # -- pools and reps ------------------------------------------------------------------------

    def pool_plan(self, plan: PoolPlan) -> Pool:
        """The pool of ``plan``, kept with its leads where it exists already."""
        pool = self.pools.get(plan.id)
        if pool is None:
            pool = self.pools[plan.id] = Pool(
                plan, self.floor.flow, self.leads, self.seed, self.slowed, self
            )
        pool.plan, pool.flow = plan, self.floor.flow
        return pool

    def pool(self, pool_id: str) -> Pool:
        """The pool of this id; one that is not configured (any more) has no members."""
        pool = self.pools.get(pool_id)
        return self.pool_plan(PoolPlan(id=pool_id)) if pool is None else pool

    def policy_names(self) -> dict[str, str]:
        """The policy of every pool."""
        default = self.floor.flow.policy
        return {pool_id: pool.plan.policy or default for pool_id, pool in self.pools.items()}

    def is_listed(self, pool_id: str) -> bool:
        """Whether the pool is configured."""
        return any(plan.id == pool_id for plan in self.floor.pools)

    def forget_pools(self) -> None:
        """Drop pools that are not configured any more once nothing waits there, with what was remembered
        of them. After every event and entry, so that a restart finds the same pools."""
        if len(self.pools) == len(self.floor.pools):
            return
        listed = {plan.id for plan in self.floor.pools}
        for pool_id, pool in list(self.pools.items()):
            if pool_id not in listed and not pool.waiting and not pool.tests:
                del self.pools[pool_id]
        self.memories = {of: kept for of, kept in self.memories.items() if of[0] in self.pools}

    def blocked(self, pool: Pool) -> bool:
        """Whether the pool's dialer takes nothing at present."""
        return self.is_down(pool.plan.dialer)

    def is_down(self, dialer: str | None) -> bool:
        """Whether a dialer (none: the default one) takes nothing at present."""
        return (dialer or BROKER_TARGET) in self.targets_down

    def take_floor(self, floor: Floor, windows: dict[str, int]) -> None:
        """Set the floor: known reps keep their state, reps no longer listed keep it unlisted."""
        self.floor, self.windows = floor, windows
        listed = {plan.id for plan in floor.reps}
        for plan in floor.reps:
            rep = self.reps.get(plan.id)
            if rep is None:
                rep = self.reps[plan.id] = Rep(id=plan.id, team=plan.team)
            rep.team, rep.name, rep.skills = plan.team, plan.name, plan.skills
            rep.weight = plan.weight
            rep.window = floor.window_of(plan, windows)
            pace = floor.flow.pace_seconds if plan.pace_seconds is None else plan.pace_seconds
            rep.pace_ns = floor.flow.span_ns(pace)
            rep.listed = True
        for rep in self.reps.values():
            rep.listed = rep.id in listed
            if not rep.listed:
                rep.state = "offline"  # who comes back to the floor signs on again
        self._take_pools(floor)

    def _take_pools(self, floor: Floor) -> None:
        for plan in floor.pools:
            self.pool_plan(plan)
        self.forget_pools()
        self.pools_of = {rep: [] for rep in self.reps}
        plans = {plan.id: plan for plan in floor.pools}
        for pool in self.pools.values():
            wanted = floor.members(plans[pool.plan.id]) if pool.plan.id in plans else ()
            ids = [rep.id for rep in wanted]
            for rep_id in [member for member in pool.members if member not in ids]:
                pool.drop(rep_id)
            pool.members = {rep_id: self.reps[rep_id] for rep_id in ids}
            for rep_id in ids:
                self.pools_of[rep_id].append(pool)

    def note_override(self, rep: Rep) -> None:
        """Keep ``slowed`` in line with the rep's override."""
        if rep.override is not None and rep.override < 1.0:
            self.slowed[rep.id] = rep
        else:
            self.slowed.pop(rep.id, None)

    def verdict(self, rep: Rep) -> str:
        """A rep's standing now: ``available`` or ``held_back`` (may receive), ``full_pipeline``, or why
        nothing can be given."""
        if not rep.listed:
            return "not_a_member"
        if rep.state != "ready":
            return rep.state
        if rep.paused_until_ns > self.now_ns:
            return "paused"
        if rep.free_from_ns > self.now_ns:
            return "wrap_up" if rep.wraps_up else "pace"
        if len(rep.open) >= rep.window:
            return "full_pipeline"
        return "available" if rep.flow.value >= 1.0 or rep.flow.ignored else "held_back"

    # -- snapshots -----------------------------------------------------------------------------

    def head(self) -> bytes:
        """The head of a snapshot (the leads travel beside it)."""
        return msgspec.msgpack.encode(
            Head(
                floor=self.floor,
                reps=list(self.reps.values()),
                received=self.ledger.received,
                counts=dict(self.ledger.counts),
                memories=[(pool, rep, memory) for (pool, rep), memory in self.memories.items()],
                picks={pool.plan.id: pool.picks for pool in self.pools.values()},
                targets_down=list(self.targets_down),
                deferred=dict(self.deferred),
                epoch=self.epoch,
                salt=self.salt,
                now_ns=self.now_ns,
                closed={k: at for k, at in self.closed.items() if at != self.leads[k].since_ns},
                windows=self.windows,
                dialled=dict(self.dialled),
            )
        )

    def restore(self, head: bytes, leads: Iterable[Lead]) -> None:
        """Take a snapshot back: everything derived (pools, deadlines, indexes) is built anew.

        Raises ``InvariantBroken`` when its leads are not those that its ledger counts.
        """
        was = msgspec.msgpack.decode(head, type=Head)
        self.now_ns, self.epoch, self.salt = was.now_ns, was.epoch, was.salt
        self.reps = {rep.id: rep for rep in was.reps}
        self.take_floor(was.floor, was.windows)
        self.memories = {(pool, rep): memory for pool, rep, memory in was.memories}
        for pool_id, picks in was.picks.items():
            if pool_id in self.pools:
                self.pools[pool_id].picks = picks
        self.targets_down = dict.fromkeys(was.targets_down, "")
        self.deferred, self.dialled = was.deferred, was.dialled
        for lead in leads:
            self._take_back(lead)
        kept = {key: was.closed.get(key, self.leads[key].since_ns) for key in self.closed}
        self.closed = OrderedDict(sorted(kept.items(), key=lambda item: (item[1], item[0])))
        for rep in self.reps.values():
            self.note_override(rep)
            for due_ns in (
                rep.offline_due_ns,
                rep.free_from_ns,
                rep.paused_until_ns,
                rep.override_until_ns,
                self.back_by_ns(rep),
            ):
                self.deadlines.set(due_ns, "rep", rep.id)
        self.ledger.received = was.received
        self.ledger.counts = was.counts
        gaps = self.ledger.gaps(self.leads.values())
        if gaps:
            raise InvariantBroken("; ".join(gaps))

    def _take_back(self, lead: Lead) -> None:
        self.leads[lead.key] = lead
        self.by_vendor[lead.vendor, lead.vendor_id] = lead.key
        if lead.state == "waiting":
            self._wait(lead)
        elif lead.state == "closed":
            self.closed[lead.key] = lead.since_ns
        elif lead.state == "exception":
            self.desk[lead.key] = None
        self.deadlines.set(lead.deadline_ns, "lead", lead.key)
        self.deadlines.set(self.standard_due_ns(lead), "standard", lead.key)
        self.deadlines.set(self.call_due_ns(lead), "lead", lead.key)


def _same_place(old: Lead, new: Lead) -> bool:
    """Whether both records wait at the same place of the same pool."""
    return (
        old.state == new.state == "waiting"
        and old.pool == new.pool
        and old.quality == new.quality
        and old.clock_ns == new.clock_ns
        and old.excluded == new.excluded
        and old.prefers == new.prefers
    )
