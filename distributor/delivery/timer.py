"""One call in the future, moved as often as needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timer:
    """Calls ``call`` when the time that was armed last has passed."""

    __slots__ = ("_call", "_handle")

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._handle: asyncio.TimerHandle | None = None

    def arm(self, seconds: float | None) -> None:
        """Call in so many seconds (soon, if it is past); None: not at all."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if seconds is not None:
            self._handle = asyncio.get_running_loop().call_later(max(0.0, seconds), self._call)
