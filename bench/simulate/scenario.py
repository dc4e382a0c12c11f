"""The scenario: every key of the simulated world, its default, and the files that change some."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from bench import recordings
from bench.simulate.traces import arrivals_of
from distributor.errors import BadConfig

FOLDER: Final = Path(__file__).parents[1] / "scenarios"
POISSON: Final = "poisson"
Span = tuple[float, float]
"""From and until."""


class NoRecording(BadConfig):
    """The scenario needs a recording that is not there."""


class Group(Struct, frozen=True, forbid_unknown_fields=True):
    """A segment of the leads and the reps who have the skill for it.

    ``leads``: its share of the leads (relative to the other groups'). ``reps``: the chance of a rep to
    have the skill. A rep whom chance gives none has that of one group.
    """

    id: str
    leads: float
    reps: float


class Scenario(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The world of flow-control 3.1; a file gives what differs. Seconds and shares (0 to 1) unless the
    name says otherwise; ``*_start`` are shares of the shift, between which a start is drawn.
    """

    # The floor and its traffic.
    reps: int = 50
    hours: float = 4.0
    drain_seconds: float = 3600.0
    load: float = 0.9
    availability: float = 0.88
    leads_per_hour: float = 0.0
    arrivals: str = POISSON
    arrivals_begin: datetime | None = None
    arrivals_speed: float = 1.0
    batch_mean: float = 1.5
    overdispersion: float = 0.2
    modulation: float = 0.3
    burst: float = 1.0
    burst_window: Span = (7200.0, 7800.0)
    measured_seconds: float = 0.0
    history: int = 0
    # Leads and what they are worth.
    qualities: tuple[tuple[float, float], ...] = ((2.5, 0.2), (1.0, 0.6), (0.4, 0.2))
    conversion: float = 0.02
    curve: Literal["default", "lrm"] = "default"
    groups: tuple[Group, ...] = ()
    # The reps.
    handling_mean: float = 240.0
    handling_spread: float = 4.0
    handling_cv: float = 1.0
    pickup_median: float = 8.0
    pickup_spread: float = 4.0
    pickup_sigma: float = 0.6
    pickup_waiting: float = 3.0
    side_share: float = 0.15
    side_mean: float = 60.0
    lifo_share: float = 0.2
    random_share: float = 0.1
    skill_sigma: float = 0.35
    # What is said of the work.
    dispositions: Literal["all", "conversions"] = "all"
    disposition_delay: float = 2.0
    sloppy_share: float = 0.2
    sloppy_lost_share: float = 0.3
    sloppy_delay: float = 60.0
    agent_events: bool = False
    events_missing_share: float = 0.0
    events_delay: Span = (1.0, 5.0)
    # Who is away, and who is slow.
    break_share: float = 1.0
    break_start: Span = (0.15, 0.85)
    break_minutes: float = 15.0
    lag_share: float = 0.15
    lag_start: Span = (0.3, 0.55)
    lag_minutes: float = 45.0
    lag_factor: float = 30.0
    lag_handling: float = 2.0
    absent_share: float = 0.1
    absent_start: Span = (0.25, 0.65)
    absent_minutes: Span = (20.0, 40.0)
    absent_forever_share: float = 0.0
    allslow_window: Span | None = None
    allslow_lag: float = 6.0
    allslow_handling: float = 1.5
    leave_share: float = 0.0
    leave_start: Span = (0.3, 0.7)
    burner_share: float = 0.0
    burner_handling: float = 45.0
    burner_lag: float = 4.0
    burner_skill: float = 0.05
    gamer_share: float = 0.0
    gamer_seconds: float = 1.5
    gamer_evidence: Literal["dialer", "claimed"] = "dialer"
    # The floor's settings.
    pace_seconds: float = 0.0
    wrap_up_seconds: float = 0.0
    lease_seconds: float = 600.0
    visible_throttle: bool = True
    accept_claims: bool = False

    @property
    def shift_seconds(self) -> float:
        """H: from the first arrival to the last."""
        return self.hours * 3600.0

    @property
    def end_seconds(self) -> float:
        """The end of the drain: who is not contacted by then never is."""
        return self.shift_seconds + self.drain_seconds


def names() -> list[str]:
    """The scenarios that come with the bench."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(wanted: str) -> Scenario:
    """A scenario by its name, or from a file.

    Raises ``BadConfig`` when there is none, or naming the keys that are wrong in it; ``NoRecording``
    when the trace of its arrivals is missing.
    """
    path = Path(wanted) if wanted.endswith(".toml") else FOLDER / f"{wanted}.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        remedy = f"name a file that ends in .toml, or one of {', '.join(names())}"
        raise BadConfig([f"scenario {wanted}: there is none; {remedy}"]) from None
    except (OSError, ValueError) as error:
        raise BadConfig([f"scenario {wanted}: cannot be read: {error}"]) from error
    try:
        found = parse(tables)
    except BadConfig as error:
        raise BadConfig([f"scenario {wanted}: {problem}" for problem in error.problems]) from error
    if found.arrivals == POISSON:
        return found
    trace = _trace(wanted, path, found.arrivals)
    span = found.shift_seconds * found.arrivals_speed
    arrivals_of(trace, span, found.arrivals_begin)  # raises for what is no trace
    return msgspec.structs.replace(found, arrivals=trace)


def _trace(wanted: str, path: Path, arrivals: str) -> str:
    places = (path.parent / arrivals, recordings.folder() / arrivals)
    for place in places:
        if place.is_file():
            return str(place)
    remedy = f'give "{POISSON}" or a trace, relative to this file or to the folder of recordings'
    here, there = places
    problem = f"no file {here} and no {there}; {remedy} ({recordings.VARIABLE})"
    raise NoRecording([f"scenario {wanted}: arrivals: {problem}"])


def parse(tables: dict[str, Any]) -> Scenario:
    """A scenario from the tables of its file. Raises ``BadConfig`` with one line for each wrong key."""
    known = {field.name: field for field in msgspec.structs.fields(Scenario)}
    problems = [f"{key}: no such key; {_nearest(key, known)}" for key in tables if key not in known]
    usable = {}
    for key, value in tables.items():
        if key in known:
            try:
                usable[key] = msgspec.convert(value, known[key].type)
            except msgspec.ValidationError as error:
                problems.append(f"{key}: {_plain(error)}")
    scenario = Scenario(**usable)
    problems += _check(scenario)
    if problems:
        raise BadConfig(problems)
    return scenario


def _nearest(key: str, known: Iterable[str]) -> str:
    near = get_close_matches(key, known, 1)
    return f"did you mean {near[0]}?" if near else "docs/simulator.md lists all keys"


def _plain(error: msgspec.ValidationError) -> str:
    text = str(error).replace("`", "").split(" - at ", maxsplit=1)
    where = text[1].removeprefix("$") if len(text) > 1 else ""
    said = text[0][:1].lower() + text[0][1:]
    return f"{said}{f' at {where}' if where else ''}; give a value of that kind"


_ABOVE_ZERO: Final = (
    "hours", "handling_mean", "handling_spread", "handling_cv", "pickup_median", "pickup_spread",
    "availability", "arrivals_speed", "lag_factor", "lag_handling", "allslow_lag", "allslow_handling",
    "burner_handling", "burner_lag", "lease_seconds",
)  # fmt: skip


def _check(scenario: Scenario) -> list[str]:
    """What is of the right kind and cannot be all the same."""
    problems = []
    for field in msgspec.structs.fields(Scenario):
        key, value = field.name, getattr(scenario, field.name)
        if key.endswith("_share") and not 0.0 <= value <= 1.0:
            problems.append(f"{key}: {value:g} is no share; give a number from 0 to 1")
        elif isinstance(value, (int, float)) and not 0.0 <= value < float("inf"):
            problems.append(f"{key}: {value:g} cannot be; give a number that is not negative")
        elif key in _ABOVE_ZERO and value == 0.0:
            problems.append(f"{key}: give a number above 0")
        elif _is_span(value) and not 0.0 <= value[0] <= value[1]:
            problems.append(f"{key}: give two numbers, the smaller one first, none negative")
    return problems + _check_together(scenario)


def _is_span(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], float)


def _check_together(scenario: Scenario) -> list[str]:
    problems = []
    if scenario.reps < 1:
        problems.append("reps: give 1 or more")
    if scenario.batch_mean < 1.0:
        problems.append("batch_mean: give 1 or more leads")
    if scenario.lag_share + scenario.absent_share > 1.0:
        problems.append("absent_share: with lag_share it is above 1; lower one of them")
    if scenario.lifo_share + scenario.random_share > 1.0:
        problems.append("random_share: with lifo_share it is above 1; lower one of them")
    if not scenario.qualities or any(q <= 0.0 or p < 0.0 for q, p in scenario.qualities):
        problems.append("qualities: give pairs of a weight above 0 and a share")
    elif sum(p for _, p in scenario.qualities) <= 0.0:
        problems.append("qualities: give at least one share above 0")
    if any(
        not group.id or group.leads <= 0.0 or not 0 < group.reps <= 1 for group in scenario.groups
    ):
        problems.append("groups: give each an id, leads above 0 and reps above 0 up to 1")
    if len({group.id for group in scenario.groups}) < len(scenario.groups):
        problems.append("groups: give each another id")
    return problems
