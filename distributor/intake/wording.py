"""What is wrong with a message that does not fit its type, in one line: the field, what, the remedy.

The remedies are read off the types: what may be sent is listed, and the list cannot go stale.
"""

from __future__ import annotations

import json
import re
from ast import literal_eval
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from msgspec import Struct, ValidationError, inspect

from distributor.domain.ids import NAME_PATTERN, is_name

NAME_FORM: Final = "1 to 64 characters from A-Z a-z 0-9 . _ : -"
_TIME_FORM: Final = "RFC 3339 with an offset, such as 2026-11-21T09:00:59Z"
_OBJECT_REMEDY: Final = "send a JSON object"

_LONGEST: Final = 64
_MISSING = re.compile(r"Object missing required field `([^`]*)`")
_ENUM = "Invalid enum value "
_TYPES = re.compile(r"Expected .*, got `(\w+)`")
_GOT: Final = {
    "str": "text",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
}
_SAID: Final = {
    "Invalid RFC3339 encoded datetime": "no such time",
    "Expected `datetime` with a timezone component": "a time without an offset",
    "Number out of range": "out of range",
}


def named(text: str) -> str:
    """What somebody calls themselves: one of our names as it is, any other text as ``shown``."""
    return text if is_name(text) else shown(text)


def shown(text: str) -> str:
    """A text from outside in quotes, on one line and short."""
    cut = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return json.dumps(cut, ensure_ascii=not cut.isprintable())


def describe(error: ValidationError) -> tuple[str, str]:
    """(field, what is wrong with it) of a validation error; the field of a missing one as well."""
    text = str(error)
    missing = _MISSING.match(text)
    if missing is not None:
        return missing[1], "missing"
    what, _, path = text.rpartition(" - at `$")
    if not what:
        what, path = text, ""
    field = re.sub(r"^(\[\d+\])?\.?", "", path.rstrip("`"))
    return field, _in_our_words(what)


def explain(error: ValidationError, remedies: Mapping[str, str], whole: str = "item") -> str:
    """One line for a validation error. ``whole``: what the message is called where no field of it is
    at fault."""
    field, what = describe(error)
    remedy = remedies.get(re.split(r"[.\[]", field, maxsplit=1)[0], _OBJECT_REMEDY)
    return f"{field or whole}: {what}; {remedy}"


@cache
def remedies_of(kind: type[Struct]) -> Mapping[str, str]:
    """What may be sent in each field of a message, as the imperative that ends a line."""
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    return {field.encode_name: f"send {_wanted(field.type)}" for field in described.fields}


def _in_our_words(said: str) -> str:
    """What the decoder says, without its names of types and its patterns."""
    if said.startswith(_ENUM):
        value = literal_eval(said.removeprefix(_ENUM))  # it is shown as Python writes it
        return f"{shown(value)} is none of them"
    types = _TYPES.fullmatch(said)
    if types is not None:
        return f"got {_GOT.get(types[1], types[1])}"
    if " matching regex " in said or " of length " in said:
        return "not usable"
    return _SAID.get(said, "out of range")


def _wanted(kind: inspect.Type) -> str:
    """What a field of this type takes."""
    if isinstance(kind, inspect.Metadata):
        return _wanted(kind.type)
    if isinstance(kind, inspect.UnionType):
        return _any_of([part for part in kind.types if not isinstance(part, inspect.NoneType)])
    if isinstance(kind, inspect.LiteralType):
        return _any_of([kind])
    if isinstance(kind, inspect.StrType):
        return _text(kind)
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        return _number(kind)
    if isinstance(kind, inspect.BoolType):
        return "true or false"
    if isinstance(kind, inspect.DateTimeType):
        return _TIME_FORM
    return "an object"


def _any_of(kinds: Sequence[inspect.Type]) -> str:
    words = [
        str(word) for kind in kinds if isinstance(kind, inspect.LiteralType) for word in kind.values
    ]
    ways = ["one of " + ", ".join(words)] if words else []
    ways += [_wanted(kind) for kind in kinds if not isinstance(kind, inspect.LiteralType)]
    return " or ".join(dict.fromkeys(ways))


def _text(kind: inspect.StrType) -> str:
    if kind.pattern == NAME_PATTERN:
        return NAME_FORM
    if kind.max_length is not None:
        return f"{kind.min_length or 0} to {kind.max_length} characters"
    return "text"


def _number(kind: inspect.IntType | inspect.FloatType) -> str:
    word = "an integer" if isinstance(kind, inspect.IntType) else "a finite number"
    if kind.ge is None or kind.le is None:
        return word
    return f"{word.replace('finite ', '')} from {kind.ge} to {kind.le}"
