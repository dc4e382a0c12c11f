"""The central pool of waiting leads of one pool, in value order, and what its policy may see.

Value order is E5: a lead's quality times what one more minute of waiting would cost,
``q * (worth(age + 10) - worth(age + 70))``. With the default curve it rises until the age of 20 s and
falls from then on, so the best of a quality class is the oldest lead younger than 20 s or the
youngest one older than that: two look-ups for each class, however many leads wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import merge, nlargest
from itertools import islice
from typing import TYPE_CHECKING, Protocol
from zlib import crc32

from distributor.core.queues import Queues
from distributor.domain.curve import worth
from distributor.domain.draws import draw
from distributor.domain.shares import AT_WORK, is_at_work, share_in_force, waited_in_vain

if TYPE_CHECKING:
    from distributor.core.queues import Slot
    from distributor.domain.floor import FlowPlan, PoolPlan
    from distributor.domain.lead import Lead
    from distributor.domain.rep import Rep

PEAK_SECONDS = 20.0
CALM_SECONDS = 52.0
"""Where it is calm a lead up to this age counts as much as one at the peak, so the oldest of them is first:
there all can be reached in their first minute."""
HANDLING_SECONDS = 10.0
WAIT_SECONDS = 60.0
GUARD_SECONDS = 1800.0
"""Every tenth pick takes the oldest lead, if it is older than this: value order must not starve."""
GUARD_EVERY = 10
OWNER_HOLD_SECONDS = 30.0
"""How long a lead with a known owner waits for that rep before anyone may have it."""
EACH_AUDIENCE = 4
"""Of the restricted leads that the same reps may have, so many are looked at in each class: if one
cannot be given, the next can hardly be."""
BACK_SOON_SECONDS = 30.0
"""How long a rep who dropped offline may still come back and be asked for a lead that the others refused.
With a longer ``offline_grace_seconds``, so long."""
LISTED = 64
AVAILABLE = ("available", "held_back")
"""Standings of a member with a free slot; ``held_back``: the policy gives it less."""
RECEIVING = (*AVAILABLE, "full_pipeline")


def back_by_ns(rep: Rep, flow: FlowPlan) -> int:
    """Until when a rep who dropped offline is expected back; 0 for one who never signed on."""
    if not rep.since_ns:
        return 0
    return rep.since_ns + flow.span_ns(max(BACK_SOON_SECONDS, flow.offline_grace_seconds))


def value_order(quality: float, age_seconds: float, *, calm: bool = False) -> float:
    """E5: what the lead loses if it waits one minute more."""
    if calm and PEAK_SECONDS < age_seconds <= CALM_SECONDS:
        age_seconds = PEAK_SECONDS
    start = age_seconds + HANDLING_SECONDS
    return quality * (worth(start) - worth(start + WAIT_SECONDS))


class Clock(Protocol):
    """Who knows the time of the event that is decided or folded."""

    now_ns: int


class Pool:
    """Waiting leads and members of one pool: the ``PoolView`` of its policy."""

    def __init__(
        self,
        plan: PoolPlan,
        flow: FlowPlan,
        leads: Mapping[str, Lead],
        seed: int,
        slowed: Mapping[str, Rep],
        clock: Clock,
    ) -> None:
        self.plan = plan
        self.flow = flow
        self.members: dict[str, Rep] = {}
        self.receiving: dict[str, Rep] = {}
        self.available: dict[str, Rep] = {}
        self.waiting = 0
        self.tests: dict[str, None] = {}
        self.picks = 0
        self.keeps_shares = True
        self._slowed = slowed
        self._leads = leads
        self._seed = seed
        self._clock = clock
        self._queues = Queues(leads)
        self._verdicts: dict[str, str] = {}
        self._groups: dict[str, dict[str, None]] = {}
        self._listed: dict[str, tuple[str, ...]] = {}
        self._counts: dict[str, int] = {}
        self._stale: set[str] = set()

    # -- leads ---------------------------------------------------------------------------------

    def add(self, lead: Lead) -> None:
        """A lead waits here now."""
        if lead.test:
            self.tests[lead.key] = None
            return
        self._queues.add(lead)
        self.waiting += 1

    def remove(self, lead: Lead) -> None:
        """A lead that waited here does so no more; ``lead`` is its record while it waited."""
        if lead.test:
            del self.tests[lead.key]
            return
        self._queues.remove(lead)
        self.waiting -= 1

    def held(self, *, test: bool) -> int:
        """How many leads of a kind wait. Tests are counted apart: they must not keep real ones out."""
        return len(self.tests) if test else self.waiting

    def lead(self, key: str) -> Lead | None:
        return self._leads.get(key)

    def oldest_clock_ns(self) -> int | None:
        """The earliest clock of a waiting lead."""
        heads = [queue[0][0] for queue in self._queues.all() if queue]
        return min(heads) if heads else None

    def younger(self, now_ns: int, seconds: float) -> int:
        """How many of the waiting leads are ``seconds`` (floor time) old at most."""
        since = (now_ns - self.span_ns(seconds), "")
        return sum([len(queue) - queue.bisect_left(since) for queue in self._queues.all()])

    def best(self, now_ns: int, *, calm: bool = False) -> Lead | None:
        """The most valuable waiting lead that a receiving member may take."""
        if not self.waiting or not self.receiving:
            return None
        if self.picks % GUARD_EVERY == GUARD_EVERY - 1:
            old = self._starving(now_ns)
            if old is not None:
                return old
        if self.waiting == 1:
            return self._only()
        best: Lead | None = None
        best_rank = (-1.0, 0, "")
        for lead in self._heads(now_ns, calm):
            rank = (self.order_index(lead, now_ns, calm=calm), -lead.clock_ns, lead.key)
            if best is None or rank > best_rank:
                best, best_rank = lead, rank
        return best

    def _only(self) -> Lead | None:
        """The one lead that waits, if a receiving member may take it."""
        for queue in self._queues.all():
            if queue:
                lead = self._leads[queue[0][1]]
                return lead if self._placeable(lead, self.now_ns) else None
        return None

    def _starving(self, now_ns: int) -> Lead | None:
        for lead in self.oldest(1):
            if self.age_seconds(lead, now_ns) > GUARD_SECONDS and self._placeable(lead, now_ns):
                return lead
        return None

    def _peak(self, now_ns: int, calm: bool) -> Slot:
        return now_ns - self.span_ns(CALM_SECONDS if calm else PEAK_SECONDS), ""

    def _heads(self, now_ns: int, calm: bool) -> Iterator[Lead]:
        """The leads of which one is the best: at the peak of each class, and the restricted ones."""
        peak = self._peak(now_ns, calm)
        yield from self._queues.open_heads(peak)
        yield from self._restricted(peak, 1, self.receiving, now_ns)

    def _restricted(
        self, peak: Slot, limit: int, reps: Mapping[str, Rep], now_ns: int
    ) -> Iterator[Lead]:
        queues = self._queues
        if not queues.refused and not queues.held:
            return iter(())
        queues.end_holds(now_ns - self.span_ns(OWNER_HOLD_SECONDS))
        return queues.restricted_near(
            peak, limit, EACH_AUDIENCE, reps, lambda owner: self._gone(owner, now_ns)
        )

    def _placeable(self, lead: Lead, now_ns: int) -> bool:
        if not lead.excluded and not lead.prefers:
            return True
        return any(self._allowed(rep, lead, now_ns) for rep in self.receiving.values())

    def in_order(self, now_ns: int, limit: int, *, calm: bool = False) -> Iterator[Lead]:
        """The first ``limit`` in value order of those that anybody may take; and among them the first
        ``limit`` of the others that a member with a free slot may take, and as many that some other
        receiving member may take. However many wait for one rep, they hide nobody else's.
        """
        peak = self._peak(now_ns, calm)

        def rank(lead: Lead) -> tuple[float, int, str]:
            return self.order_index(lead, now_ns, calm=calm), -lead.clock_ns, lead.key

        found = nlargest(limit, self._queues.open_near(peak, limit), key=rank)
        some = nlargest(limit, self._restricted(peak, limit, self.available, now_ns), key=rank)
        if len(self.receiving) > len(self.available):
            known = {lead.key for lead in some}
            more = nlargest(limit, self._restricted(peak, limit, self.receiving, now_ns), key=rank)
            some += [lead for lead in more if lead.key not in known]
        return iter(sorted(found + some, key=rank, reverse=True) if some else found)

    def oldest(self, limit: int) -> Iterator[Lead]:
        """The first ``limit`` by age."""
        slots = merge(*(queue.islice(0, limit) for queue in self._queues.all()))
        return (self._leads[key] for _, key in islice(slots, limit))

    def order_index(self, lead: Lead, now_ns: int, *, calm: bool = False) -> float:
        return value_order(lead.quality, self.age_seconds(lead, now_ns), calm=calm)

    # -- who may take what ---------------------------------------------------------------------

    def may_take(self, rep: Rep, lead: Lead, now_ns: int | None = None) -> bool:
        if rep.id in lead.excluded:
            return False
        if rep.override is not None and self._kept_from(rep, lead, now_ns or self.now_ns):
            return False
        return not lead.prefers or self._allowed(rep, lead, now_ns or self.now_ns)

    @property
    def now_ns(self) -> int:
        """The core's time: a policy need not hand it back."""
        return self._clock.now_ns

    def _allowed(self, rep: Rep, lead: Lead, now_ns: int) -> bool:
        if rep.id in lead.excluded:
            return False
        if not lead.prefers or lead.prefers == rep.id:
            return True
        return (
            self._gone(lead.prefers, now_ns)
            or lead.prefers in lead.excluded
            or now_ns >= lead.since_ns + self.span_ns(OWNER_HOLD_SECONDS)
        )

    def _gone(self, owner: str, now_ns: int) -> bool:
        """Whether nobody waits for this owner: it is not at work."""
        rep = self.members.get(owner)
        return rep is None or rep.state in ("offline", "away") or rep.paused_until_ns > now_ns

    def _kept_from(self, rep: Rep, lead: Lead, now_ns: int) -> bool:
        """Whether a supervisor's override keeps the lead from the rep: it has had its share, and there
        are others for whom the lead can wait a while."""
        share = share_in_force(rep, now_ns)
        if share >= 1.0:
            return False
        if share <= 0.0:
            return True
        if rep.share_due >= 0.0 or not self.keeps_shares:
            return False
        if waited_in_vain(rep, lead, self.flow.span_ns(self.flow.lease_seconds), now_ns):
            return False
        # By chance, or a rep could get every lead of the vendor whose leads come in the same beat.
        if rep.share_due > -1.0:
            chance = self.draw(crc32(rep.id.encode()), crc32(lead.key.encode()))
            if rep.share_due >= -chance:
                return False
        return self._has_others(rep, lead, now_ns)

    def _has_others(self, rep: Rep, lead: Lead, now_ns: int) -> bool:
        """Whether somebody at work is due the lead more than this rep."""
        slowed = self.slowed_at_work(now_ns)
        gone = [rep_id for rep_id in lead.excluded if rep_id not in self._slowed]
        full = sum([len(self._groups.get(code, ())) for code in AT_WORK])
        full -= sum([self.verdict(one.id) in AT_WORK for one in slowed])
        full -= sum([self.verdict(rep_id) in AT_WORK for rep_id in gone])
        return full > 0 or any(
            one.share_due > rep.share_due and one.id not in lead.excluded
            for one in slowed
            if share_in_force(one, now_ns) > 0.0
        )

    def slowed_at_work(self, now_ns: int) -> list[Rep]:
        """The members at work whose flow a supervisor's override lessens."""
        return [
            rep
            for rep in self._slowed.values()
            if rep.id in self.members and is_at_work(rep, now_ns)
        ]

    def look_again_ns(self) -> int | None:
        """When a lead that waits beside a free rep with an override is looked at again, at whole
        minutes; None where there is none."""
        if not self._slowed or not self.waiting or not self.keeps_shares:
            return None
        if not any(rep_id in self.available for rep_id in self._slowed):
            return None
        span_ns = self.span_ns(WAIT_SECONDS)
        return (self.now_ns // span_ns + 1) * span_ns

    def exhausted(self, lead: Lead) -> bool:
        """Whether every member who is signed on has refused this lead or let it lie.

        One who dropped offline while the lead was here was not asked: it counts until ``back_by_ns``.
        """
        if not lead.excluded or self._anyone_signed_on(lead.excluded):
            return False
        return lead.received_ns >= _latest(self._back_soon(), lead.excluded)

    def all_exhausted(self) -> list[Lead]:
        """The leads that are ``exhausted``, oldest first. Leads that the same reps had are judged as one:
        at the end of a shift they are many, and so are the reps who leave."""
        found: list[Lead] = []
        back_soon: list[tuple[int, str]] | None = None
        for excluded, keys in self._queues.by_excluded.items():
            if self._anyone_signed_on(excluded):
                continue
            back_soon = self._back_soon() if back_soon is None else back_soon
            since_ns = _latest(back_soon, excluded)
            leads = [self._leads[key] for key in keys]
            found += [lead for lead in leads if lead.received_ns >= since_ns]
        return sorted(found, key=lambda lead: (lead.clock_ns, lead.key))

    def _anyone_signed_on(self, excluded: tuple[str, ...]) -> bool:
        """Whether a member is signed on who is not ``excluded``. Ends at the first one."""
        return any(
            rep_id not in excluded
            for verdict, group in self._groups.items()
            if verdict != "offline"
            for rep_id in group
        )

    def _back_soon(self) -> list[tuple[int, str]]:
        """Members who dropped offline a moment ago, as (since, rep), the latest first."""
        gone = [
            (rep.since_ns, rep.id)
            for rep in self.members.values()
            if rep.state == "offline" and self.now_ns < back_by_ns(rep, self.flow)
        ]
        return sorted(gone, reverse=True)

    # -- members -------------------------------------------------------------------------------

    def place(self, rep: Rep, verdict: str) -> bool:
        """Note a member's standing (see ``State.verdict``). Whether that changed anything."""
        old = self._verdicts.get(rep.id)
        if old == verdict:
            return False
        if old is not None:
            del self._groups[old][rep.id]
            self._stale.add(old)
        self._verdicts[rep.id] = verdict
        self._groups.setdefault(verdict, {})[rep.id] = None
        self._stale.add(verdict)
        _keep(self.receiving, rep, wanted=verdict in RECEIVING)
        _keep(self.available, rep, wanted=verdict in AVAILABLE)
        return True

    def drop(self, rep_id: str) -> None:
        """A rep is no member any more."""
        self.members.pop(rep_id, None)
        self.receiving.pop(rep_id, None)
        self.available.pop(rep_id, None)
        old = self._verdicts.pop(rep_id, None)
        if old is not None:
            del self._groups[old][rep_id]
            self._stale.add(old)

    def verdict(self, rep_id: str) -> str:
        """A member's standing as last noted."""
        return self._verdicts.get(rep_id, "not_a_member")

    def standings(self, lead: Lead) -> tuple[dict[str, tuple[str, ...]], dict[str, int]]:
        """Members by verdict (only groups of at most 64 are listed), and the size of each group.

        Those who had ``lead`` before and are not asked again stand under ``excluded`` as well.
        """
        if self._stale:
            self._list_again()
        if not lead.excluded:
            return self._listed, self._counts
        excluded = {"excluded": lead.excluded}
        return self._listed | excluded, self._counts | {"excluded": len(lead.excluded)}

    def _list_again(self) -> None:
        """Make the lists anew, never in place: decisions on record hold the old ones."""
        old, stale = self._listed, self._stale
        self._listed, self._counts, self._stale = {}, {}, set()
        for code in sorted(self._groups):
            group = self._groups[code]
            if group:
                self._counts[code] = len(group)
            if 0 < len(group) <= LISTED:
                kept = None if code in stale else old.get(code)
                self._listed[code] = tuple(sorted(group)) if kept is None else kept

    # -- time and chance -----------------------------------------------------------------------

    def age_seconds(self, lead: Lead, now_ns: int) -> float:
        return (now_ns - lead.clock_ns) * self.flow.time_scale / 1e9

    def seconds(self, since_ns: int, now_ns: int) -> float:
        return (now_ns - since_ns) * self.flow.time_scale / 1e9

    def span_ns(self, seconds: float) -> int:
        return self.flow.span_ns(seconds)

    def draw(self, *parts: int) -> float:
        return draw(self._seed, *parts)


def _latest(gone: list[tuple[int, str]], excluded: tuple[str, ...]) -> int:
    """When the last one of ``gone`` left who is not ``excluded``: who came before that was here when
    the lead was, and would have been asked. 0 where there is none."""
    return next((since_ns for since_ns, rep_id in gone if rep_id not in excluded), 0)


def _keep(table: dict[str, Rep], rep: Rep, *, wanted: bool) -> None:
    if wanted:
        table[rep.id] = rep
    else:
        table.pop(rep.id, None)
