"""A test suite for selection policies, for ours and for anybody's.

    from policies.conformance import assert_good_citizen

    def test_my_policy_is_a_good_citizen():
        assert_good_citizen(MyPolicy)

``check`` runs scenes on a small floor (``policies.miniature``) and says what the daemon would refuse or
could not live with. Passing does not make a policy good at its work; failing makes it unusable.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import FrameType
from typing import Final, Self

from distributor.domain.policy import PolicyFactory
from policies import hash_seeds
from policies.miniature import MiniFloor
from policies.scenes import SEEDS, Scene, scenes, seeded


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
    yield from _alone("gives leads", factory, _gives_leads)
    yield from _alone("nothing to do", factory, _nothing_to_do)
    yield from _alone("no evidence", factory, _no_evidence)
    for name, scene in scenes().items():
        yield from _check_scene(name, scene, factory)


def problems_of_hashing(*factories: PolicyFactory) -> list[str]:
    """What shows when a scene is played in two processes that hash differently."""
    first, second, problem = hash_seeds.two_runs(*factories)
    if problem:
        return [f"hash seeds: {problem}"]
    if first != second:
        return [_difference("intents depend on the hash seed", first, second)]
    return []


# The checks.


def seeded_log(factory: PolicyFactory) -> list[str]:
    """The intents of one seeded scene."""
    floor = MiniFloor(factory, window=2)
    seeded(SEEDS[0])(floor)
    return floor.log


def _check_scene(name: str, scene: Scene, factory: PolicyFactory) -> list[str]:
    """One scene with one lead at a time and with more, as many as the policy wants."""
    own = getattr(factory(), "window", 1)
    problems = _check_runs(scene, factory, 1, watched=own == 1)
    problems += _check_runs(scene, factory, max(own, 3), watched=own > 1)
    return [f"{name}: {problem}" for problem in problems]


def _check_runs(scene: Scene, factory: PolicyFactory, window: int, *, watched: bool) -> list[str]:
    """The same scene again, and with restarts, must give the same intents. Calls are ``watched`` once,
    in the run that is restarted most: it is slow."""
    first, problems = _run(scene, factory, window)
    if problems:
        return problems
    again, _ = _run(scene, factory, window)
    if again != first:
        return [_difference("two equal runs differ", first, again)]
    for every in (1, 7):
        resumed, problems = _run(scene, factory, window, every, watched=watched and every == 1)
        if problems:
            return [f"after a restart: {problem}" for problem in problems]
        if resumed != first:
            return [_difference("memory does not survive a restart", first, resumed)]
    return []


def _run(
    scene: Scene, factory: PolicyFactory, window: int, restart_every: int = 0, watched: bool = False
) -> tuple[list[str], list[str]]:
    """The intents and the problems of one run."""
    watch = _Watch()
    try:
        with watch if watched else nullcontext():
            floor = MiniFloor(factory, window=window, restart_every=restart_every)
            scene(floor)
            floor.audit()
    except Exception as error:  # noqa: BLE001 - whatever a policy raises is its problem
        return [], [f"raised {type(error).__name__}: {error}"]
    clocks = [f"calls {name}: a policy reads no clock, no chance" for name in watch.seen]
    return floor.log, floor.problems + clocks


def _alone(
    name: str, factory: PolicyFactory, rule: Callable[[PolicyFactory], list[str]]
) -> list[str]:
    try:
        problems = rule(factory)
    except Exception as error:  # noqa: BLE001 - whatever a policy raises is its problem
        problems = [f"raised {type(error).__name__}: {error}"]
    return [f"{name}: {problem}" for problem in problems]


def _gives_leads(factory: PolicyFactory) -> list[str]:
    """A fresh lead and free reps: leased within the standard, or deferred with a reason."""
    floor = MiniFloor(factory)
    for rep in list(floor.pool.reps):
        floor.presence(rep, "ready")
    floor.lead("L0")
    floor.advance(floor.pool.flow.first_contact_seconds)
    if floor.log or floor.deferred:
        return floor.problems
    return [*floor.problems, "a fresh lead waits beside free reps and nobody says why"]


def _nothing_to_do(factory: PolicyFactory) -> list[str]:
    """Without leads there is nothing to ask for, however often it is asked."""
    floor = MiniFloor(factory)
    floor.settle()
    for rep in list(floor.pool.reps):
        floor.presence(rep, "ready")
    for seconds in (0.0, 1.0, 600.0, 86_400.0):
        floor.advance(seconds)
        floor.settle()
    if floor.log:
        return [*floor.problems, "asks for something although there are no leads"]
    return floor.problems


def _no_evidence(factory: PolicyFactory) -> list[str]:
    """Faults of the system and bare claims say nothing about a rep: its flow stays."""
    floor = MiniFloor(factory)
    for rep in list(floor.pool.reps):
        floor.presence(rep, "ready")
    del floor.flows[:]
    for number in range(24):
        floor.lead(f"L{number}")
        floor.advance(10.0)
        assigned = [lead for lead in floor.pool.leads.values() if lead.state == "assigned"]
        for lead in assigned:
            floor.end(lead.key, "delivery_failed", blame=False, excluded=True)
    slowed = sorted({rep for rep, flow in floor.flows if flow.value < 1.0})
    if slowed:
        return [f"slowed {', '.join(slowed)} for faults of the system (blame was False)"]
    return []


def _difference(what: str, first: list[str], second: list[str]) -> str:
    """The first intent that is not the same."""
    for one, other in zip(first, second, strict=False):
        if one != other:
            return f"{what}: {one[:160]} | {other[:160]}"
    return f"{what}: {len(first)} intents and {len(second)}"


class _Watch:
    """Notes calls of clocks, random sources and files, however they were imported.

    A profile function sees every call of a C function. It does not raise (that would be swallowed by a
    policy that catches everything); the names are reported after the run.
    """

    _MODULES: Final = frozenset({"time", "random", "_random", "posix", "nt", "_socket", "_io"})
    _NAMES: Final = frozenset({"now", "utcnow", "today", "hash"})
    _HARMLESS: Final = frozenset({bytes, dict, float, int, list, set, str, tuple})

    def __init__(self) -> None:
        self.seen: dict[str, None] = {}
        self._before: object = None
        self._collects = False

    def __enter__(self) -> Self:
        self._before = sys.getprofile()
        self._collects = gc.isenabled()
        gc.disable()  # other people's callbacks of the collector may read clocks
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)  # type: ignore[arg-type]
        if self._collects:
            gc.enable()

    def _note(self, _frame: FrameType, event: str, function: object) -> None:
        if event != "c_call":
            return
        owner = getattr(function, "__self__", None)
        if type(owner) in self._HARMLESS:  # by far the most
            return
        module = getattr(function, "__module__", None) or type(owner).__module__
        name = str(getattr(function, "__qualname__", ""))
        clock = name.rpartition(".")[2] in self._NAMES and module in ("datetime", "builtins")
        if module in self._MODULES or module.startswith("numpy.random") or clock:
            self.seen[f"{module}.{name}" if "." not in name else name] = None
