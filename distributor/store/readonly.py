"""``ReadOnly``: a connection that only reads, beside the daemon that owns the store."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributor.errors import Damaged, StoreFailed
from distributor.store import schema
from distributor.store.connection import connect_reader

CHUNK = 1_000
"""So many rows are read at a time: a running daemon is not held up."""


class ReadOnly:
    """A store that is read. Every ``sqlite3.Error`` becomes ``StoreFailed`` here, or ``Damaged``.

    Raises ``StoreFailed`` where there is no store, or one of another schema; ``Damaged`` where the file
    is no sound database.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        _refuse_missing(self.path)
        try:
            self.connection = connect_reader(self.path)
        except sqlite3.Error as error:
            raise schema.unusable(self.path, error) from error
        try:
            self._refuse_other_schemas()
        except BaseException:
            self.connection.close()
            raise

    @contextmanager
    def picture(self) -> Iterator[None]:
        """All answers within are of one moment, whatever a running daemon goes on writing."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("ROLLBACK")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection; what fails within says what to do about it."""
        try:
            yield self.connection
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise Damaged(f"{self.path}: {error}: {schema.RESTORE}") from error
            raise StoreFailed(f"{self.path}: {error}: try again") from error

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """All that a query finds."""
        with self.reading() as connection:
            cursor = connection.execute(sql, parameters)
            cursor.row_factory = sqlite3.Row
            return cursor.fetchall()

    def close(self) -> None:
        """Close; nothing may be under way, see ``sqlite3.Connection.interrupt``."""
        self.connection.close()

    def _refuse_other_schemas(self) -> None:
        try:
            schema.refuse_strangers(self.connection)
            found = schema.version(self.connection)
        except (sqlite3.Error, StoreFailed) as error:
            raise schema.unusable(self.path, error) from error
        known = len(schema.MIGRATIONS)
        if found != known:
            remedy = "start the daemon once to migrate it" if found < known else "use the newer one"
            raise StoreFailed(
                f"{self.path}: the store has schema {found}, this release reads {known}: {remedy}"
            )


def _refuse_missing(path: Path) -> None:
    try:
        size = path.stat().st_size
    except PermissionError as error:
        raise StoreFailed(f"{path}: {schema.NO_RIGHTS}") from error
    except OSError as error:
        remedy = "check [store] path, or run the daemon once"
        raise StoreFailed(f"{path}: there is no store: {remedy}") from error
    if not os.access(path, os.R_OK):  # not opened to see: closing it would give up SQLite's locks
        raise StoreFailed(f"{path}: {schema.NO_RIGHTS}")
    if not size:
        raise StoreFailed(f"{path}: {schema.EMPTY}")
