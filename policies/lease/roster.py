"""Who can be offered a lead: classes of reps (E4), slowed reps (E9) and panic (E10), kept up to date.

Nothing here is ever recomputed for all reps at an event. A rep is placed anew when a fact touches it
and when a timer says that time alone changes its class. Where a rep stands is a function of its memory
and of the time, never of when it was looked at: after a restart ``place`` gives the same answer.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from typing import Final

from distributor.domain.lead import Lead
from distributor.domain.policy import PoolView
from distributor.domain.rep import Rep
from policies.lease.estimator import Estimator
from policies.lease.memory import REST_ABSENT, REST_LAGGING, RepMemory, Slot
from policies.lease.seat import Seat
from policies.lease.settings import (
    CALM_BACKLOG,
    CALM_BACKLOG_QUICK,
    LONG_SILENT_CALLS,
    LONG_SILENT_CALLS_QUICK,
    NEWCOMER,
    OLD_AGE,
    PLENTY,
    PROMPT_FROM,
    RESERVE,
    RESERVE_MOST,
    RESERVE_REPS,
    SAMPLE,
    SCAN,
    SKILL_POWER,
    STALE_AGE,
    STEAL_AGE,
    STEAL_AGE_QUICK,
    USUAL_CALL,
    YOUNG_PROBE_LIMIT,
)
from policies.lease.timing import enters_ns, turns_ns

Offer = tuple[float, float, float, int]
"""A candidate: chance of a prompt pick-up p, P(responsive), usual lag in seconds, rep's index."""

SHARE_UNIT: Final = 1 << 20
"""Shares are summed as integers, so that the sum does not depend on the order of the facts."""


class Roster:
    """All members of the pool and the classes that the algorithm asks for.

    ``usual_handling``: seconds that a lead usually takes here, from what those at work have shown.
    ``pace``: that against a usual call, 1 at most: what a lead loses while the next rep is waited for,
    and what a vain move wastes, goes with it. ``steal_age``: before so many silent seconds no lead
    moves on.
    """

    def __init__(self, estimator: Estimator, pool: PoolView) -> None:
        self.estimator = estimator
        self._pool = pool
        self.seats: list[Seat] = []
        self.by_id: dict[str, Seat] = {}
        self.eligible: list[int] = []
        self.low: list[int] = []
        self.at_work = 0
        self.slowed = 0
        self._shares = 0
        self._conversions = 0
        self._expected = 0
        self._handled = 0
        self._longer = 0
        self._know_the_pace()
        self._entering: list[tuple[int, int]] = []
        self._turning: list[tuple[int, int]] = []

    def add(self, rep: Rep, memory: RepMemory) -> Seat:
        """Take a member in; ``place`` must follow."""
        seat = Seat(len(self.seats), rep, memory)
        self.seats.append(seat)
        self.by_id[rep.id] = seat
        return seat

    @property
    def panic(self) -> bool:
        """More than half of those at work are slowed: slowing would take what the floor needs."""
        return 2 * self.slowed > self.at_work

    @property
    def mean_share(self) -> float:
        """Mean share of work of those logged in."""
        return self._shares / SHARE_UNIT / self.at_work if self.at_work else 0.0

    def calm(self, fresh: int) -> bool:
        """Whether ``fresh`` leads, all of the first minute, are served so soon that none needs to be
        given up for another."""
        limit = CALM_BACKLOG_QUICK + (CALM_BACKLOG - CALM_BACKLOG_QUICK) * self.pace
        return fresh * self.usual_handling <= limit * max(1, self.at_work - self.slowed)

    @property
    def level(self) -> float:
        """Conversions that the pool has for each expected one. Where nobody reports any, nobody is
        expected to; in whole hundredths, so that what follows from it is worked out seldom."""
        expected = self._expected / SHARE_UNIT
        return round((4.0 + self._conversions) / (4.0 + expected), 2)

    def judge(self, seat: Seat, level: float) -> tuple[float, float]:
        """How skill raises or lowers (the worth of a lead with the rep, the rep's fair share)."""
        if seat.judged[0] != level:
            skill = self.estimator.skill(seat.memory, level)
            at_most = self.estimator.skill_at_most(seat.memory, level)
            seat.judged = (level, skill**SKILL_POWER * at_most, at_most)
        return seat.judged[1], seat.judged[2]

    def reserve(self, age: float) -> float:
        """So many of those at work must probably be free before a stale lead of this age is given out.
        (Where leads queue, a slot is no free rep: it keeps nobody from a fresh lead.)"""
        share = RESERVE * self.at_work
        if age > OLD_AGE or (self.eligible and self.seats[self.eligible[0]].deep):
            return share
        return min(RESERVE_REPS + share, RESERVE_MOST * self.at_work)

    def plenty(self, likely_free: float) -> bool:
        """Whether most of those at work are probably free. (Where leads queue, a slot is no free rep.)"""
        if likely_free <= PLENTY * self.at_work or not self.eligible:
            return False
        return not self.seats[self.eligible[0]].deep

    @property
    def most_free(self) -> int:
        """As many reps as are likely free at most."""
        return len(self.eligible) + (len(self.low) if self.panic else 0)

    # Placing.

    def place(self, seat: Seat, now_ns: int) -> bool:
        """Put the rep where it belongs now. True when it became eligible by this."""
        was, armed_ns = seat.place, seat.enters_ns
        self._take_out(seat)
        self._count(seat, now_ns)
        if not self._can_receive(seat):
            return False
        due_ns = enters_ns(self.estimator, seat)
        if due_ns > now_ns:
            seat.enters_ns = due_ns
            if due_ns != armed_ns:
                heapq.heappush(self._entering, (due_ns, seat.index))
            return False
        seat.place = "low" if seat.slowed else "eligible"
        insort(self.low if seat.slowed else self.eligible, seat.index)
        return seat.place == "eligible" and was != "eligible"

    def _take_out(self, seat: Seat) -> None:
        if seat.place:
            members = self.low if seat.place == "low" else self.eligible
            del members[bisect_left(members, seat.index)]
        seat.place, seat.enters_ns = "", 0

    def _count(self, seat: Seat, now_ns: int) -> None:
        """Keep the counts of those at work, slowed, and their shares; arm the drift timer."""
        self.at_work -= seat.at_work
        self.slowed -= seat.at_work and seat.slowed
        rep, m, turned_ns = seat.rep, seat.memory, seat.turns_ns
        seat.at_work = at_work(rep, now_ns)
        pi = self.estimator.responsive(m, now_ns)
        seat.slowed = rep.override is None and self.estimator.slows(m, pi)
        self.at_work += seat.at_work
        self.slowed += seat.at_work and seat.slowed
        record = (
            seat.at_work, m.served, m.handling, m.handling_weight, m.lag, m.conversions, m.expected
        )  # fmt: skip
        if record != seat.record:
            seat.record = record
            self._count_record(seat)
        seat.turns_ns = turns_ns(self.estimator, m, pi, now_ns) if seat.slowed else 0
        if seat.turns_ns and seat.turns_ns != turned_ns:
            heapq.heappush(self._turning, (seat.turns_ns, seat.index))

    def _count_record(self, seat: Seat) -> None:
        """What follows from a rep's record alone: few facts change it."""
        m = seat.memory
        self._shares -= seat.share
        seat.share = round(self.estimator.share(m) * SHARE_UNIT) if seat.at_work else 0
        self._shares += seat.share
        self._count_conversions(seat)
        self._count_handling(seat)
        seat.usual_lag = math.exp(m.lag)
        seat.handling = self.estimator.mean_handling(m)

    def _count_conversions(self, seat: Seat) -> None:
        m = seat.memory
        self._conversions -= seat.conversions
        self._expected -= seat.expected
        seat.conversions, seat.expected = round(m.conversions), round(m.expected * SHARE_UNIT)
        self._conversions += seat.conversions
        self._expected += seat.expected
        seat.judged = (-1.0, 1.0, 1.0)

    def _count_handling(self, seat: Seat) -> None:
        self._handled -= seat.handled
        self._longer -= seat.longer
        handled, longer = self.estimator.handled(seat.memory) if seat.at_work else (0.0, 0.0)
        before = seat.handled, seat.longer
        seat.handled, seat.longer = round(handled * SHARE_UNIT), round(longer * SHARE_UNIT)
        self._handled += seat.handled
        self._longer += seat.longer
        if (seat.handled, seat.longer) != before:
            self._know_the_pace()

    def _know_the_pace(self) -> None:
        handled, longer = self._handled / SHARE_UNIT, self._longer / SHARE_UNIT
        self.usual_handling = self.estimator.usual_handling(handled, longer)
        self.pace = min(1.0, self.usual_handling / USUAL_CALL)
        self.steal_age = max(STEAL_AGE_QUICK, STEAL_AGE * self.pace)

    def _can_receive(self, seat: Seat) -> bool:
        rep, m = seat.rep, seat.memory
        if rep.id not in self._pool.receiving or rep.override == 0.0:
            return False
        if len(rep.open) < rep.window:
            return rep.window > 1 or not m.slots
        # The pipeline is full: only leads that the rep is believed to have finished can make room.
        return len(m.slots) < rep.window and len(rep.open) - len(self.finished(seat)) < rep.window

    def finished(self, seat: Seat) -> tuple[str, ...]:
        """The contacted leads that must be over if this rep is free, where they fill the pipeline."""
        rep = seat.rep
        if len(rep.open) < rep.window:
            return ()
        return tuple(k for k, waits in rep.open.items() if self._is_in_hand(k, waits))

    def _is_in_hand(self, key: str, waits: bool) -> bool:
        lead = self._pool.lead(key)
        if lead is None or lead.pool != self._pool.plan.id:
            return False
        return not waits or bool(lead.attempted_ns)

    # Time.

    def ring(self, now_ns: int) -> tuple[list[Seat], bool]:
        """Let due timers act. (The reps whose flow may show another step, anybody freed)."""
        turned: list[Seat] = []
        freed = False
        while self._turning and self._turning[0][0] <= now_ns:
            at_ns, index = heapq.heappop(self._turning)
            seat = self.seats[index]
            if seat.turns_ns == at_ns:
                seat.turns_ns = 0
                freed = self.place(seat, now_ns) or freed
                turned.append(seat)
        while self._entering and self._entering[0][0] <= now_ns:
            at_ns, index = heapq.heappop(self._entering)
            seat = self.seats[index]
            if seat.enters_ns == at_ns:
                seat.enters_ns = 0
                freed = self.place(seat, now_ns) or freed
        return turned, freed

    def next_entry_ns(self) -> int | None:
        """When the next rep becomes a candidate by time alone."""
        while self._entering:
            at_ns, index = self._entering[0]
            if self.seats[index].enters_ns == at_ns:
                return at_ns
            heapq.heappop(self._entering)
        return None

    def next_turn_ns(self) -> int | None:
        """When the next slowed rep's flow changes by drift."""
        while self._turning:
            at_ns, index = self._turning[0]
            if self.seats[index].turns_ns == at_ns:
                return at_ns
            heapq.heappop(self._turning)
        return None

    # Reading.

    def _draw(self, now_ns: int) -> float:
        """Where a sample begins, in [0, 1)."""
        return self._pool.draw(now_ns, len(self.eligible) << 32 | self._pool.waiting)

    def offers(self, now_ns: int) -> tuple[list[Offer], float]:
        """The reps who can be offered a lead now (all, or a sample), and the sum of p over all."""
        indexes = self.eligible
        if self.low and self.panic:
            indexes = sorted([*self.eligible, *self.low])
        count = len(indexes)
        scale = 1.0
        if count > SCAN:
            indexes = self._sample(indexes, self._draw(now_ns))
            scale = count / len(indexes)
        offers = self._offers_of(indexes, now_ns)
        return offers, scale * sum([offer[0] for offer in offers])

    def _offers_of(self, indexes: list[int], now_ns: int) -> list[Offer]:
        """Those of the reps whose chance of a prompt pick-up is worth an offer."""
        seats, rate, settings = self.seats, self.estimator.rate, self.estimator.settings
        factor, exp = math.exp(self.estimator.fleet.offset), math.exp
        slow, gone = settings.lagging_drift, settings.absent_drift
        rested, fresh_from = 1.0 - REST_LAGGING - REST_ABSENT, settings.fresh_from
        offers: list[Offer] = []
        for index in indexes:
            seat = seats[index]
            rep, m = seat.rep, seat.memory
            known = m.contacts >= NEWCOMER and not (m.busy_ns or m.own_contact_ns)
            if not known or m.fails > 1 or seat.slowed or rep.window > 1:
                offer = self._uncommon_offer(seat, factor, now_ns)
                if offer is not None:
                    offers.append(offer)
                continue
            # The common case, with the equations of the estimator written out: this is the hot path.
            passed = (m.stamp_ns - now_ns) * rate
            pi = rested - (m.lagging - REST_LAGGING) * exp(passed / slow)
            pi -= (m.absent - REST_ABSENT) * exp(passed / gone)
            if rep.override is not None:
                pi = max(pi, settings.preferred_from)
            p = pi * (1.0 - m.side * exp((m.side_ns - now_ns) * rate / 60.0)) if m.side else pi
            if pi >= fresh_from and p >= PROMPT_FROM:
                offers.append((p, pi, seat.usual_lag * factor, index))
        return offers

    def _sample(self, indexes: list[int], draw: float) -> list[int]:
        """A few of many candidates. Where leads queue, the shorter of two queues is nearly as good
        as the shortest of all (Mitzenmacher, "The power of two choices", 2001)."""
        count = len(indexes)
        shift = int(draw * count)
        if self.seats[indexes[0]].deep:
            other = int((draw * count - shift) * count)
            return [indexes[at] for at in dict.fromkeys((shift, other))]
        return [indexes[(shift + i * count // SAMPLE) % count] for i in range(SAMPLE)]

    def _uncommon_offer(self, seat: Seat, factor: float, now_ns: int) -> Offer | None:
        estimator, m = self.estimator, seat.memory
        settings = estimator.settings
        lag = seat.usual_lag * factor
        if seat.deep:
            lag += self._queued(seat)
        pf = 1.0 if seat.queue_open() else estimator.free(seat.rep, m, now_ns)
        if seat.slowed:
            if pf < settings.free_from or pf <= 0.5:
                return None
            return 0.25 * pf, 0.5, lag, seat.index
        pi = estimator.responsive(m, now_ns)
        if seat.rep.override is not None:
            pi = max(pi, settings.preferred_from)
        elif not estimator.slows(m, pi):
            pi = max(pi, settings.fresh_from)
        p = pf * pi * (1.0 - estimator.side_work(m, now_ns))
        if pf < settings.free_from or pi < settings.fresh_from or p < PROMPT_FROM:
            return None
        return p, pi, lag, seat.index

    def _queued(self, seat: Seat) -> float:
        """Seconds of work in front of a lead that joins a deep pipeline."""
        return len(seat.rep.open) * seat.handling

    @property
    def probe_gap(self) -> float:
        """Seconds from a probe to the next; where calls are short they come sooner."""
        return min(self.estimator.settings.probe_gap, self._long)

    @property
    def _long(self) -> float:
        calls = LONG_SILENT_CALLS_QUICK
        calls += (LONG_SILENT_CALLS - LONG_SILENT_CALLS_QUICK) * self.pace
        return calls * self.usual_handling

    def probe_limit(self, lead: Lead, given_ns: int) -> float:
        """Seconds after which a probe given then is taken back."""
        limit = self.estimator.settings.probe_limit
        stale = self._pool.age_seconds(lead, given_ns) > STALE_AGE
        return limit if stale else min(limit, YOUNG_PROBE_LIMIT)

    def probe_span_ns(self, slot: Slot) -> int:
        """How long the probe of this slot stays."""
        lead = self._pool.lead(slot.lead_key)
        return self._pool.span_ns(self.probe_limit(lead, slot.since_ns)) if lead else 0

    def long_silent(self, seat: Seat, now_ns: int) -> bool:
        """Whether so long nothing was heard of the rep, nor tried, that a lead that has just come may be
        spent on finding out. (Where leads queue, nothing would take it back in time. Where the dialer
        reports states, ``ready`` will tell.)"""
        if seat.deep or seat.rep.sends_states:
            return False
        return (now_ns - seat.memory.stamp_ns) * self.estimator.rate >= self._long

    def probe_candidates(self, now_ns: int) -> list[Seat]:
        """Slowed reps who can be given a probe now, the likeliest free first."""
        count = len(self.low)
        shift = int(self._draw(now_ns) * count) if count > SCAN else 0
        few = [self.low[(shift + i) % count] for i in range(min(count, SCAN))]
        ranked = []
        for index in few:
            seat = self.seats[index]
            pf = self.estimator.free(seat.rep, seat.memory, now_ns)
            if pf > 0.5 and pf >= self.estimator.settings.free_from:
                ranked.append((-pf, index))
        return [self.seats[index] for _, index in sorted(ranked)]


def at_work(rep: Rep, now_ns: int) -> bool:
    """Whether the rep is logged in and in no logged pause."""
    return rep.state not in ("offline", "away") and rep.paused_until_ns <= now_ns
