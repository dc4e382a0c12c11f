"""The tables once more, made from the journal alone: what ``verify`` holds the stored ones against.

The rows are made and written by the very code that the daemon writes with, into a temporary database
that SQLite keeps in memory while it is small and on disk beyond that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import msgspec

from distributor.domain.journal import Batch, Entry
from distributor.domain.lead import Lead
from distributor.domain.rep import Rep
from distributor.store.codec import unpack_floor, unpack_lead, unpack_rep
from distributor.store.projection import Row, project
from distributor.store.schema import migrate
from distributor.store.statements import write_rows


class Table(NamedTuple):
    """A table that the journal makes: what a row of it is called, and by which columns it is found.

    ``record``: the column that holds a whole record, and how it is read. Its text may differ between
    releases, its meaning may not.
    """

    what: str
    name: str
    key: tuple[str, ...]
    record: tuple[str, Callable[[Any], Any]] | None = None


TABLES = (
    Table("lead", "leads", ("lead_key",), ("record", unpack_lead)),
    Table("assignment", "assignments", ("assignment_id",)),
    Table("rep", "reps", ("rep",), ("record", unpack_rep)),
    Table("event", "events", ("id",)),
    Table("history of lead", "history", ("lead_key", "seq")),
    Table("history of rep", "rep_history", ("rep", "kind", "seq")),
    Table("dead letter", "dead_letters", ("id",)),
    Table("floor", "floor", ("id",), ("record", unpack_floor)),
    Table("target", "targets", ("target",)),
)


_PRIVATE = frozenset({"body", "payload"})
"""Columns that hold what was sent to us: compared, and never shown."""


class Scratch:
    """A temporary database with the tables of a store."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA cache_size = -65536")
        migrate(self._connection)

    def close(self) -> None:
        """Throw it away."""
        self._connection.close()

    def write(self, entries: Sequence[Entry], leads: Iterable[Lead], reps: Iterable[Rep]) -> None:
        """What ``entries`` write, with the records of leads and reps as they are after the last."""
        rows = project(Batch(entries, leads, reps))
        rows.journal = []
        self._connection.execute("BEGIN")
        write_rows(self._connection, rows)
        self._connection.execute("COMMIT")

    def rows(self, table: Table) -> Iterator[Row]:
        """The rows of a table in the order of their keys."""
        return read_table(self._connection, table)


def read_table(connection: sqlite3.Connection, table: Table) -> Iterator[Row]:
    """All columns of all rows, the key first, in the order of the key."""
    columns = ", ".join(_columns(connection, table))
    key = ", ".join(table.key)
    yield from connection.execute(f"SELECT {columns} FROM {table.name} ORDER BY {key}")


def _columns(connection: sqlite3.Connection, table: Table) -> list[str]:
    """The key first."""
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")]
    return [*table.key, *(name for name in names if name not in table.key)]


def first_difference(table: Table, made: Iterator[Row], stored: Iterator[Row]) -> str | None:
    """The first row in which what the journal makes and what the table holds are not the same."""
    size = len(table.key)
    mine, theirs = next(made, None), next(stored, None)
    while mine is not None or theirs is not None:
        if theirs is None or (mine is not None and mine[:size] < theirs[:size]):
            return f"{_name(table, mine)} is in the journal and not in the table {table.name}"
        if mine is None or theirs[:size] < mine[:size]:
            return f"{_name(table, theirs)} is in the table {table.name} and not in the journal"
        if mine != theirs:
            difference = _unlike(table, mine, theirs)
            if difference:
                return f"{_name(table, mine)}: {difference}"
        mine, theirs = next(made, None), next(stored, None)
    return None


def _unlike(table: Table, mine: Row, theirs: Row) -> str | None:
    record, read = table.record or ("", None)
    for name, was, now in zip(_names(table), mine, theirs, strict=True):
        where = f"its {name} in the table {table.name}"
        if was == now:
            continue
        if name == record and read is not None and was is not None and now is not None:
            try:
                if read(was) == read(now):
                    continue
            except msgspec.DecodeError as error:
                return f"{where} cannot be read: {error}"
        if name == record or name in _PRIVATE:
            return f"{where} is not what the journal makes"
        return f"{where} is {_short(now)}, the journal says {_short(was)}"
    return None


def _names(table: Table) -> list[str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        return _columns(connection, table)


def _name(table: Table, row: Row | None) -> str:
    assert row is not None
    return f"{table.what} {' '.join(str(part) for part in row[: len(table.key)])}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
