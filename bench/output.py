"""What a bench prints: progress on a terminal, a table for people, one JSON object for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

_REDRAW_SECONDS = 0.1
_BAR = 30


class Progress:
    """A bar on standard error, where that is a terminal; silent elsewhere."""

    def __init__(self, what: str, total: float) -> None:
        self.what = what
        self.total = max(total, 1e-9)
        self._shown = 0.0
        self._live = sys.stderr.isatty()

    def show(self, done: float, note: str = "") -> None:
        """Draw the bar at ``done`` of the total."""
        now = time.monotonic()
        if not self._live or (now - self._shown < _REDRAW_SECONDS and done < self.total):
            return
        self._shown = now
        share = min(1.0, done / self.total)
        bar = "#" * round(share * _BAR)
        line = f"\r{self.what} [{bar:<{_BAR}}] {share:4.0%} {note}"
        sys.stderr.write(f"{line[:110]:<110}")
        sys.stderr.flush()

    def end(self) -> None:
        """Clear the line."""
        if self._live:
            sys.stderr.write("\r" + " " * 110 + "\r")
            sys.stderr.flush()


def say(text: str) -> None:
    """A line for people, at once."""
    print(text, flush=True)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns, numbers to the right."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(heads), *texts]) for i in range(len(heads))]
    for row in [list(heads), *texts]:
        say("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def goal(name: str, measured: float, limit: float, *, least: bool) -> bool:
    """Say whether a goal is met (``least``: the figure may not be below the limit)."""
    met = measured >= limit if least else measured <= limit
    sign = ">=" if least else "<="
    say(f"{'met   ' if met else 'MISSED'}  {name}: {measured:,.4g} (goal {sign} {limit:,.4g})")
    return met


def finish(result: Mapping[str, Any], *, as_json: bool) -> None:
    """The last line: one JSON object, where asked for."""
    if as_json:
        print(json.dumps(result), flush=True)
