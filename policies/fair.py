"""``fair``: everybody gets the same number of leads for its weight, whoever was there.

Each rep has a virtual time ``vt``. A committed assignment adds 1/weight, the rep with the least ``vt``
who may take the lead is next; ties go to the longest since its last lead, then to the rep's id.

- A turn that the rep lost by itself (rejected, unanswered) stays spent; so no make-up.
- A rep that is away, paused or held back stands still; when it comes back it starts at
  max(own vt, the least vt of those present), or it would get everything until it had caught up.
- A delivery that failed by no fault of the rep is refunded, up to ``CREDIT`` leads below the pool.
- A supervisor's override between 0 and 1 multiplies the weight, so ``vt`` grows faster.
- Test leads take no turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

import msgspec

from distributor.domain.decisions import EndCause
from distributor.domain.lead import Lead
from distributor.domain.policy import PoolView
from distributor.domain.rep import Rep
from policies.push import Key, PushPolicy, RepOrder, called, flow_weight, is_present, runner_up

CREDIT: Final = 3.0
"""How many refunded leads a rep may stand below the pool."""


class _Turns(msgspec.Struct, array_like=True, gc=False):
    """One rep's memory: virtual time, time of the last lead, whether it was in the rotation."""

    vt: float = 0.0
    last_ns: int = 0
    present: bool = False


class Fair(PushPolicy):
    """Count-fair selection by least virtual time."""

    reason: ClassVar[str] = "fewest_turns"
    note: ClassVar[str] = "turns"

    def __init__(self) -> None:
        super().__init__()
        self._turns: dict[str, _Turns] = {}
        self._reached = 0.0
        """The least vt that the pool had when somebody left: nobody comes back below it."""
        self._line = RepOrder()

    def start(self, pool: PoolView, now_ns: int) -> None:
        """Line up the members; what was remembered of a rep outlives its membership."""
        super().start(pool, now_ns)
        for rep_id, turns in self._turns.items():
            if turns.present and rep_id not in pool.members:
                self._leave(rep_id, turns)
        self._line.clear()
        for rep in pool.members.values():
            self.rep_changed(rep, now_ns)
            self._place(rep.id)

    def restore(self, rep: str, memory: bytes) -> None:
        """Take back a rep's turns, or how far the pool had come."""
        if rep:
            self._turns[rep] = msgspec.msgpack.decode(memory, type=_Turns)
        else:
            self._reached = msgspec.msgpack.decode(memory, type=float)

    def rep_changed(self, rep: Rep, now_ns: int) -> None:
        """A rep that joins the rotation starts no lower than the others stand."""
        turns = self._turns.setdefault(rep.id, _Turns())
        present = is_present(rep, now_ns)
        if present and not turns.present:
            turns.vt = max(turns.vt, self._pool_minimum())
            turns.present = True
            self._changed[rep.id] = None
            self._place(rep.id)
        elif turns.present and not present:
            self._leave(rep.id, turns)

    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """One turn is spent, also on a lead that a supervisor gave."""
        if lead.test:
            return
        turns = self._turns.setdefault(rep.id, _Turns())
        turns.vt += self._turn(rep, now_ns)
        turns.last_ns = now_ns
        self._place(rep.id)
        self._changed[rep.id] = None

    def lease_ended(
        self, lead: Lead, rep: Rep, cause: EndCause, *, blame: bool, now_ns: int
    ) -> None:
        """A fault of the system gives the turn back; every other end leaves it spent."""
        turns = self._turns.get(rep.id)
        if turns is None or lead.test or blame or cause != "delivery_failed":
            return
        turn = self._turn(rep, now_ns)
        turns.vt = max(turns.vt - turn, min(turns.vt, self._pool_minimum() - CREDIT * turn))
        self._place(rep.id)
        self._changed[rep.id] = None

    def _order(
        self, pool: PoolView, available: Mapping[str, Rep], now_ns: int
    ) -> Iterable[tuple[Key, Rep]]:
        return self._line.walk(available)

    def _sentence(
        self, pool: PoolView, best: tuple[Key, Rep], second: Key | None, now_ns: int
    ) -> str:
        (turns, last_ns, _), rep = best
        since = f"{pool.seconds(last_ns, now_ns):.0f} s ago" if last_ns else "none before"
        return (
            f"{called(rep)} has had the fewest turns for its weight ({turns:.2f}, "
            f"last lead {since}); {runner_up(second, 'turns')}."
        )

    def _memory(self, rep: str) -> bytes:
        return msgspec.msgpack.encode(self._turns[rep] if rep else self._reached)

    def _turn(self, rep: Rep, now_ns: int) -> float:
        # A supervisor may hand a lead to a rep whose weight is held at 0: that is one plain turn.
        return 1.0 / (flow_weight(rep, now_ns) or rep.weight or 1.0)

    def _place(self, rep: str) -> None:
        """Put a member where its turns say."""
        if self._pool is not None and rep in self._pool.members:
            turns = self._turns[rep]
            self._line.put((turns.vt, turns.last_ns, rep))

    def _leave(self, rep: str, turns: _Turns) -> None:
        least = self._pool_minimum()
        turns.present = False
        self._changed[rep] = None
        if least > self._reached:
            self._reached = least
            self._changed[""] = None

    def _pool_minimum(self) -> float:
        """The least vt of those in the rotation, never below what the pool had reached."""
        present = [turns.vt for turns in self._turns.values() if turns.present]
        return max(min(present, default=self._reached), self._reached)
