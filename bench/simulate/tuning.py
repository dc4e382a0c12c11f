"""Other constants for the ``lease`` policy, for one bench: the product has no option for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

from distributor.errors import BadConfig
from policies.lease import settings

PACKAGE: Final = "policies.lease"


def names() -> list[str]:
    """What can be set: the single numbers of ``policies.lease.settings``, and the fields of its firm
    form."""
    single = [name for name in vars(settings) if name.isupper() and _is_number(name)]
    return [*single, *(field for field in settings.FIRM._fields if field != "visible")]


def _is_number(name: str) -> bool:
    value = getattr(settings, name)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check(overrides: Mapping[str, float]) -> None:
    """Raises ``BadConfig`` for a name that is none of ``names``."""
    known = names()
    unknown = [name for name in overrides if name not in known]
    if unknown:
        raise BadConfig(
            [f"--set {name}: no such constant; known: {', '.join(known)}" for name in unknown]
        )


def tune(overrides: Mapping[str, float]) -> dict[tuple[str, str], Any]:
    """Set the constants in every module of the policy that uses them. What they were before."""
    check(overrides)
    before: dict[tuple[str, str], Any] = {}
    firm: dict[str, Any] = {}
    for name, value in overrides.items():
        if name in settings.FIRM._fields:
            firm[name] = value
        else:
            whole = isinstance(getattr(settings, name), int)
            _put(name, int(value) if whole else float(value), before)
    if firm:
        _put("FIRM", settings.FIRM._replace(**firm), before)
    return before


def _put(name: str, value: Any, before: dict[tuple[str, str], Any]) -> None:
    for module in _modules():
        if name in vars(module):
            before.setdefault((module.__name__, name), vars(module)[name])
            setattr(module, name, value)


def _modules() -> list[ModuleType]:
    return [
        module
        for name, module in sys.modules.items()
        if name == PACKAGE or name.startswith(f"{PACKAGE}.")
    ]


@contextmanager
def tuned(overrides: Mapping[str, float]) -> Iterator[None]:
    """The constants hold inside, and are put back."""
    before = tune(overrides)
    try:
        yield
    finally:
        for (module, name), value in before.items():
            setattr(sys.modules[module], name, value)
