"""``reward_penalty``: a daily maximum of leads that moves with one figure, as Leads360 had it in 2011.

Release 11.3, "Performance Based Lead Max Adjustments": an administrator picks one metric, a time frame, a top
threshold that adds N to the daily maximum and a bottom threshold that takes N away; it is looked at before
each automated assignment, and supervisors may assign past it. Here: the mean time from assignment to the first
call over seven days; at most 60 s add 25 to the 50 leads of a day, 300 s or more take 25 away. Leads go round
the reps who are below their maximum. Other numbers: a subclass with other class variables.

A day begins at midnight UTC (of the floor's time). The figure is raw, as it was there: one answer is enough,
and who never calls has no figure and keeps the plain maximum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

import msgspec

from distributor.domain.lead import Lead
from distributor.domain.policy import Defer, Intent, PoolView
from distributor.domain.rep import Flow, Rep
from policies.baselines.answers import Heard, Listening
from policies.baselines.first_come import FirstCome
from policies.push import Key, called
from policies.rotate import Rotate

DAY_SECONDS: Final = 86_400.0
ALL_AT_MAXIMUM: Final = "daily_maximum"


class Day(msgspec.Struct, array_like=True, gc=False):
    """One rep's day: leads given, answers, and the seconds they took together."""

    number: int
    given: int = 0
    answers: int = 0
    seconds: float = 0.0


class Record(Heard, array_like=True, gc=False):
    """A rep's days, oldest first; those out of the time frame are dropped."""

    days: list[Day] = msgspec.field(default_factory=list)


class RewardPenalty(Listening[Record], FirstCome, Rotate):
    """Round robin below a daily maximum that one figure raises or lowers."""

    reason: ClassVar[str] = "next_below_maximum"
    daily_maximum: ClassVar[int] = 50
    step: ClassVar[int] = 25
    """N: what a reward adds and a penalty takes away, in leads."""
    top_seconds: ClassVar[float] = 60.0
    bottom_seconds: ClassVar[float] = 300.0
    frame_days: ClassVar[int] = 7

    def __init__(self) -> None:
        super().__init__(Record)
        self._shown: dict[str, float] = {}
        self._look: dict[str, None] = {}

    # The figure and what follows from it.

    def figure(self, rep: Rep, now_ns: int) -> float | None:
        """Mean seconds from assignment to the first call in the time frame; None without an answer."""
        days = self._days(rep.id, now_ns)
        answers = sum(day.answers for day in days)
        return sum(day.seconds for day in days) / answers if answers else None

    def maximum(self, rep: Rep, now_ns: int) -> int:
        """How many leads the rep may have today."""
        seconds = self.figure(rep, now_ns)
        if seconds is not None and seconds <= self.top_seconds:
            return self.daily_maximum + self.step
        if seconds is not None and seconds >= self.bottom_seconds:
            return max(self.daily_maximum - self.step, 0)
        return self.daily_maximum

    def given(self, rep: Rep, now_ns: int) -> int:
        """How many leads the rep had today."""
        today = self._day(now_ns)
        return sum(day.given for day in self._of(rep.id).days if day.number == today)

    def _day(self, at_ns: int) -> int:
        return 0 if self._pool is None else int(self._pool.seconds(0, at_ns) // DAY_SECONDS)

    def _days(self, rep: str, now_ns: int) -> list[Day]:
        after = self._day(now_ns) - self.frame_days
        return [day for day in self._of(rep).days if day.number > after]

    def _today(self, rep: str, now_ns: int) -> Day:
        """The rep's present day, to be written to."""
        record, today = self._of(rep), self._day(now_ns)
        record.days = self._days(rep, now_ns)
        if not record.days or record.days[-1].number < today:
            record.days.append(Day(today))
        self._changed[rep] = self._look[rep] = None
        return record.days[-1]

    # What it hears.

    def start(self, pool: PoolView, now_ns: int) -> None:
        """Form the ring. A rep keeps a flow that this policy gave it before."""
        super().start(pool, now_ns)
        slowed, self._flows = self._flows, []
        self._shown = {rep_id: pool.members[rep_id].flow.value for rep_id, _, _ in slowed}
        self._look = dict.fromkeys(pool.members)
        self._wait(now_ns)

    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """One lead of today's maximum; one that a supervisor gave counts too."""
        if not lead.test:
            self._today(rep.id, now_ns).given += 1
        super().leased(lead, rep, now_ns)

    def _answered(self, lead: Lead, rep: Rep, seconds: float, in_flight: int, at_ns: int) -> None:
        day = self._today(rep.id, at_ns)
        day.answers += 1
        day.seconds += seconds

    # What it does.

    def _order(
        self, pool: PoolView, lead: Lead, available: Mapping[str, Rep], now_ns: int
    ) -> Iterator[tuple[Key, Rep]]:
        for key, rep in super()._order(pool, lead, available, now_ns):
            if self._below(rep, now_ns):
                yield key, rep

    def _below(self, rep: Rep, now_ns: int) -> bool:
        return self.given(rep, now_ns) < self.maximum(rep, now_ns)

    def next_intent(self, now_ns: int) -> Intent | None:
        """Lease the oldest lead to the next rep below its maximum, or say why it waits."""
        return super().next_intent(now_ns) or self._wait(now_ns)

    def _wait(self, now_ns: int) -> Defer | None:
        pool = self._pool
        head = next(pool.oldest(1), None) if pool is not None else None
        if pool is None or head is None:
            return None
        ready = [rep for rep in pool.available.values() if pool.may_take(rep, head)]
        if not ready or any(self._below(rep, now_ns) for rep in ready):
            return None
        tomorrow = (self._day(now_ns) + 1) * DAY_SECONDS
        next_day_ns = pool.span_ns(tomorrow) + 1_000_000
        self._wake_ns = min(self._wake_ns or next_day_ns, next_day_ns)
        if head.reason == ALL_AT_MAXIMUM:
            return None
        because = (
            f"All {len(ready)} rep(s) who are ready for it had as many leads as they may today."
        )
        return Defer(head.key, ALL_AT_MAXIMUM, because)

    def flow_changes(self, now_ns: int) -> list[tuple[str, Flow, dict[str, float]]]:
        """A penalty is shown as a flow: the share of the plain maximum that is left."""
        changes: list[tuple[str, Flow, dict[str, float]]] = []
        look, self._look = self._look, {}
        for rep_id in look:
            rep = self._pool.members.get(rep_id) if self._pool is not None else None
            if rep is None:
                continue
            flow = self._flow(rep, now_ns)
            if flow.value != self._shown.get(rep_id, 1.0):
                self._shown[rep_id] = flow.value
                changes.append((rep_id, flow, {"seconds": self.figure(rep, now_ns) or 0.0}))
        return changes

    def _flow(self, rep: Rep, now_ns: int) -> Flow:
        seconds, maximum = self.figure(rep, now_ns), self.maximum(rep, now_ns)
        if seconds is None or maximum >= self.daily_maximum:
            return Flow(because="Not below the bottom threshold: full flow.", since_ns=now_ns)
        because = (
            f"{called(rep)} takes {seconds:.0f} s to the first call on average, {self.bottom_seconds:.0f} s "
            f"or more cost {self.step} of {self.daily_maximum} leads a day."
        )
        restores = f"An average below {self.bottom_seconds:.0f} s over {self.frame_days} days restores full flow."
        return Flow(maximum / self.daily_maximum, "slow_contact", because, restores, now_ns)

    def _sentence(
        self, pool: PoolView, best: tuple[Key, Rep], second: Key | None, now_ns: int
    ) -> str:
        rep, seconds = best[1], self.figure(best[1], now_ns)
        usual = "nothing is known yet" if seconds is None else f"first call after {seconds:.0f} s"
        return (
            f"{called(rep)} is next in the rotation below its maximum: {self.given(rep, now_ns)} of "
            f"{self.maximum(rep, now_ns)} leads today ({usual})."
        )
