"""The checks of the suite: what is tried of a policy, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from distributor.domain.faults import PolicyMisbehaved
from distributor.domain.policy import PolicyFactory
from policies.conformance import hash_seeds
from policies.conformance.floor import NAME, POOL, SmallFloor, play_again
from policies.conformance.recorder import Notes, recorded
from policies.conformance.scenes import (
    SEEDS,
    Scene,
    faults_and_claims,
    nothing_to_do,
    one_lead,
    scenes,
    seeded,
)
from policies.conformance.watch import Watch


class NotAGoodCitizen(AssertionError):
    """The policy breaks the rules of the game; the message lists how."""


def assert_good_citizen(factory: PolicyFactory) -> None:
    """Raise ``NotAGoodCitizen`` with every problem that ``check`` finds."""
    problems = check(factory)
    if problems:
        raise NotAGoodCitizen("\n".join(problems))


def check(factory: PolicyFactory) -> list[str]:
    """Run every scene and return the problems, one line each; empty: a good citizen."""
    return list(dict.fromkeys(find_problems(factory)))


def find_problems(factory: PolicyFactory) -> Iterator[str]:
    """The problems as they are found, quick checks first; a problem may come again."""
    yield from problems_here(factory)
    yield from problems_of_hashing(factory)


def problems_here(factory: PolicyFactory) -> Iterator[str]:
    """What shows in this process: everything but ``problems_of_hashing``."""
    alone: dict[str, tuple[Scene, Callable[[SmallFloor], str]]] = {
        "gives leads": (one_lead, _gives_leads),
        "nothing to do": (nothing_to_do, _asks_for_nothing),
        "no evidence": (faults_and_claims, _slows_nobody),
    }
    for name, (scene, verdict) in alone.items():
        floor, problem = _play(scene, factory)
        # Of a scene that broke off nobody can say what would still have come.
        too_early = problem and verdict is _gives_leads
        said = "" if floor is None or too_early else verdict(floor)
        yield from [f"{name}: {one}" for one in (said, problem) if one]
    for name, scene in scenes().items():
        yield from [f"{name}: {problem}" for problem in _check_scene(scene, factory)]


def problems_of_hashing(*factories: PolicyFactory) -> list[str]:
    """What shows when a scene is played in two processes that hash differently."""
    first, second, problem = hash_seeds.two_runs(*factories)
    if problem:
        return [f"hash seeds: {problem}"]
    for one, other in zip(first, second, strict=False):
        if one != other:
            return [f"intents depend on the hash seed: {one[:160]} | {other[:160]}"]
    if len(first) != len(second):
        return [f"intents depend on the hash seed: {len(first)} and {len(second)} of them"]
    return []


def seeded_log(factory: PolicyFactory) -> list[str]:
    """The intents of one seeded scene."""
    floor = SmallFloor(factory, window=2)
    seeded(SEEDS[0])(floor)
    return [str(intent) for intent in floor.intents]


def _play(scene: Scene, factory: PolicyFactory, window: int = 1) -> tuple[SmallFloor | None, str]:
    """The floor after the scene, as far as that went, and what went wrong ("" nothing)."""
    floors: list[SmallFloor] = []

    def played() -> str:
        floors.append(SmallFloor(factory, window=window))
        scene(floors[0])
        return ""

    problem = _said_or_raised(played)
    return (floors[0] if floors else None), problem


def _check_scene(scene: Scene, factory: PolicyFactory) -> list[str]:
    """One scene with one lead at a time and with more. With as many as the policy wants there is a restart
    after every event, and calls are watched."""
    own = getattr(factory(), "window", 1)
    problems = [_check_run(scene, factory, 1, closely=own == 1)]
    problems += [_check_run(scene, factory, max(own, 3), closely=own > 1)]
    return [problem for problem in problems if problem]


def _check_run(scene: Scene, factory: PolicyFactory, window: int, *, closely: bool) -> str:
    """Whether what happened in the scene is decided in the same way again, with restarts."""
    floor, problem = _play(scene, factory, window)
    if problem or floor is None:
        return problem
    watch = Watch()
    tried = recorded(factory, Notes(), watch) if closely else factory
    every = 1 if closely else 7
    difference = _said_or_raised(lambda: play_again(floor.happened, tried, every))
    if watch.seen:
        return f"calls {', '.join(watch.seen)}: a policy reads no clock, no chance"
    if not difference:
        return ""
    unlike = _said_or_raised(lambda: play_again(floor.happened, factory))
    if unlike:
        return f"two equal runs differ: {unlike}"
    return f"memory does not survive a restart: {difference}"


def _said_or_raised(call: Callable[[], str]) -> str:
    """What it says, or what it raises: whatever a policy raises is its problem."""
    try:
        return call()
    except PolicyMisbehaved as error:
        return str(error).removeprefix(f"policy {NAME} of pool {POOL}: ")
    except Exception as error:  # noqa: BLE001 - see above
        return f"raised {type(error).__name__}: {error}"


# What is said of a floor after a scene of its own.


def _gives_leads(floor: SmallFloor) -> str:
    """A fresh lead and free reps: leased within the standard, or deferred with a reason."""
    return "" if floor.intents else "a fresh lead waits beside free reps and nobody says why"


def _asks_for_nothing(floor: SmallFloor) -> str:
    """Without leads there is nothing to ask for, however often it is asked."""
    return "asks for something although there are no leads" if floor.intents else ""


def _slows_nobody(floor: SmallFloor) -> str:
    """Faults of the system and bare claims say nothing about a rep: its flow stays."""
    slowed = sorted({rep for rep, flow in floor.flows if flow.value < 1.0})
    if slowed:
        return f"slowed {', '.join(slowed)} for faults of the system (blame was False)"
    return ""
