"""Rules that broke once, or that nothing noticed when they were taken out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from distributor.core.engine import Engine
from distributor.domain.decisions import AssignmentEnded, LeaseRestarted
from distributor.domain.events import (
    DeliveryDelayed,
    DeliveryFailed,
    FloorChanged,
    PresenceReported,
    Started,
    StoodStill,
    SupervisorActed,
    TargetChanged,
    Ticked,
)
from distributor.domain.faults import PolicyMisbehaved
from distributor.domain.floor import PoolPlan
from distributor.domain.policy import Lease
from policies.longest_idle import LongestIdle
from tests.core.floors import BEGIN, FACTORIES, SECOND, Scene


def rebuilt(scene: Scene) -> Engine:
    """The engine that a restart makes of what was recorded."""
    engine = Engine(tag="T3ST", seed=7, factories=FACTORIES)
    for entry in scene.entries:
        engine.fold(entry.at_ns, entry.decisions)
    engine.resume()
    return engine


@pytest.mark.parametrize("new", ["lease", "longest_idle"])
def test_another_policy_is_not_handed_the_memory_of_the_one_before(new: str) -> None:
    scene = Scene(policy="fair")
    scene.ready("ana", "ben")
    scene.lead("1")
    flow = replace(scene.floor.flow, policy=new)
    scene.do(FloorChanged(replace(scene.floor, digest="new", flow=flow)))
    memories = dict(scene.engine.state.memories)
    assert rebuilt(scene).state.memories == memories


def test_offline_said_again_does_not_begin_the_grace_again() -> None:
    scene = Scene(offline_grace_seconds=30)
    scene.ready("ana")
    key = scene.lead("1")
    for second in (0, 20, 29):
        scene.at(second)
        scene.ready("ana", state="offline")
    scene.at(31)
    assert scene.look(key).state == "waiting"


def test_the_hold_for_a_known_owner_ends_after_a_restart_too() -> None:
    scene = Scene()
    scene.ready("ana", "ben")
    busy = scene.look(scene.lead("1")).rep
    key = scene.lead("2", prefers=busy)
    engine = rebuilt(scene)
    due = engine.next_deadline_ns()
    assert due == BEGIN + 30 * SECOND
    engine.handle(Ticked(), due)
    assert engine.state.leads[key].rep not in ("", busy)


class _Greedy(LongestIdle):
    """Asks for a slot that is not there."""

    def next_intent(self, now_ns: int) -> Any:
        for lead in self._pool.oldest(1) if self._pool else ():
            for rep in self._pool.receiving.values():
                return Lease(lead.key, rep.id, "greedy", "because")
        return None


@pytest.fixture
def greedy() -> Iterator[None]:
    FACTORIES["greedy"] = _Greedy
    yield
    del FACTORIES["greedy"]


@pytest.mark.usefixtures("greedy")
def test_no_policy_gets_a_slot_that_is_not_there() -> None:
    scene = Scene(["ana"], policy="greedy")
    scene.ready("ana")
    scene.lead("1")
    with pytest.raises(PolicyMisbehaved, match="no free slot"):
        scene.lead("2")


class _Presuming(LongestIdle):
    """Makes room where nobody has begun, or with what somebody else has."""

    of_others = False

    def next_intent(self, now_ns: int) -> Any:
        pool = self._pool
        for lead in pool.oldest(1) if pool else ():
            for rep in pool.receiving.values() if pool else ():
                others = [r for r in pool.members.values() if r is not rep] if pool else []
                done = [key for r in (others if self.of_others else [rep]) for key in r.open]
                return Lease(lead.key, rep.id, "x", "because", presumed_finished=tuple(done))
        return None


class _PresumingOthers(_Presuming):
    of_others = True


@pytest.fixture
def presuming() -> Iterator[None]:
    FACTORIES.update(presuming=_Presuming, presuming_others=_PresumingOthers)
    yield
    del FACTORIES["presuming"], FACTORIES["presuming_others"]


@pytest.mark.usefixtures("presuming")
@pytest.mark.parametrize("policy", ["presuming", "presuming_others"])
def test_no_policy_takes_a_lead_for_finished_that_is_not_in_the_reps_hand(policy: str) -> None:
    scene = Scene(["ana", "ben"], policy=policy, window=1 if policy == "presuming" else 9)
    scene.ready("ana")
    key = scene.lead("1")
    if policy == "presuming_others":
        scene.report("contacted", key)
        scene.ready("ana", state="busy")
        scene.ready("ben")
    with pytest.raises(PolicyMisbehaved, match=f"has not begun lead {key}"):
        scene.lead("2")


def test_every_tenth_pick_is_the_oldest_lead_that_starves() -> None:
    starving = Scene(["ana"])
    first = starving.lead("old", score=0.05)
    starving.at(3_600)
    starving.lead("fresh", score=1.0)
    waiting = starving.engine.state.pools["default"]
    waiting.receiving = dict(waiting.members)
    picks = []
    for number in range(10):
        waiting.picks = number
        best = waiting.best(starving.now_ns)
        assert best is not None
        picks.append(best.key == first)
    assert picks == [False] * 9 + [True]


def test_leases_begin_anew_when_the_dialer_is_back() -> None:
    scene = Scene(lease_seconds=60)
    scene.ready("ana", "ben")
    key = scene.lead("1")
    scene.at(10)
    scene.do(TargetChanged("mqtt", up=False))
    scene.at(50)
    scene.do(TargetChanged("mqtt", up=True))
    assert [d.lead_key for d in scene.decided(LeaseRestarted)] == [key]
    scene.at(109)
    assert not scene.decided(AssignmentEnded)
    scene.at(111)
    assert [d.blame for d in scene.decided(AssignmentEnded)] == [False]


def test_a_lease_begins_when_its_dialer_has_the_lead() -> None:
    scene = Scene(lease_seconds=60)
    scene.ready("ana")
    key = scene.lead("1")
    for second in (50, 100):
        scene.at(second)
        scene.do(DeliveryDelayed((f"{key}-1", "ELSE-1"), delivered=False))
    assert not scene.decided(AssignmentEnded)
    scene.at(150)
    scene.do(DeliveryDelayed((f"{key}-1",), delivered=True))
    assert [d.blameless for d in scene.decided(LeaseRestarted)] == [True, True, False]
    scene.at(209)
    assert not scene.decided(AssignmentEnded)
    scene.at(211)
    assert [d.blame for d in scene.decided(AssignmentEnded)] == [True]


def test_what_never_left_speaks_against_nobody() -> None:
    scene = Scene(lease_seconds=60)
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(50)
    scene.do(DeliveryDelayed((f"{key}-1",), delivered=False))
    scene.at(111)
    assert [d.blame for d in scene.decided(AssignmentEnded)] == [False]


@pytest.mark.parametrize("delivered", [False, True])
def test_an_answer_of_the_dialer_that_comes_after_the_call_changes_nothing(
    delivered: bool,
) -> None:
    scene = Scene()
    scene.ready("ana")
    key = scene.lead("1")
    scene.report("attempted", key, result="busy")
    assert scene.do(DeliveryDelayed((f"{key}-1",), delivered)) == []


def test_nobodys_silence_counts_while_the_daemon_did_not_hear() -> None:
    scene = Scene(lease_seconds=60)
    scene.ready("ana")
    key = scene.lead("1")
    scene.now_ns += 100 * SECOND
    scene.do(StoodStill(40.0))
    lead = scene.engine.state.leads[key]
    assert (lead.state, lead.assigned_ns) == ("assigned", scene.now_ns)
    assert not lead.blameless  # from here on it may speak again


def test_leases_begin_anew_with_each_process() -> None:
    scene = Scene(lease_seconds=60)
    scene.ready("ana")
    key = scene.lead("1")
    scene.at(50)
    decisions = scene.do(Started(2, "x", "AB"))
    assert [(d.lead_key, d.blameless) for d in decisions if isinstance(d, LeaseRestarted)] == [
        (key, False)
    ]


def _restarted(scene: Scene) -> Engine:
    """The engine that a restart makes of a snapshot taken now."""
    state = scene.engine.state
    engine = Engine(tag="T3ST", seed=7, factories=FACTORIES)
    engine.restore(state.head(), list(state.leads.values()))
    engine.resume()
    return engine


def _decides_the_same(scene: Scene, engine: Engine, event: Any) -> None:
    assert engine.handle(event, scene.now_ns) == scene.do(event)


def _another(scene: Scene, pool: str, policy: str) -> FloorChanged:
    flow = replace(scene.floor.flow, policy=policy)
    return FloorChanged(replace(scene.floor, digest="new", flow=flow, pools=(PoolPlan(pool),)))


def test_nothing_is_left_of_a_pool_that_was_configured_once() -> None:
    """Its last leads wait elsewhere: a restart does not know the pool, and who went on must not either."""
    scene = Scene()
    scene.ready("ana", "ben")
    keys = [scene.lead(str(number)) for number in range(3)]
    scene.do(_another(scene, "other", "fair"))
    restarted = _restarted(scene)
    assert {*scene.engine.state.pools, *restarted.state.pools} == {"other"}
    failed = DeliveryFailed(scene.look(keys[0]).assignment_id, "the dialer refused it", hold=False)
    _decides_the_same(scene, restarted, failed)
    _decides_the_same(scene, restarted, _another(scene, "default", "lease"))


def test_a_lead_that_is_recalled_without_a_verdict_gets_it_with_or_without_a_restart() -> None:
    scene = Scene(first_contact_seconds=300)
    scene.ready("ana")
    key = scene.lead("1")
    scene.report("status", key, status="lost")
    closed = scene.look(key)
    scene.at(400)
    scene.ready("ben")
    assert key not in scene.engine.state.leads
    scene.report("status", key, status="lost", recalled=closed)
    _decides_the_same(scene, _restarted(scene), Ticked())
    assert scene.look(key).standard == "missed"


def test_the_order_of_test_leads_outlives_a_restart() -> None:
    """One came back to its pool after the other had come in: it is the first all the same."""
    scene = Scene()
    scene.ready("ana", "ben", state="away")
    first, second = "1", "2"
    scene.lead(first, test=True)
    scene.ready("ana")
    assigned = scene.look(scene.key(first)).assignment_id
    scene.ready("ana", state="away")
    scene.lead(second, test=True)
    if assigned:
        scene.do(DeliveryFailed(assigned, "the dialer refused it", hold=False))
    restarted = _restarted(scene)
    ready = PresenceReported("ben", "ready", "dialer")
    _decides_the_same(scene, restarted, ready)


def test_a_pool_knows_that_its_rep_is_done_with_a_lead_of_another_pool() -> None:
    """With a window of two both reps stand free in their pool all along: who waits longest is news."""
    scene = Scene(("ana", "ben"), window=2)
    scene.ready("ana")
    first = scene.lead("1")
    scene.at(10)
    scene.ready("ben")
    second = scene.lead("2")
    assert (scene.look(first).rep, scene.look(second).rep) == ("ana", "ben")
    scene.do(_another(scene, "other", "longest_idle"))
    for seconds, key in ((20, second), (30, first)):
        scene.at(seconds)
        scene.do(DeliveryFailed(scene.look(key).assignment_id, "the dialer refused it", hold=False))
    restarted = _restarted(scene)
    third = scene.lead("3")
    restarted.handle(scene.entries[-1].event, scene.now_ns)
    assert restarted.state.leads[third].rep == scene.look(third).rep == "ben"


def test_a_queue_that_begins_in_one_pool_is_no_silence_in_the_other() -> None:
    """A supervisor hands a lead of one pool to a rep of two: the other pool has nothing to judge."""
    scene = Scene(("ana", "ben"), policy="lease", window=2)
    scene.ready("ana")
    pools = (PoolPlan("one"), PoolPlan("two"))
    scene.do(FloorChanged(replace(scene.floor, digest="new", pools=pools)))
    key = scene.lead("1")
    scene.do(SupervisorActed("assign", "mia", "because", lead_key=key, rep="ana"))
    assert scene.look(key).rep == "ana"
    _decides_the_same(scene, _restarted(scene), PresenceReported("ben", "ready", "dialer"))
