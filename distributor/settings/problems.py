"""Problems of a configuration file: where, what is wrong, and the remedy, in one line each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST = 60
_MOST_NAMES = 12


class Problems:
    """A growing list of problems that remembers which parts of the file they spoil."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._paths: list[str] = []
        self._spoilt: set[str] = set()

    def add(self, path: str, text: str) -> None:
        """Report ``text`` about the value at ``path``."""
        self.lines.append(f"{path}: {text}")
        self._paths.append(path)
        cuts = [at for at, letter in enumerate(path) if letter in ".["]
        self._spoilt.update([path, *(path[:at] for at in cuts)])

    def spoil(self, *paths: str) -> bool:
        """Whether something at or below one of ``paths`` was reported, so that a conclusion drawn
        from there would only be a second report of the same mistake.
        """
        return not self._spoilt.isdisjoint(paths)

    def covers(self, path: str) -> bool:
        """Whether ``path`` or something that it is part of was reported."""
        return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in self._paths)

    def about(self, pattern: str) -> bool:
        """Whether something was reported at a path that ``pattern`` matches as a whole: for
        conclusions that only some keys of a table spoil.
        """
        return any(re.fullmatch(pattern, path) for path in self._paths)


def child(path: str, key: str) -> str:
    """The path of ``key`` inside the table at ``path`` ("" for the file itself)."""
    name = key if _BARE_KEY.fullmatch(key) else json.dumps(key[:_LONGEST])
    return f"{path}.{name}" if path else name


def shown(value: object) -> str:
    """A value as one short line."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str):
        text = json.dumps(value if len(value) <= _LONGEST else value[:_LONGEST] + "...")
    elif isinstance(value, dict):
        text = "a table"
    elif isinstance(value, list):
        text = "an array"
    elif isinstance(value, int) and value.bit_length() > 64:
        text = "the number"  # printing it could be refused: too many digits
    else:
        text = str(value)
    return text


def near(wrong: str, known: Iterable[str], kinds: str) -> str:
    """What the reader may have meant: the nearest known name, and the known names."""
    names = list(dict.fromkeys(name for name in known if name))
    if not names:
        return f"there are no {kinds}"
    guess = get_close_matches(wrong[:_LONGEST], names, n=1)
    meant = f"did you mean {_known(guess[0])}? " if guess else ""
    rest = ", ..." if len(names) > _MOST_NAMES else ""
    return f"{meant}known {kinds}: {', '.join(map(_known, names[:_MOST_NAMES]))}{rest}"


def _known(name: str) -> str:
    """A name as it stands in the file, which may be no name at all: a line break, say, or a novel."""
    return name if name.isascii() and name.isprintable() and len(name) <= _LONGEST else shown(name)
