"""New settings without a restart: on SIGHUP, and when the file changes.

A new file is taken whole or refused whole; refused, the settings in force stay in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import structlog
from watchfiles import Change, awatch

from distributor.errors import BadConfig
from distributor.settings import Settings, load

log = structlog.get_logger(__name__)

RESTART_KEYS: Final = (
    "store",
    "mqtt",
    "dialers",
    "log",
    "http.host",
    "http.port",
    "http.tls",
    "http.max_body_bytes",
)
"""What is opened at the start and kept: a change needs a restart."""

_DEBOUNCE_MS: Final = 100
_STEP_MS: Final = 20
_LOOK_AGAIN_MS: Final = 5000
"""Where the folder sends no signals (network file systems) the file is compared this often."""


def reload(path: Path, current: Settings) -> Settings:
    """The settings now in ``path``, fit to follow ``current`` in a running process. Raises BadConfig
    with every problem.
    """
    new = load(path)
    changed = dict.fromkeys(filter(None, (_changed(current, new, key) for key in RESTART_KEYS)))
    if changed:
        remedy = "changed, and needs a restart; nothing was taken over"
        raise BadConfig([f"{key}: {remedy}" for key in changed])
    return new


def _changed(old: Settings, new: Settings, key: str) -> str | None:
    """``key`` if it differs, or the name of its section if that came or went."""
    section, _, name = key.partition(".")
    before, after = getattr(old, section), getattr(new, section)
    if (before is None) != (after is None):
        return section
    if name and before is not None:
        before, after = getattr(before, name), getattr(after, name)
    return None if before == after else key


class Watch:
    """Follows the configuration file ``path``.

    ``current``: the settings in force. ``on_change`` gets new ones, ``on_refused`` the problems of a
    file that was not taken. What changes, or is asked for with ``again``, after this was made and
    before ``run`` is taken up by ``run``.
    """

    def __init__(
        self,
        path: Path,
        current: Callable[[], Settings],
        on_change: Callable[[Settings], Awaitable[None]],
        on_refused: Callable[[list[str]], None],
    ) -> None:
        self._path = path
        self._current = current
        self._on_change = on_change
        self._on_refused = on_refused
        self._wake = asyncio.Event()
        self._wake.set()
        self._asked = False
        self._seen = _content(path)

    def again(self) -> None:
        """Read the file although it may not have changed: a secret's file may have."""
        self._asked = True
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled. What ``on_change`` raises ends it (in an ExceptionGroup)."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="config file watch")
            while True:
                await self._wake.wait()
                self._wake.clear()
                content = _content(self._path)
                if content == self._seen and not self._asked:
                    continue
                self._asked = False
                self._seen = content
                await self._reload()

    async def _reload(self) -> None:
        try:
            new = await asyncio.to_thread(reload, self._path, self._current())
        except BadConfig as error:
            self._on_refused(error.problems)
        else:
            await self._on_change(new)

    async def _follow(self) -> None:
        """Wake up when the file may have changed. The folder is watched, not the file, because
        editors and deployment tools replace files by renaming.
        """
        try:
            async for _ in _changes(self._path):
                self._wake.set()
        except (OSError, RuntimeError) as error:  # the watcher's own errors are RuntimeErrors
            remedy = "after a change reload with SIGHUP"
            log.warning("settings_not_watched", error=str(error), remedy=remedy)


def _changes(path: Path) -> AsyncIterator[object]:
    def ours(_change: Change, name: str) -> bool:
        # Kubernetes swaps a link called "..data"; the file's own name does not change then.
        return Path(name).name == path.name or Path(name).name.startswith("..")

    return awatch(
        path.absolute().parent,
        watch_filter=ours,
        debounce=_DEBOUNCE_MS,
        step=_STEP_MS,
        recursive=False,
        rust_timeout=_LOOK_AGAIN_MS,
        yield_on_timeout=True,
    )


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
