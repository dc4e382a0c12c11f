"""One pass: what to do with the waiting leads and the silent leases now (flow-control 2.3)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from distributor.domain.curve import worth
from distributor.domain.lead import Lead
from distributor.domain.policy import Defer, Intent, Lease, PoolView, Recall
from policies.lease import explain
from policies.lease.choice import permitted, rank
from policies.lease.memory import Slot
from policies.lease.revocation import Steal, Watch, kindest_terms, terms_of
from policies.lease.roster import Offer, Roster
from policies.lease.seat import Seat
from policies.lease.settings import FIRST_MINUTE, PROBE_RECALLS, STALE_AGE, YOUNG_AGE

LOOK_AHEAD: Final = 16
FEW: Final = 64
_RANKED: Final = 5


class Pass:
    """Asked again after every commit, it answers one intent at a time.

    In this order: probes whose time is over come back; slowed reps get old leads as probes; then
    the best waiting lead is weighed against the best move of a silent one.
    """

    def __init__(self, pool: PoolView, roster: Roster, watch: Watch) -> None:
        self._pool = pool
        self._roster = roster
        self._watch = watch
        self._estimator = roster.estimator
        self._moving: Steal | None = None
        self._deferred: dict[str, str] = {}

    def forget(self, lead_key: str) -> None:
        """The lead does not wait any more."""
        self._deferred.pop(lead_key, None)

    def next(self, now_ns: int) -> Intent | None:
        """The next thing to do, or None. Classes and due leases must be up to date."""
        if self._moving is not None:
            move, self._moving = self._moving, None
            if self._still_fits(move):
                return self._move_on(move, now_ns)
        overdue = self._watch.overdue_probe(now_ns)
        if overdue is not None:
            return self._withdraw(*overdue, now_ns)
        if not self._pool.waiting and not self._watch.due:
            return None
        return self._probe(now_ns) or self._decide(now_ns)

    def _withdraw(self, seat: Seat, slot: Slot, now_ns: int) -> Recall:
        self._watch.due.pop(slot.lead_key, None)
        silent = self._pool.seconds(slot.since_ns, now_ns)
        return Recall(
            slot.lead_key,
            seat.rep.id,
            "probe_over",
            explain.probe_over(seat, silent),
            explain.slot_numbers(self._roster, seat.memory, slot, now_ns),
        )

    def _probe(self, now_ns: int) -> Lease | None:
        """A slowed rep gets an old lead at once, outside the reserve (E9); or, after a long pause, one
        that has just come and whose turn will not be missed."""
        roster, pool = self._roster, self._pool
        if not roster.low or roster.panic or not pool.waiting:
            return None
        old = [lead for lead in pool.oldest(LOOK_AHEAD) if self._may_probe(lead, now_ns)]
        young = self._just_come(now_ns)
        if not old and not young:
            return None
        for seat in roster.probe_candidates(now_ns):
            for lead in old + young if roster.long_silent(seat, now_ns) else old:
                if pool.may_take(seat.rep, lead):
                    return self._test(lead, seat, now_ns)
        return None

    def _just_come(self, now_ns: int) -> list[Lead]:
        """The newest lead, if there is time to have it back and to reach it in its first minute all the
        same, and if more reps are of use at all."""
        pool, roster = self._pool, self._roster
        if not any(roster.long_silent(roster.seats[i], now_ns) for i in roster.low[:FEW]):
            return []
        if pool.waiting > FEW or not roster.calm(pool.younger(now_ns, FIRST_MINUTE)):
            return []
        *_, newest = pool.oldest(FEW)
        if newest.recalls or pool.age_seconds(newest, now_ns) > YOUNG_AGE:
            return []
        _, likely_free = roster.offers(now_ns)
        return [] if roster.plenty(likely_free) else [newest]

    def _may_probe(self, lead: Lead, now_ns: int) -> bool:
        old = self._pool.age_seconds(lead, now_ns) > STALE_AGE
        return old and lead.recalls < PROBE_RECALLS

    def _test(self, lead: Lead, seat: Seat, now_ns: int) -> Lease:
        age = self._pool.age_seconds(lead, now_ns)
        limit = self._roster.probe_limit(lead, now_ns)
        lagging, absent = self._estimator.belief(seat.memory, now_ns)
        numbers = {"responsive": 1.0 - lagging - absent, "lagging": lagging, "absent": absent}
        return Lease(
            lead.key,
            seat.rep.id,
            "probe",
            explain.probe(seat, age, limit),
            explain.lead_numbers(lead, age) | numbers,
            probe=True,
            presumed_finished=self._roster.finished(seat),
        )

    def _decide(self, now_ns: int) -> Intent | None:
        roster = self._roster
        if not roster.eligible and not (roster.low and roster.panic):
            return None
        most_free = roster.most_free
        silent = self._watch.movable(
            kindest_terms(plenty=roster.plenty(most_free), pace=roster.pace),
            spare=most_free > roster.reserve(STALE_AGE),
            now=now_ns,
        )
        if not self._pool.waiting and not silent:
            return None
        offers, likely_free = roster.offers(now_ns)
        if not offers:
            return None
        spare = likely_free > roster.reserve(STALE_AGE)
        plenty = roster.plenty(likely_free)
        intent, index = self._serve(offers, likely_free, now_ns)
        terms = terms_of(plenty=plenty, pace=roster.pace)
        steal = self._watch.best(silent, offers, terms, spare=spare, floor=index, now=now_ns)
        return intent if steal is None else self._steal(steal, now_ns)

    def _serve(
        self, offers: list[Offer], likely_free: float, now_ns: int
    ) -> tuple[Intent | None, float]:
        """What to do with the waiting leads, and the index of the lead that it is about (E5, E7)."""
        pool = self._pool
        calm = pool.waiting > 1 and self._roster.calm(pool.younger(now_ns, FIRST_MINUTE))
        first = pool.best(now_ns, calm=calm) if pool.waiting else None
        if first is None:
            return None, 0.0
        kept = False
        for at, lead in enumerate(self._lineup(first, calm, now_ns)):
            age = pool.age_seconds(lead, now_ns)
            if age <= STALE_AGE or likely_free > self._roster.reserve(age):
                intent = self._give(lead, age, offers, likely_free, now_ns)
            elif at == 0:
                intent = self._satisfy_curiosity(lead, age, offers, now_ns)
                kept = intent is None
                if kept and self._all_wait(likely_free, now_ns):
                    break
            else:
                continue
            if intent is not None:
                return intent, self._cost_of_waiting(lead, age)
        if not kept:
            return None, 0.0
        return self._defer(first, pool.age_seconds(first, now_ns), likely_free), 0.0

    def _cost_of_waiting(self, lead: Lead, age: float) -> float:
        """What the lead loses if the free rep takes another one first: a minute at the usual pace."""
        start = age + 10.0
        return lead.quality * (worth(start) - worth(start + 60.0 * self._roster.pace))

    def _all_wait(self, likely_free: float, now_ns: int) -> bool:
        """Whether no lead is fresh and none so old that the reserve lets it pass."""
        if likely_free > self._roster.reserve(math.inf):
            return False
        return not self._pool.younger(now_ns, STALE_AGE)

    def _lineup(self, first: Lead, calm: bool, now_ns: int) -> Iterable[Lead]:
        """The best lead, and only if it cannot be given now, the ones behind it."""
        yield first
        for lead in self._pool.in_order(now_ns, LOOK_AHEAD, calm=calm):
            if lead.key != first.key:
                yield lead

    def _give(
        self, lead: Lead, age: float, offers: list[Offer], likely_free: float, now_ns: int
    ) -> Lease | None:
        roster = self._roster
        plenty = roster.plenty(likely_free)
        ranked = rank(roster, offers, age, stale=age > STALE_AGE, plenty=plenty)
        ranked = permitted(self._pool, roster, lead, ranked, _RANKED)
        if not ranked:
            return None
        score, offer = ranked[0]
        seat = roster.seats[offer[3]]
        numbers = explain.numbers_of(roster, offer, now_ns)
        numbers |= explain.lead_numbers(lead, age)
        numbers["score"] = score
        because, reason = explain.assigned(roster, offer, numbers["free"], now_ns), "best_rep"
        if seat.slowed:
            because, reason = explain.panicked(roster) + " " + because, "panic"
        elif lead.prefers == seat.rep.id:
            reason = "known_rep"
        return Lease(
            lead.key,
            seat.rep.id,
            reason,
            because,
            numbers,
            explain.ranking(roster, ranked),
            presumed_finished=self._roster.finished(seat),
        )

    def _satisfy_curiosity(
        self, lead: Lead, age: float, offers: list[Offer], now_ns: int
    ) -> Lease | None:
        """A stale lead within the reserve goes to the eligible rep most in doubt, if any (E7)."""
        limit = self._estimator.settings.curious_below
        doubted = sorted((o for o in offers if o[1] < limit), key=lambda o: (o[1], o[3]))
        for offer in doubted:
            seat = self._roster.seats[offer[3]]
            if self._pool.may_take(seat.rep, lead):
                numbers = explain.numbers_of(self._roster, offer, now_ns)
                return Lease(
                    lead.key,
                    seat.rep.id,
                    "in_doubt",
                    explain.curious(self._roster, seat, age, now_ns),
                    explain.lead_numbers(lead, age) | numbers,
                    presumed_finished=self._roster.finished(seat),
                )
        return None

    def _defer(self, lead: Lead, age: float, likely_free: float) -> Defer | None:
        if lead.reason == "reserve" or self._deferred.get(lead.key) == "reserve":
            return None
        if len(self._deferred) > 2 * self._pool.waiting + 64:
            self._deferred.clear()
        self._deferred[lead.key] = "reserve"
        return Defer(lead.key, "reserve", explain.kept(self._roster, age, likely_free))

    def _steal(self, steal: Steal, now_ns: int) -> Recall:
        self._moving = steal
        slot = steal.holder.memory.slot_of(steal.lead.key)
        assert slot is not None, "only standing leases are weighed"
        self._watch.due.pop(slot.lead_key, None)
        numbers = explain.slot_numbers(self._roster, steal.holder.memory, slot, now_ns)
        numbers |= {
            "gain": steal.gain,
            "worth_here": steal.worth_here,
            "worth_there": steal.worth_there,
            "price": steal.price,
        }
        return Recall(steal.lead.key, steal.holder.rep.id, "moved", explain.stolen(steal), numbers)

    def _still_fits(self, move: Steal) -> bool:
        lead = self._pool.lead(move.lead.key)
        taker = move.taker
        return (
            lead is not None
            and lead.state == "waiting"
            and taker.place != ""
            and self._pool.may_take(taker.rep, lead)
        )

    def _move_on(self, move: Steal, now_ns: int) -> Lease:
        taker, age = move.taker, self._pool.age_seconds(move.lead, now_ns)
        numbers = {"silent_seconds": move.silent, "gain": move.gain}
        return Lease(
            move.lead.key,
            taker.rep.id,
            "moved",
            explain.stolen(move),
            explain.lead_numbers(move.lead, age)
            | explain.numbers_of(self._roster, move.offer, now_ns)
            | numbers,
            presumed_finished=self._roster.finished(taker),
        )
