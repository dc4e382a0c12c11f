"""The small floor of the suite tells a policy what the core tells it, fact for fact."""

from __future__ import annotations

from itertools import product
from typing import Any, ClassVar

import pytest

from distributor.core.pool import RECEIVING
from distributor.core.state import State
from distributor.domain.floor import FlowPlan
from distributor.domain.lead import Lead
from distributor.domain.rep import REP_STATES, Rep
from policies.longest_idle import LongestIdle
from policies.miniature import MiniFloor, MiniPool
from tests.core.floors import BEGIN, FACTORIES, SECOND, Scene

Step = tuple[str, str]


class Hears(LongestIdle):
    """Notes what it is told."""

    heard: ClassVar[list[tuple[Any, ...]]] = []

    def lead_waiting(self, lead: Any, now_ns: int) -> None:
        self.heard.append(("waits", lead.vendor_id, lead.excluded))

    def leased(self, lead: Any, rep: Any, now_ns: int) -> None:
        self.heard.append(("leased", lead.vendor_id, rep.id))
        super().leased(lead, rep, now_ns)

    def lease_ended(self, lead: Any, rep: Any, cause: Any, *, blame: bool, now_ns: int) -> None:
        self.heard.append(("ended", lead.vendor_id, rep.id, cause, blame))
        super().lease_ended(lead, rep, cause, blame=blame, now_ns=now_ns)

    def contacted(self, lead: Any, rep: Any, at_ns: int, *, counted: bool, now_ns: int) -> None:
        state = (lead.state, bool(lead.attempted_ns), bool(lead.claimed_ns))
        self.heard.append(("contacted", lead.vendor_id, rep.id, counted, *state))

    def work_ended(
        self, lead: Any, rep: Any, cause: Any, at_ns: int, now_ns: int, *, counted: bool
    ) -> None:
        self.heard.append(("left", lead.vendor_id, rep.id, cause, counted))
        super().work_ended(lead, rep, cause, at_ns, now_ns, counted=counted)


def _in_the_core(steps: list[Step], wrap_up: float) -> None:
    scene = Scene(["rep0", "rep1"], policy="hears", window=2, wrap_up_seconds=wrap_up)
    for what, which in steps:
        if what in ("ready", "busy", "away", "offline"):
            scene.ready(which, state=what)
        elif what == "lead":
            scene.lead(which)
        elif what == "test lead":
            scene.lead(which, test=True)
        elif what == "wait":
            scene.at((scene.now_ns - BEGIN) / SECOND + float(which))
        elif what == "claim":
            scene.report("contacted", scene.key(which), evidence="claimed")
        elif what == "working":
            scene.report("status", scene.key(which), status="working", evidence="claimed")
        elif what == "lost by claim":
            scene.report("status", scene.key(which), status="lost", evidence="claimed")
        elif what in ("lost", "late"):
            scene.report("status", scene.key(which), status="lost")
        else:
            scene.report(what, scene.key(which))


def _in_miniature(steps: list[Step], wrap_up: float) -> None:
    floor = MiniFloor(Hears, 2, window=2, flow=FlowPlan(wrap_up_seconds=wrap_up))
    for what, which in steps:
        if what in ("ready", "busy", "away", "offline"):
            floor.presence(which, what)  # type: ignore[arg-type]
        elif what == "lead":
            floor.lead(which)
        elif what == "test lead":
            floor.lead(which, test=True)
        elif what == "wait":
            floor.advance(float(which))
        elif what == "attempted":
            floor.attempt(which)
        elif what == "contacted":
            floor.contact(which)
        elif what == "lost by claim":
            floor.finish(which, cause="status", counted=False)
        elif what == "lost":
            floor.finish(which, cause="status")
        elif what == "rejected":
            floor.end(which, "rejected")
        else:
            getattr(floor, what)(which)
    assert floor.problems == []


LIVES: dict[str, list[Step]] = {
    "a call": [("lead", "A"), ("attempted", "A"), ("contacted", "A"), ("lost", "A")],
    "a call without a dial": [("lead", "A"), ("contacted", "A"), ("lost", "A")],
    "a claim, then a call": [("lead", "A"), ("claim", "A"), ("contacted", "A"), ("lost", "A")],
    "a dial, then a claim": [("lead", "A"), ("attempted", "A"), ("claim", "A"), ("lost", "A")],
    "a claim that nothing follows": [("lead", "A"), ("claim", "A"), ("wait", "2000")],
    "a dial that nothing follows": [("lead", "A"), ("attempted", "A"), ("wait", "700")],
    "silence": [("lead", "A"), ("wait", "700")],
    "silence all around": [("lead", "A"), ("wait", "1300")],
    "said to be in work": [("lead", "A"), ("working", "A"), ("lost", "A")],
    "an end that is only claimed": [("lead", "A"), ("lost by claim", "A")],
    "refused by all": [("lead", "A"), ("rejected", "A"), ("rejected", "A"), ("lead", "B")],
    "refused after a dial": [("lead", "A"), ("attempted", "A"), ("rejected", "A")],
    "a break": [("lead", "A"), ("away", "rep0"), ("ready", "rep0")],
    "a break while it rings": [("lead", "A"), ("attempted", "A"), ("away", "rep0")],
    "signed off while it rings": [("lead", "A"), ("attempted", "A"), ("offline", "rep0")],
    "a break after a claim": [("lead", "A"), ("claim", "A"), ("away", "rep0")],
    "an agent who says when the call is over": [
        *[("lead", "A"), ("contacted", "A"), ("busy", "rep0"), ("wait", "60")],
        *[("ready", "rep0"), ("late", "A")],
    ],
}


LIVES |= {
    "calls that overlap": [
        *[("lead", "A"), ("lead", "B"), ("contacted", "A"), ("contacted", "B"), ("lost", "A")],
        *[
            ("lead", "C"),
            ("lost", "B"),
            ("lead", "D"),
            ("wait", "29"),
            ("lead", "E"),
            ("wait", "2"),
        ],
    ],
    "a test lead": [
        *[("test lead", "T"), ("lead", "A"), ("contacted", "T"), ("lost", "T"), ("lost", "A")],
    ],
    "a test lead that is refused": [
        *[("test lead", "T"), ("rejected", "T"), ("lead", "A"), ("rejected", "T"), ("lost", "A")],
    ],
    "a test lead before anybody is there": [
        *[("away", "rep0"), ("away", "rep1"), ("test lead", "T"), ("ready", "rep0")],
        *[("contacted", "T"), ("lead", "A")],
    ],
}


@pytest.mark.parametrize("wrap_up", [0.0, 30.0])
@pytest.mark.parametrize("life", LIVES.values(), ids=list(LIVES))
def test_the_small_floor_tells_what_the_core_tells(
    life: list[Step], wrap_up: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FACTORIES, "hears", Hears)
    steps = [("ready", "rep0"), ("ready", "rep1"), *life]
    told = []
    for play in (_in_the_core, _in_miniature):
        Hears.heard = []
        play(steps, wrap_up)
        told.append(Hears.heard)
    assert told[0] == told[1]
    assert ("leased", "A", "rep0") in told[0]


@pytest.mark.parametrize("state", REP_STATES)
def test_the_small_pool_has_receiving_who_receives_in_the_core(state: Any) -> None:
    pool, core = MiniPool(), State(tag="T3ST", seed=1)
    core.now_ns = pool.now_ns
    times = (0, pool.now_ns - 1, pool.now_ns, pool.now_ns + 1)
    for listed, paused, free, full in product((True, False), times, times, (True, False)):
        rep = Rep("ana", "north", state=state, listed=listed, open={"K": True} if full else {})
        rep.paused_until_ns, rep.free_from_ns = paused, free
        pool.reps["ana"] = rep
        assert ("ana" in pool.receiving) == (core.verdict(rep) in RECEIVING), rep


def test_no_policy_sees_a_test_lead_among_the_waiting_ones() -> None:
    pool = MiniPool()
    at_ns = pool.now_ns
    pool.leads["T"] = Lead("T", "acme", "T", "mini", "waiting", at_ns, at_ns, test=True)
    assert (pool.waiting, pool.best(at_ns), list(pool.oldest(9))) == (0, None, [])
    assert list(pool.in_order(at_ns, 9)) == []
