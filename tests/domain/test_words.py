"""Ids, time, draws, the curve and the floor: small values that everything else leans on."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from distributor.domain import decisions, events
from distributor.domain.curve import CURVE_POINTS, worth
from distributor.domain.draws import draw
from distributor.domain.floor import Floor, FlowPlan, PoolPlan, RepPlan
from distributor.domain.ids import (
    NANOSECONDS,
    assignment_id,
    is_name,
    lead_key,
    lead_key_of,
    moment,
    to_ns,
    to_seconds,
)
from distributor.domain.lead import Lead
from distributor.domain.rep import FOREVER_NS, Flow, Rep


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


MORNING_NS = 1_795_500_000 * NANOSECONDS
HOUR_NS = 3600 * NANOSECONDS


@pytest.mark.parametrize(
    ("at_ns", "now_ns", "text"),
    [
        (MORNING_NS, MORNING_NS + HOUR_NS, "06:00:00Z"),
        (MORNING_NS + NANOSECONDS // 2, MORNING_NS, "06:00:01Z"),
        (MORNING_NS, MORNING_NS + 24 * HOUR_NS, "2026-11-24 06:00:00Z"),
        (MORNING_NS, 0, "2026-11-24 06:00:00Z"),
    ],
)
def test_an_instant_for_people_names_its_day_unless_that_is_today(
    at_ns: int, now_ns: int, text: str
) -> None:
    assert moment(at_ns, now_ns) == text


def test_a_pause_says_when_it_ends() -> None:
    rep = Rep("ana", "north", paused_until_ns=MORNING_NS + HOUR_NS, pause_reason="coaching")
    flow = rep.flow_in_force(MORNING_NS)
    assert flow.because == "Paused by a supervisor: coaching."
    named = replace(rep, paused_by="mia").flow_in_force(MORNING_NS)
    assert named.because == "Paused by a supervisor (mia): coaching."
    assert flow.restores == "It ends at 07:00:00Z, or when a supervisor resumes the rep."
    rep.paused_until_ns = FOREVER_NS
    assert rep.flow_in_force(MORNING_NS).restores == "It ends when a supervisor resumes the rep."


def test_an_override_says_when_it_ends_whatever_the_policy_said_of_it() -> None:
    told = Flow(0.3, "manual", "Set to 30% by a supervisor.", "It ends at 06:30:00Z.", 7)
    rep = Rep("ana", "north", flow=told, override=0.3, override_until_ns=MORNING_NS + HOUR_NS)
    flow = rep.flow_in_force(MORNING_NS)
    assert (flow.value, flow.reason) == (0.3, "manual")
    assert flow.restores == "It ends at 07:00:00Z, or when a supervisor resumes the rep."


def test_the_wrap_up_after_a_call_is_a_state_and_the_pace_is_none() -> None:
    rep = Rep("ana", "north", state="ready", free_from_ns=MORNING_NS, wraps_up=True)
    assert rep.state_in_force(MORNING_NS - 1) == "wrap_up"
    assert rep.state_in_force(MORNING_NS) == "ready"
    rep.wraps_up = False
    assert rep.state_in_force(MORNING_NS - 1) == "ready"
    rep.paused_until_ns = FOREVER_NS
    assert rep.state_in_force(MORNING_NS) == "paused"
    rep.state = "offline"
    assert rep.state_in_force(MORNING_NS) == "offline"


@pytest.mark.parametrize(
    ("fields", "dialled", "untouched"),
    [
        ({}, False, True),
        ({"attempted_ns": 5}, True, False),
        ({"call_ns": 5}, True, False),
        ({"claimed_ns": 5}, False, False),
        ({"state": "working"}, False, False),
        ({"state": "waiting"}, False, False),
    ],
)
def test_what_says_that_a_call_began(
    fields: dict[str, Any], dialled: bool, untouched: bool
) -> None:
    given_ = {"state": "assigned", "received_ns": 1, "clock_ns": 1} | fields
    lead = Lead("K", "acme", "1", "default", **given_)
    assert (lead.dialled, lead.untouched) == (dialled, untouched)
