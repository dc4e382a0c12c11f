"""``python -m bench simulate`` as people and programs use it, and other constants for ``lease``."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bench.__main__ import main
from bench.simulate import goals, other_worlds, tuning
from bench.simulate.bound import BOUND
from bench.simulate.goals import Goal, Measured
from bench.simulate.results import Results
from bench.simulate.runs import Ran, run
from bench.simulate.scenario import NoRecording, Scenario, names, parse
from distributor.domain.faults import PolicyMisbehaved
from distributor.errors import BadConfig
from policies.lease import choice, revocation, roster, settings
from policies.lease.settings import FIRM

CONTRACT = (
    "w60", "w300", "p50", "p95", "p99", "dv", "never_contacted", "reclaims_per_lead", "gini",
    "false_throttle",
)  # fmt: skip


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    path = tmp_path / "tiny.toml"
    path.write_text("reps = 6\nhours = 0.2\nload = 0.8\n")
    return str(path)


def command(*words: str) -> int:
    return main(["simulate", *words])


def last_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_each_policy_and_the_bound_have_every_figure_with_its_interval(tiny, capsys) -> None:
    given = ["--policy", "lease", "fair:1", "--seeds", "1-2", "--jobs", "1", "--json"]
    assert command("--scenario", tiny, *given) == 0
    found = last_json(capsys)
    assert (found["scenario"], found["seeds"]) == (tiny, [1, 2])
    assert list(found["policies"]) == ["lease", "fair:1", BOUND]
    for policy in found["policies"].values():
        for name in CONTRACT:
            figure = policy[name]
            if figure is not None:  # nobody is healthy: no false throttle
                assert figure["low"] <= figure["mean"] <= figure["high"]
    assert found["policies"][BOUND]["dv_of_pool"]["mean"] == 1.0


def test_several_scenarios_stand_side_by_side(tiny, tmp_path, capsys) -> None:
    other = tmp_path / "other.toml"
    other.write_text("reps = 4\nhours = 0.1\n")
    command("--scenario", tiny, str(other), "--seeds", "7", "--jobs", "1", "--json")
    found = last_json(capsys)["scenarios"]
    assert [one["scenario"] for one in found] == [tiny, str(other)]
    assert found[0]["policies"]["lease"]["w60"]["low"] is None  # one run tells no interval


def test_the_tables_are_for_people(tiny, capsys) -> None:
    assert command("--scenario", tiny, "--seeds", "1", "--jobs", "1") == 0
    shown = capsys.readouterr().out
    assert "6 reps" in shown
    for word in (*CONTRACT, "lease", "longest_idle", "pool", "events/s"):
        assert word in shown


def test_pictures_are_drawn_where_they_are_asked_for(tmp_path, capsys) -> None:
    words = []
    for load in (0.5, 0.9):
        path = tmp_path / f"at-{load}.toml"
        path.write_text(f"load = {load}\n")
        words.append(str(path))
    # Full shifts, so that reps lag; the bounds alone, for they are quick.
    given = [
        "--policy",
        "pool_fifo",
        "--seeds",
        "1",
        "--jobs",
        "1",
        "--plot",
        str(tmp_path / "new"),
    ]
    assert command("--scenario", *words, *given) == 0
    made = {path.name: path.stat().st_size for path in (tmp_path / "new").iterdir()}
    assert set(made) == {
        "delay-at-0.5.png", "delay-at-0.9.png", "lag-at-0.5.png", "lag-at-0.9.png", "load.png",
    }  # fmt: skip
    assert min(made.values()) > 5_000
    assert "drew" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--policy", "nope"], "'nope' is not installed"),
        (["--policy", "lease:0"], "the window must be 1 or more"),
        (["--policy", "lease:x"], "give NAME or NAME:WINDOW"),
        (["--seeds", "8-1"], "give at least one seed"),
        (["--seeds", "one"], "give seeds as 1-8"),
        (["--set", "RESERVE"], "give NAME=NUMBER"),
        (["--jobs", "0"], "1 or more"),
        (["--other-worlds", "--goals"], "not allowed with argument"),
    ],
)
def test_what_cannot_be_is_refused_with_its_option(words, said, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        command(*words)
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert words[0] in last
    assert said in last


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scenario", "nope"], "scenario nope: there is none; "),
        (["--set", "RESERVED=1"], "--set RESERVED: no such constant; known: "),
        (["--goals", "--scenario", "s1-90"], "--goals: it has its own scenarios"),
        (
            ["--other-worlds", "--policy", "fair", "lease"],
            "--other-worlds: it has its own scenarios, and",
        ),
    ],
)
def test_what_cannot_be_is_told_in_one_line(words, said, capsys) -> None:
    assert command(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bench simulate: {said}")


def test_a_policy_that_goes_astray_is_named_with_the_run(tiny, monkeypatch, capsys) -> None:
    def astray(*_: object, **__: object) -> None:
        raise PolicyMisbehaved("rep ana has no free slot")

    monkeypatch.setattr("bench.simulate.workers.run", astray)
    assert command("--scenario", tiny, "--policy", "lease", "--seeds", "3", "--jobs", "1") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"bench simulate: lease on {tiny}, seed 3: rep ana has no free slot"


# -- the goals ------------------------------------------------------------------------------------


def test_every_goal_stands_on_a_scenario_that_comes_along() -> None:
    assert set(goals.needed("lease")) <= set(names())
    assert goals.needed("lease")["s3-burner"] == ["lease", "pool_best", BOUND, "longest_idle"]


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Measured(None), "not measured"),
        (Measured(0.9), "reached"),
        (Measured(0.899), "NOT REACHED"),
        (Measured(0.91, 0.896), "reached"),
        (Measured(0.91, 0.894), "mean only"),
    ],
)
def test_a_goal_is_reached_when_the_mean_and_its_limit_are(found: Measured, verdict: str) -> None:
    goal = Goal("G1", "s1-90", "dv of pool", 0.9, least=True, measure=lambda *_: found)
    assert goal.verdict(found) == verdict


def test_a_goal_may_be_an_upper_limit() -> None:
    goal = Goal("G6", "s1-90", "recalls", 0.2, least=False, measure=lambda *_: Measured(0.3))
    assert goal.verdict(Measured(0.2)) == "reached"
    assert goal.verdict(Measured(0.3)) == "NOT REACHED"


def test_all_goals_are_measured_and_printed(monkeypatch, tmp_path, capsys) -> None:
    """On floors so small that the figures mean nothing."""
    from bench.simulate import scenario

    def small(name: str) -> scenario.Scenario:
        from msgspec.structs import replace

        return replace(scenario.parse({}), reps=4, hours=0.1, drain_seconds=60.0)

    monkeypatch.setattr("bench.simulate.scenario.load", small)
    assert command("--goals", "--seeds", "1", "--jobs", "1", "--json") == 0
    printed = capsys.readouterr().out
    found = json.loads(printed.splitlines()[-1])["goals"]
    assert {goal["goal"] for goal in found} >= {f"G{i}" for i in (1, 2, 3, 4, 5, 6, 7, 8, 10)}
    assert {goal["verdict"] for goal in found} >= {"reached", "NOT REACHED", "not measured"}
    assert f"of {len(found)} reached" in printed
    assert "take more seeds for the 150" in printed
    assert f"reaction: seeds 1 to {goals.MOST_RUNS}, " in printed


def test_the_reaction_is_run_on_as_many_seeds_as_have_enough_lag_episodes() -> None:
    from msgspec.structs import replace

    some = replace(parse({}), reps=30, hours=0.1, lag_share=0.2)
    seeds = goals.enough("reaction", some, (101, 102))
    assert seeds == tuple(range(101, 101 + len(seeds)))
    seen = [run(some, BOUND, seed).figures.lag_episodes for seed in seeds]
    assert sum(seen) >= goals.EPISODES > sum(seen[:-1])
    assert goals.enough("s1-90", some, (101, 102)) == (101, 102)
    assert goals.enough("reaction", replace(some, reps=900), (7,)) == (7,)
    assert len(goals.enough("reaction", replace(some, lag_share=0.0), (7,))) == goals.MOST_RUNS


# -- other worlds --


def small(**more: float) -> Scenario:
    return parse({"reps": 3, "hours": 0.1, "drain_seconds": 60.0, **more})


def test_every_other_world_and_its_neighbour_come_along() -> None:
    assert set(other_worlds.needed("lease")) <= set(names())
    assert other_worlds.needed("lease")["s1-80"] == ["lease", BOUND]


def test_other_worlds_stand_beside_their_neighbours(monkeypatch, capsys) -> None:
    """On floors so small that the figures mean nothing. One recording is missing."""

    def load(name: str) -> Scenario:
        if name == "other-fire":
            raise NoRecording(["arrivals: no file"])
        return small(lag_share=0.5)

    monkeypatch.setattr("bench.simulate.scenario.load", load)
    assert (
        command("--other-worlds", "--policy", "fair:1", "--seeds", "1", "--jobs", "1", "--json")
        == 0
    )
    printed = capsys.readouterr().out
    assert "left out: arrivals: no file" in printed
    assert "more than 3 points below its neighbour: none" in printed
    found = json.loads(printed.splitlines()[-1])["other_worlds"]
    assert [one["scenario"] for one in found] == [
        place for place in other_worlds.NEIGHBOURS if place != "other-fire"
    ]
    assert {one["points"] for one in found} == {0.0}
    assert {one["neighbour"] for one in found} == {"s1-90", "s1-80"}
    assert set(found[0]["oscillation"]) == set(other_worlds.OSCILLATION)


@pytest.mark.parametrize(("share", "falls"), [(0.91, False), (0.89, True)])
def test_a_world_falls_when_its_share_is_three_points_lower(share, falls, capsys) -> None:
    ran = run(small(), BOUND, 1)

    def worth(dv: float) -> Ran:
        return replace(ran, figures=replace(ran.figures, dv=dv))

    shares = {"other-lrm": share, "s1-90": 0.93}
    runs = {(place, "lease", 1): worth(dv) for place, dv in shares.items()}
    runs |= {(place, BOUND, 1): worth(1.0) for place in shares}
    results = Results(dict.fromkeys(shares, small()), {place: [1] for place in shares}, runs)
    (found,) = other_worlds.show(results, "lease")
    assert found["falls"] is falls
    assert ("other-lrm" in capsys.readouterr().out.splitlines()[-1]) is falls


def test_of_all_scenarios_those_without_their_recording_are_left_out(
    tmp_path, monkeypatch, capsys
) -> None:
    (tmp_path / "one.toml").write_text("reps = 3\nhours = 0.1\n")
    (tmp_path / "two.toml").write_text('arrivals = "nowhere.csv"\n')
    monkeypatch.setattr("bench.simulate.scenario.FOLDER", tmp_path)
    given = ["--policy", "pool_fifo", "--seeds", "1", "--jobs", "1"]
    assert command("--scenario", "all", *given) == 0
    printed = capsys.readouterr().out
    assert "left out: scenario two: arrivals: no file" in printed
    assert "one: 3 reps" in printed
    assert command("--scenario", "two", *given) == 2
    assert "scenario two: arrivals: no file" in capsys.readouterr().err


# -- other constants ------------------------------------------------------------------------------


def test_a_constant_is_changed_wherever_it_is_used_and_put_back() -> None:
    before = settings.PRICE_FRESH, settings.RESERVE
    with tuning.tuned({"PRICE_FRESH": 0.05, "RESERVE": 0.2, "STEAL_LIMIT": 6}):
        assert (settings.PRICE_FRESH, revocation.PRICE_FRESH) == (0.05, 0.05)
        assert roster.RESERVE == 0.2
        assert revocation.STEAL_LIMIT == 6
        assert isinstance(revocation.STEAL_LIMIT, int)
    assert before == (settings.PRICE_FRESH, settings.RESERVE)
    assert before == (revocation.PRICE_FRESH, roster.RESERVE)


def test_a_field_of_the_firm_form_is_changed() -> None:
    from policies.lease import policy

    with tuning.tuned({"free_from": 0.5}):
        assert (settings.FIRM.free_from, policy.FIRM.free_from) == (0.5, 0.5)
    assert policy.FIRM is FIRM


def test_an_unknown_constant_changes_nothing() -> None:
    with pytest.raises(BadConfig, match="--set RESERVES: no such constant; known: "):
        tuning.tune({"RESERVE": 0.5, "RESERVES": 0.5})
    assert roster.RESERVE == settings.RESERVE == 0.12


def test_no_other_constant_is_made_from_one_that_can_be_set() -> None:
    """It would keep the old value."""
    for name, module in list(sys.modules.items()):
        if not name.startswith("policies.lease."):
            continue
        for node in ast.parse(Path(str(module.__file__)).read_text()).body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                used = {part.id for part in ast.walk(node.value) if isinstance(part, ast.Name)}
                assert not used & set(tuning.names()), f"{name}: {ast.unparse(node)}"
            for part in ast.walk(node):
                if isinstance(part, ast.arguments):
                    defaults = [d for d in (*part.defaults, *part.kw_defaults) if d is not None]
                    used = {p.id for d in defaults for p in ast.walk(d) if isinstance(p, ast.Name)}
                    assert not used & set(tuning.names())


@pytest.mark.long
def test_a_changed_constant_changes_the_runs(tiny, capsys) -> None:
    given = ["--scenario", tiny, "--policy", "lease", "--seeds", "1", "--json", "--jobs"]
    command(*given, "1")
    usual = last_json(capsys)["policies"]["lease"]["reclaims_per_lead"]["mean"]
    figures = []
    for jobs in ("1", "2"):
        command(*given, jobs, "--set", "STEAL_LIMIT=0", "UNLIMITED_AGE=99999", "probe_limit=99999")
        found = last_json(capsys)
        assert list(found["policies"]) == ["lease", BOUND]  # whichever ended first
        assert found["set"] == {"STEAL_LIMIT": 0, "UNLIMITED_AGE": 99999, "probe_limit": 99999}
        figures.append(found["policies"]["lease"]["reclaims_per_lead"]["mean"])
    assert figures[0] == figures[1] < usual
    assert choice.FAIRNESS == settings.FAIRNESS
