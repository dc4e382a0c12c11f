"""The ``lease`` policy itself: facts in, one intent at a time out (one pass of the algorithm)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from distributor.domain.curve import worth
from distributor.domain.decisions import EndCause, WorkEndCause
from distributor.domain.ids import NANOSECONDS
from distributor.domain.lead import Lead
from distributor.domain.policy import Intent, PoolView
from distributor.domain.rep import Flow, Rep
from policies.lease import explain
from policies.lease.estimator import Estimator
from policies.lease.memory import (
    FleetMemory,
    RepMemory,
    Slot,
    decode_fleet,
    decode_rep,
    encode,
)
from policies.lease.one_pass import LOOK_AHEAD, Pass
from policies.lease.revocation import Watch, in_progress
from policies.lease.roster import Roster, at_work
from policies.lease.seat import Seat
from policies.lease.settings import (
    FIRM,
    LOOK_AGAIN,
    PANIC_SHOWN,
    SOFT,
    STALE_AGE,
    STEAL_AGE,
)

_SILENT_ENDS = ("expired", "recalled")


class Lease:
    """Deliver one lead at a time to whoever will pick it up, and take it back from who does not.

    Two forms, by ``[flow] visible_throttle``: the firm one (slowing is shown, with probes) and
    the soft one. A window above 1 asks for leads that queue at the rep: such leads are given at once,
    with fairness and the length of the queue, and only the latest end of a lease takes them back.
    A supervisor's override replaces the belief: 0 nothing, 1 full flow, between them a trusted rep for
    those leads that ``PoolView.may_take`` allows it.
    """

    window: ClassVar[int] = 1

    def __init__(self) -> None:
        self._memories: dict[str, RepMemory] = {}
        self._fleet = FleetMemory()
        self._changed: set[str] = set()
        self._dirty: dict[int, None] = {}
        self._reflow: dict[int, None] = {}
        self._now_ns = 0
        self._rung_ns = -1
        self._pool: PoolView
        self._estimator: Estimator
        self._roster: Roster
        self._watch: Watch
        self._pass: Pass

    # The memory.

    def restore(self, rep: str, memory: bytes) -> None:
        """Take back a record of ``changed_memory``."""
        if rep:
            self._memories[rep] = decode_rep(memory)
        else:
            self._fleet = decode_fleet(memory)

    def changed_memory(self) -> Iterable[tuple[str, bytes]]:
        """The records that changed since the last call, in the order of their names."""
        changed, self._changed = sorted(self._changed), set()
        return [(rep, encode(self._memories[rep] if rep else self._fleet)) for rep in changed]

    # Beginning.

    def start(self, pool: PoolView, now_ns: int) -> None:
        """Build everything that is not remembered from the view."""
        self._pool, self._now_ns, self._rung_ns = pool, now_ns, -1
        settings = FIRM if pool.flow.visible_throttle else SOFT
        rate = pool.seconds(0, NANOSECONDS) / NANOSECONDS
        self._estimator = Estimator(settings, rate, self._fleet)
        self._roster = Roster(self._estimator, pool)
        self._watch = Watch(pool, self._roster)
        self._pass = Pass(pool, self._roster, self._watch)
        self._dirty, self._reflow = {}, {}
        for rep in pool.members.values():
            memory = self._memories.setdefault(rep.id, RepMemory())
            seat = self._roster.add(rep, memory)
            self._reconcile(seat, now_ns)
            self._roster.place(seat, now_ns)
            self._reflow[seat.index] = None

    def _reconcile(self, seat: Seat, now_ns: int) -> None:
        """Make the leases of a rep those that the core holds (they differ after other settings)."""
        rep, m = seat.rep, seat.memory
        if m.away and at_work(rep, now_ns):
            self._estimator.returned(m, 0.0, now_ns)
            self._changed.add(rep.id)
        if seat.deep:
            if m.slots or (m.pulse is None and any(map(self._is_ours, rep.open))):
                m.slots = []
                m.pulse = self._estimator.slot(rep, m, "", now_ns)
                self._changed.add(rep.id)
            return
        silent = [k for k, uncontacted in rep.open.items() if uncontacted and self._is_silent(k)]
        kept = [slot for slot in m.slots if slot.lead_key in rep.open]
        missing = [k for k in silent if all(slot.lead_key != k for slot in kept)]
        if missing or len(kept) < len(m.slots) or m.pulse is not None:
            m.pulse = None
            m.slots = kept + [self._estimator.slot(rep, m, key, now_ns) for key in missing]
            self._changed.add(rep.id)
        for slot in m.slots:
            self._watch.add(seat, slot, now_ns)

    def _is_ours(self, key: str) -> bool:
        lead = self._pool.lead(key)
        return lead is not None and lead.pool == self._pool.plan.id

    def _is_silent(self, key: str) -> bool:
        lead = self._pool.lead(key)
        return lead is not None and self._is_ours(key) and not in_progress(lead)

    # Facts.

    def _touch(self, rep: Rep, now_ns: int) -> Seat | None:
        """The seat of a rep whom a fact concerns; None for one who is no member (any more)."""
        self._ring(now_ns)
        seat = self._roster.by_id.get(rep.id)
        if seat is not None:
            seat.rep = rep
            self._dirty[seat.index] = None
            self._reflow[seat.index] = None
        return seat

    def _learn(self, rep: Rep, now_ns: int) -> Seat | None:
        """As ``_touch``, for a fact that changes what is remembered of the rep."""
        seat = self._touch(rep, now_ns)
        if seat is not None:
            self._changed.add(rep.id)
        return seat

    def rep_changed(self, rep: Rep, now_ns: int) -> None:
        """Presence: a logged pause clears what is in hand, a return clears the beliefs (E3, E10)."""
        seat = self._touch(rep, now_ns)
        if seat is None:
            return
        m = seat.memory
        offline = rep.state == "offline"
        if not at_work(rep, now_ns):
            if not m.away or (offline and not m.left_ns):
                self._estimator.left(m, now_ns, offline=offline)
                self._changed.add(rep.id)
            return
        if m.away:
            began = self._estimator.returned(m, self._roster.mean_share, now_ns)
            if began and not self._roster.at_work and self._fleet.offset:
                self._fleet.offset = 0.0
                self._changed.add("")
            m.ready_ns = rep.state_at_ns
            for slot in m.slots:
                self._judge_from(seat, slot, now_ns)
            self._changed.add(rep.id)
        elif rep.sends_states:
            self._agent_state(seat, now_ns)

    def _agent_state(self, seat: Seat, now_ns: int) -> None:
        """What a dialer reports of the agent. One that is as old as what is known says nothing, but a
        ``ready`` ends every call: silence on what waits with the rep is judged from then on."""
        rep, m = seat.rep, seat.memory
        if rep.state != "ready":
            if rep.state_at_ns <= max(m.own_contact_ns, m.told_busy_ns):
                return
            m.told_busy_ns = rep.state_at_ns
            self._estimator.agent_busy(m, now_ns)
            for slot in m.slots:
                slot.on_call = True
        else:
            waiting = [slot for slot in m.slots if slot.on_call]
            news = rep.state_at_ns > max(m.own_contact_ns, m.busy_ns, m.ready_ns)
            if not (news or waiting or (m.pulse is not None and m.pulse.on_call)):
                return
            if news:
                m.ready_ns = rep.state_at_ns
                self._estimator.agent_ready(m, now_ns)
            for slot in waiting:
                self._judge_from(seat, slot, now_ns)
        self._beat(seat, now_ns)
        self._changed.add(rep.id)

    def lead_waiting(self, lead: Lead, now_ns: int) -> None:
        """A lead joined: the next pass will see it in the pool."""
        self._ring(now_ns)

    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """A lease began, by our intent or by a supervisor's."""
        self._pass.forget(lead.key)
        queued = self._roster.by_id.get(rep.id)
        if queued is not None and self._joins_a_queue(queued, lead):
            queued.rep = rep
            return
        seat = self._learn(rep, now_ns)
        if seat is None:
            return
        m = seat.memory
        if seat.deep:
            if lead.probe:
                span = self._estimator.settings.probe_limit + self._roster.probe_gap
                m.next_probe_ns = now_ns + self._pool.span_ns(span)
            if m.pulse is None or len(rep.open) <= 1:
                self._beat(seat, now_ns)
            return
        slot = self._estimator.slot(rep, m, lead.key, now_ns, probe=lead.probe)
        m.slots.append(slot)
        self._watch.add(seat, slot, now_ns)

    @staticmethod
    def _joins_a_queue(seat: Seat, lead: Lead) -> bool:
        """One more lead behind others: nothing is learned, and the rep stays where it stands."""
        behind = seat.queue_open() and len(seat.rep.open) > 1 and seat.memory.pulse is not None
        return behind and not lead.probe and seat.place == "eligible"

    def _beat(self, seat: Seat, now_ns: int) -> None:
        """A sign of life of a rep with a deep pipeline: silence is judged from here."""
        if seat.deep:
            seat.memory.pulse = self._estimator.slot(seat.rep, seat.memory, "", now_ns)

    def lease_restarted(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """The rep could not have had the lead before: its silence is judged from here."""
        seat = self._learn(rep, now_ns)
        if seat is None:
            return
        slot = seat.memory.slot_of(lead.key)
        if slot is not None:
            self._judge_from(seat, slot, now_ns)
        self._beat(seat, now_ns)

    def _judge_from(self, seat: Seat, slot: Slot, now_ns: int) -> None:
        self._watch.remove(seat, slot)
        fresh = self._estimator.slot(seat.rep, seat.memory, slot.lead_key, now_ns)
        slot.since_ns, slot.weights = now_ns, fresh.weights
        slot.handling_seconds, slot.on_call = fresh.handling_seconds, fresh.on_call
        self._watch.add(seat, slot, now_ns)

    def lease_ended(
        self, lead: Lead, rep: Rep, cause: EndCause, *, blame: bool, now_ns: int
    ) -> None:
        """A lease ended without contact: evidence only where silence ended it and nobody else is to
        blame."""
        seat = self._learn(rep, now_ns)
        if seat is None:
            return
        m = seat.memory
        silent = blame and cause in _SILENT_ENDS
        slot = self._drop(seat, lead.key)
        if slot is not None:
            if slot.probe:
                m.next_probe_ns = now_ns + self._pool.span_ns(self._roster.probe_gap)
            if silent and not slot.claimed:
                self._lose(m, slot, now_ns)
        elif silent and seat.deep and m.pulse is not None:
            if self._pool.seconds(m.pulse.since_ns, now_ns) >= STEAL_AGE:
                self._estimator.lost(m, m.pulse, now_ns, deep=True)
                self._beat(seat, now_ns)

    def _lose(self, m: RepMemory, slot: Slot, now_ns: int) -> None:
        before = self._fleet.offset
        _, likely_free = self._roster.offers(now_ns)
        plenty = self._roster.plenty(likely_free)
        self._estimator.lost(m, slot, now_ns, deep=False, plenty=plenty)
        if self._fleet.offset != before:
            self._changed.add("")

    def _drop(self, seat: Seat, key: str) -> Slot | None:
        slot = seat.memory.slot_of(key)
        if slot is not None:
            self._watch.remove(seat, slot)
            seat.memory.slots.remove(slot)
        return slot

    def contacted(self, lead: Lead, rep: Rep, at_ns: int, *, counted: bool, now_ns: int) -> None:
        """A conversation began (E3); a bare claim only keeps the lease (E12)."""
        seat = self._learn(rep, now_ns)
        if seat is None:
            return
        m, at_ns = seat.memory, min(at_ns, now_ns)
        slot = m.slot_of(lead.key)
        if not counted:
            if slot is not None:
                self._watch.remove(seat, slot)
                slot.claimed = True
            return
        if not self._fleet.evidence:
            self._fleet.evidence = True
            self._changed.add("")
        if slot is None and m.busy_lead == lead.key:
            return
        self._learn_contact(seat, lead, slot, at_ns, now_ns)
        if rep.sends_states:
            if rep.state_at_ns <= at_ns:
                m.own_contact_ns = at_ns
            elif rep.state == "ready":
                self._estimator.agent_ready(m, now_ns)
        self._beat(seat, now_ns)

    def _learn_contact(
        self, seat: Seat, lead: Lead, slot: Slot | None, at_ns: int, now_ns: int
    ) -> None:
        m = seat.memory
        gained = lead.quality * worth(self._pool.age_seconds(lead, at_ns))
        evidence = slot or m.pulse
        if evidence is None:
            self._estimator.present(m, now_ns)
            self._estimator.took(m, lead.key, at_ns, gained)
            return
        self._drop(seat, lead.key)
        before = self._fleet.offset
        self._estimator.answered(m, evidence, at_ns, now_ns, gained, deep=slot is None)
        m.busy_lead = lead.key
        if self._fleet.offset != before:
            self._changed.add("")

    def work_ended(
        self,
        lead: Lead,
        rep: Rep,
        cause: WorkEndCause,
        at_ns: int,
        now_ns: int,
        *,
        counted: bool,
    ) -> None:
        """A lead left the pipeline. That we presumed it finished is no news: the next contact will
        show whether its disposition was lost (E1). A claim speaks for the rep only where the contact with
        the lead was evidence, or where the pool has never seen any."""
        seat = self._learn(rep, now_ns)
        if seat is None:
            return
        m = seat.memory
        untouched = self._drop(seat, lead.key) is not None
        if cause == "presumed":
            return
        if cause in ("call_limit", "unheard"):
            self._estimator.unheard(m, lead.key)
            return
        if cause == "taken_back":
            if m.busy_lead == lead.key:
                self._estimator.let_go(m)
            return
        if not counted and self._fleet.evidence and m.busy_lead != lead.key:
            if untouched:
                m.side = max(0.15, self._estimator.side_work(m, now_ns))
                m.side_ns = now_ns
            return
        if cause == "agent_ready":
            self._estimator.agent_ready(m, now_ns)
        elif cause == "late" and m.busy_lead != lead.key:
            self._estimator.present(m, now_ns)
        else:
            self._estimator.disposed(m, lead.key, min(at_ns, now_ns), now_ns)
            if untouched:
                m.side, m.side_ns = 0.15, now_ns
        self._beat(seat, now_ns)

    def converted(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """The rep's lead became a conversion: skill (E6)."""
        seat = self._learn(rep, now_ns)
        if seat is not None:
            seat.memory.conversions += 1.0

    # One pass.

    def next_intent(self, now_ns: int) -> Intent | None:
        """The next thing to do now, or None."""
        self._ring(now_ns)
        self._settle(now_ns)
        intent = self._pass.next(now_ns)
        if intent is None:
            self._watch.due.clear()
        return intent

    def _ring(self, now_ns: int) -> None:
        """Let due timers act, once at each time: what is set at a time is due after it."""
        if now_ns == self._rung_ns:
            return
        self._rung_ns = self._now_ns = now_ns
        self._watch.ring(now_ns)
        turned, freed = self._roster.ring(now_ns)
        for seat in turned:
            self._reflow[seat.index] = None
        if freed:
            self._watch.sweep(now_ns)

    def _settle(self, now_ns: int) -> None:
        """Place the reps whom facts have touched."""
        if not self._dirty:
            return
        freed = False
        for index in self._dirty:
            freed = self._roster.place(self._roster.seats[index], now_ns) or freed
        self._dirty.clear()
        if freed:
            self._watch.sweep(now_ns)

    # What others need to know.

    def wake_ns(self) -> int | None:
        """When time alone may change what is to be done or shown."""
        times = [self._watch.next_ns(), self._roster.next_turn_ns()]
        telling_ns = self._panic_due_ns()
        if telling_ns is not None and telling_ns > self._now_ns:
            times.append(telling_ns)  # what is due already is told at the end of this pass
        if self._pool.waiting or self._watch.any_standing:
            times.append(self._roster.next_entry_ns())
        if self._pool.waiting:
            times += [self._next_stale_ns(), self._next_look_ns()]
        due = [at_ns for at_ns in times if at_ns is not None]
        return min(due) if due else None

    def _next_stale_ns(self) -> int | None:
        """When a waiting lead becomes old enough for a slowed rep who could be tested."""
        if not self._roster.low:
            return None
        span_ns = self._pool.span_ns(STALE_AGE) + 1
        for lead in self._pool.oldest(LOOK_AHEAD):
            if lead.clock_ns + span_ns > self._now_ns:
                return lead.clock_ns + span_ns
        return None

    def _next_look_ns(self) -> int | None:
        """A lead that is kept waiting beside a free rep: the chance to be free grows with time, and with
        it the reserve (E7). At whole tens of seconds, whenever it was looked at last."""
        if not self._roster.eligible:
            return None
        span_ns = self._pool.span_ns(LOOK_AGAIN)
        return (self._now_ns // span_ns + 1) * span_ns

    def flow_changes(self, now_ns: int) -> Iterable[tuple[str, Flow, dict[str, float]]]:
        """The reps whose visible flow, or what was said to restore it, changed: in the order of the
        configuration."""
        self._ring(now_ns)
        self._settle(now_ns)
        self._show_panic(now_ns)
        changes = []
        for index in sorted(self._reflow):
            seat = self._roster.seats[index]
            m, judged = seat.memory, seat.slowed or seat.rep.override is not None
            if not judged and (m.shown, m.shown_reason) == (1.0, "full_flow"):
                continue  # as nearly always: no sentence is made to see that it is the old one
            test_ns = explain.test_told(self._roster, seat, panic=self._fleet.panic_shown)
            flow = explain.flow(self._roster, seat, test_ns, now_ns)
            test_ns = test_ns if flow.reason == "slow_contact" else 0
            told = (flow.value, flow.reason, test_ns)
            if told != (m.shown, m.shown_reason, m.shown_test_ns):
                m.shown, m.shown_reason, m.shown_test_ns = told
                self._changed.add(seat.rep.id)
                lagging, absent = self._estimator.belief(m, now_ns)
                numbers = {"lagging": lagging, "absent": absent}
                changes.append((seat.rep.id, flow, numbers | {"fails": float(m.fails)}))
        self._reflow.clear()
        return changes

    def _panic_due_ns(self) -> int | None:
        """When people are told that a panic began or ended; None: they know."""
        if self._roster.panic == self._fleet.panic_shown or not self._estimator.settings.visible:
            return None
        told_ns = self._fleet.panic_told_ns
        return told_ns + self._pool.span_ns(PANIC_SHOWN) if told_ns else self._now_ns

    def _show_panic(self, now_ns: int) -> None:
        """The sentences of all slowed reps change with the begin and the end of a panic."""
        due_ns = self._panic_due_ns()
        if due_ns is None or due_ns > now_ns:
            return
        self._fleet.panic_shown, self._fleet.panic_told_ns = self._roster.panic, now_ns
        self._changed.add("")
        self._reflow.update((seat.index, None) for seat in self._roster.seats if seat.slowed)
