"""What is said of a slowed rep stays true until something else is said."""

from __future__ import annotations

import re

import msgspec
import pytest
from fake_pool import BEGIN_NS, Floor

from distributor.domain.floor import FlowPlan
from distributor.domain.ids import moment
from distributor.domain.policy import Lease as LeaseIntent
from distributor.domain.rep import Flow
from policies.lease import Lease
from policies.lease.memory import RepMemory, decode_fleet, decode_rep, encode
from policies.lease.settings import PANIC_SHOWN


def slow_down(scene: Floor, *reps: str) -> None:
    """Make the policy believe that these reps are probably lagging or absent."""
    for rep in reps:
        m: RepMemory = scene.policy._memories[rep]
        m.lagging, m.absent, m.stamp_ns, m.contacts = 0.5, 0.4, scene.now_ns, 9
        m.fails, m.losses = 1, [41.0]
        scene.changed(rep)


def shown(scene: Floor, rep: str) -> Flow:
    return scene.pool.members[rep].flow


def at(scene: Floor, seconds: float) -> str:
    return moment(BEGIN_NS + scene.pool.span_ns(seconds), scene.now_ns)


def test_a_slowed_rep_is_told_from_which_instant_a_probe_can_come() -> None:
    """Not in how many seconds: nobody tells the rep again when they have passed."""
    scene = Floor(Lease(), 3)
    slow_down(scene, "r0")
    assert (
        "the next probe can come at any time: a waiting lead over 3 min old, or a new one if nothing "
        "was heard for long" in shown(scene, "r0").restores
    )
    for key in (scene.lead(), scene.lead()):
        scene.contact(key)
    scene.to(10)
    scene.lead(age=300)
    assert f"a probe is with the rep until {at(scene, 70)}" in shown(scene, "r0").restores
    scene.to(75)
    assert f"can come from {at(scene, 270)}: a waiting lead" in shown(scene, "r0").restores
    assert not re.search(r"\bin \d+ s\b", shown(scene, "r0").restores)


def test_a_probe_that_the_rep_says_to_call_has_no_end_in_the_sentence() -> None:
    scene = Floor(Lease(), 3)
    slow_down(scene, "r0")
    key = scene.lead(age=300)
    assert scene.holder(key) == "r0"
    scene.contact(key, counted=False)
    assert shown(scene, "r0").restores.endswith("a probe is with the rep.")


def test_another_pace_of_the_clock_gives_the_sentence_that_holds_now() -> None:
    scene = Floor(Lease(), 3)
    slow_down(scene, "r0")
    assert scene.holder(scene.lead(age=300)) == "r0"
    scene.pool.flow = FlowPlan(time_scale=10.0)
    scene.policy.start(scene.pool, scene.now_ns)
    scene.drain()
    assert f"until {moment(BEGIN_NS + 6 * 10**9, BEGIN_NS)}" in shown(scene, "r0").restores


def test_a_restart_says_nothing_again() -> None:
    scene = Floor(Lease(), 3)
    slow_down(scene, "r0")
    scene.lead(age=300)
    told = len(scene.flows)
    policy = Lease()
    for rep, memory in scene.records.items():
        policy.restore(rep, memory)
    scene.policy = policy
    policy.start(scene.pool, scene.now_ns)
    scene.drain()
    assert len(scene.flows) == told


def test_in_a_panic_the_slowed_reps_are_told_that_slowing_is_ignored() -> None:
    scene = Floor(Lease(), 3)
    slow_down(scene, "r0")
    assert shown(scene, "r0").because.startswith("Gets only probes: 1 lead unanswered (41 s)")
    assert not shown(scene, "r0").ignored
    slow_down(scene, "r1")
    for rep in ("r0", "r1"):
        flow = shown(scene, rep)
        assert flow.because.startswith(f"Slowing ignored, 2 of 3 reps slow at {at(scene, 0)}: ")
        assert "half of those at work" in flow.restores
        assert "probe" not in flow.restores
        assert flow.ignored
        assert flow.value < 1.0
    assert shown(scene, "r2") == Flow()
    scene.lead()
    scene.lead()
    key = scene.lead()
    assert scene.holder(key) in ("r0", "r1")
    given = next(i for _, i in scene.log if i.lead_key == key)
    assert isinstance(given, LeaseIntent)
    assert (given.reason, "skipped" in given.because) == ("panic", False)


def test_when_the_panic_is_over_the_sentences_say_so() -> None:
    scene = Floor(Lease(), 3)
    slow_down(scene, "r0", "r1")
    scene.to(PANIC_SHOWN + 1)
    scene.policy._memories["r1"].lagging = scene.policy._memories["r1"].absent = 0.01
    scene.changed("r1")
    assert shown(scene, "r1").value == 1.0
    assert shown(scene, "r0").because.startswith("Gets only probes")
    assert not shown(scene, "r0").ignored


def test_a_panic_that_comes_and_goes_is_told_twice_a_minute_at_most() -> None:
    """A sentence for each slowed rep at each event would be the end of a large floor."""
    scene = Floor(Lease(), 9)
    slow_down(scene, *(f"r{i}" for i in range(5)))
    told = len(scene.flows)
    for second in range(1, 26):
        scene.to(second)
        scene.presence("r8", "away")
        scene.presence("r7", "away")
        scene.presence("r8", "ready")
        scene.presence("r7", "ready")
        scene.presence("r4", "away" if second % 2 else "ready")
    assert len(scene.flows) - told <= 5
    scene.presence("r4", "away")
    scene.to(PANIC_SHOWN + 1)
    assert all(not shown(scene, f"r{i}").ignored for i in range(4)), "and then by the clock alone"


def test_the_soft_form_says_nothing_in_a_panic_either() -> None:
    scene = Floor(Lease(), 2, FlowPlan(visible_throttle=False))
    slow_down(scene, "r0", "r1")
    assert scene.flows == []


def test_memory_of_an_earlier_release_is_read() -> None:
    def without_the_newest(memory: bytes, fields: int) -> bytes:
        return msgspec.msgpack.encode(msgspec.msgpack.decode(memory)[:-fields])

    m = RepMemory(shown=0.5, shown_reason="slow_contact", shown_test_ns=7)
    assert decode_rep(without_the_newest(encode(m), 1)).shown == 0.5
    fleet = decode_fleet(without_the_newest(encode(Lease()._fleet), 2))
    assert (fleet.offset, fleet.panic_shown) == (0.0, False)


@pytest.mark.parametrize("window", [1, 3])
def test_a_deep_pipeline_keeps_its_probe(window: int) -> None:
    """Where leads queue, no probe is taken back after a minute: then nothing says that it is."""
    scene = Floor(Lease(), 3, FlowPlan(window=window))
    slow_down(scene, "r0")
    key = scene.lead(age=300)
    given = next(i for _, i in scene.log if i.lead_key == key)
    assert isinstance(given, LeaseIntent)
    assert (given.rep, "back in 60 s" in given.because) == ("r0", window == 1)
