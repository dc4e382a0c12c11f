"""Any order of events: what must always hold, holds; and what was recorded rebuilds the same state."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from distributor.core.engine import Engine
from distributor.core.state import State
from distributor.domain.decisions import Assigned, AssignmentEnded, Decision
from distributor.domain.events import (
    DeliveryFailed,
    FloorChanged,
    SupervisorActed,
    TargetChanged,
    Ticked,
)
from distributor.domain.floor import Floor, PoolPlan, RepPlan
from distributor.domain.lead import Lead
from tests.core.floors import BEGIN, FACTORIES, SECOND, Scene

REPS = ("ana", "ben", "cy")
STATES = ("ready", "ready", "ready", "ready", "busy", "wrap_up", "away", "offline")
TYPES = ("accepted", "rejected", "attempted", "contacted", "call_ended", "status")
STATUSES = ("working", "callback", "qualified", "not_ready", "converted", "lost", "dnc")


def picture(state: State) -> dict[str, Any]:
    """Everything of a state that must be equal after a rebuild."""
    while state.deadlines.pop_due(state.now_ns) is not None:
        pass  # what is due fired already, or fires at the next tick, here as there
    return {
        "leads": state.leads,
        "reps": state.reps,
        "counts": state.ledger.counts,
        "received": state.ledger.received,
        "waiting": {key: pool.waiting for key, pool in state.pools.items()},
        "memories": state.memories,
        "down": sorted(state.targets_down),
        "desk": sorted(state.desk),
        "deferred": state.deferred,
        "closed": dict(state.closed),
        "picks": {key: pool.picks for key, pool in state.pools.items() if pool.waiting},
        "next deadline": state.next_due_ns(),
    }


class EngineMachine(RuleBasedStateMachine):
    """Random life on a floor of three reps."""

    policy = "fair"

    @initialize(window=st.integers(1, 2), grace=st.sampled_from([0.0, 20.0]))
    def begin(self, window: int, grace: float) -> None:
        self.scene = Scene(
            REPS,
            policy=self.policy,
            window=window,
            offline_grace_seconds=grace,
            wrap_up_seconds=5.0 if window == 1 else 0.0,
            waiting_limit_seconds=3_000,
            working_limit_seconds=6_000,
        )
        self.names = 0
        self.by_hand = 0
        self.live: dict[str, str] = {}
        self.closed: dict[str, Lead] = {}
        self.scene.ready(*REPS)

    def _watch(self, decisions: list[Decision]) -> None:
        """One owner: no second assignment while one is live."""
        for decision in decisions:
            if isinstance(decision, Assigned):
                assert decision.lead_key not in self.live, decision
                self.live[decision.lead_key] = decision.assignment_id
            elif isinstance(decision, AssignmentEnded):
                assert self.live.pop(decision.lead_key) == decision.assignment_id

    def _do(self, event: Any) -> None:
        self._watch(self.scene.do(event))

    @rule(
        test=st.sampled_from([False] * 9 + [True]),
        score=st.sampled_from([None, 0.2, 0.9]),
        prefers=st.sampled_from(["", "", "", "ana", "zoe"]),
    )
    def arrives(self, test: bool, score: float | None, prefers: str) -> None:
        self.names += 1
        before = len(self.scene.entries)
        self.scene.lead(str(self.names), test=test, score=score, prefers=prefers)
        for entry in self.scene.entries[before:]:
            self._watch(list(entry.decisions))

    @rule(rep=st.sampled_from(REPS), state=st.sampled_from(STATES))
    def presence(self, rep: str, state: str) -> None:
        self._watch(self.scene.ready(rep, state=state))

    @precondition(lambda self: self.scene.engine.state.leads)
    @rule(
        data=st.data(),
        type_=st.sampled_from(TYPES),
        status=st.sampled_from(STATUSES),
        evidence=st.sampled_from(["dialer", "claimed"]),
        rep=st.sampled_from(["", "", "", "", "ana", "ben"]),
        lag=st.sampled_from([0, 5, 5_000]),
    )
    def report(self, data: Any, type_: str, status: str, evidence: str, rep: str, lag: int) -> None:
        leads = self.scene.engine.state.leads
        live = sorted(key for key, lead in leads.items() if lead.assignment_id)
        key = data.draw(st.sampled_from(live * 3 + sorted(leads)))
        fields: dict[str, Any] = {"evidence": evidence, "rep": rep}
        fields["at_ns"] = max(1, self.scene.now_ns - lag * SECOND)
        if type_ == "status":
            fields |= {"status": status, "callback_ns": self.scene.now_ns + 300 * SECOND}
        self._watch(self.scene.report(type_, key, **fields))

    @precondition(lambda self: self.closed)
    @rule(
        data=st.data(),
        type_=st.sampled_from(["contacted", "call_ended", "status", "status"]),
        status=st.sampled_from(STATUSES),
    )
    def late(self, data: Any, type_: str, status: str) -> None:
        """An event for a lead that was closed, which the store knows though memory may not."""
        key = data.draw(st.sampled_from(sorted(self.closed)))
        known = self.scene.engine.state.leads.get(key, self.closed[key])
        fields = {"status": status} if type_ == "status" else {}
        self._watch(self.scene.report(type_, key, recalled=known, **fields))

    @precondition(lambda self: self.live)
    @rule(data=st.data(), hold=st.sampled_from([False, False, True]))
    def undeliverable(self, data: Any, hold: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.live.values())))
        self._do(DeliveryFailed(name, "the dialer refused it", hold=hold))

    @rule(seconds=st.sampled_from([0.1, 3, 15, 70, 400, 3_700]))
    def passes(self, seconds: float) -> None:
        before = len(self.scene.entries)
        self.scene.at((self.scene.now_ns - BEGIN) / SECOND + seconds)
        for entry in self.scene.entries[before:]:
            self._watch(list(entry.decisions))

    @rule(
        policy=st.sampled_from(["fair", "lease", "longest_idle"]),
        pools=st.sampled_from(
            [("default",), ("default",), ("default",), ("other",), ("one", "two")]
        ),
        reps=st.sampled_from([REPS, REPS, ("ana", "ben"), ("ben", "cy")]),
        limit=st.sampled_from([60.0, 90.0]),
        change=st.sampled_from([False] * 4 + [True]),
    )
    def settings(
        self, policy: str, pools: tuple[str, ...], reps: tuple[str, ...], limit: float, change: bool
    ) -> None:
        if not change:
            return
        floor = self.scene.floor
        flow = replace(floor.flow, policy=policy, first_contact_seconds=limit)
        self._do(
            FloorChanged(
                Floor(
                    "new",
                    reps=tuple(RepPlan(rep) for rep in reps),
                    pools=tuple(PoolPlan(pool) for pool in pools),
                    flow=flow,
                )
            )
        )

    @rule(up=st.sampled_from([True] * 7 + [False]))
    def target(self, up: bool) -> None:
        self._do(TargetChanged("mqtt", up))

    @precondition(lambda self: self.scene.engine.state.leads)
    @rule(
        data=st.data(),
        action=st.sampled_from(["pause", "resume", "override", "assign", "recycle", "close"]),
        rep=st.sampled_from(REPS),
        force=st.booleans(),
    )
    def supervisor(self, data: Any, action: Any, rep: str, force: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.scene.engine.state.leads)))
        about_rep = action in ("pause", "resume", "override")
        self.by_hand += action == "assign"  # a supervisor may fill more than the window
        self._do(
            SupervisorActed(
                action,
                "mia",
                "because",
                rep=rep if about_rep or action == "assign" else "",
                lead_key="" if about_rep else key,
                until_ns=self.scene.now_ns + 60 * SECOND if about_rep else 0,
                flow=0.5 if action == "override" else None,
                status="lost" if action == "close" else None,
                force=force,
            )
        )

    @invariant()
    def closed_leads_are_remembered(self) -> None:
        """As the store does: their last records, however long memory keeps them."""
        if not hasattr(self, "scene"):
            return
        for key, lead in self.scene.engine.state.leads.items():
            if lead.state == "closed":
                self.closed[key] = lead
            else:
                self.closed.pop(key, None)

    @invariant()
    def the_ledger_balances(self) -> None:
        if not hasattr(self, "scene"):
            return
        state = self.scene.engine.state
        assert state.ledger.difference == 0
        assert state.ledger.received == self.names

    @invariant()
    def pipelines_and_owners_agree(self) -> None:
        if not hasattr(self, "scene"):
            return
        state = self.scene.engine.state
        for lead in state.leads.values():
            assert bool(lead.assignment_id) == (self.live.get(lead.key) == lead.assignment_id)
            if lead.in_pipeline:
                assert lead.key in state.reps[lead.rep].open
        for rep in state.reps.values():
            assert len(rep.open) <= rep.window + self.by_hand
            for key in rep.open:
                assert state.leads[key].rep == rep.id
                assert state.leads[key].in_pipeline

    @invariant()
    def every_waiting_state_has_an_end(self) -> None:
        if not hasattr(self, "scene"):
            return
        for lead in self.scene.engine.state.leads.values():
            if lead.state not in ("exception", "closed"):
                assert lead.deadline_ns > 0, lead

    def teardown(self) -> None:
        if not hasattr(self, "scene"):
            return
        scene = self.scene
        self._fold_gives_the_same(scene)
        self._deciding_again_gives_the_same(scene)
        self._a_restart_in_the_middle_changes_nothing(scene)

    def _fold_gives_the_same(self, scene: Scene) -> None:
        folded = Engine(tag="T3ST", seed=7, factories={})
        for entry in scene.entries:
            packed = msgspec.msgpack.encode(entry)
            again = msgspec.msgpack.decode(packed, type=type(entry))
            folded.fold(again.at_ns, again.decisions)
        scene.engine.state.forget_closed()
        folded.state.now_ns = scene.engine.state.now_ns
        folded.state.forget_closed()
        assert picture(folded.state) == picture(scene.engine.state)

    def _deciding_again_gives_the_same(self, scene: Scene) -> None:
        again = Engine(tag="T3ST", seed=7, factories=FACTORIES)
        for entry in scene.entries:
            self._tick(again, entry)
            assert tuple(again.handle(entry.event, entry.at_ns)) == entry.decisions

    def _tick(self, engine: Engine, entry: Any) -> None:
        for at_ns in entry.idle_ticks:
            assert engine.handle(Ticked(), at_ns) == []

    def _a_restart_in_the_middle_changes_nothing(self, scene: Scene) -> None:
        half = len(scene.entries) // 2
        first = Engine(tag="T3ST", seed=7, factories={})
        for entry in scene.entries[:half]:
            first.fold(entry.at_ns, entry.decisions)
        second = Engine(tag="T3ST", seed=7, factories=FACTORIES)
        second.restore(first.state.head(), list(first.state.leads.values()))
        second.resume()
        for entry in scene.entries[half:]:
            self._tick(second, entry)
            assert tuple(second.handle(entry.event, entry.at_ns)) == entry.decisions


class LeaseMachine(EngineMachine):
    """The same life under the default policy."""

    policy = "lease"


class IdleMachine(EngineMachine):
    """The same life under the simplest policy."""

    policy = "longest_idle"


@pytest.mark.parametrize("machine", [EngineMachine, LeaseMachine, IdleMachine])
def test_any_order_of_events_keeps_what_must_hold(machine: type[EngineMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=50,
            stateful_step_count=50,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
