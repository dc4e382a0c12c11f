"""The baselines that move a window of uncontacted leads, in scenes that fail when a rule is broken."""

from __future__ import annotations

import pytest

from policies.baselines.aimd import Aimd
from policies.baselines.gradient import Gradient
from policies.baselines.little import LittleWindow, LittleWindowGamma
from policies.baselines.vegas import Vegas
from policies.baselines.windows import Windowed, within
from tests.policies.desk import Desk


def deliver(desk: Desk, count: int) -> None:
    """So many leads come in at once."""
    for _ in range(count):
        desk.number += 1
        desk.lead(f"L{desk.number:05}")


def window(desk: Desk) -> float:
    """The window of the first rep."""
    assert isinstance(desk.policy, Windowed)
    return float(desk.policy._of("rep0").window)


def set_window(desk: Desk, leads: float) -> None:
    assert isinstance(desk.policy, Windowed)
    desk.policy._of("rep0").window = leads
    desk.ready("rep0")  # it is asked again


def limit(desk: Desk) -> int:
    policy = desk.policy
    assert isinstance(policy, LittleWindowGamma)
    return policy._limit(desk.rep(0), desk.now_ns)


def answer(desk: Desk, *, done: bool = True) -> None:
    """The rep calls the lead that it has had for longest, and is done with it at once."""
    open_leads = desk.rep(0).open
    name = next(name for name, lead in desk.leads.items() if open_leads.get(lead.key))
    desk.contact(name)
    if done:
        desk.finish(name)


def in_flight(desk: Desk) -> int:
    return desk.rep(0).uncontacted


def one_by_one(desk: Desk, *trips: float) -> None:
    """Leads that are alone in flight, each called after so many seconds."""
    for trip in trips:
        deliver(desk, 1)
        desk.advance(trip)
        answer(desk)


def test_aimd_adds_one_after_a_prompt_call_and_halves_after_a_late_one() -> None:
    desk = Desk(Aimd, reps=1)
    deliver(desk, 10)
    assert in_flight(desk) == 2
    answer(desk)
    assert window(desk) == 3.0
    assert in_flight(desk) == 3
    desk.advance(59.0)
    answer(desk)
    assert window(desk) == 4.0
    desk.advance(61.0)
    answer(desk)
    assert window(desk) == 2.0
    answer(desk)
    assert window(desk) == 1.0
    assert in_flight(desk) == 2  # what was given stays


def test_aimd_does_not_grow_while_less_than_half_of_the_window_is_in_use() -> None:
    desk = Desk(Aimd, reps=1)
    set_window(desk, 5.0)
    one_by_one(desk, 1.0)
    assert window(desk) == 5.0
    deliver(desk, 3)
    answer(desk)
    assert window(desk) == 6.0


def test_aimd_stays_between_one_lead_and_twenty() -> None:
    desk = Desk(Aimd, reps=1)
    one_by_one(desk, *[61.0] * 4)
    assert window(desk) == 1.0
    deliver(desk, 60)
    for _ in range(30):
        answer(desk)
    assert window(desk) == 20.0
    assert in_flight(desk) == 20


def test_a_window_leaves_the_leads_in_hand_out() -> None:
    desk = Desk(Aimd, reps=1)
    deliver(desk, 6)
    set_window(desk, 1.0)
    answer(desk, done=False)
    answer(desk, done=False)
    assert in_flight(desk) >= 1
    assert len(desk.rep(0).open) == in_flight(desk) + 2


def test_gradient_shrinks_when_trips_get_long_and_comes_back() -> None:
    desk = Desk(Gradient, reps=1)
    set_window(desk, 10.0)
    one_by_one(desk, 10.0)
    # Alone in flight, with room for ten: nothing speaks against more, but it does not grow.
    assert window(desk) == 10.0
    one_by_one(desk, 20.0)
    long = 10.0 + 10.0 / 60.0
    gradient = 1.5 * long / 20.0
    assert window(desk) == pytest.approx(10.0 + 0.2 * (10.0 * gradient + 1.0 - 10.0))
    before = window(desk)
    one_by_one(desk, 400.0)  # no more than half is taken away at a time
    assert window(desk) == pytest.approx(before + 0.2 * (1.0 - before * 0.5))
    deliver(desk, 30)
    for _ in range(10):
        before = window(desk)
        answer(desk)
        assert window(desk) == pytest.approx(min(before + 0.2, 20.0))


def test_gradient_forgets_a_spell_of_long_trips() -> None:
    desk = Desk(Gradient, reps=1)
    one_by_one(desk, 100.0, 10.0)
    policy = desk.policy
    assert isinstance(policy, Gradient)
    moved = 100.0 - 90.0 / 60.0
    assert policy._of("rep0").long == pytest.approx(0.9 * moved)


def test_vegas_keeps_one_to_two_leads_queued() -> None:
    desk = Desk(Vegas, reps=1)
    one_by_one(desk, 10.0)
    assert window(desk) == 3.0
    one_by_one(desk, 20.0)  # 3 x (1 - 10/20) = 1.5 queued
    assert window(desk) == 3.0
    one_by_one(desk, 40.0)  # 3 x (1 - 10/40) = 2.25 queued
    assert window(desk) == 2.0


def test_vegas_measures_the_shortest_trip_anew_with_every_thirtieth() -> None:
    desk = Desk(Vegas, reps=1)
    one_by_one(desk, 1.0, *[40.0] * 29)
    assert isinstance(desk.policy, Vegas)
    assert desk.policy._of("rep0").shortest == pytest.approx(1.0)
    one_by_one(desk, 40.0)
    assert desk.policy._of("rep0").shortest == pytest.approx(40.0)


def test_little_window_is_the_contacts_of_a_minute() -> None:
    desk = Desk(LittleWindow, reps=1)
    assert within(2.0) == window(desk) == 2.0
    one_by_one(desk, 12.0, 12.0)
    assert window(desk) == 5.0
    one_by_one(desk, 62.0)  # 12 + .2 x 50 = 22 s between two
    assert window(desk) == 3.0
    one_by_one(desk, *[300.0] * 12)
    assert window(desk) == 1.0


def test_little_window_gamma_counts_answers_against_exposure() -> None:
    desk = Desk(LittleWindowGamma, reps=1)
    assert limit(desk) == 2  # two in 60 s, before anything is known
    one_by_one(desk, *[5.0] * 8)
    assert limit(desk) == 6  # about (2 + 8) / (60 + 40)
    desk.advance(3 * 900.0)
    assert limit(desk) == 2  # forgotten


def test_little_window_gamma_takes_silence_for_an_answer() -> None:
    desk = Desk(LittleWindowGamma, reps=1)
    deliver(desk, 3)
    assert in_flight(desk) == 2
    desk.advance(10.0)
    assert limit(desk) == 2
    desk.advance(80.0)
    assert limit(desk) == 1  # (2 + 0) / (60 + 85) in a minute
    answer(desk)
    assert in_flight(desk) == 1


@pytest.mark.parametrize("policy", [Aimd, Gradient, Vegas, LittleWindow])
def test_an_answer_is_counted_once_and_a_claim_never(policy: type[Windowed]) -> None:
    desk = Desk(policy, reps=1)
    deliver(desk, 1)
    desk.claim("L00001")
    assert not desk.memory
    desk.attempt("L00001")
    heard = dict(desk.memory)
    assert heard
    desk.contact("L00001")
    assert desk.memory == heard
