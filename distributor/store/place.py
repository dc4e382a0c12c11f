"""Whether the files that are open are still those in the store's place."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from distributor.errors import StoreFailed

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)


class Place:
    """The store's file and its ``-wal``, known by device and inode. Made once both are open."""

    def __init__(self, path: Path) -> None:
        self._files = {file: _identity(file) for file in (path, path.with_name(f"{path.name}-wal"))}

    def look(self) -> None:
        """Raises ``StoreFailed`` where one of them was removed, or another one lies in its place. What
        is written then is gone with the process."""
        for file, known in self._files.items():
            try:
                found = _identity(file)
            except OSError as error:
                if error.errno not in _GONE:
                    continue  # we may not look, and go on writing to what we have open
                found = None
            if found != known:
                what = "is gone" if found is None else "was replaced"
                raise StoreFailed(
                    f"store.path: {file} {what} while the daemon wrote to it, and what was taken last may"
                    " be lost: stop the daemon before you touch its store; put the right file in this"
                    " place (its disk mounted, or a backup without -wal and -shm), then start again"
                )


def _identity(file: Path) -> tuple[int, int]:
    found = os.stat(file)  # noqa: PTH116 - the shortest way, once a second
    return found.st_dev, found.st_ino
