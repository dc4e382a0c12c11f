"""A small disk for a store: a tmpfs of its own where we may mount one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOMY_BYTES = 1 << 30


@contextmanager
def mounted(folder: Path) -> Iterator[bool]:
    """A tmpfs on ``folder`` with plenty of room, gone afterwards. False where we may not mount."""
    folder.mkdir(parents=True, exist_ok=True)
    if not _mount("-t", "tmpfs", "-o", f"size={ROOMY_BYTES}", "tmpfs", str(folder)):
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def is_small_disk(folder: Path) -> bool:
    """Whether ``folder`` is such a tmpfs."""
    return os.path.ismount(folder)


def leave_room(folder: Path, free: int) -> None:
    """So many bytes are left on the tmpfs, what is written keeping its place."""
    resize(folder, shutil.disk_usage(folder).used + free)


def resize(folder: Path, size: int = ROOMY_BYTES) -> None:
    """Give the tmpfs another size, in bytes."""
    if not _mount("-o", f"remount,size={size}", str(folder)):
        raise OSError(f"{folder}: cannot be given another size")


def _mount(*words: str) -> bool:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    return subprocess.run(["mount", *words], check=False, capture_output=True).returncode == 0
