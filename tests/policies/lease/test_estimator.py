"""E1 to E3 and E10's offset, against a second plain implementation and hand-computed numbers."""

from __future__ import annotations

import math

import lease_equations as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.domain.curve import worth
from distributor.domain.rep import Rep
from policies.lease.estimator import Estimator
from policies.lease.memory import FleetMemory, RepMemory, Slot, decode_rep, encode
from policies.lease.settings import FIRM, SOFT

S = 1_000_000_000
T0 = 1_000_000 * S
MU = math.log(9)
HANDLING = math.log(240) - 0.3466
EASY = (0.97 * 0.985, 0.0, 0.97 * 0.015, 0.012, 0.018)


def make(settings=FIRM, offset: float = 0.0) -> Estimator:
    return Estimator(settings, 1e-9, FleetMemory(offset))


def busy(since: int = T0, **more) -> RepMemory:
    return RepMemory(busy_ns=since, busy_lead="k", stamp_ns=since, **more)


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("delay", "expected"),
    [(30, 4.91), (45, 3.88), (60, 3.29), (90, 2.60), (120, 2.23), (150, 1.98), (300, 1.78),
     (600, 1.61), (1800, 1.42), (3600, 1.33), (86400, 1.08)],
)  # fmt: skip
def test_the_curve_has_the_values_of_the_table(delay: float, expected: float) -> None:
    assert worth(delay) == pytest.approx(expected, abs=0.006)


def test_nobody_is_free_in_the_first_five_seconds_of_a_call() -> None:
    assert make().free_after(busy(), 4.9) == 0.0


@given(
    e=st.floats(5, 20_000), missed=st.floats(0.3, 8), s=st.floats(3.5, 6.5), extra=st.floats(0, 9)
)
def test_p_free_is_that_of_the_equations(e: float, missed: float, s: float, extra: float) -> None:
    m = busy(missed=missed, total=missed + 5.7 + extra, handling=s)
    expected = reference.free(e, s, m.missed / m.total)
    assert make().free_after(m, e) == near(expected)


@given(
    e=st.floats(5, 5_000), fail=st.floats(5, 5_000), y=st.floats(0.02, 1), missed=st.floats(0.3, 5)
)
def test_p_free_after_a_failed_lease_is_that_of_the_equations(
    e: float, fail: float, y: float, missed: float
) -> None:
    if e < fail:
        e, fail = fail, e
    failed_ns = T0 + round(fail * S)
    m = busy(missed=missed, total=missed + 6, failed_ns=failed_ns, not_busy=y)
    fail = (failed_ns - T0) / S
    expected = reference.free(max(e, fail), HANDLING, missed / (missed + 6), failed_at=fail, y=y)
    assert make().free_after(m, max(e, fail)) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_rep_becomes_free_in_the_end_although_the_disposition_is_missing() -> None:
    """The trap of a cap on open work: one lost disposition must not lock a rep out for ever."""
    grown = [make().free_after(busy(), e) for e in (60, 240, 600, 1200, 2400)]
    assert grown == sorted(grown)
    assert grown[0] < 0.02
    assert grown[-1] > 0.7


def test_the_weights_at_delivery_cap_p_free() -> None:
    w = make().weights(Rep("r", "t"), RepMemory(stamp_ns=T0), T0)
    assert w == near_all(reference.weights(0.955, 1.0, 0.0, 0.03, 0.015))


def near_all(values: list[float]) -> object:
    return pytest.approx(tuple(values), rel=1e-6, abs=1e-12)


def test_side_work_splits_the_weight_of_free_and_fades_with_time() -> None:
    m = RepMemory(stamp_ns=T0, side=0.15, side_ns=T0)
    w = make().weights(Rep("r", "t"), m, T0 + 30 * S)
    ps = 0.15 * math.exp(-0.5)
    lagging, absent = w[3], w[4]
    expected = reference.weights(1 - lagging - absent, 1.0, ps, lagging, absent)
    assert w == near_all(expected)


@given(
    a=st.floats(0, 900),
    e0=st.one_of(st.just(0.0), st.floats(5, 900)),
    mu=st.floats(1, 4),
    z=st.floats(0, 2.5),
    s=st.floats(4, 6),
)
def test_survivals_are_those_of_the_equations(
    a: float, e0: float, mu: float, z: float, s: float
) -> None:
    m = RepMemory(lag=mu, handling=s)
    found = make(offset=z).survivals(m, Slot("k", T0, EASY, e0), a)
    expected = [reference.survival(k, a, mu, z, e0, s) for k in range(5)]
    assert found == pytest.approx(tuple(expected), rel=1e-5, abs=1e-9)


def test_a_prompt_contact_says_present_and_teaches_the_lag() -> None:
    m, slot = RepMemory(stamp_ns=T0), Slot("k", T0, EASY)
    at = T0 + 6 * S
    make().answered(m, slot, at, at, 4.91, deep=False)
    posterior = reference.contact(list(EASY), 6.0, MU, 0.0, 0.0, HANDLING)
    assert m.lagging == near(max(0.012, posterior[3]))
    assert m.absent == FIRM.belief_floor
    assert m.lag_weight == near(posterior[0])
    assert m.lag == near(MU + posterior[0] * (math.log(6) - MU) / (posterior[0] + 3))
    assert (m.busy_ns, m.busy_lead, m.served) == (at, "k", 1.0)
    assert m.expected == near(0.02 * 4.91)


def test_a_late_contact_looks_like_lagging_and_does_not_teach_the_lag() -> None:
    m, slot = RepMemory(stamp_ns=T0), Slot("k", T0, (0.5, 0.0, 0.01, 0.47, 0.02))
    at = T0 + 180 * S
    make().answered(m, slot, at, at, 1.0, deep=False)
    assert m.lagging > 0.9
    assert m.lag == pytest.approx(MU, abs=0.02)


@pytest.mark.parametrize("a", [15, 21, 40, 90, 600])
def test_a_lost_lease_folds_the_posterior_of_silence(a: int) -> None:
    m, slot = RepMemory(stamp_ns=T0), Slot("k", T0, EASY)
    now = T0 + a * S
    make().lost(m, slot, now, deep=False)
    posterior = reference.lost(list(EASY), a, MU, 0.0, 0.0, HANDLING)
    assert m.lagging == near(min(0.97, max(0.012, posterior[3])))
    assert m.absent == near(min(0.97, max(0.012, posterior[4])))
    assert m.served == near(posterior[3] + posterior[4])
    assert m.fails == (posterior[3] + posterior[4] > 0.3)
    assert m.losses == ([float(a)] if m.fails else [])


def test_a_lease_lost_while_a_lead_was_in_hand_says_whether_the_rep_was_busy() -> None:
    w = (0.4, 0.03, 0.5, 0.04, 0.03)
    m = busy(since=T0 - 100 * S)
    make().lost(m, Slot("k", T0, w, 100.0), T0 + 30 * S, deep=False)
    v = reference.lost(list(w), 30, MU, 0, 100.0, HANDLING)
    assert m.not_busy == near((v[0] + v[1]) / (v[0] + v[1] + v[2]))
    assert m.side == near(v[1] / (v[0] + v[1]))
    assert make().side_work(m, T0 + 31 * S) == 0.06


def test_beliefs_drift_back_to_rest_slower_after_several_losses() -> None:
    """Fix 2: the time constant doubles with every loss in a row after the first."""
    m = RepMemory(lagging=0.5, absent=0.4, stamp_ns=T0, fails=1)
    now = T0 + 2500 * S
    lagging, absent = make().belief(m, now)
    assert lagging == near(0.03 + 0.47 * math.exp(-1))
    assert absent == near(0.015 + 0.385 * math.exp(-2500 / 3000))
    m.fails = 3
    assert make().belief(m, now)[0] == near(0.03 + 0.47 * math.exp(-0.25))
    m.fails = 19
    assert make().belief(m, now)[0] == near(0.03 + 0.47 * math.exp(-2500 / 172800))


def test_an_early_loss_counts_from_less_on_where_most_reps_are_free() -> None:
    """There a lease ends after seconds: each loss alone is weak evidence, many are not."""
    slot = Slot("k", T0, (0.93, 0.02, 0.0, 0.03, 0.02))
    for plenty, fails in ((False, 0), (True, 1)):
        m = RepMemory()
        make().lost(m, slot, T0 + 15 * S, deep=False, plenty=plenty)
        assert 0.1 < m.lagging + m.absent < 0.3
        assert m.fails == fails


def test_each_further_unanswered_lead_in_a_row_counts_more_in_the_share() -> None:
    m = RepMemory()
    slot = Slot("k", T0, (0.05, 0.0, 0.0, 0.05, 0.9))
    served = []
    for _ in range(3):
        before = m.served
        make().lost(m, slot, T0 + 120 * S, deep=False)
        served.append(m.served - before)
    assert served == [near(n * (m.lagging + m.absent)) for n in (1.0, 2.0, 3.0)]


@given(st.integers(0, 50), st.floats(0, 500), st.floats(0, 3))
def test_skill_counts_against_nobody_before_the_record_is_long(c, expected, level) -> None:
    m = RepMemory(conversions=float(c), expected=expected)
    at_most = make().skill_at_most(m, level)
    assert 0 < at_most <= 1
    if level * expected <= c + 1:
        assert at_most == 1.0, "as many as expected, or nearly"


def test_a_long_record_without_conversions_does_count() -> None:
    few, many = RepMemory(expected=1.0), RepMemory(expected=20.0, conversions=1.0)
    assert make().skill_at_most(few, 1.0) == 1.0
    assert make().skill_at_most(many, 1.0) == near((2 + 1.3 * math.sqrt(2)) / 21)
    assert make().skill_at_most(many, 0.05) == 1.0, "the others have no more"


def test_a_disposition_teaches_the_handling_time_and_shows_presence() -> None:
    m = busy(lagging=0.45, absent=0.4, fails=2)
    now = T0 + 100 * S
    lagging, _ = make().belief(m, now)
    make().disposed(m, "k", now, now)
    assert (m.busy_ns, m.fails, m.total, m.missed) == (0, 0, 7.0, 0.3)
    assert m.handling_weight == 1.0
    assert m.handling == near(HANDLING + (math.log(100) - HANDLING) / 4)
    assert m.lagging == near(0.3)
    assert m.absent == near(0.1)
    assert m.side == 0.15
    assert lagging < 0.5


def test_a_disposition_in_the_soft_form_keeps_the_belief_in_lagging() -> None:
    m = busy(lagging=0.45, absent=0.4)
    make(SOFT).disposed(m, "k", T0, T0)
    assert (m.lagging, m.absent) == (0.45, 0.004)


def test_a_contact_with_a_lead_in_hand_counts_its_disposition_as_missed() -> None:
    m = busy()
    make().answered(m, Slot("n", T0, EASY), T0 + 9 * S, T0 + 9 * S, 1.0, deep=False)
    assert (m.missed, m.total) == (1.3, 7.0)
    assert m.busy_lead == "n"


def test_sloppy_reps_are_expected_to_do_less_side_work() -> None:
    m = busy(missed=2.0, total=8.0)
    make().disposed(m, "k", T0 + S, T0 + S)
    assert m.side == 0.09


def test_the_fleet_offset_moves_only_with_trusted_reps_losses() -> None:
    """Fix 3, and the clamp: a suspected rep's silence says nothing about the fleet."""
    e, m = make(), RepMemory()
    e.lost(m, Slot("k", T0, (0.5, 0, 0.1, 0.2, 0.2)), T0 + 60 * S, deep=False)
    assert e.fleet.offset == 0.0
    e.lost(m, Slot("k", T0, EASY, probe=True), T0 + 60 * S, deep=False)
    assert e.fleet.offset == 0.0
    e.lost(m, Slot("k", T0, EASY), T0 + 60 * S, deep=False)
    assert e.fleet.offset == near(0.12)
    for _ in range(50):
        e.lost(RepMemory(), Slot("k", T0, EASY), T0 + 900 * S, deep=False)
    assert e.fleet.offset == 2.5
    for _ in range(50):
        at = T0 + 2 * S
        e.answered(RepMemory(), Slot("k", T0, EASY), at, at, 1.0, deep=False)
    assert e.fleet.offset == 0.0


def test_a_logged_return_clears_the_beliefs_and_a_new_shift_starts_level() -> None:
    m = RepMemory(lagging=0.6, absent=0.3, fails=3, side=0.5, left_ns=T0, lag_weight=4.0)
    make().returned(m, 5.0, T0 + 600 * S)
    assert (m.lagging, m.absent, m.fails, m.side, m.served) == (0.03, 0.015, 0, 0.0, 0.0)
    m.left_ns = T0
    make().returned(m, 5.0, T0 + 7200 * S)
    assert make().share(m) == near(5.0)
    assert m.seasoned


@given(st.builds(RepMemory, lag=st.floats(), served=st.floats(allow_nan=False)))
def test_memory_survives_encoding_to_the_last_bit(m: RepMemory) -> None:
    assert encode(decode_rep(encode(m))) == encode(m)
