"""Holds a board to the SDK's types: a key that Grafana does not know, a value that is none of an enum's."""

from __future__ import annotations

import enum
import json
import types
import typing
from collections.abc import Iterator
from typing import Any

from grafana_foundation_sdk.cog import plugins, runtime
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

plugins.register_default_plugins()  # without it options and queries are not typed


def panel_types() -> frozenset[str]:
    """The kinds of panels that the SDK knows."""
    return frozenset(runtime.Runtime().panelcfg_variants)


def strangers(panel: dict[str, Any]) -> list[str]:
    """What in a panel's JSON Grafana's types do not know, a line each."""
    model = models.Panel.from_json(panel)
    again = json.loads(json.dumps(model, cls=JSONEncoder))
    return [*_missing(panel, again, ""), *_misfits(model, type(model), "")]


def board_strangers(board: dict[str, Any]) -> list[str]:
    """The same for everything of a board but its panels."""
    shell = {**board, "panels": []}
    model = models.Dashboard.from_json(shell)
    again = json.loads(json.dumps(model, cls=JSONEncoder))
    return [*_missing(shell, again, ""), *_misfits(model, type(model), "")]


def custom_key_known(panel_type: str, key: str) -> bool:
    """Whether a kind of panel has this key in its ``custom`` field settings."""
    config = runtime.panelcfg_config(panel_type)
    if config is None or config.field_config_from_json_hook is None:
        return False
    fields = typing.get_type_hints(getattr(config.field_config_from_json_hook, "__self__", object))
    return any(_camel(name) == key for name in fields)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _missing(given: Any, again: Any, path: str) -> Iterator[str]:
    """What was given and did not come back from the types."""
    if isinstance(given, dict) and isinstance(again, dict):
        for key, value in given.items():
            if key not in again:
                if value is not None:
                    yield f"{path}{key}: Grafana knows no such key"
            else:
                yield from _missing(value, again[key], f"{path}{key}.")
    elif isinstance(given, list) and isinstance(again, list) and len(given) == len(again):
        for index, (one, other) in enumerate(zip(given, again, strict=True)):
            yield from _missing(one, other, f"{path}{index}.")
    elif given != again:
        yield f"{path.rstrip('.')}: {given!r} became {again!r}"


def _misfits(value: Any, hint: Any, path: str) -> Iterator[str]:
    """Values that are not of the type that the SDK's class says."""
    if not _fits(value, hint):
        yield f"{path.rstrip('.')}: {value!r} is no {_named(hint)}"
        return
    kind = _chosen(value, hint)
    if isinstance(value, dict) and hasattr(kind, "from_json"):  # the SDK leaves some untyped
        typed = kind.from_json(value)
        yield from _missing(value, json.loads(json.dumps(typed, cls=JSONEncoder)), path)
        value = typed
    if isinstance(value, list):
        (inner,) = typing.get_args(kind) or (object,)
        for index, item in enumerate(value):
            yield from _misfits(item, inner, f"{path}{index}.")
    elif hasattr(value, "to_json") and not isinstance(value, enum.Enum):
        for name, inner in typing.get_type_hints(type(value)).items():
            if name in vars(value):
                yield from _misfits(getattr(value, name), inner, f"{path}{_camel(name)}.")


def _chosen(value: Any, hint: Any) -> Any:
    """The part of a union that fits."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(hint) if _fits(value, part))
    return hint


def _fits(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if origin is not None:
        return isinstance(value, origin)
    if hint is None or hint is type(None):
        return value is None
    if hint is object or hint is Any:
        return True
    if issubclass(hint, enum.Enum):
        return value in {member.value for member in hint}
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) or (isinstance(value, dict) and hasattr(hint, "from_json"))


def _named(hint: Any) -> str:
    parts = [part for part in typing.get_args(hint) if part is not type(None)] or [hint]
    return " or ".join(getattr(part, "__name__", str(part)) for part in parts)
