"""When a silent lead moves on to somebody else (E8)."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from typing import Final, NamedTuple

from distributor.domain.curve import worth
from distributor.domain.lead import Lead
from distributor.domain.policy import PoolView
from policies.lease.choice import expected_worth
from policies.lease.memory import Slot
from policies.lease.roster import Offer, Roster
from policies.lease.seat import Seat
from policies.lease.settings import (
    PANIC_STEAL_AGE,
    PEAK,
    PLENTY_PRICE_FRESH,
    PLENTY_PRICE_STALE,
    PLENTY_STEAL_LIMIT,
    PRICE_FRESH,
    PRICE_STALE,
    RECHECK_AGES,
    STALE_AGE,
    STEAL_LIMIT,
    UNLIMITED_AGE,
)

_SWEEP: Final = 16
BY_HAND: Final = "supervisor"
"""The reason of an assignment that a supervisor made: it is not moved on."""


class Steal(NamedTuple):
    """A lead worth moving. ``worth_here`` and ``worth_there`` are per unit of quality."""

    gain: float
    lead: Lead
    holder: Seat
    taker: Seat
    offer: Offer
    silent: float
    worth_here: float
    worth_there: float
    price: float


class Silent(NamedTuple):
    """A lease that nobody answers. ``silent``, ``age``: seconds. ``total``: the chance of this silence.
    ``here``: what the lead is worth where it lies; ``most``: what a move can gain at best."""

    lead: Lead
    holder: Seat
    slot: Slot
    silent: float
    age: float
    total: float
    here: float
    most: float


class Terms(NamedTuple):
    """What a move costs, as shares of the worth of an immediate contact, and how many there may be
    of one lead before it is ten minutes old."""

    fresh: float
    stale: float
    limit: int


def terms_of(*, plenty: bool, pace: float) -> Terms:
    """The terms now. ``plenty``: most reps are free, so that a move takes nothing from anybody.
    ``pace``: how much of a rep's time a move costs."""
    if plenty:
        return Terms(PLENTY_PRICE_FRESH, PLENTY_PRICE_STALE, PLENTY_STEAL_LIMIT)
    return Terms(PRICE_FRESH * pace, PRICE_STALE * pace, STEAL_LIMIT)


def kindest_terms(*, plenty: bool, pace: float) -> Terms:
    """The terms as they are at best. ``plenty``: most reps may be free."""
    usual = terms_of(plenty=False, pace=pace)
    if not plenty:
        return usual
    free = terms_of(plenty=True, pace=pace)
    return Terms(
        min(usual.fresh, free.fresh), min(usual.stale, free.stale), max(usual.limit, free.limit)
    )


class Watch:
    """The silent leases: when to look at each again, and which to look at in this pass.

    Leases of deep pipelines are not watched: there a lead waits for its turn, and only the core's
    latest end takes it back. Claimed ones are not either.
    """

    def __init__(self, pool: PoolView, roster: Roster) -> None:
        self._pool = pool
        self._roster = roster
        self._spans = [pool.span_ns(age) for age in RECHECK_AGES]
        self._standing: list[tuple[int, int, str]] = []
        self._timers: list[tuple[int, int, int, str]] = []
        self.due: dict[str, int] = {}

    def add(self, seat: Seat, slot: Slot, now_ns: int) -> None:
        """Begin to watch a lease."""
        if seat.deep or slot.claimed:
            return
        if not slot.probe:
            insort(self._standing, (slot.since_ns, seat.index, slot.lead_key))
        self._arm(seat.index, slot, now_ns)

    def remove(self, seat: Seat, slot: Slot) -> None:
        """Stop watching; call it before the slot changes."""
        entry = (slot.since_ns, seat.index, slot.lead_key)
        at = bisect_left(self._standing, entry)
        if at < len(self._standing) and self._standing[at] == entry:
            del self._standing[at]
        self.due.pop(slot.lead_key, None)

    def _arm(self, index: int, slot: Slot, now_ns: int) -> None:
        spans = [self._roster.probe_span_ns(slot)] if slot.probe else self._spans
        passed = now_ns - slot.since_ns
        at = bisect_right(spans, passed)
        if at < len(spans):
            entry = (slot.since_ns + spans[at], slot.since_ns, index, slot.lead_key)
            heapq.heappush(self._timers, entry)
        elif slot.probe:
            self.due[slot.lead_key] = index

    def _alive(self, entry: tuple[int, int, int, str]) -> Slot | None:
        _, since_ns, index, key = entry
        slot = self._roster.seats[index].memory.slot_of(key)
        if slot is None or slot.since_ns != since_ns or slot.claimed:
            return None
        return slot

    def ring(self, now_ns: int) -> None:
        """Mark the leases whose time has come, and arm them anew."""
        while self._timers and self._timers[0][0] <= now_ns:
            entry = heapq.heappop(self._timers)
            slot = self._alive(entry)
            if slot is not None:
                self.due[slot.lead_key] = entry[2]
                if not slot.probe:
                    self._arm(entry[2], slot, now_ns)

    def next_ns(self) -> int | None:
        """When the next lease is to be looked at."""
        while self._timers and self._alive(self._timers[0]) is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    @property
    def any_standing(self) -> bool:
        """Whether any lease could be moved."""
        return bool(self._standing)

    def sweep(self, now_ns: int) -> None:
        """A rep became free: look at the youngest of the leases old enough to move."""
        ripe = self._pool.span_ns(self._roster.steal_age)
        end = bisect_left(self._standing, (now_ns - ripe + 1, -1, ""))
        for _, index, key in self._standing[max(0, end - _SWEEP) : end]:
            self.due[key] = index

    def overdue_probe(self, now_ns: int) -> tuple[Seat, Slot] | None:
        """A probe whose time is over."""
        for key, index in self.due.items():
            seat = self._roster.seats[index]
            slot = seat.memory.slot_of(key)
            if (
                slot is None
                or not slot.probe
                or now_ns - slot.since_ns < self._roster.probe_span_ns(slot)
            ):
                continue
            lead = self._pool.lead(key)
            if lead is not None and not in_progress(lead):
                return seat, slot
        return None

    def movable(self, terms: Terms, *, spare: bool, now: int) -> list[Silent]:
        """The due leases that would be worth a move on these terms if somebody took them on the spot, in
        the order of their keys; stale ones with ``spare`` alone. It asks for no taker: most leases that
        are looked at stay."""
        least = PANIC_STEAL_AGE if self._roster.panic else self._roster.steal_age
        found = []
        for key, index in sorted(self.due.items()):
            silent = self._silent(key, self._roster.seats[index], terms, spare, least, now)
            if silent is not None and silent.most > 0.0:
                found.append(silent)
        return found

    def _silent(
        self, key: str, seat: Seat, terms: Terms, spare: bool, least: float, now: int
    ) -> Silent | None:
        slot, lead = seat.memory.slot_of(key), self._pool.lead(key)
        if slot is None or lead is None or slot.probe or in_progress(lead):
            return None
        estimator = self._roster.estimator
        silent = (now - slot.since_ns) * estimator.rate
        if silent < least or (lead.recalls >= terms.limit and silent < UNLIMITED_AGE):
            return None
        if lead.reason == BY_HAND:
            return None
        age = self._pool.age_seconds(lead, now)
        if age > STALE_AGE and not spare:
            return None
        v, total = estimator.silence(seat.memory, slot, silent)
        here = value_of_waiting(v, total, age, silent)
        price = terms.stale if age > STALE_AGE else terms.fresh
        most = lead.quality * (worth(age) - here) - PEAK * price
        return Silent(lead, seat, slot, silent, age, total, here, most)

    def best(
        self,
        silent: Sequence[Silent],
        offers: Sequence[Offer],
        terms: Terms,
        *,
        spare: bool,
        floor: float,
        now: int,
    ) -> Steal | None:
        """The one of the ``movable`` leases whose move gains most, if any gains more than ``floor``.

        ``spare``: the reserve is met, so that stale leads may move too.
        """
        floor = max(0.0, floor)
        takers: list[Offer] = []
        best: Steal | None = None
        for one in silent:
            if one.most <= floor or (one.age > STALE_AGE and not spare):
                continue
            if one.lead.recalls >= terms.limit and one.silent < UNLIMITED_AGE:
                continue
            takers = takers or self._takers(offers, now)
            steal = self._weigh(one, takers, terms, floor, now)
            if steal is not None and (best is None or steal.gain > best.gain):
                best = steal
        return best

    def _takers(self, offers: Sequence[Offer], now: int) -> list[Offer]:
        """The surest bets first. Among equals chance decides where in the list to begin: with a fixed
        order a lead would go from one silent rep to the neighbours, who are often away together."""
        seats = self._roster.seats
        begin = int(self._pool.draw(now, len(offers)) * len(seats))

        def order(offer: Offer) -> tuple[float, int]:
            index = offer[3]
            return 0.02 * seats[index].usual_lag / 9.0 - offer[0], (index - begin) % len(seats)

        return sorted(offers, key=order)

    def _weigh(
        self, one: Silent, takers: Sequence[Offer], terms: Terms, floor: float, now: int
    ) -> Steal | None:
        lead, age = one.lead, one.age
        taker = self._taker(one.holder, lead, takers)
        if taker is None:
            return None
        there = expected_worth(taker, age)
        price = PEAK * (terms.stale if age > STALE_AGE else terms.fresh)
        gain = lead.quality * (there - one.here) - price
        if gain <= floor:
            return None
        _, later = self._roster.estimator.silence(one.holder.memory, one.slot, one.silent + 6.0)
        answered = 1.0 - later / one.total
        wait = answered * worth(age + 3.0) + (1.0 - answered) * expected_worth(taker, age + 6.0)
        if lead.quality * (there - wait) <= answered * price:
            return None
        to = self._roster.seats[taker[3]]
        return Steal(gain, lead, one.holder, to, taker, one.silent, one.here, there, price)

    def _taker(self, holder: Seat, lead: Lead, takers: Sequence[Offer]) -> Offer | None:
        for offer in takers:
            seat = self._roster.seats[offer[3]]
            if seat is not holder and self._pool.may_take(seat.rep, lead):
                return offer
        return None


def in_progress(lead: Lead) -> bool:
    """Whether the lead is being called or in work, so that nobody can take it back."""
    return lead.state != "assigned" or bool(lead.attempted_ns or lead.claimed_ns or lead.call_ns)


def value_of_waiting(
    v: tuple[float, float, float, float, float], total: float, age: float, silent: float
) -> float:
    """V_i: what the lead is still worth where it lies, by the reasons for the silence."""
    soon = worth(age + min(15.0, max(3.0, 0.5 * silent)))
    side = (worth(age + 13.0) + worth(age + 45.0) + worth(age + 110.0)) / 3.0
    return (
        v[0] * soon
        + v[1] * side
        + v[2] * worth(age + 140.0)
        + v[3] * worth(age + 300.0)
        + v[4] * worth(age + 1500.0)
    ) / total
