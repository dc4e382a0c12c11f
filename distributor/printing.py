"""What the commands print: decision records for people, and exports for machines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TextIO

import msgspec

Row = Mapping[str, Any]

_LEAD: Final = (
    "lead_key",
    "vendor",
    "lead_id",
    "state",
    "status",
    "pool",
    "rep",
    "assignment_id",
    "attempt",
    "score",
    "received_at",
    "contacted_at",
)
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "leads": _LEAD,
    "prospects": _LEAD,
    "events": ("event_id", "type", "lead_key", "assignment_id", "rep", "at", "outcome"),
    "assignments": (
        "assignment_id",
        "lead_key",
        "rep",
        "attempt",
        "assigned_at",
        "ended_at",
        "end_reason",
    ),
}
"""The first columns of each export; what a row carries beyond them follows. An export without rows
has these as its header."""


def as_json(value: object) -> str:
    """One line of JSON."""
    return msgspec.json.encode(value).decode()


def why_text(record: Row) -> str:
    """A decision record: who got the lead, when, because of what, and who else was looked at."""
    rep = record.get("rep") or "nobody"
    lines = [f"lead {_cell(record.get('lead_key'))}: {_cell(rep)}"]
    facts = (
        ("when", record.get("at")),
        ("assignment", record.get("assignment_id")),
        ("policy", record.get("policy")),
        ("reason", record.get("reason")),
        ("because", record.get("because")),
    )
    lines += [f"  {name + ':':<12}{_cell(value)}" for name, value in facts if value]
    candidates: Sequence[Row] = record.get("candidates") or ()
    rows = [[_cell(row.get(key)) for key in ("rep", "verdict", "because")] for row in candidates]
    if rows:
        lines += ["", *_table(["candidate", "verdict", "because"], rows)]
    return "\n".join(lines)


def why_idle_text(record: Row) -> str:
    """Why a rep receives nothing, or less."""
    flow = record.get("flow")
    share = f"flow {flow:.2f} of 1" if isinstance(flow, int | float) else "unknown flow"
    reasons: Sequence[Row] = record.get("reasons") or ()
    rows = [[_cell(row.get("code")), _cell(row.get("because"))] for row in reasons]
    lines = [f"rep {_cell(record.get('rep'))}: {share}"]
    if rows:
        lines += ["", *_table(["reason", "because"], rows)]
    else:
        lines.append("  nothing is held back")
    return "\n".join(lines)


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *rows]
    ]


def _cell(value: object) -> str:
    """A value in one line. What a terminal would obey, not show, is written out as an escape."""
    line = "" if value is None else " ".join(str(value).split())
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in line)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape", "backslashreplace").decode("ascii")


def write_csv(kind: str, rows: Iterable[Row], out: TextIO) -> None:
    """A header and a line for each row. Objects and lists within a row are JSON texts."""
    writer = csv.writer(out, lineterminator="\n")
    columns = list(COLUMNS.get(kind, ()))
    headed = False
    for row in rows:
        if not headed:
            columns += [key for key in row if key not in columns]
            writer.writerow(columns)
            headed = True
        writer.writerow([_csv_cell(row.get(column)) for column in columns])
    if not headed:
        writer.writerow(columns)


def _csv_cell(value: object) -> object:
    if isinstance(value, bool | dict | list | tuple):
        return json.dumps(value, default=str)
    return value


def write_json(_kind: str, rows: Iterable[Row], out: TextIO) -> None:
    """One array, a row a line, written as it is read."""
    before = "[\n"
    for row in rows:
        out.write(before + as_json(row))
        before = ",\n"
    out.write("\n]\n" if before == ",\n" else "[]\n")


def write_ndjson(_kind: str, rows: Iterable[Row], out: TextIO) -> None:
    """One object a line."""
    out.writelines(as_json(row) + "\n" for row in rows)


WRITERS: Final[dict[str, Callable[[str, Iterable[Row], TextIO], None]]] = {
    "csv": write_csv,
    "json": write_json,
    "ndjson": write_ndjson,
}
