"""A policy that was restarted decides like one that never stopped; and the same facts give the same
decisions."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from fake_pool import Floor
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from distributor.domain.floor import FlowPlan
from policies.lease import Lease
from policies.lease.roster import Roster


def restarted(scene: Floor) -> Floor:
    """A copy of the scene whose policy was killed and came back with its memory."""
    twin: Floor = copy.copy(scene)
    twin.pool = copy.deepcopy(scene.pool)
    receiving = list(twin.pool.receiving)
    twin.pool.receiving = {rep: twin.pool.members[rep] for rep in receiving}
    twin.records = dict(scene.records)
    twin.log, twin.flows, twin.expired = [], [], []
    twin.policy = Lease()
    for rep, memory in scene.records.items():
        twin.policy.restore(rep, memory)
    twin.policy.start(twin.pool, twin.now_ns)
    twin.drain()
    return twin


class Restarts(RuleBasedStateMachine):
    """Two floors get the same facts; the policy of the second is restarted again and again."""

    @initialize(reps=st.integers(1, 40), window=st.sampled_from([1, 1, 1, 3]), firm=st.booleans())
    def begin(self, reps: int, window: int, firm: bool) -> None:
        flow = FlowPlan(window=window, visible_throttle=firm)
        self.steady = Floor(Lease(), reps, flow)
        self.broken = restarted(self.steady)
        assert self.broken.log == []
        self.reps = [f"r{i}" for i in range(reps)]

    def both(self, act: Any) -> None:
        marks = len(self.steady.log), len(self.broken.log)
        act(self.steady)
        act(self.broken)
        assert self.broken.log[marks[1] :] == self.steady.log[marks[0] :]

    @rule(quality=st.sampled_from([0.4, 1.0, 2.5]), age=st.sampled_from([0, 0, 0, 50, 170, 400]))
    def lead(self, quality: float, age: float) -> None:
        self.both(lambda scene: scene.lead(quality, age))

    @rule(seconds=st.sampled_from([0.5, 1, 3, 7, 15, 31, 60, 240, 900]))
    def wait(self, seconds: float) -> None:
        self.both(lambda scene: scene.after(seconds))

    def _keys(self, state: str) -> list[str]:
        leads = self.steady.pool.leads.values()
        return [lead.key for lead in leads if lead.state == state and lead.rep]

    @precondition(lambda self: self._keys("assigned"))
    @rule(pick=st.integers(0, 999), counted=st.sampled_from([True, True, True, False]))
    def contact(self, pick: int, counted: bool) -> None:
        keys = self._keys("assigned")
        key = keys[pick % len(keys)]
        self.both(lambda scene: _contact(scene, key, counted))

    @precondition(lambda self: self._keys("working"))
    @rule(pick=st.integers(0, 999))
    def finish(self, pick: int) -> None:
        keys = self._keys("working")
        key = keys[pick % len(keys)]
        self.both(lambda scene: _finish(scene, key))

    @rule(pick=st.integers(0, 999), state=st.sampled_from(["ready", "busy", "away", "offline"]))
    def presence(self, pick: int, state: str) -> None:
        rep = self.reps[pick % len(self.reps)]
        self.both(lambda scene: scene.presence(rep, state))

    @rule(pick=st.integers(0, 999))
    def believe_little(self, pick: int) -> None:
        """A lead of this rep ends in silence."""
        rep = self.steady.pool.members[self.reps[pick % len(self.reps)]]
        keys = [key for key, waits in rep.open.items() if waits]
        if keys:
            self.both(lambda scene: scene.end(keys[0], "expired", blame=True))

    @rule()
    def restart(self) -> None:
        self.broken = restarted(self.broken)
        assert self.broken.log == [], "a restart alone decides nothing"

    @invariant()
    def they_agree(self) -> None:
        if hasattr(self, "steady"):
            assert self.broken.records == self.steady.records
            assert self.broken.policy.wake_ns() == self.steady.policy.wake_ns()


def _contact(scene: Floor, key: str, counted: bool) -> None:
    lead = scene.pool.leads[key]
    lead.claimed_ns = 0 if counted else scene.now_ns
    lead.contacted_ns = scene.now_ns if counted else 0
    scene.contact(key, counted)


def _finish(scene: Floor, key: str) -> None:
    scene.finish(key)
    scene.pool.leads[key].state = "closed"


Restarts.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
)
TestRestarts = Restarts.TestCase


def test_the_same_facts_give_the_same_decisions() -> None:
    def run() -> tuple[list[Any], dict[str, bytes]]:
        scene = Floor(Lease(), 40)
        for i in range(120):
            key = scene.lead((0.4, 1.0, 2.5)[i % 3])
            scene.after(3)
            if scene.holder(key) and i % 4:
                scene.contact(key)
                if i % 4 == 2:
                    scene.after(20)
                    scene.finish(key)
        return scene.log, scene.records

    assert run() == run()


def test_the_written_out_equations_of_the_hot_path_are_those_of_the_estimator() -> None:
    scene = Floor(Lease(), 6)
    for i in range(6):
        m = scene.policy._memories[f"r{i}"]
        m.lagging, m.absent = 0.02 + 0.03 * i, 0.012 + 0.02 * i
        m.side, m.side_ns, m.contacts = 0.05 * i, scene.now_ns, 9
        scene.changed(f"r{i}")
    scene.after(40)
    roster: Roster = scene.policy._roster
    estimator = roster.estimator
    offers, total = roster.offers(scene.now_ns)
    assert len(offers) == 6
    for p, pi, lag, index in offers:
        m = roster.seats[index].memory
        assert abs(pi - estimator.responsive(m, scene.now_ns)) < 1e-12
        assert abs(p - pi * (1 - estimator.side_work(m, scene.now_ns))) < 1e-12
        assert abs(lag - estimator.usual_lag(m)) < 1e-12
    assert abs(total - sum(o[0] for o in offers)) < 1e-12


def test_of_many_candidates_a_seeded_sample_is_weighed() -> None:
    scene = Floor(Lease(), 500)
    roster: Roster = scene.policy._roster
    first, total = roster.offers(scene.now_ns)
    assert len(first) == 16
    assert abs(total - 500 * 0.955) < 1e-6
    assert roster.offers(scene.now_ns)[0] == first
    assert {o[3] for o in roster.offers(scene.now_ns + 1)[0]} != {o[3] for o in first}


def test_a_pass_looks_at_a_bounded_number_of_reps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in looks, not in seconds: nothing weighs every rep at an event."""
    original, looked = Roster._offers_of, [0]

    def counting(roster: Roster, indexes: list[int], now_ns: int) -> Any:
        looked[0] += len(indexes)
        return original(roster, indexes, now_ns)

    monkeypatch.setattr(Roster, "_offers_of", counting)
    counts = []
    for reps in (24, 200, 4000):
        scene = Floor(Lease(), reps)
        looked[0] = 0
        scene.lead()
        counts.append(looked[0])
    assert counts == [24, 16, 16]
