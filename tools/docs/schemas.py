"""JSON schemas of the messages, from the Structs that the code decodes and encodes with."""

from __future__ import annotations

import inspect
from typing import Any, Final

import msgspec
from msgspec import Struct

from distributor.delivery.messages import (
    Assignment,
    DaemonStatus,
    DeadLetter,
    ExceptionCase,
    Revocation,
)
from distributor.intake.http_actions import (
    AssignAction,
    CloseAction,
    OverrideAction,
    RecycleAction,
    RepAction,
)
from distributor.intake.messages import UnifiedReply, WireEvent, WireLead, WirePresence

MESSAGES: Final[dict[str, type[Struct]]] = {
    "Lead": WireLead,
    "UnifiedReply": UnifiedReply,
    "Event": WireEvent,
    "Presence": WirePresence,
    "Assignment": Assignment,
    "Revocation": Revocation,
    "ExceptionCase": ExceptionCase,
    "DeadLetter": DeadLetter,
    "DaemonStatus": DaemonStatus,
}
"""Name in the documents -> type in the code."""

ACTIONS: Final[dict[str, type[Struct]]] = {
    "RepAction": RepAction,
    "OverrideAction": OverrideAction,
    "AssignAction": AssignAction,
    "RecycleAction": RecycleAction,
    "CloseAction": CloseAction,
}

_REF: Final = "#/components/schemas/{name}"


def schemas(types: dict[str, type[Struct]]) -> dict[str, Any]:
    """The components of ``types`` under their public names."""
    _, components = msgspec.json.schema_components(types.values(), ref_template=_REF)
    public = {kind.__name__: name for name, kind in types.items()}
    found = {
        public.get(name, name): _tidy(components[name]) for name in _order(components, list(public))
    }
    if "Assignment" in found:
        # Kept as raw text by the code, which encoded it from a Lead.
        found["Assignment"]["properties"]["lead"]["allOf"] = [ref("Lead")]
    return found


def _order(components: dict[str, Any], first: list[str]) -> list[str]:
    return first + sorted(set(components) - set(first))


def _tidy(schema: Any) -> Any:
    """Names as the documents use them, docstrings as plain text."""
    if isinstance(schema, list):
        return [_tidy(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    tidy: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title":
            continue
        if key == "description" and isinstance(value, str):
            tidy[key] = inspect.cleandoc(value).replace("``", "")
        elif key == "default" and value is None:
            continue
        else:
            tidy[key] = _tidy(value)
    return _flat(tidy)


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    """``X or null`` in one schema where that says the same."""
    parts = schema.get("anyOf", [])
    if len(parts) == 2 and {"type": "null"} in parts:
        (other,) = [part for part in parts if part != {"type": "null"}]
        if isinstance(other.get("type"), str) and "enum" not in other:
            rest = {key: value for key, value in schema.items() if key != "anyOf"}
            return {**rest, **other, "type": [other["type"], "null"]}
    enums = [part["enum"] for part in parts if set(part) == {"enum"}]
    if parts and len(enums) == len(parts):
        return {"enum": [value for enum in enums for value in enum]}
    return schema


def one_or_array(name: str) -> dict[str, Any]:
    """A value of ``name``, or an array of up to 1,000 of them."""
    return {"oneOf": [ref(name), {"type": "array", "items": ref(name), "maxItems": 1000}]}


def ref(name: str) -> dict[str, str]:
    """A reference to a component."""
    return {"$ref": _REF.format(name=name)}
