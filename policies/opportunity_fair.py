"""``opportunity_fair``: everybody gets its share of the leads that it could have had.

Each lead is divided among the reps who might have had it when it was given: those with a free slot who may
take it and whom no supervisor holds back. Each is due 1/n of it; the next lead goes to the rep who is
furthest below what it is due. So a rep with a rare licence gets more leads than the others, and nobody gets
fewer for it. ``fair`` promises the other thing: the same number for everybody.

- Who is away, or has no free slot, has no opportunity and is due nothing: no make-up.
- A lead that a rep refused or let lie has been its turn. A delivery that failed through no fault of the rep
  is made up for.
- Between leads for everybody the order of the reps changes for one rep alone: what all are due is one number
  (``_all``) that each rep's own is counted from.
- Test leads count for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import msgspec

from distributor.domain.decisions import EndCause
from distributor.domain.lead import Lead
from distributor.domain.policy import Lease, PoolView
from distributor.domain.rep import Rep
from distributor.domain.shares import share_in_force
from policies.push import Key, PushPolicy, RepOrder, called


class _Balance(msgspec.Struct, array_like=True, gc=False):
    """What a rep is due less what it got, in leads. While it takes part, that is ``own`` plus what all
    are due; otherwise ``own``."""

    own: float = 0.0
    part: bool = False


class OpportunityFair(PushPolicy):
    """The rep furthest below its share of the leads it could have had; then the rep's id."""

    reason: ClassVar[str] = "furthest_below_share"
    note: ClassVar[str] = "leads_due"
    sign: ClassVar[float] = -1.0

    def __init__(self) -> None:
        super().__init__()
        self._balances: dict[str, _Balance] = {}
        self._all = 0.0
        self._line = RepOrder()
        self._asked = ""
        self._eligible = 0
        self._passed_over: list[str] = []

    def start(self, pool: PoolView, now_ns: int) -> None:
        """Line up who takes part; who is no member any more takes part no more."""
        super().start(pool, now_ns)
        self._line.clear()
        for rep_id, balance in self._balances.items():
            if balance.part and rep_id not in pool.members:
                self._leave(rep_id, balance)
        for rep in pool.members.values():
            self.rep_changed(rep, now_ns)

    def restore(self, rep: str, memory: bytes) -> None:
        """Take back a rep's balance, or what all are due."""
        if rep:
            self._balances[rep] = msgspec.msgpack.decode(memory, type=_Balance)
        else:
            self._all = msgspec.msgpack.decode(memory, type=float)

    def _memory(self, rep: str) -> bytes:
        return msgspec.msgpack.encode(self._balances[rep] if rep else self._all)

    def rep_changed(self, rep: Rep, now_ns: int) -> None:
        """A rep takes part while it has a free slot and is not held back."""
        if self._pool is None:
            return
        takes_part = rep.id in self._pool.available and share_in_force(rep, now_ns) > 0.0
        balance = self._balances.setdefault(rep.id, _Balance())
        if takes_part and not balance.part:
            balance.own, balance.part = balance.own - self._all, True
            self._changed[rep.id] = None
        elif balance.part and not takes_part:
            self._leave(rep.id, balance)
        self._place(rep.id)

    def _leave(self, rep: str, balance: _Balance) -> None:
        balance.own, balance.part = balance.own + self._all, False
        self._changed[rep] = None

    def _place(self, rep: str) -> None:
        balance = self._balances[rep]
        if balance.part:
            self._line.put((-balance.own, 0, rep))
        else:
            self._line.drop(rep)

    def _offer(
        self, pool: PoolView, lead: Lead, available: Mapping[str, Rep], now_ns: int
    ) -> Lease | None:
        lease = super()._offer(pool, lead, available, now_ns)
        if lease is not None:
            self._asked = lead.key
            self._count(pool, lead, available, now_ns)
        return lease

    def _count(self, pool: PoolView, lead: Lead, available: Mapping[str, Rep], now_ns: int) -> None:
        """Who takes part and might have had this lead, and who might not."""
        everybody = [rep for rep in available.values() if self._takes_part(rep)]
        may = [rep.id for rep in everybody if self._may_have(pool, rep, lead, now_ns)]
        self._eligible = len(may)
        self._passed_over = []
        if len(may) < len(everybody):
            known = set(may)
            self._passed_over = [rep.id for rep in everybody if rep.id not in known]

    def _takes_part(self, rep: Rep) -> bool:
        balance = self._balances.get(rep.id)
        return balance is not None and balance.part

    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """Everybody who might have had it is due its part, and this rep has had it."""
        pool = self._pool
        if pool is None or lead.test:
            return
        if lead.key != self._asked:  # a supervisor gave it
            self._count(pool, lead, pool.available, now_ns)
        self._asked = ""
        part = 1.0 / max(self._eligible, 1)
        self._all += part
        self._changed[""] = None
        for passed_over in self._passed_over:
            self._add(passed_over, -part)
        self._add(rep.id, -1.0)

    def _add(self, rep: str, leads: float) -> None:
        self._balances.setdefault(rep, _Balance()).own += leads
        self._changed[rep] = None
        self._place(rep)

    def lease_ended(
        self, lead: Lead, rep: Rep, cause: EndCause, *, blame: bool, now_ns: int
    ) -> None:
        """A fault of the system gives back what the rep paid; every other end leaves it paid."""
        if not lead.test and not blame and cause == "delivery_failed":
            self._add(rep.id, 1.0)

    def _order(
        self, pool: PoolView, lead: Lead, available: Mapping[str, Rep], now_ns: int
    ) -> Iterable[tuple[Key, Rep]]:
        for key, rep in self._line.walk(available):
            yield (key[0] - self._all, 0, rep.id), rep

    def _sentence(
        self, pool: PoolView, best: tuple[Key, Rep], second: Key | None, now_ns: int
    ) -> str:
        key, rep = best
        return (
            f"{called(rep)} is furthest below its share of the leads it could have had "
            f"({self._told(pool, key, 1, now_ns)}); {self._next(pool, best[0], second, now_ns)}."
        )

    def _told(self, pool: PoolView, key: Key, place: int, now_ns: int) -> str:
        """Sums of fractions: what shows as 0.00 is just its share."""
        leads = f"{abs(key[0]):.2f}"
        if leads == "0.00":
            return "0 leads from its share"
        return f"{leads} leads {'below' if key[0] < 0.0 else 'above'} its share"
