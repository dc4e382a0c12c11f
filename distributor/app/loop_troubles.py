"""What the event loop itself complains of."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    import asyncio

_NO_FILES: Final = (errno.EMFILE, errno.ENFILE)
_TELL_SECONDS: Final = 60.0


class LoopTroubles:
    """The loop's exception handler.

    Without files left the loop would write a traceback for each of a hundred connections it cannot
    accept, every second: that is one line a minute here. It tries again by itself.
    """

    def __init__(self) -> None:
        self._told_at = -_TELL_SECONDS

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """One complaint."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _NO_FILES:
            loop.default_exception_handler(context)
            return
        now = time.monotonic()
        if now - self._told_at < _TELL_SECONDS:
            return
        self._told_at = now
        structlog.get_logger(__name__).error(
            "no_files_left",
            error=error.strerror,
            remedy="raise LimitNOFILE in the unit (ulimit -n), and see who holds connections",
        )
