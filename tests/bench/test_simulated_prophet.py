"""The prophet, held against what can be computed by hand, and against the bound without foresight."""

from __future__ import annotations

import json
import random
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from bench.__main__ import main
from bench.simulate import curves, prophet
from bench.simulate.draws import Leads, Person, Roster, Shift
from bench.simulate.runs import run
from bench.simulate.scenario import Scenario, parse
from distributor.domain.curve import worth
from tests.bench.test_simulated_world import EVEN, leads, person, span

BINS = 12
ONE_A_BIN = replace(EVEN, hours=0.05, drain_seconds=BINS * 30.0 - 180.0)
WORKER = person(handling=27.0)
"""With the 3 s of a pick-up: exactly one lead in a bin."""


def best(given: Leads, *crew: Person, world: Scenario = ONE_A_BIN, **roster: Any) -> float:
    rosters = tuple(Roster(**roster) for _ in crew)
    return prophet.best(world, crew, Shift(given, rosters))


def gain(wait: int) -> float:
    return worth(max(10.0, 30.0 * wait))


def schedules(bins: list[int], quality: list[float]) -> float:
    """The best of all ways to give each lead a bin of its own, or none."""
    slots = [*range(BINS), *[-1] * len(bins)]
    worths = set()
    for chosen in set(permutations(slots, len(bins))):
        if all(slot < 0 or 0 <= slot - b <= 9 for slot, b in zip(chosen, bins, strict=True)):
            worths.add(
                sum(
                    q * (1.0 if slot < 0 else gain(slot - b))
                    for slot, b, q in zip(chosen, bins, quality, strict=True)
                )
            )
    return max(worths) / (4.91 * sum(quality))


def test_what_fits_at_once_is_worth_all() -> None:
    assert best(leads(1.0, 31.0, 70.0), WORKER) == pytest.approx(1.0)


def test_of_two_in_one_bin_the_second_waits_for_the_next_ones() -> None:
    # 30 s cost nothing, so only the third loses.
    found = best(leads(1.0, 2.0, 3.0), WORKER)
    assert found == pytest.approx((4.91 + 4.91 + gain(2)) / (3 * 4.91))


@pytest.mark.parametrize("number", range(12))
def test_it_finds_the_best_of_all_schedules(number: int) -> None:
    """With one lead a bin whole leads are the best that even water can do."""
    chance = random.Random(number)
    first = chance.choice((0, BINS - 4, BINS - 2))  # near the end there is not a bin for each
    bins = sorted(chance.randrange(first, BINS) for _ in range(4))
    quality = [chance.choice((2.5, 1.0, 0.4)) for _ in bins]
    given = leads(*(30.0 * b + 5.0 for b in bins), quality=quality)
    assert best(given, WORKER) == pytest.approx(schedules(bins, quality), abs=1e-6)


def test_it_holds_a_rep_for_a_better_lead_to_come() -> None:
    """Half a lead a bin: the cheap one waits for the dear one that only a prophet expects."""
    slow = person(handling=57.0)
    given = leads(1.0, 31.0, quality=[0.4, 2.5])
    # Bins 0 and 1 are the dear one's as far as it can have them; bin 2 gives its other half.
    half = 0.5
    dear = 2.5 * (half * gain(0) + half * gain(1))
    cheap = 0.4 * (half * gain(0) + half * gain(3))
    assert best(given, slow) == pytest.approx((dear + cheap) / (4.91 * 2.9), abs=1e-6)


def test_nobody_there_leaves_the_end_of_the_curve() -> None:
    assert best(leads(1.0), WORKER, absent=span(0, 900)) == pytest.approx(1.0 / 4.91)
    steep = replace(ONE_A_BIN, curve="lrm")
    found = best(leads(1.0), WORKER, world=steep, absent=span(0, 900))
    assert found == pytest.approx(0.01 / curves.peak("lrm"))


def test_only_measured_leads_count_and_none_are_worth_nothing() -> None:
    brief = replace(ONE_A_BIN, measured_seconds=30.0)
    assert best(leads(1.0, *[40.0] * 50), WORKER, world=brief) == pytest.approx(1.0)
    assert best(leads(), WORKER) == 0.0


@pytest.mark.parametrize(
    ("roster", "there"),
    [
        ({}, [1.0] * 4),
        ({"away": span(30, 75)}, [1.0, 0.0, 0.5, 1.0]),
        ({"absent": span(30, 75)}, [1.0, 0.0, 0.5, 1.0]),
        ({"away": span(0, 60), "absent": span(30, 90)}, [0.0, 0.0, 0.0, 1.0]),
        ({"absent": span(0, 60), "away": span(30, 90)}, [0.0, 0.0, 1.0, 1.0]),  # no break is logged
        ({"leaves": span(45, 0)[0]}, [1.0, 0.5, 0.0, 0.0]),
        # 2 x 27 s of work, and 30 x 3 s until the pick-up: 144 s for a lead.
        ({"lag": span(30, 60)}, [1.0, 30 / 144, 1.0, 1.0]),
    ],
)
def test_capacity_follows_breaks_absences_and_lag(roster, there) -> None:
    found = prophet.capacity(ONE_A_BIN, (WORKER,), (Roster(**roster),))
    assert found[:4] == pytest.approx(there)
    assert len(found) == BINS


def test_capacity_knows_the_slow_hour_side_tasks_and_a_shift_of_no_whole_bins() -> None:
    world = replace(
        ONE_A_BIN, allslow_window=(0.0, 30.0), side_share=0.1, side_mean=60.0, drain_seconds=175.0
    )
    found = prophet.capacity(world, (WORKER,), (Roster(),))
    assert found[0] == pytest.approx(30 / (1.5 * 27 + 6 + 6 * 3))
    assert found[1:-1] == pytest.approx(np.full(BINS - 2, 30 / 36))
    assert found[-1] == pytest.approx(25 / 36)


@pytest.mark.parametrize("seed", [1, 2])
def test_foresight_is_worth_something(seed: int) -> None:
    world = replace(parse({}), reps=30, hours=1.0, load=1.0, drain_seconds=900.0)
    assert prophet.value(world, seed) > run(world, "pool_best", seed).figures.dv - 0.005


def test_it_stands_beside_the_policies(tmp_path: Path, capsys) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text("reps = 6\nhours = 0.2\nload = 0.8\n")
    words = ["--policy", "fair", "--seeds", "1-2", "--jobs", "1", "--prophet", "--json"]
    assert main(["simulate", "--scenario", str(path), *words]) == 0
    printed = capsys.readouterr().out
    found = json.loads(printed.splitlines()[-1])
    assert list(found["policies"]) == ["fair", "pool_best", "pool"]
    assert found["prophet"]["dv"]["low"] <= found["prophet"]["dv"]["mean"] <= 1.0
    assert set(found["prophet"]["dv_of_prophet"]) == set(found["policies"])
    assert "beside a prophet" in printed
