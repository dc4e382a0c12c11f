"""A supervisor's override between 0 and 1 is a share of the leads, whatever the policy prefers."""

from __future__ import annotations

from collections import Counter

import pytest

from distributor.core.engine import Engine
from distributor.domain.events import (
    Event,
    FloorChanged,
    LeadEvent,
    LeadReceived,
    PresenceReported,
    SupervisorActed,
    Ticked,
)
from distributor.domain.floor import Floor, FlowPlan, PoolPlan, RepPlan
from tests.policies.shipped import ENTRIES, load

SECOND = 1_000_000_000
FACTORIES = {name: load(name) for name in ENTRIES}
EVEN = [name for name in ENTRIES if name not in ("fastest_first", "peak_ewma", "reward_penalty")]
"""The policies that treat equal reps alike and give as many leads as there are."""
LIMITED = {
    "cap_open", "cap_uncontacted", "aimd", "gradient", "vegas", "little_window", "little_window_gamma"
}  # fmt: skip
"""These fill no pipelines: in a burst most leads wait."""


class Desk:
    """An engine with reps who are ready, and who got what."""

    def __init__(self, policy: str, reps: int, window: int | None = None) -> None:
        self.engine = Engine(tag="T3ST", seed=7, factories=FACTORIES)
        self.now_ns = 1_700_000_000 * SECOND
        self.events = 0
        self.reps = [f"r{number}" for number in range(reps)]
        plans = tuple(RepPlan(rep, window=window) for rep in self.reps)
        flow = FlowPlan(policy=policy)
        self.do(FloorChanged(Floor("d", reps=plans, pools=(PoolPlan("default"),), flow=flow)))
        for rep in self.reps:
            self.do(PresenceReported(rep, "ready", "dialer"))

    def do(self, event: Event) -> None:
        self.engine.handle(event, self.now_ns)

    def override(self, rep: str, flow: float, until_ns: int = 0) -> None:
        self.do(SupervisorActed("override", "mia", "new", rep=rep, flow=flow, until_ns=until_ns))

    def lead(self) -> str:
        self.events += 1
        self.do(LeadReceived("acme", f"v{self.events}", self.now_ns, "http", b"{}"))
        return self.engine.state.by_vendor["acme", f"v{self.events}"]

    def report(self, type_: str, key: str, **fields: str) -> None:
        self.events += 1
        self.do(
            LeadEvent(
                f"e{self.events}",
                "dialer",
                type_,  # type: ignore[arg-type]
                lead_key=key,
                evidence="dialer",
                **fields,  # type: ignore[arg-type]
            )
        )

    def holder(self, key: str) -> str:
        lead = self.engine.state.leads[key]
        return lead.rep if lead.state in ("assigned", "working") else ""

    def work(self, key: str) -> None:
        """The rep reaches the person, and is done."""
        self.report("contacted", key)
        self.report("call_ended", key)
        self.report("status", key, status="lost")

    def wait(self, seconds: float) -> None:
        """Time passes, deadline by deadline."""
        end_ns = self.now_ns + round(seconds * SECOND)
        while (due_ns := self.engine.next_deadline_ns()) is not None and due_ns <= end_ns:
            self.now_ns = max(self.now_ns + SECOND // 1000, due_ns)
            self.do(Ticked())
        self.now_ns = max(self.now_ns, end_ns)

    def trickle(self, leads: int) -> Counter[str]:
        """Leads one after another, each worked at once; who had them."""
        got: Counter[str] = Counter()
        for _ in range(leads):
            key = self.lead()
            got[self.holder(key)] += 1
            if self.holder(key):
                self.work(key)
            self.wait(1.0)
        return got

    def burst(self, leads: int) -> Counter[str]:
        """Leads all at once; who has them."""
        keys = [self.lead() for _ in range(leads)]
        return Counter(self.holder(key) for key in keys)


def ratio(got: Counter[str], rep: str = "r0") -> float:
    """What the rep got, for each lead that another got."""
    others = [count for other, count in got.items() if other not in (rep, "")]
    return got[rep] * len(others) / sum(others)


@pytest.mark.parametrize("policy", EVEN)
@pytest.mark.parametrize(("reps", "share"), [(3, 0.5), (6, 0.2), (4, 0.8)])
def test_leads_one_after_another_are_shared_as_the_supervisor_said(
    policy: str, reps: int, share: float
) -> None:
    floor = Desk(policy, reps, window=1)
    floor.override("r0", share)
    got = floor.trickle(300)
    assert "" not in got
    assert ratio(got) == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize("policy", [name for name in EVEN if name not in LIMITED])
@pytest.mark.parametrize(("reps", "share"), [(3, 0.5), (5, 0.25)])
def test_a_burst_is_shared_as_the_supervisor_said(policy: str, reps: int, share: float) -> None:
    floor = Desk(policy, reps, window=1_000)
    floor.override("r0", share)
    got = floor.burst(400)
    assert "" not in got
    assert ratio(got) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("policy", ENTRIES)
def test_nothing_is_made_up_for_and_0_and_1_are_none_and_all(policy: str) -> None:
    floor = Desk(policy, 3, window=1)
    floor.override("r0", 0.2)
    floor.trickle(30)
    floor.override("r0", 0.0)
    assert floor.trickle(30)["r0"] == 0
    if policy not in EVEN:
        return
    floor.override("r0", 1.0)
    floor.trickle(24)  # a policy's own memory of who had how many may even out here
    assert floor.trickle(60)["r0"] in range(16, 25)


@pytest.mark.parametrize("policy", ["lease", "longest_idle", "rotate", "fair"])
def test_where_all_are_slowed_the_shares_are_those_among_them(policy: str) -> None:
    floor = Desk(policy, 2, window=1)
    floor.override("r0", 0.2)
    floor.override("r1", 0.4)
    got = floor.trickle(300)
    assert "" not in got
    assert ratio(got) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("policy", ENTRIES)
def test_the_only_rep_at_work_gets_every_lead(policy: str) -> None:
    floor = Desk(policy, 2, window=1)
    floor.override("r0", 0.2)
    floor.trickle(20)
    floor.do(PresenceReported("r1", "away", "dialer"))
    assert floor.trickle(20) == {"r0": 20}


@pytest.mark.parametrize("policy", ["lease", "longest_idle", "least_loaded", "rotate", "random"])
def test_a_lead_waits_for_the_others_a_while_and_not_for_ever(policy: str) -> None:
    floor = Desk(policy, 2, window=1)
    floor.override("r0", 0.1)
    while (key := floor.lead()) and floor.holder(key) != "r0":
        floor.work(key)
    floor.work(key)  # r0 has had its share
    busy = floor.lead()
    assert floor.holder(busy) == "r1"
    floor.report("contacted", busy)
    waiting = [floor.lead() for _ in range(8)]
    floor.wait(120.0)
    assert [floor.holder(key) for key in waiting].count("r0") == 0
    floor.wait(1_200.0)
    assert [floor.holder(key) for key in waiting].count("r0") == 1


@pytest.mark.parametrize("policy", ["lease", "longest_idle", "least_loaded", "rotate"])
def test_the_share_holds_where_more_leads_come_than_all_can_call(policy: str) -> None:
    """However old the leads are that wait: the others go on taking them."""
    floor = Desk(policy, 3, window=1)
    floor.override("r0", 0.5)
    waiting = dict.fromkeys(floor.lead() for _ in range(400))
    floor.wait(700.0)
    got: Counter[str] = Counter()
    for _ in range(80):
        for key in [key for key in waiting if floor.holder(key)]:
            got[floor.holder(key)] += 1
            del waiting[key]
            floor.work(key)
        floor.wait(20.0)
    assert sum(got.values()) >= 100
    assert ratio(got) == pytest.approx(0.5, abs=0.1)


def test_the_share_is_over_with_the_override() -> None:
    floor = Desk("longest_idle", 3, window=1)
    floor.override("r0", 0.1, until_ns=floor.now_ns + 60 * SECOND)
    assert floor.trickle(30)["r0"] <= 4
    floor.wait(60.0)
    assert floor.trickle(30)["r0"] == 10


def test_shares_come_through_a_restart() -> None:
    floor, decided = Desk("lease", 3, window=1), []
    floor.override("r0", 0.3)
    floor.trickle(40)
    again = Engine(tag="T3ST", seed=7, factories=FACTORIES)
    state = floor.engine.state
    again.restore(state.head(), state.leads.values())
    again.resume()
    other = Desk.__new__(Desk)
    other.engine, other.now_ns, other.events = again, floor.now_ns, floor.events
    for one in (floor, other):
        decided.append(one.trickle(40))
    assert decided[0] == decided[1]
    assert again.state.reps["r0"].share_due == state.reps["r0"].share_due
