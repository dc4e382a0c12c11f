"""Whether the files that are open are still those in the store's place."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import NamedTuple, NoReturn

from distributor.errors import StoreFailed

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
_REMEDY = (
    "what was taken last may be lost; stop the daemon before you touch its store, put the right file in"
    " this place, then start again"
)


class _Seen(NamedTuple):
    """A file as it lies there. ``number`` 0: there is none."""

    device: int = 0
    number: int = 0
    size: int = 0

    def is_file(self, other: _Seen) -> bool:
        return self[:2] == other[:2]


class Place:
    """The store's file and its ``-wal``, known by device and inode. Made once both are open.

    ``wal_kept``: the ``-wal`` was put aside, for another file lies in the store's place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wal = path.with_name(f"{path.name}-wal")
        self.wal_kept = False
        self._store = _see(path)
        self._wal = _see(self.wal)

    def look(self) -> None:
        """Raises ``StoreFailed`` where one of them was removed, or another one lies in its place: what
        is written from then on is gone with the process. A store never gets smaller: one that did was
        written over."""
        try:
            store, wal = _see(self.path), _see(self.wal)
        except OSError:
            return  # we may not look, and can go on writing to what we have open
        if not store.number:
            self._fail(self.path, "is gone")
        if not store.is_file(self._store) or store.size < self._store.size:
            self._fail(self.path, f"was replaced{self._keep_wal(wal)}")
        self._store = store
        if not wal.is_file(self._wal):
            self._fail(self.wal, "was replaced" if wal.number else "is gone")

    def _keep_wal(self, wal: _Seen) -> str:
        """Ours must not be taken for that of the file which lies in the place now: the next start would
        mix the two."""
        if not wal.is_file(self._wal):
            return ""
        kept = self.wal.with_name(f"{self.wal.name}.replaced")
        try:
            self.wal.replace(kept)
        except OSError:
            return ""
        self.wal_kept = True
        return f" (its -wal is kept as {kept.name})"

    @staticmethod
    def _fail(file: Path, what: str) -> NoReturn:
        raise StoreFailed(f"store.path: {file} {what} while the daemon wrote to it: {_REMEDY}")


def _see(file: Path) -> _Seen:
    """Raises ``OSError`` where nobody can say whether the file is there."""
    try:
        found = file.stat()
    except OSError as error:
        if error.errno in _GONE:
            return _Seen()
        raise
    return _Seen(found.st_dev, found.st_ino, found.st_size)
