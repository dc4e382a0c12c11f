"""The figures of the simulator, on records made by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from bench.simulate.draws import FOREVER, SECOND, Roster, Shift
from bench.simulate.metrics import Figures, Ratio, gini, measure, pooled
from bench.simulate.plots import lag_flows, within
from bench.simulate.record import Record
from bench.simulate.scenario import Scenario
from bench.simulate.summary import Estimate, estimate, summarise
from distributor.domain.curve import worth
from tests.bench.test_simulated_world import leads, person

HOUR = 3600.0


def record(
    arrivals: list[float], *, reps: int = 1, rosters: dict[int, Roster] | None = None,
    people: list[Any] | None = None, scenario: Scenario | None = None, **more: Any,
) -> Record:  # fmt: skip
    crew = tuple(people or [person(name=f"rep{i}") for i in range(reps)])
    listed = tuple((rosters or {}).get(i, Roster()) for i in range(len(crew)))
    world = scenario or Scenario(reps=len(crew))
    return Record(world, crew, Shift(leads(*arrivals, **more), listed), "hand")


def contact(found: Record, lead: int, after: float, rep: int = 0) -> None:
    found.contact_ns[lead] = found.shift.leads.at[lead] + round(after * SECOND)
    found.contact_rep[lead] = rep


def span(begin: float, end: float) -> tuple[int, int]:
    return round(begin * SECOND), round(end * SECOND)


# -- speed to contact -----------------------------------------------------------------------------


def test_shares_and_percentiles_are_over_all_leads_and_count_from_arrival() -> None:
    found = record([100.0 * i for i in range(10)])
    for lead, after in enumerate([5, 60, 61, 300, 301, 10, 20, 30, 40]):
        contact(found, lead, after)
    figures = measure(found)
    assert figures.w60 == 0.6
    assert figures.w300 == 0.8
    assert figures.p50 == 40.0
    assert (figures.p95, figures.p99) == (86_400.0, 86_400.0)
    assert (figures.never_contacted, figures.over_1h) == (0.1, 0.1)


def test_value_weighs_leads_by_quality_and_delay() -> None:
    found = record([0.0, 10.0], quality=[2.5, 0.4])
    contact(found, 0, 20.0)
    contact(found, 1, 90.0)
    best = 2.9 * 4.91
    assert measure(found).dv == pytest.approx((2.5 * 4.91 + 0.4 * 2.60) / best)
    assert measure(found).dv_lrm == pytest.approx((2.5 * 2.0 + 0.4 * 2.0**0.7481) / 5.8, abs=1e-4)


def test_a_lead_that_nobody_contacts_is_worth_what_it_is_after_a_day() -> None:
    assert measure(record([0.0])).dv == pytest.approx(worth(86_400.0) / 4.91)


def test_conversion_weighs_with_the_skill_of_who_made_the_contact() -> None:
    found = record([0.0, 0.0], people=[person(skill=2.0), person(skill=0.5)])
    contact(found, 0, 1.0, rep=0)
    contact(found, 1, 1.0, rep=1)
    assert measure(found).conv == pytest.approx(1.25)
    assert measure(found).dv == pytest.approx(1.0)


def test_only_the_measured_part_of_a_shift_counts() -> None:
    found = record([10.0, 2000.0], scenario=Scenario(measured_seconds=1800.0))
    contact(found, 0, 5.0)
    figures = measure(found)
    assert (figures.leads, figures.w60) == (1, 1.0)


def test_a_shift_without_leads_has_figures_too() -> None:
    figures = measure(record([]))
    assert (figures.leads, figures.w60, figures.dv, figures.gini) == (0, 0.0, 0.0, None)


# -- people ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 1, 1, 1], 0.0), ([0, 0, 0, 4], 0.75), ([1, 3], 0.25), ([], None), ([0, 0], None)],
)
def test_gini(values: list[float], expected: float | None) -> None:
    found = gini(values)
    assert found == (None if expected is None else pytest.approx(expected))


def test_shares_of_work_are_contacts_times_handling_of_the_healthy() -> None:
    people = [person(handling=100.0), person(handling=300.0), person(handling=999.0)]
    found = record([0.0] * 5, people=people, rosters={2: Roster(lag=span(1, 2))})
    for lead, rep in enumerate([0, 0, 0, 1, 2]):
        contact(found, lead, 1.0, rep)
    figures = measure(found)
    assert figures.gini == pytest.approx(0.0)
    assert figures.lowest_share == 1.0


@pytest.mark.parametrize(
    "roster", [Roster(lag=span(1, 2)), Roster(absent=span(1, 2)), Roster(leaves=5)]
)
def test_who_had_something_is_not_healthy(roster: Roster) -> None:
    assert not record([], rosters={0: roster}).is_healthy(0)
    assert record([], rosters={0: Roster(away=span(1, 2))}).is_healthy(0)
    assert not record([], people=[person(burner=True)]).is_healthy(0)


def test_recalls_are_counted_for_each_lead() -> None:
    found = record([0.0] * 4)
    found.returned = [0, 1, 3, 4]
    figures = measure(found)
    assert (figures.reclaims_per_lead, figures.recalled_over_3) == (2.0, 0.25)


# -- slowed reps ----------------------------------------------------------------------------------


def test_false_throttle_is_the_healthy_reps_slowed_share_of_the_shift() -> None:
    found = record([], reps=2, rosters={1: Roster(lag=span(1, 2))})
    found.flows = [
        (*span(0, 0)[:1], 0, 1.0),
        (100 * SECOND, 0, 0.5),
        (200 * SECOND, 0, 0.25),  # still the same slowing
        (244 * SECOND, 0, 1.0),
        (300 * SECOND, 1, 0.1),  # not healthy
        (14_400 * SECOND, 0, 0.5),  # after the shift
    ]
    assert measure(found).false_throttle == pytest.approx(144 / 14_400)
    # It fell twice in the four hours, but once in the shift.
    assert measure(found).swings_healthy == pytest.approx(0.25)


def test_slowing_inside_the_slow_hour_is_told_apart() -> None:
    found = record([], scenario=Scenario(allslow_window=(3600.0, 7200.0)))
    found.flows = [(3000 * SECOND, 0, 0.5), (3960 * SECOND, 0, 1.0)]
    figures = measure(found)
    assert figures.false_throttle_allslow == pytest.approx(0.1)
    assert figures.w60_allslow == 0.0


# -- absent and lagging reps ----------------------------------------------------------------------


def give(found: Record, at: float, rep: int, lead: int) -> None:
    at_ns = round(at * SECOND)
    found.deliveries.append((at_ns, rep, lead, at_ns - found.shift.leads.at[lead]))


def test_fresh_leads_in_a_silent_absence_and_how_soon_they_are_freed() -> None:
    rosters = {
        0: Roster(absent=span(1000, 2000)),
        1: Roster(absent=span(5000, 6000)),
        2: Roster(absent=(0, FOREVER)),
    }
    found = record([990.0, 1100.0, 1500.0, 1950.0, 100.0], reps=3, rosters=rosters)
    give(found, 990, 0, 0)  # before
    give(found, 1100, 0, 1)  # taken back in time
    give(found, 1500, 0, 2)  # taken back too late
    give(found, 1950, 0, 3)  # the absence is over
    give(found, 1600, 0, 4)  # not fresh
    found.returns = [(1159 * SECOND, 0, 1), (1561 * SECOND, 0, 2)]
    figures = measure(found)
    assert sorted(figures.fresh_per_absence) == [0, 3]
    assert figures.freed_60 == Ratio(2.0, 3.0)


def test_the_flow_of_a_lagging_rep_is_its_fresh_leads_over_those_before() -> None:
    found = record([0.0] * 40, rosters={0: Roster(lag=span(3600, 6300))})
    found.shift.leads.at[:] = [3600 * SECOND] * 40

    def fresh(minute: float) -> None:
        lead = len(found.deliveries)
        found.shift.leads.at[lead] = round((3600 + 60 * minute) * SECOND)
        give(found, 3600 + 60 * minute, 0, lead)

    for minute in (
        -31,
        -29,
        -20,
        -10,
        -1,
        -0.5,
        -0.4,
    ):  # six in the half hour: the mean is one in each bin
        fresh(minute)
    for minute in (1, 11, 44, 46, 51, 52, 74):
        fresh(minute)
    figures = measure(found)
    assert figures.lag_flow == Ratio(2.0, 7.0)
    assert figures.lag_flow.value == pytest.approx(2 / 7)
    assert [ratio.value for ratio in figures.recovery] == [1.0, 2.0, 0.0, 0.0, 0.0, 1.0]
    assert figures.lag_bins[0].value == 1.0
    assert [ratio.top for ratio in figures.lag_before] == [1, 0, 1, 0, 1, 3]
    assert lag_flows([figures, figures])[:7] == [1, 0, 1, 0, 1, 3, 1]
    assert figures.lag_episodes == 1


def test_an_interval_that_is_drawn_does_not_leave_the_shares() -> None:
    assert within(Estimate(0.9, 0.3, 3)) == pytest.approx((0.3, 0.1))
    assert within(Estimate(0.1, 0.3, 3)) == pytest.approx((0.1, 0.3))
    assert within(Estimate(0.5, None, 1)) == (0.0, 0.0)


def test_ratios_are_pooled_by_their_sums() -> None:
    assert pooled([Ratio(1.0, 2.0), Ratio(5.0, 2.0)]).value == 1.5
    assert pooled([Ratio(1.0, 0.0)]).value is None


# -- oscillation ----------------------------------------------------------------------------------


def flow_of(counts: list[int]) -> float | None:
    found = record([0.0] * sum(counts), scenario=Scenario(reps=1, hours=len(counts) / 12))
    lead = 0
    for place, count in enumerate(counts):
        for _ in range(count):
            found.shift.leads.at[lead] = (300 * place + 1) * SECOND
            give(found, 300 * place + 1, 0, lead)
            lead += 1
    return measure(found).allan_healthy


def test_an_even_flow_does_not_swing_and_one_by_fits_and_starts_does() -> None:
    assert flow_of([2] * 12) == 0.0
    assert flow_of([4, 0] * 6) == pytest.approx(4.0)
    chance = np.random.default_rng(1).poisson(3.0, 2000).tolist()
    assert flow_of(chance) == pytest.approx(1.0, abs=0.1)


# -- means ----------------------------------------------------------------------------------------


def test_an_estimate_has_students_interval() -> None:
    found = estimate([1.0, 2.0, None, 3.0])
    assert found is not None
    assert (found.mean, found.runs) == (2.0, 3)
    assert found.half == pytest.approx(4.3027 / 3**0.5, rel=1e-4)
    assert (found.low, found.high) == pytest.approx((2 - found.half, 2 + found.half))


def test_one_run_has_no_interval_and_none_no_mean() -> None:
    one = estimate([1.0])
    assert one is not None
    assert one.built() == {"mean": 1.0, "low": None, "high": None}
    assert estimate([None]) is None


def test_the_share_of_the_bound_is_taken_run_by_run() -> None:
    base = measure(record([0.0]))

    def run(dv: float) -> Figures:
        return msgspec.structs.replace(base, dv=dv)

    found = summarise([run(0.5), run(0.9)], [run(0.5), run(1.0)]).of_pool
    assert found is not None
    assert found.mean == pytest.approx(0.95)
