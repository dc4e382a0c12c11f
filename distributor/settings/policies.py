"""Finds selection policies by their names: our own and those of others are installed alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Final, TypeVar

from msgspec.structs import replace

from distributor.core.engine import Engine
from distributor.domain.events import FloorChanged
from distributor.domain.floor import Floor, PoolPlan
from distributor.domain.policy import Policy, PolicyFactory
from distributor.errors import BadConfig
from distributor.settings.model import Settings
from distributor.settings.problems import Problems, shown

GROUP: Final = "distributor.policies"

_ASKED: Final = tuple(name for name in vars(Policy) if name[0] != "_" and name != "window")
_MOST_OPEN: Final = 1_000
_LONGEST: Final = 200

T = TypeVar("T")


class Policies(Mapping[str, PolicyFactory]):
    """Name -> factory, loaded when first asked for; what was installed meanwhile is found, too."""

    def __init__(self) -> None:
        self._loaded: dict[str, PolicyFactory] = {}

    def __getitem__(self, name: str) -> PolicyFactory:
        """Raises ``BadConfig`` for a policy that cannot be loaded."""
        if name not in self._loaded:
            found = tuple(entry_points(group=GROUP, name=name))
            if not found:
                raise BadConfig([f"policy {name!r} is not installed; known: {', '.join(self)}"])
            self._loaded[name] = _guarded(name, found[0].load)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(entry_points(group=GROUP).names))

    def __len__(self) -> int:
        return len(entry_points(group=GROUP).names)


class Absent(Policy):
    """Stands in for a policy that is gone: gives nothing."""


class Remembered(Policies):
    """For recovery: a store may name a policy that is gone or broken, and the settings another one, which
    is in force from the first event on."""

    def __getitem__(self, name: str) -> PolicyFactory:
        """Never raises."""
        try:
            _guarded(name, _make, name)
            return super().__getitem__(name)
        except BadConfig:
            return Absent


def check_policies(settings: Settings, floor: Floor, problems: Problems) -> None:
    """Report the policies named in ``settings`` that cannot be loaded or made; where nothing else is
    wrong, also those that cannot begin on their ``floor``."""
    uses = [("flow.policy", settings.flow.policy, [p for p in settings.pools if not p.policy])]
    for at, pool in enumerate(settings.pools):
        if pool.policy:
            uses.append((f"pools[{at}].policy", pool.policy, [pool]))
    for path, name, pools in uses:
        if problems.spoil(path):
            continue
        try:
            _guarded(name, _make, name)
            if not problems.lines:
                for pool in pools:
                    _guarded(name, _begin, floor, pool, name)
        except BadConfig as error:
            problems.add(path, str(error))


def _make(name: str) -> None:
    policy = Policies()[name]()
    missing = [part for part in _ASKED if not callable(getattr(policy, part, None))]
    if missing:
        raise TypeError(f"it has no {', '.join(missing)}")
    window = getattr(policy, "window", 1)
    if type(window) is not int or not 1 <= window <= _MOST_OPEN:
        raise ValueError(f"its window is no whole number from 1 to {_MOST_OPEN}")


def _begin(floor: Floor, pool: PoolPlan, name: str) -> None:
    """Start the policy with a pool as configured, on an engine of its own: there are no leads, and it
    remembers nothing."""
    engine = Engine(tag="TRIAL", seed=1, factories=Policies())
    engine.handle(FloorChanged(replace(floor, pools=(replace(pool, policy=name),))), 1)
    engine.next_deadline_ns()


def _guarded(name: str, part: Callable[..., T], *args: object) -> T:
    """What ``part(*args)`` returns. Whatever else a stranger's code does, be it to leave the process, becomes
    ``BadConfig``."""
    try:
        return part(*args)
    except (BadConfig, KeyboardInterrupt):
        raise
    except BaseException as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
        remedy = "repair or uninstall its package, or name another"
        text = f"{shown(name)} cannot be used as a policy ({reason}); {remedy}"
        raise BadConfig([text]) from error
