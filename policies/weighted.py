"""``weighted``: smooth weighted round robin. A rep of weight 2 gets every second lead of two such turns.

Each committed assignment adds every present rep's weight to its credit and takes the sum of the weights
from the rep who got the lead; the largest credit is next. The credit is kept as a base plus weight times
rounds, so that one assignment changes one rep's memory and the pool's, not everybody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import msgspec

from distributor.domain.decisions import EndCause
from distributor.domain.lead import Lead
from distributor.domain.policy import PoolView
from distributor.domain.rep import Rep
from policies.push import Key, PushPolicy, called, flow_weight, is_present


class _Credit(msgspec.Struct, array_like=True, gc=False):
    """Credit ``base`` at round ``since``, growing by ``weight`` each round (0: not present)."""

    base: float = 0.0
    since: int = 0
    weight: float = 0.0

    def at(self, round_: int) -> float:
        return self.base + self.weight * (round_ - self.since)


class Weighted(PushPolicy):
    """Smooth weighted round robin over the reps who are present."""

    reason: ClassVar[str] = "most_credit"
    note: ClassVar[str] = "credit"
    sign: ClassVar[float] = -1.0
    weighs_overrides: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._credits: dict[str, _Credit] = {}
        self._round = 0

    def start(self, pool: PoolView, now_ns: int) -> None:
        """Take in the members; who is none any more gains nothing."""
        super().start(pool, now_ns)
        for rep_id in self._credits:
            if rep_id not in pool.members:
                self._grow(rep_id, 0.0)
        for rep in pool.members.values():
            self.rep_changed(rep, now_ns)

    def restore(self, rep: str, memory: bytes) -> None:
        """Take back a rep's credit, or the number of rounds."""
        if rep:
            self._credits[rep] = msgspec.msgpack.decode(memory, type=_Credit)
        else:
            self._round = msgspec.msgpack.decode(memory, type=int)

    def rep_changed(self, rep: Rep, now_ns: int) -> None:
        """Weight or presence changed: credit grows at the new rate; no credit for coming back."""
        self._grow(rep.id, flow_weight(rep, now_ns) if is_present(rep, now_ns) else 0.0)

    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """One round: everybody gains its weight, this rep pays for all."""
        if lead.test:
            return
        self._round += 1
        self._changed[""] = None
        self._add(rep.id, -self._total())

    def lease_ended(
        self, lead: Lead, rep: Rep, cause: EndCause, *, blame: bool, now_ns: int
    ) -> None:
        """A fault of the system gives back what the rep paid."""
        if not lead.test and not blame and cause == "delivery_failed":
            self._add(rep.id, self._total())

    def _order(
        self, pool: PoolView, lead: Lead, available: Mapping[str, Rep], now_ns: int
    ) -> Iterable[tuple[Key, Rep]]:
        held, round_ = self._credits, self._round + 1
        keys = sorted([(-held[rep].at(round_), 0, rep) for rep in available if rep in held])
        return ((key, available[key[2]]) for key in keys)

    def _sentence(
        self, pool: PoolView, best: tuple[Key, Rep], second: Key | None, now_ns: int
    ) -> str:
        (figure, _, _), rep = best
        return (
            f"{called(rep)} has the most credit ({-figure:.2f} at weight "
            f"{flow_weight(rep, now_ns):.2f}); {self._next(pool, best[0], second, now_ns)}."
        )

    def _told(self, pool: PoolView, key: Key, place: int, now_ns: int) -> str:
        weight = flow_weight(pool.members[key[2]], now_ns)
        return f"{-key[0]:.2f} of credit at weight {weight:.2f}"

    def _memory(self, rep: str) -> bytes:
        return msgspec.msgpack.encode(self._credits[rep] if rep else self._round)

    def _total(self) -> float:
        return sum(credit.weight for credit in self._credits.values())

    def _add(self, rep: str, amount: float) -> None:
        credit = self._credits.setdefault(rep, _Credit(since=self._round))
        credit.base += amount
        self._changed[rep] = None

    def _grow(self, rep: str, weight: float) -> None:
        credit = self._credits.setdefault(rep, _Credit(since=self._round))
        if credit.weight == weight:
            return
        held = credit.at(self._round)
        credit.base = min(held, 0.0) if credit.weight == 0.0 else held
        credit.since, credit.weight = self._round, weight
        self._changed[rep] = None
