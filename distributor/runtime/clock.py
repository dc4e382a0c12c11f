"""The only reader of clocks and the only source of chance."""

from __future__ import annotations

import random
import secrets
import time


class Clock:
    """Wall-clock time that never goes back while the process lives.

    When the machine's clock is set back, our time stands still until it has caught up; a step forward
    is followed. ``offset_ns`` lets a test set the clock.
    """

    def __init__(self) -> None:
        self.offset_ns = 0
        self._last_ns = 0

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        now = time.time_ns() + self.offset_ns
        if now > self._last_ns:
            self._last_ns = now
        return self._last_ns


def entropy(count: int) -> bytes:
    """Random bytes, for what a new store is named by."""
    return secrets.token_bytes(count)


def new_salt() -> str:
    """Three letters and digits that tell one process's lead keys from another's."""
    return "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") for _ in range(3))


def jitter() -> float:
    """A number in [0, 1) for spreading reconnects and retries."""
    return random.random()  # noqa: S311 - spreads retries, keeps no secret
