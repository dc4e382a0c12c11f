"""Chance, drawn before the world begins: the same arrivals, traits and absences for every policy.

Each purpose has a random stream of its own, so that a scenario that changes one thing changes nothing
else. What belongs to a lead (its quality, how long it takes) is drawn with the lead; how soon a rep picks
up is drawn anew for each delivery, from that rep's stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from math import exp, log, sqrt
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bench.simulate.scenario import POISSON, Scenario, Span
from bench.simulate.traces import arrivals_of

SECOND: Final = 1_000_000_000
FOREVER: Final = 2**62
WINDOW_SECONDS: Final = 900.0
"""The rate is drawn anew so often (overdispersion)."""
MOST_TIMES: Final = 2.2
"""The highest factor that such a window draws."""
_CHUNK: Final = 256


class Purpose(IntEnum):
    """The random streams. A new one goes to the end."""

    ARRIVALS = 0
    BATCHES = 1
    WINDOWS = 2
    QUALITY = 3
    HANDLING = 4
    SIDE = 5
    DISPOSITION = 6
    CONVERSION = 7
    GROUP = 8
    SPEED = 9
    PICKUP_SPEED = 10
    SKILL = 11
    ORDER = 12
    SLOPPY = 13
    CLASS = 14
    BREAK = 15
    LAG = 16
    ABSENCE = 17
    LEAVE = 18
    BURNER = 19
    GAMER = 20
    EVENTS = 21
    REP_GROUP = 22
    PICKUP = 23
    PICK = 24
    EVENT_DELAY = 25


def stream(seed: int, shift: int, purpose: Purpose, *more: int) -> np.random.Generator:
    """The generator of one purpose. ``shift`` 0 is the measured one; traits belong to no shift (-1)."""
    return np.random.Generator(np.random.PCG64([seed, shift + 1, int(purpose), *more]))


class Person(Struct, frozen=True):
    """A rep's nature: what no event tells."""

    name: str
    handling: float
    pickup: float
    skill: float
    order: int
    sloppy: bool
    burner: bool
    gamer: bool
    reports: bool
    groups: frozenset[int]


FIFO, LIFO, RANDOM = 0, 1, 2


class Roster(Struct, frozen=True):
    """What one shift has in store for a rep, in ns from its begin; empty spans: nothing."""

    away: tuple[int, int] = (0, 0)
    lag: tuple[int, int] = (0, 0)
    absent: tuple[int, int] = (0, 0)
    leaves: int = 0


class Leads(Struct, frozen=True):
    """All leads of one shift, one entry each, by time of arrival."""

    at: list[int]
    quality: list[float]
    work: list[float]
    side: list[int]
    heard: list[float]
    delay: list[float]
    chance: list[float]
    group: list[int]

    def __len__(self) -> int:
        return len(self.at)


class Shift(Struct, frozen=True):
    """One shift's leads and absences."""

    leads: Leads
    rosters: tuple[Roster, ...]


def people(scenario: Scenario, seed: int) -> tuple[Person, ...]:
    """The reps: the same in every shift of a seed."""
    n = scenario.reps

    def uniform(purpose: Purpose) -> list[float]:
        return [float(x) for x in stream(seed, -1, purpose).random(n)]

    speed, pickup = uniform(Purpose.SPEED), uniform(Purpose.PICKUP_SPEED)
    order, sloppy = uniform(Purpose.ORDER), uniform(Purpose.SLOPPY)
    burner, gamer = uniform(Purpose.BURNER), uniform(Purpose.GAMER)
    silent = uniform(Purpose.EVENTS)
    normal = stream(seed, -1, Purpose.SKILL).standard_normal(n)
    sigma = scenario.skill_sigma
    groups = _groups_of(scenario, seed)
    found = []
    for i in range(n):
        burns = burner[i] < scenario.burner_share
        found.append(
            Person(
                name=f"rep{i:04d}",
                handling=scenario.burner_handling
                if burns
                else scenario.handling_mean * scenario.handling_spread ** (speed[i] - 0.5),
                pickup=scenario.burner_lag
                if burns
                else scenario.pickup_median * scenario.pickup_spread ** (pickup[i] - 0.5),
                skill=scenario.burner_skill
                if burns
                else exp(sigma * float(normal[i]) - 0.5 * sigma * sigma),
                order=_order(scenario, order[i]),
                sloppy=sloppy[i] < scenario.sloppy_share,
                burner=burns,
                gamer=gamer[i] < scenario.gamer_share,
                reports=scenario.agent_events and silent[i] >= scenario.events_missing_share,
                groups=groups[i],
            )
        )
    return tuple(found)


def _order(scenario: Scenario, u: float) -> int:
    if u < scenario.random_share:
        return RANDOM
    return LIFO if u < scenario.random_share + scenario.lifo_share else FIFO


def _groups_of(scenario: Scenario, seed: int) -> list[frozenset[int]]:
    """Which groups' leads each rep may have."""
    count = len(scenario.groups)
    if not count:
        return [frozenset({0})] * scenario.reps
    drawn = stream(seed, -1, Purpose.REP_GROUP).random((scenario.reps, count + 1))
    found = []
    for row in drawn:
        skills = {g for g in range(count) if row[g] < scenario.groups[g].reps}
        found.append(frozenset(skills or {int(row[count] * count)}))
    return found


def capacity(crew: tuple[Person, ...]) -> float:
    """C: leads a second that all reps could handle, were they never away."""
    return sum(1.0 / (person.handling + 18.0) for person in crew)


def shift(scenario: Scenario, crew: tuple[Person, ...], seed: int, number: int = 0) -> Shift:
    """One shift; ``number`` 0 is the measured one, 1, 2, ... those before it."""
    return Shift(_leads(scenario, crew, seed, number), _rosters(scenario, crew, seed, number))


def _arrivals(
    scenario: Scenario, crew: tuple[Person, ...], seed: int, number: int
) -> NDArray[np.float64]:
    """Times of arrival in seconds: a Poisson process of batches whose rate moves."""
    if scenario.arrivals != POISSON:
        speed = scenario.arrivals_speed
        span = scenario.shift_seconds * speed
        return arrivals_of(scenario.arrivals, span, scenario.arrivals_begin) / speed
    grid = np.arange(0.0, scenario.shift_seconds + 1.0)
    rate = _rate(scenario, crew, grid, stream(seed, number, Purpose.WINDOWS))
    passed = np.concatenate([[0.0], np.cumsum(rate[:-1] * np.diff(grid))]) / scenario.batch_mean
    most = float(passed[-1])
    chance = stream(seed, number, Purpose.ARRIVALS)
    steps = chance.standard_exponential(int(most + 8.0 * sqrt(most) + 32.0))
    ticks = np.cumsum(steps)
    ticks = ticks[ticks < most]
    begins = np.interp(ticks, passed, grid)
    sizes = stream(seed, number, Purpose.BATCHES).geometric(1.0 / scenario.batch_mean, len(begins))
    ends = np.cumsum(sizes)
    place = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - sizes, sizes)
    return np.sort(np.repeat(begins, sizes) + 0.01 * place)


def _rate(
    scenario: Scenario,
    crew: tuple[Person, ...],
    grid: NDArray[np.float64],
    chance: np.random.Generator,
) -> NDArray[np.float64]:
    """Leads a second at each second of the shift."""
    if scenario.leads_per_hour:
        base = scenario.leads_per_hour / 3600.0
    else:
        base = scenario.load * capacity(crew) * scenario.availability
    wave = 1.0 + scenario.modulation * np.sin(3.0 * np.pi * grid / scenario.shift_seconds)
    rate = base * np.maximum(0.0, wave)
    cv = scenario.overdispersion
    if cv > 0.0:
        count = int(grid[-1] / WINDOW_SECONDS) + 1
        factors = np.minimum(MOST_TIMES, chance.gamma(1.0 / cv**2, cv**2, count))
        rate = rate * factors[(grid / WINDOW_SECONDS).astype(int)]
    if scenario.burst != 1.0:
        low, high = scenario.burst_window
        rate = np.where((grid >= low) & (grid < high), rate * scenario.burst, rate)
    return np.asarray(rate)


def _leads(scenario: Scenario, crew: tuple[Person, ...], seed: int, number: int) -> Leads:
    at = _arrivals(scenario, crew, seed, number)
    n = len(at)

    def chance(purpose: Purpose) -> np.random.Generator:
        return stream(seed, number, purpose)

    weights = np.array([q for q, _ in scenario.qualities])
    shares = np.array([p for _, p in scenario.qualities])
    bounds = np.cumsum(shares / shares.sum())[:-1]
    quality = weights[np.searchsorted(bounds, chance(Purpose.QUALITY).random(n), side="right")]
    variance = log(1.0 + scenario.handling_cv**2)
    deviate = chance(Purpose.HANDLING).standard_normal(n)
    work = np.exp(sqrt(variance) * deviate - 0.5 * variance)
    side_chance = chance(Purpose.SIDE)
    rests = side_chance.random(n) < scenario.side_share
    side = np.where(rests, side_chance.exponential(scenario.side_mean, n), 0.0)
    said = chance(Purpose.DISPOSITION)
    heard, delay = said.random(n), said.standard_exponential(n)
    return Leads(
        at=_ns(at),
        quality=quality.tolist(),
        work=work.tolist(),
        side=_ns(side),
        heard=heard.tolist(),
        delay=delay.tolist(),
        chance=chance(Purpose.CONVERSION).random(n).tolist(),
        group=_lead_groups(scenario, chance(Purpose.GROUP), n),
    )


def _lead_groups(scenario: Scenario, chance: np.random.Generator, n: int) -> list[int]:
    if not scenario.groups:
        return [0] * n
    shares = np.array([group.leads for group in scenario.groups])
    bounds = np.cumsum(shares / shares.sum())[:-1]
    return [int(g) for g in np.searchsorted(bounds, chance.random(n), side="right")]


def _ns(seconds: NDArray[np.float64]) -> list[int]:
    return [int(x) for x in np.rint(seconds * SECOND).astype(np.int64)]


def _rosters(
    scenario: Scenario, crew: tuple[Person, ...], seed: int, number: int
) -> tuple[Roster, ...]:
    n = len(crew)

    def draw(purpose: Purpose) -> NDArray[np.float64]:
        return stream(seed, number, purpose).random((n, 3))

    kind, rest, lag = draw(Purpose.CLASS), draw(Purpose.BREAK), draw(Purpose.LAG)
    gone, leave = draw(Purpose.ABSENCE), draw(Purpose.LEAVE)
    hidden = round(scenario.absent_forever_share * n)
    found = []
    for i in range(n):
        lags = kind[i, 0] < scenario.lag_share
        absent = not lags and kind[i, 0] < scenario.lag_share + scenario.absent_share
        minutes = scenario.absent_minutes
        away = minutes[0] + (minutes[1] - minutes[0]) * float(gone[i, 1])
        absence = _span(scenario, scenario.absent_start, gone[i, 0], away) if absent else (0, 0)
        found.append(
            Roster(
                away=_span(scenario, scenario.break_start, rest[i, 0], scenario.break_minutes)
                if rest[i, 1] < scenario.break_share
                else (0, 0),
                lag=_span(scenario, scenario.lag_start, lag[i, 0], scenario.lag_minutes)
                if lags
                else (0, 0),
                absent=(0, FOREVER) if i < hidden else absence,
                leaves=_span(scenario, scenario.leave_start, leave[i, 0], 0.0)[0]
                if leave[i, 1] < scenario.leave_share
                else 0,
            )
        )
    return tuple(found)


def _span(scenario: Scenario, start: Span, u: float, minutes: float) -> tuple[int, int]:
    begin = scenario.shift_seconds * (start[0] + (start[1] - start[0]) * float(u))
    return round(begin * SECOND), round((begin + 60.0 * minutes) * SECOND)


def numbers(seed: int, number: int, purpose: Purpose, rep: int, kind: str) -> Iterator[float]:
    """An endless supply for one rep: ``normal`` or ``uniform``."""
    chance = stream(seed, number, purpose, rep)
    while True:
        drawn = chance.standard_normal(_CHUNK) if kind == "normal" else chance.random(_CHUNK)
        yield from drawn.tolist()
