"""The waits between connections."""

from __future__ import annotations

from distributor.mqtt import MqttSettings
from distributor.mqtt.backoff import Backoff

SETTINGS = MqttSettings(reconnect_first_seconds=0.5, reconnect_max_seconds=30)


def make(chance: float = 1.0) -> Backoff:
    return Backoff(SETTINGS, lambda: chance)


def lost(backoff: Backoff, lived: float, *, taken_over: bool = False) -> float:
    backoff.ended(lived)
    return backoff.lost(lived, taken_over=taken_over)


def test_without_a_connection_the_waits_double_to_a_cap_and_half_of_each_is_chance() -> None:
    for chance, share in ((0.0, 0.5), (1.0, 1.0)):
        backoff = make(chance)
        waits = [backoff.failed() / share for _ in range(5000)]
        assert waits[:8] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
        assert waits[-1] == 30.0


def test_a_broker_that_lets_us_in_and_drops_us_is_asked_again_within_about_a_second() -> None:
    backoff = make()
    waits = [lost(backoff, 0.3) for _ in range(20)]
    assert waits[:3] == [0.5, 1.0, 1.0]
    assert max(waits) == 1.0


def test_a_connection_forgives_the_failures_before_it() -> None:
    backoff = make()
    for _ in range(10):
        backoff.failed()
    assert lost(backoff, 0.3) == 0.5
    assert backoff.failed() == 0.5


def test_connections_that_are_dropped_again_and_again_become_slowly_fewer() -> None:
    """Two daemons with one client id, at a broker that does not tell them."""
    backoff = make()
    waits = [lost(backoff, 0.3) for _ in range(1000)]
    assert waits[99] == 5.0
    assert waits[-1] == 30.0
    assert lost(backoff, 5.0) == 0.5


def test_a_session_that_was_taken_over_is_taken_back_ever_more_slowly() -> None:
    backoff = make()
    waits = [lost(backoff, 8.0, taken_over=True) for _ in range(8)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert lost(backoff, 31.0, taken_over=True) == 0.5
