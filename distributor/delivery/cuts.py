"""Finds the message on which a broker hangs up without saying why.

Brokers do so with MQTT 3.1.1, which has no other way to refuse: a message larger than they take, a
forbidden topic. Sent again and again it would keep everything behind it away for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

CAREFUL_AFTER: Final = 3
GIVE_UP_AFTER: Final = 5
QUIET_SECONDS: Final = 1.0
"""Before a message is tried alone: a connection that does not outlive this is not cut by the message."""


class CutWatch:
    """Counts the ``cuts`` in a row at which something was under way and nothing was answered before.

    After ``CAREFUL_AFTER`` of them, messages go one at a time, each on a connection that was quiet
    for a while; what is alone under way at the last two is the culprit. ``wake`` is called when
    that while is over.
    """

    def __init__(self, wake: Callable[[], None], quiet_seconds: float) -> None:
        self.cuts = 0
        self._wake = wake
        self._quiet_seconds = quiet_seconds
        self._quiet: asyncio.TimerHandle | None = None

    def connected(self) -> None:
        """The connection is up: be quiet for a while where that tells something."""
        self.close()
        if self.cuts >= CAREFUL_AFTER:
            self._quiet = asyncio.get_running_loop().call_later(self._quiet_seconds, self._loud)

    def slots(self, free: int, under_way: int) -> int:
        """How many messages may be sent now, of the ``free`` slots."""
        if self.cuts < CAREFUL_AFTER:
            return free
        return 0 if self._quiet is not None or under_way else min(1, free)

    def answered(self) -> None:
        """The broker answered a message: it is no such broker, or it is past the culprit."""
        self.cuts = 0

    def cut(self, under_way: int) -> bool:
        """The connection was cut with so many publishes under way. True: the only one is the culprit."""
        self.cuts += 1
        if self.cuts < GIVE_UP_AFTER or under_way != 1:
            return False
        self.cuts = CAREFUL_AFTER  # there may be more of the kind: they are tried alone, too
        return True

    def close(self) -> None:
        """End the timer."""
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None

    def _loud(self) -> None:
        self._quiet = None
        self._wake()
