"""Arrivals of a recorded floor, in place of drawn ones."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distributor.errors import BadConfig


@lru_cache(maxsize=4)
def arrivals_of(path: str, seconds: float, begin: datetime | None = None) -> NDArray[np.float64]:
    """The times of the ``lead_in`` lines of a trace, in seconds after the first (or ``begin``, by the
    trace's own clock), as far as the shift.

    A lead that came twice counts once. Raises ``BadConfig`` for a file that is no trace, or where no
    lead comes from ``begin`` on.
    """
    seen: set[str] = set()
    times: list[datetime] = []
    try:
        for row in csv.DictReader(io.StringIO(_text(path), newline="")):
            if row["event"] == "lead_in" and row["lead"] not in seen:
                seen.add(row["lead"])
                times.append(datetime.fromisoformat(row["ts"]))
        times = [time for time in times if begin is None or time >= begin]
    except (OSError, KeyError, ValueError, TypeError) as error:
        remedy = 'give "poisson" or a trace with the columns ts, event, lead, rep'
        raise BadConfig([f"arrivals: {path} cannot be read ({error!r}); {remedy}"]) from error
    if not times:
        since = (
            f" from {begin} on; give an earlier arrivals_begin" if begin else "; give another trace"
        )
        raise BadConfig([f"arrivals: {path} has no lead_in line{since}"])
    first = begin or min(times)
    after = np.sort(np.array([(time - first).total_seconds() for time in times]))
    return np.asarray(after[after < seconds])


def _text(path: str) -> str:
    raw = Path(path).read_bytes()
    return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
