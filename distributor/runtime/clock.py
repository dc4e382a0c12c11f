"""The only reader of clocks and the only source of chance."""

from __future__ import annotations

import random
import secrets
import time

from distributor.domain.ids import to_seconds

SLOWED_BY = 100
"""While our time is ahead of the machine's clock, it goes slower by one part in so many."""

# Suspended machines count as well, where the system has such a clock.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_ns() -> int:
    """Nanoseconds that passed, from some moment on: nobody can set this clock."""
    return time.clock_gettime_ns(_STEADY)


class Clock:
    """Our time: the machine's clock, but never back, and never standing still.

    A step forward is followed. Where the machine's clock is behind (it was set back, or the store knows a
    later time), our time goes on from where it is, by one part in a hundred slower, until the clock has
    caught up: deadlines keep their pace, and what is ahead shrinks. ``offset_ns`` lets a test set the clock.
    """

    def __init__(self) -> None:
        self.offset_ns = 0
        self._last = (0, 0)  # our time, and the steady one then; together, for threads ask as well

    def now_ns(self) -> int:
        """Our time, nanoseconds since the Unix epoch."""
        last_ns, then_ns = self._last
        steady = steady_ns()
        passed_ns = steady - then_ns
        now_ns = max(self.wall_ns(), last_ns + passed_ns - passed_ns // SLOWED_BY)
        self._last = (now_ns, steady)
        return now_ns

    def wall_ns(self) -> int:
        """The machine's clock as it is, nanoseconds since the Unix epoch: what others mean by a time."""
        return time.time_ns() + self.offset_ns

    def go_on_from(self, at_ns: int) -> None:
        """Be no earlier than ``at_ns`` from now on."""
        if at_ns > self.now_ns():
            self._last = (at_ns, steady_ns())

    def ahead_ns(self) -> int:
        """By how much our time is ahead of the machine's clock; 0: they are one."""
        return max(0, self.now_ns() - self.wall_ns())

    def ahead_seconds(self) -> float:
        """``ahead_ns`` in seconds."""
        return to_seconds(self.ahead_ns())


def entropy(count: int) -> bytes:
    """Random bytes, for what a new store is named by."""
    return secrets.token_bytes(count)


def new_salt() -> str:
    """Three letters and digits that tell one process's lead keys from another's."""
    return "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") for _ in range(3))


def jitter() -> float:
    """A number in [0, 1) for spreading reconnects and retries."""
    return random.random()  # noqa: S311 - spreads retries, keeps no secret
