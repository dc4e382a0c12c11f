"""How far long work is: one line on a terminal, and nothing anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from time import perf_counter
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")

SHOWN_AFTER_SECONDS = 0.5
"""Work that is over before this shows nothing."""
SHOWN_EVERY_SECONDS = 0.2
_ERASE = "\r\x1b[K"


class Progress:
    """A line on standard error while the work goes on, erased at its end.

    ``what``: the work. ``unit``: what is counted. ``total``: how many there are, None: not known.
    """

    def __init__(self, what: str, unit: str, total: int | None = None) -> None:
        self._what = what
        self._unit = unit
        self._total = total
        self._terminal = sys.stderr.isatty()
        self._next = perf_counter() + SHOWN_AFTER_SECONDS
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown:
            self._write(_ERASE)

    def __call__(self, done: int) -> None:
        """So many are done now."""
        if not self._terminal or perf_counter() < self._next:
            return
        self._next = perf_counter() + SHOWN_EVERY_SECONDS
        self._shown = True
        self._write(f"{_ERASE}{self._what}: {done:,}{self._of_all(done)}")

    def count(self, items: Iterable[T]) -> Iterator[T]:
        """The same items, counted as they pass."""
        for number, item in enumerate(items, 1):
            yield item
            self(number)

    def _of_all(self, done: int) -> str:
        if not self._total:
            return f" {self._unit}"
        return f" of {self._total:,} {self._unit} ({100 * done // self._total} %)"

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            self._terminal = False  # the terminal is gone, the work goes on
