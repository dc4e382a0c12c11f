"""POOL, held against every schedule that its kind of dispatcher could make.

The brute force knows what POOL knows (which leads wait, which reps are free) and, as POOL without a
reserve, never keeps a lead from a free rep. At every arrival and every end of work it tries each
waiting lead with each free rep. It is told how long each lead takes only by living through it, so its
best schedule is the luckiest of all: no dispatcher without foresight is sure of it. POOL must make one of
these schedules, and on average nearly the best.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from statistics import fmean

import pytest

from bench.simulate.bound import Choice, PoolDesk
from bench.simulate.draws import SECOND, Leads, Person, Roster, Shift
from bench.simulate.metrics import measure
from bench.simulate.record import Record
from bench.simulate.scenario import Scenario
from bench.simulate.world import World
from distributor.domain.curve import worth
from tests.bench.test_simulated_world import EVEN, leads, person, span

CASES = range(40)


def case(number: int) -> tuple[tuple[Person, ...], Leads]:
    """Two or three reps and up to six leads that come faster than the reps can work."""
    chance = random.Random(number)
    crew = tuple(
        person(name=f"rep{i}", handling=chance.uniform(20, 90), pickup=chance.uniform(2, 15))
        for i in range(chance.choice((2, 3)))
    )
    n = chance.choice((4, 5, 6))
    given = leads(
        *sorted(chance.uniform(0, 60) for _ in range(n)),
        quality=[chance.choice((2.5, 1.0, 1.0, 0.4)) for _ in range(n)],
        work=[chance.uniform(0.5, 2.0) for _ in range(n)],
    )
    return crew, given


def bound(crew: tuple[Person, ...], given: Leads, choice: Choice) -> Record:
    rosters = tuple(Roster() for _ in crew)
    record = Record(EVEN, crew, Shift(given, rosters), "pool")
    World(record, seed=1).run(PoolDesk(choice))
    return record


def schedules(crew: tuple[Person, ...], given: Leads) -> Iterator[float]:
    """The value of each possible schedule. State: time, waiting leads, when each rep is free."""
    at = [ns / SECOND for ns in given.at]

    def play(
        now: float, waiting: frozenset[int], coming: int, free: tuple[float, ...]
    ) -> Iterator[float]:
        able = [rep for rep, since in enumerate(free) if since <= now]
        if waiting and able:
            for lead in waiting:
                for rep in able:
                    contact = now + crew[rep].pickup
                    until = contact + crew[rep].handling * given.work[lead]
                    then = (*free[:rep], until, *free[rep + 1 :])
                    gained = given.quality[lead] * worth(contact - at[lead])
                    for more in play(now, waiting - {lead}, coming, then):
                        yield gained + more
            return
        next_free = min((since for since in free if since > now), default=float("inf"))
        if coming < len(at) and (at[coming] <= next_free or not waiting):
            yield from play(max(now, at[coming]), waiting | {coming}, coming + 1, free)
        elif waiting:
            yield from play(next_free, waiting, coming, free)
        else:
            yield 0.0

    most = sum(given.quality) * 4.91
    return (value / most for value in play(0.0, frozenset(), 0, (0.0,) * len(crew)))


@pytest.mark.parametrize("choice", ["fair", "best", "fifo"])
def test_the_bound_makes_one_of_the_possible_schedules(choice: Choice) -> None:
    for number in CASES[:12]:
        crew, given = case(number)
        value = measure(bound(crew, given, choice)).dv
        assert min(abs(value - other) for other in schedules(crew, given)) < 1e-3


def test_the_bound_is_near_the_luckiest_schedule() -> None:
    shares = {"best": [], "fifo": []}
    for number in CASES:
        crew, given = case(number)
        luckiest = max(schedules(crew, given))
        for choice, found in shares.items():
            found.append(measure(bound(crew, given, choice)).dv / luckiest)
    assert max(shares["best"]) <= 1.001
    assert fmean(shares["best"]) > 0.97
    assert fmean(shares["best"]) > fmean(shares["fifo"])


def test_with_one_choice_at_a_time_the_bound_is_the_only_schedule() -> None:
    crew = (person(pickup=5.0, handling=20.0),)
    given = leads(0.0, 40.0, 80.0)
    assert measure(bound(crew, given, "fair")).dv == pytest.approx(max(schedules(crew, given)))


# -- its rules ------------------------------------------------------------------------------------


def hold(
    crew: list[Person], given: Leads, rosters: dict[int, Roster], world: Scenario = EVEN
) -> Record:
    listed = tuple(rosters.get(i, Roster()) for i in range(len(crew)))
    record = Record(world, tuple(crew), Shift(given, listed), "pool")
    World(record, seed=1).run(PoolDesk("fair"))
    return record


def test_it_takes_the_lead_that_a_minute_would_cost_most() -> None:
    crew = [person(pickup=1.0, handling=100.0)]
    record = hold(crew, leads(0.0, 1.0, 2.0, quality=[1.0, 0.4, 2.5]), {})
    assert record.contact_ns[0] < record.contact_ns[2] < record.contact_ns[1]


def test_it_sees_who_is_away_absent_or_slow() -> None:
    plagues = [Roster(away=span(0, 900)), Roster(absent=span(0, 900)), Roster(lag=span(0, 900))]
    for roster in plagues:
        record = hold([person(), person()], leads(10.0), {0: roster})
        assert record.contact_rep == [1]


def test_it_takes_a_lead_back_from_a_rep_who_vanishes_before_the_pick_up() -> None:
    record = hold([person(), person()], leads(10.0), {0: Roster(absent=span(12, 900))})
    assert record.contact_rep == [1]
    assert record.returned == [1]


def test_when_everybody_is_slow_it_takes_anybody() -> None:
    from msgspec.structs import replace

    slow = replace(EVEN, allslow_window=(0.0, 600.0))
    assert hold([person()], leads(10.0), {}, slow).contact_ns == [70 * SECOND]


def test_old_leads_wait_while_few_are_free() -> None:
    """Fifty reps: four are kept for fresh leads."""
    crew = [person(name=f"rep{i}", handling=1000.0, pickup=1.0) for i in range(50)]
    rosters = {i: Roster(absent=span(0, 400)) for i in range(50)}
    rosters |= {i: Roster(absent=span(0, 600)) for i in range(5, 50)}
    record = hold(crew, leads(*range(5)), rosters)
    contacts = sorted(at / SECOND for at in record.contact_ns)
    assert contacts[0] == 401.0  # with the fifth who comes back
    assert contacts[1:] == [601.0] * 4
