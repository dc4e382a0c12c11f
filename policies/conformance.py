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

from distributor.domain.draws import draw
from distributor.domain.policy import PolicyFactory
from distributor.domain.rep import RepState
from policies.miniature import MiniFloor

Scene = Callable[[MiniFloor], None]
"""Something that happens on a floor, from the first rep to the last lead."""

SEEDS: Final = (1, 2, 3)
SEEDED_STEPS: Final = 70


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
    yield from _alone("gives leads", factory, _gives_leads)
    yield from _alone("nothing to do", factory, _nothing_to_do)
    yield from _alone("no evidence", factory, _no_evidence)
    for name, scene in scenes().items():
        yield from _check_scene(name, scene, factory)


def scenes() -> dict[str, Scene]:
    """The scenes by name: the scripted ones, then those drawn from a seed."""
    named: dict[str, Scene] = {
        "a quiet morning": quiet_morning,
        "silent reps": silent_reps,
        "refusals": refusals,
        "supervisors": supervisors,
        "new settings": new_settings,
        "more leads than reps": crowded,
    }
    for seed in SEEDS:
        named[f"seed {seed}"] = _seeded(seed)
    return named


# The scenes.


def quiet_morning(floor: MiniFloor) -> None:
    """Leads come one by one and are contacted and finished."""
    for rep in list(floor.pool.reps):
        floor.presence(rep, "ready")
    for number in range(8):
        floor.lead(f"L{number}", quality=(0.4, 1.0, 2.5)[number % 3])
        floor.advance(5.0)
        _work(floor, contact_share=1.0, seed=number)
        floor.advance(20.0)


def silent_reps(floor: MiniFloor) -> None:
    """Nobody ever answers: leases run out, and somebody recovers late."""
    for rep in list(floor.pool.reps):
        floor.presence(rep, "ready")
    for number in range(6):
        floor.lead(f"L{number}")
        floor.advance(40.0)
    floor.advance(1800.0)
    _work(floor, contact_share=1.0, seed=1)
    floor.advance(600.0)


def refusals(floor: MiniFloor) -> None:
    """Reps refuse leads until one lead has been refused by all."""
    for rep in list(floor.pool.reps):
        floor.presence(rep, "ready")
    floor.lead("L0")
    for _ in range(len(floor.pool.reps)):
        if floor.pool.leads["L0"].state == "assigned":
            floor.end("L0", "rejected", blame=True, excluded=True)
        floor.advance(3.0)
    floor.lead("L1")
    floor.advance(60.0)


def supervisors(floor: MiniFloor) -> None:
    """Pauses, overrides and full slots: nobody gets what a supervisor keeps from it."""
    reps = list(floor.pool.reps.values())
    for rep in reps:
        floor.presence(rep.id, "ready")
    for rep, override in zip(reps, (0.0, 0.5, None, None), strict=False):
        rep.override, rep.override_reason = override, "training"
        floor.changed(rep)
    reps[-1].paused_until_ns = floor.now_ns + floor.pool.span_ns(300.0)
    floor.changed(reps[-1])
    for number in range(6):
        floor.lead(f"L{number}", test=number == 2)
        floor.advance(30.0)
        _work(floor, contact_share=0.5, seed=number)
    floor.advance(400.0)
    reps[0].override = None
    reps[-1].paused_until_ns = 0
    for rep in (reps[0], reps[-1]):
        floor.changed(rep)
    floor.advance(60.0)


def new_settings(floor: MiniFloor) -> None:
    """Members go and come while leads are under way."""
    for rep in list(floor.pool.reps):
        floor.presence(rep, "ready")
    for number in range(3):
        floor.lead(f"L{number}")
    everybody = list(floor.pool.reps)
    floor.settings(everybody[1:])
    floor.advance(30.0)
    floor.settings([*everybody[1:], "rep_new"])
    floor.presence("rep_new", "ready")
    floor.lead("L3")
    _work(floor, contact_share=0.5, seed=5)
    floor.settings(everybody)
    floor.presence(everybody[0], "ready")
    floor.lead("L4")
    floor.advance(120.0)


def crowded(floor: MiniFloor) -> None:
    """Many leads wait before the first rep comes, and reps come and go."""
    for number in range(20):
        floor.lead(f"L{number:02}", quality=0.4 + number % 4)
        floor.advance(2.0)
    for rep in list(floor.pool.reps):
        floor.presence(rep, "ready")
        floor.advance(15.0)
        _work(floor, contact_share=0.8, seed=3)
    floor.presence("rep0", "away")
    floor.advance(60.0)
    floor.presence("rep0", "ready")
    for round_ in range(4):
        _work(floor, contact_share=0.8, seed=round_)
        floor.advance(45.0)


def _work(floor: MiniFloor, *, contact_share: float, seed: int) -> None:
    """Some of the leads that reps have are contacted; those contacted before are finished."""
    for place, lead in enumerate(list(floor.pool.leads.values())):
        if lead.state == "working":
            floor.finish(lead.key, converted=place % 3 == 0)
        elif lead.state == "assigned" and draw(seed, place) < contact_share:
            floor.contact(lead.key, counted=place % 4 != 3)


def _seeded(seed: int) -> Scene:
    def scene(floor: MiniFloor) -> None:
        for rep in list(floor.pool.reps):
            floor.presence(rep, "ready")
        for step in range(SEEDED_STEPS):
            _something(floor, seed, step)

    return scene


def _something(floor: MiniFloor, seed: int, step: int) -> None:
    """One drawn event."""
    what, which = draw(seed, step, 1), draw(seed, step, 2)
    leads = [lead for lead in floor.pool.leads.values() if lead.state in ("assigned", "working")]
    lead = leads[int(which * len(leads))] if leads else None
    rep = list(floor.pool.reps)[int(which * len(floor.pool.reps))]
    states: tuple[RepState, ...] = ("ready", "ready", "busy", "away", "offline")
    if what < 0.3:
        floor.lead(f"L{step:03}", quality=0.4 + which * 2.0)
    elif what < 0.4:
        floor.presence(rep, states[int(draw(seed, step, 3) * 5)])
    elif what < 0.6 or lead is None:
        floor.advance(which * 90.0)
    elif lead.state == "working":
        floor.finish(lead.key, converted=which < 0.2)
    elif what < 0.85:
        floor.contact(lead.key, counted=which < 0.9)
    elif what < 0.9:
        floor.restarted(lead.key)
    else:
        failed = which < 0.5
        floor.end(lead.key, "delivery_failed" if failed else "rejected", blame=not failed)


# The checks.


def _check_scene(name: str, scene: Scene, factory: PolicyFactory) -> list[str]:
    """One scene with one window and with a wider one."""
    problems = [problem for window in (1, 3) for problem in _check_runs(scene, factory, window)]
    return [f"{name}: {problem}" for problem in problems]


def _check_runs(scene: Scene, factory: PolicyFactory, window: int) -> list[str]:
    """The same scene again, and with restarts, must give the same intents."""
    first, problems = _run(scene, factory, window)
    if problems:
        return problems
    again, _ = _run(scene, factory, window, watched=False)
    if again != first:
        return [_difference("two equal runs differ", first, again)]
    for every in (1, 7):
        resumed, problems = _run(scene, factory, window, every, watched=every == 1)
        if problems:
            return [f"after a restart: {problem}" for problem in problems]
        if resumed != first:
            return [_difference("memory does not survive a restart", first, resumed)]
    return []


def _run(
    scene: Scene, factory: PolicyFactory, window: int, restart_every: int = 0, watched: bool = True
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
        module = getattr(function, "__module__", None) or type(owner).__module__
        name = str(getattr(function, "__qualname__", ""))
        clock = name.rpartition(".")[2] in self._NAMES and module in ("datetime", "builtins")
        if module in self._MODULES or module.startswith("numpy.random") or clock:
            self.seen[f"{module}.{name}" if "." not in name else name] = None
