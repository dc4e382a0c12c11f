"""Our time never goes back and never stands still."""

from __future__ import annotations

import pytest

from distributor.domain.events import (
    LeadEvent,
    LeadReceived,
    PresenceReported,
    SupervisorActed,
    Ticked,
)
from distributor.runtime import clock as clock_module
from distributor.runtime.clock import SLOWED_BY, Clock
from distributor.runtime.times import in_our_time

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
BEGIN = 1_800_000_000 * SECOND


class Machine:
    """Both clocks of a machine, in the test's hands."""

    def __init__(self) -> None:
        self.wall = BEGIN
        self.steady = 77 * SECOND

    def pass_ns(self, ns: int) -> None:
        self.wall += ns
        self.steady += ns


@pytest.fixture
def machine(monkeypatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(clock_module.time, "time_ns", lambda: machine.wall)
    monkeypatch.setattr(clock_module, "steady_ns", lambda: machine.steady)
    return machine


def test_a_sound_clock_is_followed(machine):
    clock = Clock()
    for _ in range(3):
        machine.pass_ns(SECOND)
        assert (clock.now_ns(), clock.ahead_ns()) == (machine.wall, 0)
    machine.wall += HOUR
    assert (clock.now_ns(), clock.ahead_ns()) == (machine.wall, 0)


def test_behind_a_clock_that_was_set_back_time_goes_on_and_is_caught_up_with(machine):
    clock = Clock()
    before = clock.now_ns()
    machine.wall -= HOUR

    assert clock.now_ns() == before
    assert clock.ahead_seconds() == 3600.0
    for _ in range(100):
        machine.pass_ns(SECOND)
        clock.now_ns()

    assert clock.now_ns() == before + 100 * SECOND - 100 * SECOND // SLOWED_BY
    assert clock.ahead_seconds() == 3599.0
    machine.pass_ns(SLOWED_BY * HOUR)
    assert (clock.now_ns(), clock.ahead_ns()) == (machine.wall, 0)


def test_a_clock_goes_on_from_the_time_of_the_store_and_never_from_an_earlier_one(machine):
    clock = Clock()
    clock.go_on_from(BEGIN - HOUR)
    assert clock.now_ns() == BEGIN
    clock.go_on_from(BEGIN + HOUR)
    machine.pass_ns(SECOND)
    assert BEGIN + HOUR < clock.now_ns() < BEGIN + HOUR + SECOND


def test_the_steady_clock_goes_forward():
    first = clock_module.steady_ns()
    assert clock_module.steady_ns() >= first > 0


def test_times_of_others_are_taken_as_by_the_machines_clock():
    """What has no time keeps none, and nothing was received later than now."""
    now = BEGIN + HOUR
    lead = LeadReceived("acme", "1", BEGIN + SECOND, "http", b"{}", submitted_ns=BEGIN - SECOND)
    taken = in_our_time(lead, HOUR, now)
    assert (taken.received_ns, taken.submitted_ns) == (now, now - SECOND)
    said = LeadEvent("e", "dialer", "status", at_ns=BEGIN, callback_ns=BEGIN + SECOND)
    taken = in_our_time(said, HOUR, now)
    assert (taken.at_ns, taken.callback_ns) == (now, now + SECOND)
    assert in_our_time(PresenceReported("ana", "ready", "x", BEGIN), HOUR, now).at_ns == now
    paused = SupervisorActed("pause", "mia", "", rep="ana", until_ns=BEGIN + SECOND)
    assert in_our_time(paused, HOUR, now).until_ns == now + SECOND

    for timeless in (
        LeadEvent("e", "dialer", "contacted"),
        PresenceReported("ana", "ready", "x"),
        SupervisorActed("resume", "mia", "", rep="ana"),
        Ticked(),
    ):
        assert in_our_time(timeless, HOUR, now) == timeless
