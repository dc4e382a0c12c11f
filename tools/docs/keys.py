"""The blocks of ``docs/configuration.md``: every key with its type and default from the code."""

from __future__ import annotations

from typing import Any, Final

from msgspec import NODEFAULT, Struct, inspect

from distributor.domain.dialers import WebhookCall, WebhookPlan
from distributor.domain.floor import FlowPlan, PoolPlan, RepPlan, TeamPlan
from distributor.settings.model import (
    AlertSettings,
    HttpSettings,
    HttpTls,
    LogSettings,
    MetricsSettings,
    MqttSettings,
    MqttTls,
    Settings,
    SpeedToContactSettings,
    StandardsSettings,
    StoreSettings,
    TokenSettings,
    VendorSettings,
)
from tools.docs.meanings import MEANINGS

TABLES: Final[dict[str, type[Struct]]] = {
    "[store]": StoreSettings,
    "[mqtt]": MqttSettings,
    "[mqtt.tls]": MqttTls,
    "[http]": HttpSettings,
    "[http.tls]": HttpTls,
    "[[http.tokens]]": TokenSettings,
    "[flow]": FlowPlan,
    "[[teams]]": TeamPlan,
    "[[reps]]": RepPlan,
    "[[pools]]": PoolPlan,
    "[[vendors]]": VendorSettings,
    "[[dialers]]": WebhookPlan,
    "[dialers.assign]": WebhookCall,
    "[metrics]": MetricsSettings,
    "[standards]": StandardsSettings,
    "[standards.speed_to_contact]": SpeedToContactSettings,
    "[alerts]": AlertSettings,
    "[log]": LogSettings,
}
"""Heading in the page -> the type behind it."""

FILLED: Final = {MqttSettings: "password", TokenSettings: "token", VendorSettings: "token"}
"""Fields that no file has: the secret itself."""

SPECIAL: Final[dict[tuple[type[Struct], str], str]] = {
    (MetricsSettings, "per_rep"): '`"all"`, with more than 2,000 reps `"held_back"`',
}


def key_tables() -> dict[str, str]:
    """Heading (in lower case, as it stands) -> the table of its keys."""
    _check_sections()
    return {heading.strip("[]"): _table(kind) for heading, kind in TABLES.items()}


def keys_of(kind: type[Struct]) -> list[inspect.Field]:
    """The keys that a file may have."""
    found = inspect.type_info(kind)
    assert isinstance(found, inspect.StructType)
    return [field for field in found.fields if field.name != FILLED.get(kind)]


def _check_sections() -> None:
    named = {heading.strip("[]") for heading in TABLES}
    missing = set(Settings.__struct_fields__) - named
    if missing:
        message = f"sections without a table: {', '.join(sorted(missing))}"
        raise LookupError(message)


def _table(kind: type[Struct]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for field in keys_of(kind):
        meaning = MEANINGS[kind.__name__][field.name]
        default = SPECIAL.get((kind, field.name)) or _default(field)
        lines.append(f"| `{field.name}` | {_type(field.type)} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    value = field.default
    if value is NODEFAULT and field.default_factory is not NODEFAULT:
        value = field.default_factory()
    return "" if value is None or isinstance(value, Struct) else f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _type(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.UnionType):
        (kind,) = [part for part in kind.types if not isinstance(part, inspect.NoneType)]
    if isinstance(kind, inspect.LiteralType):
        return " or ".join(f'`"{value}"`' for value in kind.values)
    if isinstance(kind, inspect.VarTupleType):
        tables = isinstance(kind.item_type, inspect.StructType)
        return "tables" if tables else f"list of {_type(kind.item_type)}s"
    return _NAMES[type(kind)]


_NAMES: Final[dict[type[inspect.Type], str]] = {
    inspect.StrType: "text",
    inspect.BoolType: "true or false",
    inspect.IntType: "whole number",
    inspect.FloatType: "number",
    inspect.DictType: "table of texts",
    inspect.StructType: "table",
}
