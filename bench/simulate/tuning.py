"""Other constants for the ``lease`` policy, for one bench: the product has no option for them."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

from distributor.errors import BadConfig
from policies.lease import settings

PACKAGE: Final = "policies.lease"
Replaced = dict[tuple[str, str], Any]
"""(module, name) -> what it was."""


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


def tune(overrides: Mapping[str, float]) -> Replaced:
    """Set the constants in every module of the policy that uses them, and make anew what was made of
    them there. What was replaced."""
    check(overrides)
    replaced: Replaced = {}
    firm: dict[str, Any] = {}
    for name, value in overrides.items():
        if name in settings.FIRM._fields:
            firm[name] = value
        else:
            whole = isinstance(getattr(settings, name), int)
            _put(settings, name, int(value) if whole else float(value), replaced)
    if firm:
        _put(settings, "FIRM", settings.FIRM._replace(**firm), replaced)
    _make_anew(replaced)
    return replaced


def _put(owner: ModuleType, name: str, value: Any, replaced: Replaced) -> None:
    """Replace a constant where it is defined and wherever it was imported."""
    old = vars(owner)[name]
    for module in _modules():
        if vars(module).get(name) is old:
            replaced.setdefault((module.__name__, name), old)
            setattr(module, name, value)


def _make_anew(replaced: Replaced) -> None:
    """Constants that a module made of replaced ones when it was loaded, such as tuples of them."""
    done: set[tuple[str, str]] = set()
    while True:
        stale = [
            (module, name, value)
            for module in _modules()
            for name, value in _constants(module)
            if (module.__name__, name) not in {*done, *replaced}
            and any((module.__name__, used) in replaced for used in _names_in(value))
        ]
        if not stale:
            return
        for module, name, value in stale:
            done.add((module.__name__, name))
            made = eval(compile(ast.Expression(value), name, "eval"), vars(module))  # noqa: S307
            _put(module, name, made, replaced)


def _constants(module: ModuleType) -> list[tuple[str, ast.expr]]:
    """The names that a module gives a value to, and how."""
    found: list[tuple[str, ast.expr]] = []
    for node in ast.parse(inspect.getsource(module)).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if isinstance(targets[0], ast.Name) and isinstance(value, ast.expr):
            found.append((targets[0].id, value))
    return found


def _names_in(value: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(value) if isinstance(part, ast.Name)}


def _modules() -> list[ModuleType]:
    return [
        module
        for name, module in sys.modules.items()
        if name == PACKAGE or name.startswith(f"{PACKAGE}.")
    ]


@contextmanager
def tuned(overrides: Mapping[str, float]) -> Iterator[None]:
    """The constants hold inside, and are put back."""
    replaced = tune(overrides)
    try:
        yield
    finally:
        for (module, name), value in replaced.items():
            setattr(sys.modules[module], name, value)
