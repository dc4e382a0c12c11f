"""Scenes on a small floor: who gets a lead, who loses it again, who is slowed and how he comes back."""

from __future__ import annotations

import pytest
from fake_pool import BEGIN_NS, Floor

from distributor.domain.floor import FlowPlan
from distributor.domain.policy import Defer, Recall
from distributor.domain.policy import Lease as LeaseIntent
from distributor.domain.rep import Rep
from policies.lease import Lease
from policies.lease.memory import RepMemory
from policies.lease.revocation import terms_of
from policies.lease.settings import FIRM


def floor(reps: int = 3, flow: FlowPlan | None = None) -> Floor:
    return Floor(Lease(), reps, flow)


def memory(scene: Floor, rep: str) -> RepMemory:
    found: RepMemory = scene.policy._memories[rep]
    return found


def pi(scene: Floor, rep: str) -> float:
    policy = scene.policy
    return float(policy._estimator.responsive(memory(scene, rep), scene.now_ns))


def only(scene: Floor, rep: str) -> None:
    """Everybody but this rep goes away."""
    for other in scene.pool.members.values():
        if other.id != rep and other.state == "ready":
            scene.presence(other.id, "away")


def slow_down(scene: Floor, rep: str) -> None:
    """Make the policy believe that this rep is probably lagging or absent."""
    m = memory(scene, rep)
    m.lagging, m.absent, m.stamp_ns, m.fails, m.losses = 0.5, 0.4, scene.now_ns, 2, [41.0, 38.0]
    scene.changed(rep)


def test_a_lead_goes_to_a_free_rep_and_a_second_one_to_another() -> None:
    scene = floor()
    assert scene.holder(scene.lead()) == "r0"
    assert scene.holder(scene.lead()) == "r1"


def test_a_rep_never_holds_two_uncontacted_leads() -> None:
    scene = floor(1)
    first, second = scene.lead(), scene.lead()
    assert (scene.holder(first), scene.holder(second)) == ("r0", "")


def test_work_is_shared_by_what_was_contacted() -> None:
    scene = floor(4)
    for _ in range(40):
        key = scene.lead()
        scene.after(5)
        scene.contact(key)
        scene.after(60)
        scene.finish(key)
        scene.after(240)
    shares = [memory(scene, f"r{i}").served for i in range(4)]
    assert max(shares) - min(shares) <= 1.0
    assert sum(shares) == 40.0


def test_a_lead_before_its_peak_is_served_before_a_fresher_and_an_older_one() -> None:
    """The order rises until the age of 20 s: a burst is served peak first, not first in first out."""
    scene = floor(1)
    scene.presence("r0", "away")
    old, peak, new = scene.lead(age=100), scene.lead(age=20), scene.lead()
    scene.presence("r0", "ready")
    assert scene.holder(peak) == "r0"
    assert (scene.holder(old), scene.holder(new)) == ("", "")


def test_a_short_queue_is_served_by_age_and_a_long_one_by_value() -> None:
    """Who will all be reached in their first minute need not give way to each other."""
    scene = floor(26)
    for rep in list(scene.pool.members):
        scene.presence(rep, "busy")
    near, fresh = scene.lead(age=44), scene.lead(age=21)
    late = scene.lead(age=55)
    scene.presence("r0", "ready")
    assert scene.holder(near) == "r0"
    many = [scene.lead() for _ in range(3)]
    scene.presence("r1", "ready")
    assert scene.holder(fresh) == "r1", "five leads of 10 s each: no time for the oldest first"
    assert not any(scene.holder(key) for key in (late, *many))


def test_quality_counts_in_the_order() -> None:
    scene = floor(1)
    scene.presence("r0", "away")
    poor, good = scene.lead(0.4), scene.lead(2.5)
    scene.presence("r0", "ready")
    assert (scene.holder(good), scene.holder(poor)) == ("r0", "")


def test_a_silent_lead_moves_on_and_says_why() -> None:
    scene = floor(2)
    key = scene.lead()
    scene.after(60)
    moved = [(at, i) for at, i in scene.log if isinstance(i, Recall)]
    assert len(moved) == 1
    at, recall = moved[0]
    assert 15 <= at <= 30
    assert scene.holder(key) == "r1"
    assert recall.because.startswith(f"Moved r0 → r1: {at:.0f} s unanswered; worth ")
    assert recall.numbers["gain"] == pytest.approx(
        recall.numbers["worth_there"] - recall.numbers["worth_here"] - recall.numbers["price"],
        abs=0.002,
    )
    assert recall.numbers["gain"] > 0


def test_no_lead_is_stolen_before_fourteen_seconds_or_without_another_rep() -> None:
    scene = floor(2)
    scene.lead()
    scene.to(14.9)
    assert len(scene.log) == 1
    alone = floor(1)
    alone.lead()
    alone.to(590)
    assert len(alone.log) == 1


def test_a_lead_is_stolen_twice_at_most_before_it_is_ten_minutes_old() -> None:
    scene = floor(12)
    for _ in range(7):
        scene.contact(scene.lead())
    scene.lead()
    scene.after(400)
    assert sum(isinstance(i, Recall) for _, i in scene.log) == 2


def test_where_most_reps_are_free_a_lead_moves_on_cheaply_and_as_often_as_it_must() -> None:
    """A floor on which nobody answers: there is always somebody else to ask, and it costs nobody a lead."""
    scene = floor(8)
    scene.lead(0.4)
    scene.to(590)
    recalls = [i for _, i in scene.log if isinstance(i, Recall)]
    assert 2 < len(recalls) <= 6
    assert recalls[0].numbers["price"] == pytest.approx(4.91 * 0.02)


def test_a_lead_does_not_move_on_to_the_next_in_the_list_each_time() -> None:
    """Neighbours in a list are often away together."""
    seconds = set()
    for seed in range(12):
        scene = floor(12)
        scene.pool.seed = seed
        key = scene.lead()
        scene.after(20)
        assert scene.holder(key) not in ("", "r0")
        seconds.add(scene.holder(key))
    assert len(seconds) > 3


def test_who_never_answers_is_asked_ever_more_seldom_on_a_quiet_floor() -> None:
    """A lead an hour, and one rep of four who is not there: a belief that is forgotten from lead to lead
    would send every fourth lead there for ever."""
    scene = floor(4)
    for _ in range(100):
        key = scene.lead()
        while scene.holder(key) == "r0":
            scene.after(1)
        scene.after(8)
        if scene.holder(key) not in ("", "r0"):
            scene.contact(key)
            scene.after(200)
            scene.finish(key)
        scene.after(3600)
    offers = [i for _, i in scene.log if isinstance(i, LeaseIntent) and i.rep == "r0"]
    assert 2 <= len(offers) <= 12


def test_looking_ahead_keeps_a_lead_that_is_about_to_be_answered() -> None:
    """A slow but reliable rep: at 15 s waiting beats moving, because contact is likely soon."""
    scene = floor(2)
    m = memory(scene, "r0")
    m.lag, m.lag_weight = 3.2, 8.0
    key = scene.lead()
    if scene.holder(key) != "r0":
        scene.contact(key)
        key = scene.lead()
    assert scene.holder(key) == "r0"
    scene.after(24)
    assert not any(isinstance(i, Recall) for _, i in scene.log)


def test_a_lead_that_is_being_dialled_is_never_recalled() -> None:
    """The core cannot take back what is ringing: asking for it would be a fault of the policy."""
    scene = floor(3)
    key = scene.lead()
    scene.pool.leads[key].attempted_ns = scene.now_ns
    scene.after(300)
    assert not any(isinstance(i, Recall) for _, i in scene.log)


def test_one_unanswered_lead_does_not_slow_a_rep_two_do() -> None:
    scene = floor(3)
    scene.exclude_after_recall = True
    first = scene.lead()
    scene.after(22)
    assert scene.holder(first) != "r0"
    assert pi(scene, "r0") >= FIRM.fresh_from
    scene.contact(first)
    only(scene, "r0")
    second = scene.lead()
    assert scene.holder(second) == "r0"
    scene.after(20)
    scene.end(second, "recalled", blame=True)
    assert pi(scene, "r0") < FIRM.fresh_from
    flow = scene.flows[-1][2]
    assert (scene.flows[-1][1], flow.reason) == ("r0", "slow_contact")
    assert flow.value == pytest.approx(round(pi(scene, "r0") / 0.6 / 0.05) * 0.05)
    m = memory(scene, "r0")
    assert f"P(responsive) {pi(scene, 'r0'):.2f}" in flow.because
    assert f"lagging {m.lagging:.2f}, absent {m.absent:.2f}" in flow.because
    assert "prompt contact restores full flow" in flow.restores


def test_a_slowed_rep_gets_no_fresh_lead_but_an_old_one_as_a_probe() -> None:
    scene = floor(3)
    slow_down(scene, "r0")
    fresh = [scene.lead() for _ in range(3)]
    assert sorted(scene.holder(k) for k in fresh) == ["", "r1", "r2"]
    old = scene.lead(age=200)
    assert scene.holder(old) == "r0"
    probe = next(i for _, i in reversed(scene.log) if i.lead_key == old)
    assert isinstance(probe, LeaseIntent)
    assert probe.probe
    assert "as a probe, back in 60 s" in probe.because


def test_test_leads_last_60_seconds_and_come_200_seconds_apart() -> None:
    scene = floor(3)
    slow_down(scene, "r0")
    busy = [scene.lead(), scene.lead()]
    for key in busy:
        scene.contact(key)
    begin = scene.now
    keys = [scene.lead(age=300), scene.lead(age=290)]
    scene.after(330)
    probes = [
        (round(at - begin), type(i).__name__)
        for at, i in scene.log
        if i.lead_key in keys and getattr(i, "rep", "") == "r0"
    ]
    assert probes[:4] == [(0, "Lease"), (60, "Recall"), (260, "Lease"), (320, "Recall")]
    m = memory(scene, "r0")
    assert m.next_probe_ns == pytest.approx(BEGIN_NS + scene.pool.span_ns(begin + 520), abs=10**8)


def test_a_long_silent_rep_gets_a_new_lead_for_half_a_minute() -> None:
    """Also where no lead is ever old a rep who is back is found again."""
    scene = floor(12)
    slow_down(scene, "r0")
    for rep in list(scene.pool.members)[1:]:
        scene.presence(rep, "busy")
    scene.after(1660)
    early = scene.lead()
    assert scene.holder(early) == "", "seven calls of 240 s are not over"
    scene.after(70)
    new = scene.lead()
    assert (scene.holder(early), scene.holder(new)) == ("", "r0")
    probe = scene.log[-1][1]
    assert isinstance(probe, LeaseIntent)
    assert probe.probe
    assert "New lead" in probe.because
    assert "back in 30 s" in probe.because
    scene.after(29)
    assert scene.holder(new) == "r0"
    scene.after(2)
    assert scene.holder(new) == ""


def _with_calls_of(seconds: float) -> Floor:
    """Two reps of three work, and have had many calls of this length."""
    scene = floor(3)
    scene.presence("r2", "away")
    for _ in range(40):
        key = scene.lead()
        scene.after(5)
        scene.contact(key)
        scene.after(seconds)
        scene.finish(key)
        scene.after(120)
    return scene


@pytest.mark.parametrize(("seconds", "price"), [(25.0, 0.025), (240.0, 0.12)])
def test_where_calls_are_short_a_move_costs_less(seconds: float, price: float) -> None:
    scene = _with_calls_of(seconds)
    roster = scene.policy._roster
    terms = terms_of(plenty=False, pace=roster.pace)
    assert terms.fresh == pytest.approx(price, rel=0.2)
    assert roster.steal_age == pytest.approx(8.0 if seconds < 100.0 else 14.0)


def test_where_calls_are_short_a_longer_queue_still_goes_by_age() -> None:
    quick, usual = _with_calls_of(25.0), _with_calls_of(240.0)
    assert quick.policy._roster.calm(2)
    assert not usual.policy._roster.calm(1)


def test_where_calls_are_short_a_lead_moves_on_before_another_is_served() -> None:
    """The lead that lies is the older one, and the other loses little by the next rep's half a minute."""
    scene = _with_calls_of(25.0)
    lies = scene.lead(age=15)
    holder = scene.holder(lies)
    other = next(rep for rep in ("r0", "r1") if rep != holder)
    scene.presence(other, "busy")
    scene.after(10)
    waits = scene.lead()
    scene.presence(other, "ready")
    assert scene.holder(lies) == other
    assert scene.holder(waits) != other


def test_a_lead_recalled_three_times_is_no_test_lead() -> None:
    scene = floor(3)
    slow_down(scene, "r0")
    for other in ("r1", "r2"):
        scene.presence(other, "busy")
    key = scene.lead()
    scene.pool.leads[key].recalls = 3
    scene.after(200)
    assert scene.holder(key) == ""


def test_one_prompt_contact_restores_full_flow() -> None:
    scene = floor(3)
    slow_down(scene, "r0")
    for _ in range(2):
        scene.contact(scene.lead())
    key = scene.lead(age=200)
    assert scene.holder(key) == "r0"
    scene.after(6)
    scene.contact(key)
    assert pi(scene, "r0") > 0.95
    restored = [flow for _, rep, flow in scene.flows if rep == "r0"][-1]
    assert (restored.value, restored.reason) == (1.0, "full_flow")
    scene.after(30)
    scene.finish(key)
    scene.after(120)
    only(scene, "r0")
    assert scene.holder(scene.lead()) == "r0"


def test_drift_alone_restores_flow_in_visible_steps() -> None:
    scene = floor(3)
    slow_down(scene, "r0")
    mark = len(scene.flows)
    scene.after(8000)
    steps = [flow.value for _, rep, flow in scene.flows[mark:] if rep == "r0"]
    assert steps == sorted(steps)
    assert len(steps) > 5
    assert steps[-1] == 1.0
    assert all(round(value * 20) == pytest.approx(value * 20) for value in steps)


def test_an_old_lead_waits_while_few_reps_are_free() -> None:
    """The reserve: with 20 at work, more than 3.8 must be likely free before an old lead is given."""
    scene = floor(20)
    keys = [scene.lead() for _ in range(18)]
    for key in keys:
        scene.contact(key)
    old = scene.lead(age=400)
    assert scene.holder(old) == ""
    defer = scene.log[-1][1]
    assert isinstance(defer, Defer)
    assert (defer.lead_key, defer.reason) == (old, "reserve")
    assert "3.8 are kept for fresh leads" in defer.because
    assert scene.holder(scene.lead()) != ""
    for key in keys[:2]:
        scene.finish(key)
    scene.after(1)
    assert scene.holder(old) == ""
    for key in keys[2:6]:
        scene.finish(key)
    scene.after(1)
    assert scene.holder(old) != ""


@pytest.mark.parametrize(("reps", "free"), [(6, 2), (8, 2), (12, 3)])
def test_on_a_small_floor_more_than_a_fifth_must_be_free_for_an_old_lead(
    reps: int, free: int
) -> None:
    scene = floor(reps)
    keys = [scene.lead() for _ in range(reps)]
    for key in keys:
        scene.contact(key)
    for key in keys[: free - 1]:
        scene.finish(key)
    scene.after(60)
    old = scene.lead(age=400)
    assert scene.holder(old) == ""
    scene.finish(keys[free - 1])
    scene.after(60)
    assert scene.holder(old) != ""


@pytest.mark.parametrize("reps", [2, 3, 4])
def test_on_the_smallest_floors_no_lead_waits_beside_a_free_rep(reps: int) -> None:
    scene = floor(reps)
    keys = [scene.lead() for _ in range(reps)]
    for key in keys:
        scene.contact(key)
    scene.finish(keys[0])
    scene.after(60)
    assert scene.holder(scene.lead(age=400)) != ""


def test_after_half_an_hour_one_free_rep_of_six_will_do() -> None:
    scene = floor(6)
    keys = [scene.lead() for _ in range(6)]
    for key in keys:
        scene.contact(key)
    scene.finish(keys[0])
    younger, older = scene.lead(age=400), scene.lead(age=1801)
    scene.after(1)
    assert scene.holder(younger) == ""
    assert scene.holder(older) != ""


def test_a_fresh_lead_is_not_held_up_by_an_old_one_that_waits() -> None:
    scene = floor(20)
    for key in [scene.lead() for _ in range(18)]:
        scene.contact(key)
    old = scene.lead(2.5, age=181)
    fresh = scene.lead(0.4, age=100)
    assert scene.holder(old) == ""
    assert scene.holder(fresh) != ""


def test_when_most_are_slow_slowing_is_ignored_and_leads_flow() -> None:
    scene = floor(3)
    for rep in ("r0", "r1", "r2"):
        m = memory(scene, rep)
        m.lagging, m.absent, m.stamp_ns, m.contacts = 0.5, 0.4, scene.now_ns, 9
        scene.changed(rep)
    key = scene.lead()
    assert scene.holder(key) != ""
    lease = scene.log[-1][1]
    assert lease.reason == "panic"
    assert lease.because.startswith("Slowing ignored: 3 of 3 reps slow.")
    scene.after(119)
    assert not any(isinstance(i, Recall) for _, i in scene.log)


def test_a_missing_disposition_does_not_lock_a_rep_out() -> None:
    scene = floor(1)
    first = scene.lead()
    scene.after(5)
    scene.contact(first)
    second = scene.lead()
    while not scene.holder(second) and scene.now < 3600:
        scene.after(30)
    assert 240 < scene.now < 2400
    lease = scene.log[-1][1]
    assert isinstance(lease, LeaseIntent)
    assert lease.presumed_finished == (first,)
    m = memory(scene, "r0")
    assert (m.missed, m.total) == (0.3, 6.0)
    scene.after(5)
    scene.contact(second)
    assert (m.missed, m.total) == (1.3, 7.0)


def test_a_handled_rep_is_not_offered_a_lead_too_early() -> None:
    scene = floor(1)
    first = scene.lead()
    scene.contact(first)
    second = scene.lead()
    scene.after(100)
    assert scene.holder(second) == ""
    scene.finish(first)
    assert scene.holder(second) == "r0"


def test_side_work_after_a_disposition_makes_another_rep_the_better_choice() -> None:
    scene = floor(2)
    keys = [scene.lead(), scene.lead()]
    for key in keys:
        scene.contact(key)
    scene.after(50)
    scene.finish(keys[0])
    scene.after(120)
    scene.finish(keys[1])
    assert memory(scene, "r1").side == 0.15
    m = memory(scene, "r0")
    m.handling = memory(scene, "r1").handling
    m.served = memory(scene, "r1").served
    scene.changed("r0")
    assert scene.holder(scene.lead()) == "r0"


def test_a_claim_keeps_the_lease_and_is_no_evidence() -> None:
    """E12: a click is not contact. It stops the stealing and teaches nothing."""
    scene = floor(3)
    key = scene.lead()
    scene.after(3)
    before = (memory(scene, "r0").lagging, memory(scene, "r0").absent, memory(scene, "r0").lag)
    scene.contact(key, counted=False)
    scene.after(300)
    m = memory(scene, "r0")
    assert scene.holder(key) == "r0"
    assert (m.lagging, m.absent, m.lag, m.served) == (*before, 0.0)
    only(scene, "r0")
    other = scene.lead()
    assert scene.holder(other) == ""


def test_an_end_without_blame_is_no_evidence() -> None:
    scene = floor(1)
    key = scene.lead()
    scene.after(100)
    before = memory(scene, "r0")
    lagging, absent, served = before.lagging, before.absent, before.served
    scene.end(key, "delivery_failed", blame=False, drain=False)
    m = memory(scene, "r0")
    assert (m.lagging, m.absent, m.served, m.fails, m.slots) == (lagging, absent, served, 0, [])
    scene.drain()
    scene.after(50)
    scene.end(key, "rejected", blame=True, drain=False)
    assert memory(scene, "r0").fails == 0


def test_an_expired_lease_is_evidence() -> None:
    scene = floor(1)
    scene.lead()
    scene.after(601)
    assert scene.expired
    assert pi(scene, "r0") < 0.1


def test_a_restarted_lease_is_judged_from_its_new_beginning() -> None:
    scene = floor(2)
    key = scene.lead()
    scene.to(13)
    lead = scene.pool.leads[key]
    scene.policy.lease_restarted(lead, scene.pool.members["r0"], scene.now_ns)
    scene.drain()
    scene.to(27.9)
    assert scene.holder(key) == "r0"


def test_a_rep_whose_dialer_reports_states_waits_for_ready() -> None:
    """2.5: no lease on the disposition; the agent's ready frees the rep."""
    scene = floor(1)
    scene.pool.members["r0"].sends_states = True
    first = scene.lead()
    scene.after(5)
    scene.contact(first)
    scene.after(2)
    scene.presence("r0", "busy")
    second = scene.lead()
    scene.after(60)
    scene.finish(first)
    assert scene.holder(second) == ""
    scene.after(40)
    scene.presence("r0", "ready")
    assert scene.holder(second) == "r0"
    m = memory(scene, "r0")
    assert (m.side, m.busy_ns) == (0.0, 0)


def test_a_ready_older_than_the_last_contact_is_ignored() -> None:
    scene = floor(1)
    rep = scene.pool.members["r0"]
    rep.sends_states = True
    first = scene.lead()
    scene.after(5)
    scene.contact(first)
    second = scene.lead()
    scene.after(1)
    rep.state_at_ns = BEGIN_NS + scene.pool.span_ns(4)
    scene.changed("r0")
    assert scene.holder(second) == ""


def test_a_disposition_before_the_busy_report_does_not_free_the_rep_at_once() -> None:
    scene = floor(1)
    scene.pool.members["r0"].sends_states = True
    first = scene.lead()
    scene.contact(first)
    second = scene.lead()
    scene.after(10)
    scene.finish(first)
    assert scene.holder(second) == ""
    scene.after(21)
    assert scene.holder(second) == "r0"


def test_a_logged_pause_teaches_nothing_and_a_return_clears_the_beliefs() -> None:
    scene = floor(2)
    slow_down(scene, "r0")
    m = memory(scene, "r0")
    lagging = m.lagging
    scene.presence("r0", "away")
    assert m.lagging == lagging
    scene.after(60)
    scene.presence("r0", "ready")
    assert (m.lagging, m.absent, m.fails) == (0.03, 0.015, 0)


@pytest.mark.parametrize(("override", "gets"), [(0.0, False), (1.0, True)])
def test_an_override_replaces_the_belief(override: float, gets: bool) -> None:
    scene = floor(2)
    slow_down(scene, "r0")
    rep = scene.pool.members["r0"]
    rep.override, rep.override_reason = override, "coaching"
    scene.changed("r0")
    only(scene, "r0")
    assert (scene.holder(scene.lead()) == "r0") is gets
    flow = scene.flows[-1][2] if scene.flows[-1][1] == "r0" else rep.flow
    assert (flow.value, flow.reason) == (override, "manual")
    assert "coaching" in flow.because


def test_a_known_relationship_is_asked_first_and_forbidden_reps_never() -> None:
    scene = floor(4)
    assert scene.holder(scene.lead(prefers="r2")) == "r2"
    scene.pool.forbidden = {("r0", "T0000000002"), ("r1", "T0000000002")}
    assert scene.holder(scene.lead()) == "r3"


def test_a_wide_window_assigns_at_once_shares_and_never_steals() -> None:
    scene = floor(4, FlowPlan(window=1000))
    for _ in range(40):
        assert scene.holder(scene.lead())
    assert [len(r.open) for r in scene.pool.members.values()] == [10, 10, 10, 10]
    scene.after(300)
    assert not any(isinstance(i, Recall) for _, i in scene.log)


def test_leads_expiring_in_a_deep_pipeline_count_as_one_silence() -> None:
    scene = floor(2, FlowPlan(window=1000))
    for _ in range(20):
        scene.lead()
    scene.to(600.5)
    assert memory(scene, "r0").fails == 1


def test_conversions_are_skill() -> None:
    scene = floor(1)
    key = scene.lead()
    scene.contact(key)
    scene.policy.converted(scene.pool.leads[key], scene.pool.members["r0"], scene.now_ns)
    m = memory(scene, "r0")
    assert m.conversions == 1.0
    assert m.expected == pytest.approx(0.02 * 4.91)


def test_the_soft_form_shows_no_slowing() -> None:
    scene = floor(3, FlowPlan(visible_throttle=False))
    slow_down(scene, "r0")
    assert scene.flows == []
    assert scene.holder(scene.lead()) != "r0"


def test_time_runs_at_the_floors_own_scale() -> None:
    """Every duration is divided by time_scale: the same scene, forty times as fast."""
    normal, fast = floor(2), floor(2, FlowPlan(time_scale=40.0))
    for scene in (normal, fast):
        scene.lead()
        scene.to(60)
    assert fast.intents() == normal.intents()
    assert fast.now_ns - BEGIN_NS == (normal.now_ns - BEGIN_NS) // 40


def test_the_assignment_names_the_factors_and_the_ranked_candidates() -> None:
    scene = floor(3)
    scene.lead()
    lease = scene.log[-1][1]
    assert lease.because == (
        "r0: free now, usually picks up in 9 s, 96% chance of a prompt pick-up."
    )
    assert {"prompt", "free", "lagging", "absent", "side_work", "share"} <= lease.numbers.keys()
    assert [rep for rep, _, _ in lease.ranked] == ["r0", "r1", "r2"]


def test_a_rep_who_is_no_member_is_no_trouble() -> None:
    scene = floor(1)
    key = scene.lead()
    stranger = Rep("x", "north", open={})
    lead = scene.pool.leads[key]
    scene.policy.rep_changed(stranger, scene.now_ns)
    scene.policy.leased(lead, stranger, scene.now_ns)
    scene.policy.lease_ended(lead, stranger, "rep_removed", blame=False, now_ns=scene.now_ns)
    assert scene.policy.next_intent(scene.now_ns) is None
