"""Sees whether a policy reads a clock, draws by chance or touches a file."""

from __future__ import annotations

import gc
import sys
from types import FrameType
from typing import Final, Self


class Watch:
    """Notes calls of clocks, random sources and files, however they were imported.

    A profile function sees every call of a C function. It does not raise (that would be swallowed by a
    policy that catches everything); the names are reported after the run.
    """

    _MODULES: Final = frozenset({"time", "random", "_random", "posix", "nt", "_socket", "_io"})
    _NAMES: Final = frozenset({"now", "utcnow", "today", "hash"})
    _HARMLESS: Final = frozenset({bytes, dict, float, int, list, set, str, tuple})

    def __init__(self) -> None:
        self.seen: dict[str, None] = {}
        self._before: object = None
        self._collects = False

    def __enter__(self) -> Self:
        self._before = sys.getprofile()
        self._collects = gc.isenabled()
        gc.disable()  # other people's callbacks of the collector may read clocks
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)  # type: ignore[arg-type]
        if self._collects:
            gc.enable()

    def _note(self, _frame: FrameType, event: str, function: object) -> None:
        if event != "c_call":
            return
        owner = getattr(function, "__self__", None)
        if type(owner) in self._HARMLESS:  # by far the most
            return
        module = getattr(function, "__module__", None) or type(owner).__module__
        name = str(getattr(function, "__qualname__", ""))
        clock = name.rpartition(".")[2] in self._NAMES and module in ("datetime", "builtins")
        if module in self._MODULES or module.startswith("numpy.random") or clock:
            self.seen[f"{module}.{name}" if "." not in name else name] = None
