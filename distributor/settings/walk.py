"""From the parsed TOML to Structs in one pass that finds every mistake.

``msgspec.convert`` stops at the first mistake, so the types are read off the Structs
(``msgspec.inspect``) and walked here. What is wrong is reported and replaced by its default (or by an
empty value where there is none), so that the checks that follow can look at the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from msgspec import NODEFAULT, Struct, inspect

from distributor.domain.dialers import WebhookPlan
from distributor.settings.limits import LIMITS
from distributor.settings.model import (
    MqttSettings,
    Settings,
    TokenSettings,
    VendorSettings,
)
from distributor.settings.problems import Problems, child, near, shown

_NOT_YET: Final = "not known yet to this version"

_LATER: Final[dict[type[Struct], frozenset[str]]] = {
    Settings: frozenset(
        [
            "rules",
            "slas",
            "quotas",
            "exceptions",
            "scoring",
            "recycling",
            "calendars",
            "business_hours",
            "calling_hours",
            "notices",
            "console",
            "executives",
            "deciders",
        ]
    ),
    VendorSettings: frozenset(["dedup_window", "dedup_window_seconds", "caps"]),
}
"""Keys that are part of the contract but not of this version."""

_LATER_VALUES: Final[dict[type[Struct], dict[str, tuple[str, ...]]]] = {
    VendorSettings: {"format": ("google", "meta", "adf", "boberdoo", "leadconduit")},
}
"""Key -> values that are part of the contract but not of this version."""

_SECRETS: Final[dict[type[Struct], str]] = {
    MqttSettings: "password",
    TokenSettings: "token",
    VendorSettings: "token",
    WebhookPlan: "secret",
}
"""The word that must not stand in the file itself, only as ``<word>_file`` or ``<word>_env``."""


def walk(tree: dict[str, Any], problems: Problems) -> Settings:
    """The settings that ``tree`` describes, as far as they are right; the rest is in ``problems``."""
    settings = _struct(tree, _fields(Settings), "", problems)
    assert isinstance(settings, Settings)
    return settings


@cache
def _fields(cls: type[Struct]) -> inspect.StructType:
    found = inspect.type_info(cls)
    assert isinstance(found, inspect.StructType)
    return found


def _struct(value: Any, kind: inspect.StructType, path: str, problems: Problems) -> Struct:
    cls: type[Struct] = kind.cls
    if not isinstance(value, dict):
        problems.add(path, _wrong(value, "write a table of keys"))
        value = {}
        problems = Problems()  # what is missing from it is the same mistake
    word = _SECRETS.get(cls, "")
    fields = {field.name: field for field in kind.fields if field.name != word}
    for key in value:
        if key not in fields:
            problems.add(child(path, key), _unknown(cls, key, list(fields), word))
    found = {
        name: _field(cls, field, value, child(path, name), problems)
        for name, field in fields.items()
    }
    built: Struct = cls(**found)
    return built


def _unknown(cls: type[Struct], key: str, known: list[str], word: str) -> str:
    if key == word:
        return f"a secret does not belong in this file; use {word}_file or {word}_env"
    if key in _LATER.get(cls, ()):
        return f"{_NOT_YET}; remove it"
    return f"no such key; {near(key, known, 'keys')}"


def _field(
    cls: type[Struct], field: inspect.Field, table: dict[str, Any], path: str, problems: Problems
) -> Any:
    if field.name not in table:
        if not field.required:
            return _default(field)
        problems.add(path, "missing; add it")
        return _empty(field.type)
    if table[field.name] in _LATER_VALUES.get(cls, {}).get(field.name, ()):
        assert isinstance(field.type, inspect.LiteralType)
        choices = " or ".join(map(str, field.type.values))
        problems.add(path, f"{shown(table[field.name])} is {_NOT_YET}; use {choices}")
        return _default(field)
    before = len(problems.lines)
    value = _value(table[field.name], field.type, path, problems)
    clean = len(problems.lines) == before
    check = LIMITS.get(cls, {}).get(field.name)
    wrong = check(value) if clean and check is not None and value is not None else None
    if wrong is not None:
        problems.add(path, wrong)
    scalar = not isinstance(value, Struct | tuple)
    if wrong is not None or (scalar and not clean):
        return _empty(field.type) if field.required else _default(field)
    return value


def _default(field: inspect.Field) -> Any:
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    return field.default


def _value(value: Any, kind: inspect.Type, path: str, problems: Problems) -> Any:
    if isinstance(kind, inspect.UnionType):  # only "X or nothing" occurs; TOML cannot say nothing
        kind = next(part for part in kind.types if not isinstance(part, inspect.NoneType))
    return _READERS[type(kind)](value, kind, path, problems)


def _text(value: Any, _kind: inspect.Type, path: str, problems: Problems) -> str:
    if isinstance(value, str):
        return value
    problems.add(path, _wrong(value, "write a text in quotes"))
    return ""


def _flag(value: Any, _kind: inspect.Type, path: str, problems: Problems) -> bool:
    if isinstance(value, bool):
        return value
    problems.add(path, _wrong(value, "write true or false"))
    return False


def _whole(value: Any, _kind: inspect.Type, path: str, problems: Problems) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    problems.add(path, _wrong(value, "write a whole number"))
    return 0


def _number(value: Any, _kind: inspect.Type, path: str, problems: Problems) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        problems.add(path, _wrong(value, "write a number"))
        return 0.0
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        problems.add(path, f"{shown(value)} is not finite; write an ordinary number")
        return 0.0
    return number


def _choice(value: Any, kind: inspect.LiteralType, path: str, problems: Problems) -> Any:
    if isinstance(value, str) and value in kind.values:
        return value
    choices = ", ".join(str(choice) for choice in kind.values)
    problems.add(path, f"{shown(value)} is none of: {choices}")
    return kind.values[0]


def _array(
    value: Any, kind: inspect.VarTupleType, path: str, problems: Problems
) -> tuple[Any, ...]:
    item = kind.item_type
    if isinstance(value, list):
        found = (_value(part, item, f"{path}[{at}]", problems) for at, part in enumerate(value))
        return tuple(found)
    tables = isinstance(item, inspect.StructType)
    remedy = f"write [[{path}]] for each" if tables else "write an array in [ ]"
    problems.add(path, _wrong(value, remedy))
    return ()


def _table(value: Any, kind: inspect.DictType, path: str, problems: Problems) -> dict[str, Any]:
    if isinstance(value, dict):
        return {
            key: _value(part, kind.value_type, child(path, key), problems)
            for key, part in value.items()
        }
    problems.add(path, _wrong(value, "write a table in { }"))
    return {}


_READERS: Final[dict[type[inspect.Type], Callable[[Any, Any, str, Problems], Any]]] = {
    inspect.StrType: _text,
    inspect.BoolType: _flag,
    inspect.IntType: _whole,
    inspect.FloatType: _number,
    inspect.LiteralType: _choice,
    inspect.VarTupleType: _array,
    inspect.DictType: _table,
    inspect.StructType: _struct,
}


def _empty(kind: inspect.Type) -> Any:
    """A stand-in of the right type for what is missing or wrong; its problem is on record."""
    nothing: dict[type[inspect.Type], Any] = {
        inspect.StructType: {},
        inspect.VarTupleType: [],
        inspect.DictType: {},
    }
    return _value(nothing.get(type(kind), ""), kind, "", Problems())


def _wrong(value: object, remedy: str) -> str:
    named = "" if isinstance(value, dict | list) else f"{shown(value)} "
    return f"{named}is {_kind_of(value)}; {remedy}"


def _kind_of(value: object) -> str:
    names: tuple[tuple[type, str], ...] = (
        (bool, "a truth value"),
        (str, "a text"),
        (int, "a whole number"),
        (float, "a number with a fraction"),
        (dict, "a table of keys"),
        (list, "a list"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "a date or time")
