"""How two decisions differ, told so that nobody's personal data is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from distributor.observe.logs import PERSONAL

_MOST_FIELDS: Final = 4
_LONGEST: Final = 60


def unlikeness(recorded: Struct, decided: Struct) -> str:
    """The fields that differ, each with both values, shortened; of what may be personal only the name."""
    if type(recorded) is not type(decided):
        return f"recorded {_shown(recorded)}, decided now {_shown(decided)}"
    found = list(_fields(type(recorded).__name__, recorded, decided))
    more = len(found) - _MOST_FIELDS
    return "; ".join(found[:_MOST_FIELDS]) + (f"; and {more} more" if more > 0 else "")


def _fields(path: str, recorded: Any, decided: Any) -> Iterator[str]:
    if recorded == decided:
        return
    if isinstance(recorded, Struct) and type(recorded) is type(decided):
        for name in recorded.__struct_fields__:
            yield from _fields(f"{path}.{name}", getattr(recorded, name), getattr(decided, name))
    elif path.rpartition(".")[2] in PERSONAL or isinstance(recorded, bytes):
        yield f"{path} is not the same"
    else:
        yield f"{path}: recorded {_shown(recorded)}, decided now {_shown(decided)}"


def _shown(value: object) -> str:
    text = type(value).__name__ if isinstance(value, Struct) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
