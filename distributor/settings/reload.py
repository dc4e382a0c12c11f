"""New settings without a restart: on SIGHUP, and when the file changes.

A new file is taken whole or refused whole; refused, the settings in force stay in force.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from distributor.errors import BadConfig
from distributor.settings import Settings, load

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

LOOK_SECONDS: Final = 0.5
"""So often the file is read, to see whether it changed. Being told by the system would be dearer: it
tells of every write in the file's folder, and the store's own may be there, hundreds a second."""


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

    A change counts once two looks in a row saw the same: nobody is halfway through writing the file
    then. What changes, or is asked for with ``again``, after this was made and before ``run`` is taken
    up by ``run``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked = asyncio.Event()
        self._used = self._last_look = _content(path)

    def again(self) -> None:
        """Read the file now, although it may not have changed: a secret's file may have."""
        self._asked.set()

    async def run(
        self,
        current: Callable[[], Settings],
        on_change: Callable[[Settings], Awaitable[None]],
        on_refused: Callable[[list[str]], None],
    ) -> None:
        """Until cancelled. ``current``: the settings in force. ``on_change`` gets new ones, and what it
        raises ends this; ``on_refused`` gets the problems of a file that was not taken."""
        while True:
            await self._asked_or_changed()
            try:
                new = await asyncio.to_thread(reload, self._path, current())
            except BadConfig as error:
                on_refused(error.problems)
            else:
                await on_change(new)

    async def _asked_or_changed(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), LOOK_SECONDS)
            content = await asyncio.to_thread(_content, self._path)
            settled = content == self._last_look
            self._last_look = content
            if self._asked.is_set() or (settled and content != self._used):
                self._asked.clear()
                self._used = content
                return


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
