"""A recorded floor: arrivals, presence and handling times from a trace file.

A trace is CSV (or CSV.gz) with the columns ``ts,event,lead,rep,detail`` in the order of ``ts``. Who
got which lead in the recording is ignored: that is for the daemon to decide. Real recordings have
defects (a contact before its lead arrived, a rep who was never seen to come); they are counted.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from distributor.domain.ids import is_name
from distributor.errors import RejectedInput

COLUMNS = ("ts", "event", "lead", "rep", "detail")
_NEVER = datetime.fromisoformat("1970-01-01T00:00:00")
_IGNORED = frozenset({"assigned", "contact", "status"})


class Arrival(Struct, frozen=True):
    """A lead arrives ``at_seconds`` after the start of the trace."""

    at_seconds: float
    lead: str
    detail: str = ""


class Shift(Struct, frozen=True):
    """A rep comes or goes ``at_seconds`` after the start of the trace."""

    at_seconds: float
    rep: str
    online: bool


class Trace(Struct, frozen=True):
    """What is taken from a trace; ``handling`` is seconds by lead, ``defects`` counts by kind."""

    arrivals: tuple[Arrival, ...]
    shifts: tuple[Shift, ...]
    reps: tuple[str, ...]
    handling: Mapping[str, float]
    length_seconds: float
    defects: Mapping[str, int]


def read_trace(path: Path) -> Trace:
    """The trace in a file. Raises ``RejectedInput`` when there is none, or nothing to replay."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        text = data.decode()
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise RejectedInput(f"--trace {path}: {reason}; name a CSV or CSV.gz file") from error
    trace = parse_trace(io.StringIO(text, newline=""))
    if not trace.arrivals or not trace.reps:
        missing = "rep" if trace.arrivals else "lead_in"
        raise RejectedInput(
            f"--trace {path}: no {missing} to replay; give a file with the columns "
            f"{','.join(COLUMNS)} and events lead_in, rep_online, rep_offline"
        )
    return trace


def parse_trace(lines: Iterable[str]) -> Trace:
    """The trace in lines of CSV; whatever the lines are, this does not fail."""
    reading = _Reading()
    rows = csv.reader(lines)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return reading.result()
        except csv.Error:
            reading.defects["unreadable"] += 1
            continue
        if tuple(row) != COLUMNS:
            reading.take(row)


class _Reading:
    """A trace while it is read."""

    def __init__(self) -> None:
        self.defects: Counter[str] = Counter()
        self._arrivals: list[tuple[datetime, str, str]] = []
        self._shifts: list[tuple[datetime, str, bool]] = []
        self._reps: dict[str, None] = {}
        self._handling: dict[str, float] = {}
        self._arrived: set[str] = set()
        self._early: set[str] = set()
        self._last: datetime | None = None

    def take(self, row: list[str]) -> None:
        """One row, good or bad."""
        moment = _moment(row[0]) if len(row) == len(COLUMNS) else None
        if moment is None or not self._event(moment, *row[1:]):
            self.defects["unreadable"] += 1
            return
        if self._last is not None and moment < self._last:
            self.defects["out of order"] += 1
        self._last = moment if self._last is None else max(self._last, moment)

    def _event(self, moment: datetime, event: str, lead: str, rep: str, detail: str) -> bool:
        if event == "lead_in" and lead:
            self._lead_in(moment, lead, detail)
        elif event in {"rep_online", "rep_offline"} and is_name(rep):
            self._reps.setdefault(rep)
            self._shifts.append((moment, rep, event == "rep_online"))
        elif event in _IGNORED and lead:
            self._worked(lead, rep, detail)
        else:
            return False
        return True

    def _lead_in(self, moment: datetime, lead: str, detail: str) -> None:
        if lead in self._arrived:
            self.defects["lead_in repeated"] += 1
        self._arrived.add(lead)
        self._arrivals.append((moment, lead, detail))

    def _worked(self, lead: str, rep: str, detail: str) -> None:
        if is_name(rep):
            self._reps.setdefault(rep)
        if lead not in self._arrived:
            self._early.add(lead)
        seconds = _handle_seconds(detail)
        if seconds > 0:
            self._handling[lead] = seconds

    def result(self) -> Trace:
        """All of it, with times counted from the first event."""
        if self._early:
            self.defects["worked before lead_in"] = len(self._early)
        moments = [moment for moment, *_ in (*self._arrivals, *self._shifts)]
        start = min(moments, default=_NEVER)
        end = max(moments, default=start)

        def seconds(moment: datetime) -> float:
            return (moment - start).total_seconds()

        arrivals = (Arrival(seconds(at), lead, text) for at, lead, text in self._arrivals)
        shifts = (Shift(seconds(at), rep, online) for at, rep, online in self._shifts)
        return Trace(
            arrivals=tuple(sorted(arrivals, key=lambda arrival: arrival.at_seconds)),
            shifts=tuple(sorted(shifts, key=lambda shift: shift.at_seconds)),
            reps=tuple(sorted(self._reps)),
            handling=self._handling,
            length_seconds=seconds(end),
            defects=dict(self.defects),
        )


def _moment(text: str) -> datetime | None:
    """A time without zone; traces keep the local time of their source."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo else moment


def _handle_seconds(detail: str) -> float:
    """Handling time from a detail like ``done|handle_s=42``, 0 where there is none."""
    for part in detail.split("|"):
        name, _, value = part.partition("=")
        if name == "handle_s":
            try:
                seconds = float(value)
            except ValueError:
                return 0.0
            return seconds if math.isfinite(seconds) else 0.0
    return 0.0
