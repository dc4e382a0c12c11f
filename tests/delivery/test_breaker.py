"""Breaker and rate limit, in virtual time."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from distributor.delivery.breaker import Breaker, Bucket


def test_the_breaker_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(3, 15.0)
    for outcome in "ffsff":
        assert breaker.enter(0.0) is False
        if outcome == "f":
            assert not breaker.failure(0.0, False)
        else:
            assert not breaker.success(False)
    assert breaker.failure(1.0, False)
    assert breaker.state == "open"
    assert breaker.delay(2.0) == 14.0


def opened() -> Breaker:
    breaker = Breaker(1, 15.0)
    assert breaker.failure(0.0, False)
    return breaker


def test_one_trial_decides_whether_it_closes() -> None:
    breaker = opened()
    assert not breaker.ripen(14.9)
    assert breaker.ripen(15.0)
    assert breaker.enter(15.0) is True
    assert breaker.delay(15.0) == inf  # one trial at a time
    assert breaker.failure(16.0, True)
    assert breaker.delay(16.0) == 15.0
    assert breaker.ripen(31.0)
    assert breaker.enter(31.0) is True
    assert breaker.success(True)
    assert (breaker.state, breaker.delay(31.0)) == ("closed", 0.0)


def test_answers_from_before_the_opening_change_nothing() -> None:
    breaker = opened()
    assert not breaker.success(False)
    assert breaker.state == "open"
    breaker.ripen(15.0)
    assert not breaker.failure(15.0, False)
    assert breaker.state == "half_open"


def test_a_pause_that_the_dialer_asks_for_holds_it_open_until_a_trial() -> None:
    breaker = Breaker(3, 15.0)
    breaker.hold(10.0, 60.0)
    breaker.hold(11.0, 20.0)  # a shorter one does not end it
    assert (breaker.state, breaker.delay(10.0)) == ("open", 60.0)
    assert not breaker.ripen(69.9)
    assert breaker.ripen(70.0)
    assert breaker.enter(70.0) is True


def test_requests_keep_the_distance_of_the_rate() -> None:
    bucket = Bucket(10.0)
    assert bucket.delay(5.0) == 0.0
    bucket.take(5.0)
    assert round(bucket.delay(5.0), 6) == 0.1
    assert bucket.delay(5.2) == 0.0


def test_without_a_rate_nothing_waits() -> None:
    bucket = Bucket(0.0)
    bucket.take(1.0)
    assert bucket.delay(1.0) == 0.0


@given(st.floats(0.5, 100.0), st.lists(st.floats(0.0, 1.0), min_size=2, max_size=50))
def test_never_more_than_the_rate_in_any_window(rate: float, pauses: list[float]) -> None:
    bucket, now, taken = Bucket(rate), 0.0, []
    for pause in pauses:
        now += pause
        now += bucket.delay(now)
        bucket.take(now)
        taken.append(now)
    span = taken[-1] - taken[0]
    assert len(taken) - 1 <= span * rate + 1e-6
