"""Ids, time, draws, the curve and the floor: small values that everything else leans on."""

from __future__ import annotations

import re
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.domain import decisions, events
from distributor.domain.curve import CURVE_POINTS, worth
from distributor.domain.draws import draw
from distributor.domain.floor import Floor, FlowPlan, PoolPlan, RepPlan
from distributor.domain.ids import (
    assignment_id,
    is_name,
    lead_key,
    lead_key_of,
    to_ns,
    to_seconds,
)


@given(st.integers(0, 36**10 - 1), st.integers(0, 36**10 - 1))
def test_lead_keys_fit_a_vicidial_field_sort_by_age_and_differ(one: int, other: int) -> None:
    first, second = lead_key("K7F3", one), lead_key("K7F3", other)
    assert re.fullmatch(r"[A-Za-z0-9]{1,20}", first)
    assert (one < other) == (first < second)
    assert (one == other) == (first == second)


@given(st.integers(1, 10**9), st.integers(1, 10**6))
def test_an_assignment_id_names_its_lead(number: int, attempt: int) -> None:
    key = lead_key("K7F3", number)
    assert lead_key_of(assignment_id(key, attempt)) == key
    assert is_name(assignment_id(key, attempt))


@pytest.mark.parametrize("text", ["", "a" * 65, "a b", "a/b", "+", "#", "é", "a\n"])
def test_what_is_no_name(text: str) -> None:
    assert not is_name(text)


@given(st.floats(0, 1e6))
def test_seconds_and_nanoseconds_agree(seconds: float) -> None:
    assert to_seconds(to_ns(seconds)) == pytest.approx(seconds, abs=1e-9)


@given(st.integers(), st.lists(st.integers(), max_size=4))
def test_draws_are_shares_and_repeat(seed: int, parts: list[int]) -> None:
    first = draw(seed, *parts)
    assert 0.0 <= first < 1.0
    assert draw(seed, *parts) == first


def test_draws_look_uniform() -> None:
    numbers = [draw(1, number) for number in range(10_000)]
    assert sum(numbers) / len(numbers) == pytest.approx(0.5, abs=0.01)
    assert len(set(numbers)) == len(numbers)


def test_draws_are_the_same_in_another_process_with_another_hash_seed() -> None:
    code = "from distributor.domain.draws import draw; print(draw(7, 1, 2, 3))"
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            env={"PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("0", "1", "2")
    }
    assert said == {f"{draw(7, 1, 2, 3)}\n".encode()}


@pytest.mark.parametrize(
    ("delay", "expected"),
    [(0, 4.91), (30, 4.91), (45, 3.88), (60, 3.29), (90, 2.60), (120, 2.23), (150, 1.98)]
    + [(300, 1.78), (600, 1.61), (1800, 1.42), (3600, 1.33), (86400, 1.08), (10**7, 1.0)],
)
def test_the_curve_passes_through_its_published_values(delay: float, expected: float) -> None:
    assert worth(delay) == pytest.approx(expected, abs=0.006)


@given(st.floats(0, 200_000), st.floats(0, 200_000))
def test_waiting_never_pays(one: float, other: float) -> None:
    assert (one <= other) <= (worth(one) >= worth(other) - 1e-12)
    assert CURVE_POINTS[-1][1] <= worth(one) <= CURVE_POINTS[0][1]


def test_members_are_those_named_of_the_teams_or_everybody_with_all_the_skills() -> None:
    floor = Floor(
        "d",
        reps=(
            RepPlan("ana", team="north", skills=("es", "auto")),
            RepPlan("ben", team="south", skills=("es",)),
            RepPlan("cy", team="south"),
        ),
    )

    def ids(pool: PoolPlan) -> list[str]:
        return [rep.id for rep in floor.members(pool)]

    assert ids(PoolPlan("all")) == ["ana", "ben", "cy"]
    assert ids(PoolPlan("team", teams=("south",))) == ["ben", "cy"]
    assert ids(PoolPlan("named", reps=("cy",), teams=("north",))) == ["ana", "cy"]
    assert ids(PoolPlan("skilled", skills=("es", "auto"))) == ["ana"]


def test_time_scale_divides_every_duration() -> None:
    flow = FlowPlan(time_scale=60.0)
    assert flow.span_ns(60) == 1_000_000_000
    assert flow.floor_seconds(1_000_000_000) == 60.0


@pytest.mark.parametrize("module", [decisions, events])
def test_what_is_journalled_can_grow_at_its_end(module: object) -> None:
    """Compact arrays: a record written before a field existed must decode with its default."""
    union = getattr(module, "Decision", None) or getattr(module, "Event", None)
    decoder = msgspec.msgpack.Decoder(union)
    kinds = [kind for kind in vars(module).values() if _is_record(kind, module)]
    assert kinds
    for kind in kinds:
        required = [f for f in msgspec.structs.fields(kind) if f.required]
        optional = [f for f in msgspec.structs.fields(kind) if not f.required]
        names = [f.name for f in msgspec.structs.fields(kind)]
        assert names == [f.name for f in (*required, *optional)], kind
        assert issubclass(kind, msgspec.Struct)
    assert decoder.type is union


def _is_record(kind: object, module: object) -> bool:
    return isinstance(kind, type) and kind.__module__ == getattr(module, "__name__", "")
