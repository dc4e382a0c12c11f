"""Scenario files: what is in them counts, and what cannot be is refused by name."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.simulate import draws, scenario
from bench.simulate.draws import SECOND
from bench.simulate.runs import run
from bench.simulate.scenario import FOLDER, Group, NoRecording, Scenario, load, names, parse
from distributor.errors import BadConfig
from tests.docs.pages import ROOT
from tests.real import need_data

FIELDS = {field.name: field for field in msgspec.structs.fields(Scenario)}
DEFAULTS = {name: field.default for name, field in FIELDS.items()}
NUMBERS = [name for name, value in DEFAULTS.items() if isinstance(value, float)]
SHARES = [name for name in NUMBERS if name.endswith("_share")]


def problems(tables: dict[str, Any]) -> list[str]:
    with pytest.raises(BadConfig) as refused:
        parse(tables)
    return refused.value.problems


def test_an_empty_file_is_the_ordinary_shift() -> None:
    assert parse({}) == Scenario()


@given(st.dictionaries(st.sampled_from(NUMBERS), st.floats(1.0, 1.0)))
def test_every_number_can_be_given(tables: dict[str, float]) -> None:
    # The three classes of reps exclude each other: their shares may not be above 1 together.
    for one, other in (("lag_share", "absent_share"), ("lifo_share", "random_share")):
        if one in tables or other in tables:
            tables = {**tables, one: 0.5, other: 0.5}
    found = parse(tables)
    assert {key: getattr(found, key) for key in tables} == tables
    others = set(FIELDS) - set(tables)
    assert all(getattr(found, key) == DEFAULTS[key] for key in others)


@given(st.text(min_size=1).filter(lambda key: key not in FIELDS))
def test_an_unknown_key_is_named(key: str) -> None:
    (problem,) = problems({key: 1.0, "load": 0.5})
    assert problem.startswith(f"{key}: no such key; ")


def test_a_typing_mistake_is_answered_with_the_key_that_was_meant() -> None:
    assert problems({"lod": 0.5}) == ["lod: no such key; did you mean load?"]


def test_faults_of_every_kind_are_reported_at_once() -> None:
    assert problems(
        {"lod": 0.8, "load": -1, "reps": "many", "side_share": 2, "lease_seconds": 0}
    ) == [
        "lod: no such key; did you mean load?",
        "reps: expected int, got str; give a value of that kind",
        "load: -1 cannot be; give a number that is not negative",
        "side_share: 2 is no share; give a number from 0 to 1",
        "lease_seconds: give a number above 0",
    ]


@given(st.sampled_from(sorted(FIELDS)), st.sampled_from(["many", {"a": 1}, [[["x"]]], None]))
def test_a_value_of_another_kind_is_refused_with_its_key(key: str, value: Any) -> None:
    texts = {"arrivals": "many"}
    may_be_none = key in ("allslow_window", "arrivals_begin") and value is None
    if texts.get(key) == value or may_be_none:
        return
    (problem,) = problems({key: value})
    assert problem.startswith(f"{key}: ")
    assert "give" in problem


@given(st.sampled_from(SHARES), st.floats(1.01, 9.0) | st.floats(-9.0, -0.01))
def test_a_share_is_between_none_and_all(key: str, value: float) -> None:
    assert any(problem.startswith(f"{key}: ") for problem in problems({key: value}))


@pytest.mark.parametrize(
    ("tables", "key"),
    [
        ({"reps": 0}, "reps"),
        ({"hours": 0}, "hours"),
        ({"hours": float("inf")}, "hours"),
        ({"batch_mean": 0.5}, "batch_mean"),
        ({"burst_window": [9, 1]}, "burst_window"),
        ({"lag_share": 0.6, "absent_share": 0.6}, "absent_share"),
        ({"lifo_share": 0.6, "random_share": 0.6}, "random_share"),
        ({"qualities": []}, "qualities"),
        ({"qualities": [[0, 1]]}, "qualities"),
        ({"qualities": [[1, 0]]}, "qualities"),
        ({"groups": [{"id": "a", "leads": 0, "reps": 1}]}, "groups"),
        ({"groups": [{"id": "a", "leads": 1, "reps": 1}] * 2}, "groups"),
        ({"groups": [{"id": "a", "leads": 1}]}, "groups"),
    ],
)
def test_what_makes_no_world_is_refused_with_its_key(tables: dict[str, Any], key: str) -> None:
    (problem,) = problems(tables)
    assert problem.startswith(f"{key}: ")


def test_all_problems_of_a_file_are_told_at_once() -> None:
    found = problems({"lod": 1, "reps": "ten", "curve": "steep"})
    assert [problem.partition(":")[0] for problem in found] == ["lod", "reps", "curve"]


def test_groups_are_read() -> None:
    found = parse({"groups": [{"id": "auto", "leads": 2, "reps": 0.5}]})
    assert found.groups == (Group("auto", 2.0, 0.5),)


def test_a_scenario_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadConfig, match=r"nowhere: there is none; .* s1-90"):
        load("nowhere")


def test_a_file_of_ones_own_is_read_and_its_problems_name_it(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("load = 0.4\n")
    assert load(str(path)).load == 0.4
    path.write_text("load = ")
    with pytest.raises(BadConfig, match=r"mine\.toml: cannot be read"):
        load(str(path))
    path.write_text("loads = 1\n")
    with pytest.raises(BadConfig, match=r"mine.toml: loads: no such key; did you mean load\?"):
        load(str(path))


def test_a_trace_is_looked_for_beside_the_scenario(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('arrivals = "floor.csv"\nhours = 1\n')
    with pytest.raises(BadConfig, match=r"arrivals: no file .*floor.csv; give"):
        load(str(path))
    (tmp_path / "floor.csv").write_text(
        "ts,event,lead,rep,detail\n"
        "2026-01-01T09:00:00,lead_in,a,,\n"
        "2026-01-01T09:00:05,contact,a,r1,\n"
        "2026-01-01T09:00:30,lead_in,b,,\n"
        "2026-01-01T09:00:40,lead_in,b,,again\n"
        "2026-01-01T11:00:00,lead_in,late,,\n"
    )
    assert run(load(str(path)), "pool", 1).figures.leads == 2
    path.write_text('arrivals = "floor.csv"\narrivals_begin = 2026-01-01T09:00:10\nhours = 2\n')
    world = load(str(path))
    people = draws.people(world, 1)
    assert draws.shift(world, people, 1).leads.at == [20 * SECOND, 7190 * SECOND]
    path.write_text('arrivals = "floor.csv"\narrivals_speed = 30\n')
    assert draws.shift(load(str(path)), people, 1).leads.at == [0, SECOND, 240 * SECOND]
    path.write_text('arrivals = "floor.csv"\narrivals_begin = 2026-01-02T09:00:00\n')
    with pytest.raises(BadConfig, match=r"no lead_in line from 2026-01-02 09:00:00 on; give an"):
        load(str(path))
    (tmp_path / "floor.csv").write_text("ts,event\nyesterday,lead_in\n")
    path.write_text('arrivals = "floor.csv"\nhours = 2\n')
    with pytest.raises(BadConfig, match=r"arrivals: .* cannot be read"):
        load(str(path))
    (tmp_path / "floor.csv").write_text("ts,event,lead\n")
    path.write_text('arrivals = "floor.csv"\nhours = 3\n')
    with pytest.raises(BadConfig, match=r"arrivals: .* has no lead_in line"):
        load(str(path))


def test_a_recording_is_looked_for_where_recordings_are(tmp_path, monkeypatch) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('arrivals = "traces/floor.csv"\n')
    monkeypatch.setenv("DISTRIBUTOR_DATA", str(tmp_path / "data"))
    with pytest.raises(NoRecording, match=r"no .*/data/traces/floor.csv; .*DISTRIBUTOR_DATA"):
        load(str(path))
    (tmp_path / "data" / "traces").mkdir(parents=True)
    trace = tmp_path / "data" / "traces" / "floor.csv"
    trace.write_text("ts,event,lead\n2026-01-01T09:00:00,lead_in,a\n")
    assert load(str(path)).arrivals == str(trace)


# -- those that come along ------------------------------------------------------------------------


@pytest.mark.parametrize("name", names())
def test_a_shipped_scenario_gives_only_what_differs_and_runs(name: str) -> None:
    tables = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    if "arrivals" in tables:
        need_data(tables["arrivals"])
    world = load(name)
    same = [key for key in tables if key != "load" and getattr(world, key) == DEFAULTS[key]]
    assert same == []
    sparse = world.leads_per_hour > 0
    brief = msgspec.structs.replace(world, hours=4.0 if sparse else 0.05, drain_seconds=300.0)
    for policy in ("lease", "pool"):
        assert run(brief, policy, 1).figures.leads > 0


@pytest.mark.parametrize(
    "name",
    ["s1-50", "s1-70", "s1-90", "s1-100", "s1-105", "s2-allslow", "s3-burner", "s4-gamer", "s5-burst",
     "s6-leave", "s7-sparse", "s8-contact-only", "s9-no-sloppy", "s10-cold-start", "s11-20", "s11-200",
     "reaction", "s1-90-events", "s1-90-events-20-missing", "s1-90-history", "groups"],
)  # fmt: skip
def test_the_scenarios_of_the_model_are_there(name: str) -> None:
    assert name in scenario.names()


def test_the_page_about_the_simulator_has_every_key_and_every_scenario() -> None:
    page = (ROOT / "docs" / "simulator.md").read_text()
    missing = [word for word in (*FIELDS, *names()) if f"`{word}`" not in page]
    assert missing == []
