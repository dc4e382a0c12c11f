"""New settings without a restart: on SIGHUP, and when the file changes.

A new file is taken whole or refused whole; refused, the settings in force stay in force.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

from watchfiles import Change, awatch

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


async def watch(
    path: Path,
    current: Callable[[], Settings],
    on_change: Callable[[Settings], Awaitable[None]],
    on_refused: Callable[[list[str]], None],
    *,
    signals: bool = True,
) -> None:
    """Follow the file ``path`` until cancelled.

    ``current``: the settings in force. ``on_change`` gets new ones, ``on_refused`` the problems of a
    file that was not taken. ``signals``: whether SIGHUP reloads too (main thread only); it does so
    even where the file did not change, because a secret's file may have. What ``on_change`` raises
    ends the watch (in an ExceptionGroup).
    """
    wake = asyncio.Event()
    hup = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_hup() -> None:
        hup.set()
        wake.set()

    if signals:
        loop.add_signal_handler(signal.SIGHUP, on_hup)
    seen = _content(path)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_follow(path, wake, on_refused), name="config file watch")
            while True:
                await wake.wait()
                wake.clear()
                content = _content(path)
                if content == seen and not hup.is_set():
                    continue
                hup.clear()
                seen = content
                await _reload(path, current(), on_change, on_refused)
    finally:
        if signals:
            loop.remove_signal_handler(signal.SIGHUP)


async def _reload(
    path: Path,
    current: Settings,
    on_change: Callable[[Settings], Awaitable[None]],
    on_refused: Callable[[list[str]], None],
) -> None:
    try:
        new = await asyncio.to_thread(reload, path, current)
    except BadConfig as error:
        on_refused(error.problems)
    else:
        await on_change(new)


async def _follow(path: Path, wake: asyncio.Event, on_refused: Callable[[list[str]], None]) -> None:
    """Set ``wake`` when the file may have changed. The folder is watched, not the file, because
    editors and deployment tools replace files by renaming.
    """
    try:
        async for _ in _changes(path):
            wake.set()
    except (OSError, RuntimeError) as error:  # the watcher's own errors are RuntimeErrors
        on_refused([f"{path}: cannot be watched ({error}); reload with SIGHUP"])


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
