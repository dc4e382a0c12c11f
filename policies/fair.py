"""``fair``: everybody gets the same number of leads for its weight, whoever was there.

Each rep has a virtual time ``vt``. A committed assignment adds 1/weight, the rep with the least ``vt``
who may take the lead is next; ties go to the longest since its last lead, then to the rep's id. The
pool's clock is how far the least ``vt`` of those with a free slot has come; it never goes back.

- A turn that the rep lost by itself (rejected, unanswered) stays spent; so no make-up.
- A rep that was away, paused or held back starts no lower than the clock when it comes back, or it
  would get everything until it had caught up.
- What a rep missed while it was busy, a lead that proved to be bad (``invalid``) and a delivery that
  failed by no fault of the rep are owed to it, up to ``CREDIT`` leads and until the day is over (midnight
  UTC of the floor's time): a call costs no turn, a morning in a call is not made up for. A lead that was
  owed adds nothing to ``vt``; whoever had the pool's last lead is owed nothing for the moment, so that
  no rep makes up for two in a row.
- A supervisor's override between 0 and 1 multiplies the weight, so ``vt`` grows faster.
- Test leads take no turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import ClassVar, Final

import msgspec

from distributor.domain.decisions import EndCause, WorkEndCause
from distributor.domain.lead import Lead
from distributor.domain.policy import Intent, Lease, PoolView
from distributor.domain.rep import Rep
from policies.push import Key, PushPolicy, RepOrder, called, flow_weight, is_present, since

CREDIT: Final = 3.0
"""How many leads a rep may be owed."""
DAY_SECONDS: Final = 86_400.0


class _Turns(msgspec.Struct, array_like=True, gc=False):
    """One rep's memory: virtual time, time of the last lead, whether it is in the rotation; the leads it is
    owed; the number of its last lead in the pool, and the pool's clock then; the day it was last owed one."""

    vt: float = 0.0
    last_ns: int = 0
    present: bool = False
    owed: float = 0.0
    number: int = 0
    clock: float = 0.0
    day: int = 0


class Fair(PushPolicy):
    """Count-fair selection by least virtual time."""

    reason: ClassVar[str] = "fewest_turns"
    note: ClassVar[str] = "turns"
    weighs_overrides: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._turns: dict[str, _Turns] = {}
        self._clock = 0.0
        self._number = 0
        self._last = ""
        self._asked = ""
        self._least = 0.0
        self._line = RepOrder()
        self._ended: list[tuple[str, str, int]] = []
        self._today = 0

    def start(self, pool: PoolView, now_ns: int) -> None:
        """Line up the members; what was remembered of a rep outlives its membership."""
        super().start(pool, now_ns)
        for rep_id, turns in self._turns.items():
            if turns.present and rep_id not in pool.members:
                self._leave(rep_id, turns)
        self._line.clear()
        self._begin_day(pool, now_ns)
        for rep in pool.members.values():
            self.rep_changed(rep, now_ns)
            self._place(rep, now_ns)

    def restore(self, rep: str, memory: bytes) -> None:
        """Take back a rep's turns; the newest of all say where the pool stands."""
        turns = self._turns[rep] = msgspec.msgpack.decode(memory, type=_Turns)
        self._clock = max(self._clock, turns.clock)
        if turns.number > self._number:
            self._number, self._last = turns.number, rep

    def rep_changed(self, rep: Rep, now_ns: int) -> None:
        """A rep that joins the rotation, or can receive again, starts no lower than the clock."""
        self._end_day(now_ns)
        turns = self._turns.setdefault(rep.id, _Turns())
        if not is_present(rep, now_ns):
            if turns.present:
                self._leave(rep.id, turns)
            return
        if not turns.present:
            turns.present = True
            turns.vt = max(turns.vt, self._clock)
            self._changed[rep.id] = None
        elif turns.vt < self._clock and self._pool is not None and rep.id in self._pool.available:
            missed = (self._clock - turns.vt) / self._turn(rep, now_ns)
            if missed > 1.0:  # else it just keeps its place
                turns.vt = self._clock
                self._owe(rep.id, turns, missed)
        self._place(rep, now_ns)

    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """One turn is spent, also on a lead that a supervisor gave."""
        if lead.test:
            return
        self._end_day(now_ns)
        turns = self._turns.setdefault(rep.id, _Turns())
        if lead.key == self._asked:
            self._clock = max(self._clock, min(turns.vt, self._least))
        owed = self._owed(rep.id, turns)
        turns.vt += self._turn(rep, now_ns) * (1.0 - owed)
        turns.owed -= owed
        self._number += 1
        turns.last_ns, turns.number, turns.clock = now_ns, self._number, self._clock
        before, self._last = self._last, rep.id
        self._changed[rep.id] = None
        if self._pool is not None and before in self._pool.members and self._turns[before].owed:
            self._place(self._pool.members[before], now_ns)
        self._place(rep, now_ns)

    def lease_ended(
        self, lead: Lead, rep: Rep, cause: EndCause, *, blame: bool, now_ns: int
    ) -> None:
        """After a fault of the system the rep is owed a lead; every other end leaves the turn spent."""
        self._end_day(now_ns)
        self._note(lead, rep, now_ns)
        turns = self._turns.get(rep.id)
        if turns is None or lead.test or blame or cause != "delivery_failed":
            return
        self._owe(rep.id, turns, 1.0)
        self._place(rep, now_ns)

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
        """The lead may be closed as a bad one."""
        self._note(lead, rep, now_ns)

    def _note(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        if not lead.test and lead.status != "invalid" and rep.id in self._turns:
            self._ended.append((lead.key, rep.id, now_ns))

    def _make_up(self) -> None:
        """What ended just now has its status by the time the policy is asked."""
        ended, self._ended = self._ended, []
        for key, rep_id, now_ns in ended:
            lead = self._pool.lead(key) if self._pool is not None else None
            if self._pool is None or lead is None or lead.status != "invalid":
                continue
            self._owe(rep_id, self._turns[rep_id], 1.0)
            if rep_id in self._pool.members:
                self._place(self._pool.members[rep_id], now_ns)

    def _owe(self, rep: str, turns: _Turns, leads: float) -> None:
        turns.owed, turns.day = min(turns.owed + leads, CREDIT), self._today
        self._changed[rep] = None

    def next_intent(self, now_ns: int) -> Intent | None:
        """Lease the best lead that an available rep may take; None where there is none."""
        self._end_day(now_ns)
        self._make_up()
        return super().next_intent(now_ns)

    def changed_memory(self) -> list[tuple[str, bytes]]:
        """The turns of those who had a lead, or are owed one; asked also while nothing can be leased."""
        self._make_up()
        return super().changed_memory()

    def _begin_day(self, pool: PoolView, now_ns: int) -> None:
        """What was owed on an earlier day is forgotten."""
        self._today = int(pool.seconds(0, now_ns) // DAY_SECONDS)
        for rep_id, turns in self._turns.items():
            if turns.owed and turns.day < self._today:
                turns.owed = 0.0
                self._changed[rep_id] = None
                if rep_id in pool.members:
                    self._place(pool.members[rep_id], now_ns)

    def _end_day(self, now_ns: int) -> None:
        pool = self._pool
        if pool is not None and pool.seconds(0, now_ns) >= (self._today + 1) * DAY_SECONDS:
            self._begin_day(pool, now_ns)

    def _offer(
        self, pool: PoolView, lead: Lead, available: Mapping[str, Rep], now_ns: int
    ) -> Lease | None:
        lease = super()._offer(pool, lead, available, now_ns)
        self._asked = "" if lease is None else lead.key
        return lease

    def _order(
        self, pool: PoolView, lead: Lead, available: Mapping[str, Rep], now_ns: int
    ) -> Iterable[tuple[Key, Rep]]:
        walk = self._line.walk(available)
        first = next(walk, None)
        if first is None:
            return ()
        self._least = first[0][0]
        return chain((first,), walk)

    def _sentence(
        self, pool: PoolView, best: tuple[Key, Rep], second: Key | None, now_ns: int
    ) -> str:
        key, rep = best
        return (
            f"{called(rep)} has had the fewest turns for its weight "
            f"({self._told(pool, key, 1, now_ns)}); {self._next(pool, best[0], second, now_ns)}."
        )

    def _told(self, pool: PoolView, key: Key, place: int, now_ns: int) -> str:
        turns, last_ns, _ = key
        last = f"last lead {since(pool, last_ns, now_ns)} ago" if last_ns else "no lead before"
        return f"{turns:.2f} turns, {last}"

    def _memory(self, rep: str) -> bytes:
        return msgspec.msgpack.encode(self._turns[rep])

    def _turn(self, rep: Rep, now_ns: int) -> float:
        # A supervisor may hand a lead to a rep whose weight is held at 0: that is one plain turn.
        return 1.0 / (flow_weight(rep, now_ns) or rep.weight or 1.0)

    def _owed(self, rep: str, turns: _Turns) -> float:
        """How much of its next lead the rep is owed."""
        return 0.0 if rep == self._last else min(turns.owed, 1.0)

    def _place(self, rep: Rep, now_ns: int) -> None:
        """Put a member where its turns say, less what it is owed."""
        if self._pool is not None and rep.id in self._pool.members:
            turns = self._turns[rep.id]
            owed = self._owed(rep.id, turns)
            vt = turns.vt - owed * self._turn(rep, now_ns) if owed else turns.vt
            self._line.put((vt, turns.last_ns, rep.id))

    def _leave(self, rep: str, turns: _Turns) -> None:
        turns.present = False
        self._changed[rep] = None
