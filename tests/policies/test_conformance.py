"""The conformance suite passes our policies and catches each kind of bad one."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from datetime import datetime

import pytest

from distributor.domain.lead import Lead
from distributor.domain.policy import Defer, Intent, Lease, PoolView, Recall
from distributor.domain.rep import Flow, Rep
from policies.conformance import (
    NotAGoodCitizen,
    SmallFloor,
    assert_good_citizen,
    find_problems,
    problems_here,
    problems_of_hashing,
)
from policies.conformance.scenes import scenes
from policies.fair import Fair
from policies.longest_idle import LongestIdle
from policies.push import Key, flow_weight
from policies.rotate import Rotate
from tests.policies.shipped import ENTRIES, load


@pytest.mark.parametrize("name", ENTRIES)
def test_every_shipped_policy_is_a_good_citizen(name: str) -> None:
    assert list(problems_here(load(name))) == []


def test_no_shipped_policy_depends_on_the_hash_seed() -> None:
    """All in the same two processes: that is the slow part."""
    assert problems_of_hashing(*map(load, ENTRIES)) == []


def test_the_scenes_really_lease_recall_and_finish_leads() -> None:
    """A scene in which nothing happens would pass every policy."""
    for name, scene in scenes().items():
        floor = SmallFloor(Fair)
        scene(floor)
        assert len(floor.intents) >= 4, name


def test_a_factory_that_has_no_name_is_checked_all_the_same() -> None:
    assert problems_of_hashing(lambda: Fair()) == []


class Careful(Fair):
    """A base for the bad ones, which tells each of them its pool."""

    view: PoolView

    def start(self, pool: PoolView, now_ns: int) -> None:
        self.view = pool
        super().start(pool, now_ns)

    def other(self, lease: Intent, **changes: object) -> Lease:
        assert isinstance(lease, Lease)
        fields = {name: getattr(lease, name) for name in lease.__struct_fields__}
        return Lease(**(fields | changes))


class ReadsTheClock(Careful):
    def next_intent(self, now_ns: int) -> Intent | None:
        return super().next_intent(now_ns if time.time() > 0 else 0)


class ReadsTheClockWhenMade(Careful):
    def __init__(self) -> None:
        super().__init__()
        self.began = time.time()


class ReadsTheDate(Careful):
    def next_intent(self, now_ns: int) -> Intent | None:
        assert datetime.now().year > 2000
        return super().next_intent(now_ns)


class Gambles(Careful):
    def next_intent(self, now_ns: int) -> Intent | None:
        lease = super().next_intent(now_ns)
        return lease if lease is None or random.random() < 2.0 else None


_SHARED: list[str] = []


class RemembersInTheModule(Careful):
    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        _SHARED.append(rep.id)
        super().leased(lead, rep, now_ns)

    def next_intent(self, now_ns: int) -> Intent | None:
        lease = super().next_intent(now_ns)
        return lease and self.other(lease, numbers={"given": float(len(_SHARED))})


class ForgetsItsPointer(Rotate):
    def restore(self, rep: str, memory: bytes) -> None:
        """Forgets."""


class TellsNobodyItsMemory(Fair):
    def changed_memory(self) -> list[tuple[str, bytes]]:
        return []


class LeasesToTheAbsent(Careful):
    def next_intent(self, now_ns: int) -> Intent | None:
        lead = self.view.best(now_ns)
        first = next(iter(self.view.members))
        return lead and Lease(lead.key, first, "favourite", "Always the first of all reps.")


class IgnoresExclusion(Careful):
    def next_intent(self, now_ns: int) -> Intent | None:
        for lead in self.view.oldest(1):
            for rep in self.view.available:
                return Lease(lead.key, rep, "anybody", "Whoever is there, asked or not.")
        return None


class Overfills(Careful):
    def next_intent(self, now_ns: int) -> Intent | None:
        lead = self.view.best(now_ns)
        for rep in self.view.receiving.values():
            if lead is not None and self.view.may_take(rep, lead):
                return Lease(lead.key, rep.id, "anybody", "The first one, full or not.")
        return None


class IgnoresTheSupervisor(Careful):
    def next_intent(self, now_ns: int) -> Intent | None:
        lead = self.view.best(now_ns)
        for rep in self.view.available.values():
            if lead is not None and rep.id not in lead.excluded:
                return Lease(lead.key, rep.id, "anybody", "The first one who is free.")
        return None


class InventsLeads(Careful):
    def next_intent(self, now_ns: int) -> Intent | None:
        lease = super().next_intent(now_ns)
        return lease and self.other(lease, lead_key="nothing")


class RecallsWhatNobodyHas(Careful):
    def next_intent(self, now_ns: int) -> Intent | None:
        for lead in self.view.oldest(1):
            return Recall(lead.key, "rep0", "greedy", "Give it back, whoever has it.")
        return None


class NeverEnds(Careful):
    def next_intent(self, now_ns: int) -> Intent | None:
        for lead in self.view.oldest(1):
            return Defer(lead.key, "later", "This lead can wait a while.")
        return None


class SaysNoReason(Careful):
    def next_intent(self, now_ns: int) -> Intent | None:
        lease = super().next_intent(now_ns)
        return lease and self.other(lease, reason="")


class SaysNoSentence(Careful):
    def next_intent(self, now_ns: int) -> Intent | None:
        lease = super().next_intent(now_ns)
        return lease and self.other(lease, because="")


class HasNoNumber(Careful):
    def next_intent(self, now_ns: int) -> Intent | None:
        lease = super().next_intent(now_ns)
        return lease and self.other(lease, numbers={"chance": float("nan")})


class WritesToReps(Careful):
    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        rep.weight += 1.0
        super().leased(lead, rep, now_ns)


class WritesToLeads(Careful):
    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        lead.quality += 1.0
        super().leased(lead, rep, now_ns)


class WritesToWhatWaits(Careful):
    """A lead that it looked up and then gives away: the record that goes on is another one."""

    def next_intent(self, now_ns: int) -> Intent | None:
        for lead in self.view.oldest(1):
            lead.score = 1.5
        return super().next_intent(now_ns)


class WritesToWhatIsNew(Careful):
    def lead_waiting(self, lead: Lead, now_ns: int) -> None:
        lead.quality = 1.5


class TakesWhoCameFirst(Careful):
    """The order in which reps became free is not kept over a restart."""

    def next_intent(self, now_ns: int) -> Intent | None:
        for lead in self.view.in_order(now_ns, 64):
            for rep in self.view.available.values():
                if self.view.may_take(rep, lead):
                    return Lease(lead.key, rep.id, "first", f"{rep.id} stands first in the line.")
        return None


class PresumesTheUncalled(LongestIdle):
    """Makes room where nobody has called yet."""

    def next_intent(self, now_ns: int) -> Intent | None:
        pool = self._pool
        for lead in pool.in_order(now_ns, 64) if pool else ():
            for rep in pool.receiving.values() if pool else ():
                if pool and pool.may_take(rep, lead):
                    done = tuple(rep.open)
                    because = f"{rep.id} must be done with {len(done)} leads."
                    return Lease(lead.key, rep.id, "done", because, presumed_finished=done)
        return None


class TellsItsMemoryAgain(Careful):
    def changed_memory(self) -> list[tuple[str, bytes]]:
        return [("rep0", b"1")]


class WakesInThePast(Careful):
    def wake_ns(self) -> int | None:
        return 1


class SlowsTheInnocent(Careful):
    def lease_ended(self, lead: Lead, rep: Rep, cause: str, *, blame: bool, now_ns: int) -> None:  # type: ignore[override]
        self._flows.append((rep.id, Flow(0.5, "slow_contact", "Did not answer once.", "time"), {}))


class SlowsForAClaim(Careful):
    def contacted(self, lead: Lead, rep: Rep, at_ns: int, *, counted: bool, now_ns: int) -> None:
        if not counted:
            self._flows.append((rep.id, Flow(0.5, "claims", "Only says so.", "a call"), {}))


class SlowsWithoutAWord(Careful):
    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        self._flows.append((rep.id, Flow(0.5, "slow_contact"), {}))
        super().leased(lead, rep, now_ns)


class FlowOutOfRange(Careful):
    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        self._flows.append((rep.id, Flow(1.5, "full_flow", "More than everything."), {}))


class GivesNothing(Careful):
    def next_intent(self, now_ns: int) -> Intent | None:
        return None


class Raises(Careful):
    def work_ended(self, *_: object, **__: object) -> None:
        raise KeyError("gone")


class AsksForNothing(Careful):
    """Leases to full pools of nobody: an intent without a lead."""

    def next_intent(self, now_ns: int) -> Intent | None:
        if not self.view.waiting and self.view.available:
            return Lease("none", next(iter(self.view.available)), "bored", "Nothing else to do.")
        return super().next_intent(now_ns)


class RecallsWhatIsOpen(LongestIdle):
    """Takes back after 30 s what nobody has talked to, also while it is being called."""

    def _late(self, pool: PoolView) -> Iterator[tuple[int, Lead]]:
        for rep in pool.members.values():
            for key, uncontacted in rep.open.items():
                lead = pool.lead(key)
                if uncontacted and lead is not None and lead.recalls < 2 and self.may(lead):
                    yield lead.assigned_ns + pool.span_ns(30.0), lead

    def may(self, lead: Lead) -> bool:
        return lead.state == "assigned" and not lead.claimed_ns

    def next_intent(self, now_ns: int) -> Intent | None:
        assert self._pool is not None
        for due_ns, lead in self._late(self._pool):
            if due_ns <= now_ns:
                return Recall(lead.key, lead.rep, "slow", f"{lead.rep} had it for 30 s")
        return super().next_intent(now_ns)

    def wake_ns(self) -> int | None:
        assert self._pool is not None
        return min((due_ns for due_ns, _ in self._late(self._pool)), default=None)


class RecallsWhatIsClaimed(RecallsWhatIsOpen):
    def may(self, lead: Lead) -> bool:
        return lead.state == "assigned" and not lead.attempted_ns


class RecallsWhatIsInWork(RecallsWhatIsOpen):
    def may(self, lead: Lead) -> bool:
        return not lead.attempted_ns and not lead.claimed_ns


class IgnoresOwners(Careful):
    """Gives a lead that is held for its owner to whoever is there."""

    def next_intent(self, now_ns: int) -> Intent | None:
        for lead in self.view.oldest(99):
            for rep in self.view.available.values():
                if rep.id not in lead.excluded and flow_weight(rep, now_ns) > 0.0:
                    return Lease(lead.key, rep.id, "anybody", f"{rep.id} is there.")
        return None


class GoesByPresence(Careful):
    """Gives leads to whoever is ready and has a free slot, also in a wrap-up and before the pace is over."""

    def next_intent(self, now_ns: int) -> Intent | None:
        for lead in self.view.in_order(now_ns, 64):
            for rep in self.view.members.values():
                there = rep.state == "ready" and rep.paused_until_ns <= now_ns
                free = len(rep.open) < rep.window and rep.override != 0.0
                if there and free and self.view.may_take(rep, lead):
                    ranked = ((rep.id, 0.0, "ready"),)
                    return Lease(lead.key, rep.id, "ready", f"{rep.id} is ready.", ranked=ranked)
        return None


class GoesByTheHash(LongestIdle):
    def _order(
        self, pool: PoolView, lead: Lead, available: Mapping[str, Rep], now_ns: int
    ) -> Iterator[tuple[Key, Rep]]:
        for rep_id in set(available):
            yield (0.0, 0, rep_id), available[rep_id]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (ReadsTheClock, "time.time"),
        (ReadsTheClockWhenMade, "time.time"),
        (ReadsTheDate, "datetime.now"),
        (Gambles, "random"),
        (RemembersInTheModule, "two equal runs differ"),
        (ForgetsItsPointer, "memory does not survive a restart"),
        (TellsNobodyItsMemory, "memory does not survive a restart"),
        (LeasesToTheAbsent, "not receiving"),
        (IgnoresExclusion, "may not have lead"),
        (Overfills, "free slot"),
        (IgnoresTheSupervisor, "supervisors: rep rep0 may not have lead"),
        (InventsLeads, "lead nothing is not in this pool"),
        (RecallsWhatNobodyHas, "a Recall names"),
        (NeverEnds, "did not come to an end"),
        (SaysNoReason, "short code"),
        (SaysNoSentence, "one sentence"),
        (HasNoNumber, "numbers are finite"),
        (WritesToReps, "wrote to a rep"),
        (WritesToLeads, "wrote to a lead"),
        (WritesToWhatWaits, "wrote to a lead"),
        (WritesToWhatIsNew, "wrote to a lead"),
        (TakesWhoCameFirst, "memory does not survive a restart: Assigned with rep"),
        (PresumesTheUncalled, "has not begun"),
        (TellsItsMemoryAgain, "the same changes twice"),
        (WakesInThePast, "wake_ns"),
        (SlowsTheInnocent, "blame was False"),
        (SlowsForAClaim, "blame was False"),
        (SlowsWithoutAWord, "what restores it"),
        (FlowOutOfRange, "a flow is from 0 to 1"),
        (GivesNothing, "nobody says why"),
        (Raises, "KeyError"),
        (AsksForNothing, "although there are no leads"),
        (RecallsWhatIsOpen, "is being called"),
        (RecallsWhatIsClaimed, "is being called"),
        (RecallsWhatIsInWork, "a Recall names an uncontacted lead"),
        (IgnoresOwners, "known reps: rep rep3 may not have lead"),
        (GoesByPresence, "wrap-up and pace: rep rep0 is not receiving"),
        (GoesByTheHash, "depend on the hash seed"),
    ],
)
def test_a_bad_policy_is_caught_and_told_why(bad: type[Fair], said: str) -> None:
    seen = []
    for problem in find_problems(bad):
        seen.append(problem)
        if said in problem:
            return
    pytest.fail(f"not caught; instead: {seen}")


def test_assert_good_citizen_lists_every_problem() -> None:
    with pytest.raises(NotAGoodCitizen, match="nobody says why"):
        assert_good_citizen(GivesNothing)


def test_a_scene_that_broke_off_says_nothing_more() -> None:
    """Who raises is not accused of having given nothing."""

    class RaisesAtOnce(Careful):
        def lead_waiting(self, lead: Lead, now_ns: int) -> None:
            raise KeyError("at once")

    problems = [problem for problem in problems_here(RaisesAtOnce) if "gives leads" in problem]
    assert problems == ["gives leads: raised KeyError: 'at once'"]
