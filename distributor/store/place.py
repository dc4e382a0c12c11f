"""Whether the files that are open are still those in the store's place."""

from __future__ import annotations

import errno
from pathlib import Path

from distributor.errors import StoreFailed

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
_REMEDY = (
    "what was taken last may be lost; stop the daemon before you touch its store, put the right file in"
    " this place, then start again"
)


class Place:
    """The store's file and its ``-wal``, known by device and inode. Made once both are open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wal = path.with_name(f"{path.name}-wal")
        self._known = {file: _identity(file) for file in (self.path, self.wal)}

    def look(self) -> None:
        """Raises ``StoreFailed`` where one of them was removed, or another one lies in its place: what
        is written from then on is gone with the process."""
        for file, known in self._known.items():
            found = _identity(file)
            if found in (known, "forbidden"):
                continue  # where we may not look, we can go on writing to what we have open
            what = "is gone"
            if found != "gone":
                what = f"was replaced{self._keep_wal()}"
            raise StoreFailed(f"store.path: {file} {what} while the daemon wrote to it: {_REMEDY}")

    def _keep_wal(self) -> str:
        """Our ``-wal`` must not be taken for that of the file which lies in the place now: the next start
        would mix the two."""
        if _identity(self.wal) != self._known[self.wal]:
            return ""
        kept = self.wal.with_name(f"{self.wal.name}.replaced")
        try:
            self.wal.replace(kept)
        except OSError:
            return ""
        return f" (its -wal is kept as {kept.name})"


def _identity(file: Path) -> str:
    try:
        found = file.stat()
    except OSError as error:
        return "gone" if error.errno in _GONE else "forbidden"
    return f"{found.st_dev}:{found.st_ino}"
