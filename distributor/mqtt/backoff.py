"""How long to wait before the next connection."""

from __future__ import annotations

from collections.abc import Callable

from distributor.mqtt.values import MqttSettings

PROVEN_SECONDS = 5.0
"""A connection that was up for so long has proven itself: what ended it is no lasting trouble."""
SHORT_SECONDS = 1.0
"""The longest wait for a broker that lets us in: what it has for us must not lie there."""
_PATIENCE = 20


class Backoff:
    """Doubles from ``reconnect_first_seconds`` to ``reconnect_max_seconds`` while nothing gets through,
    and to a second only where the broker lets us in and drops us again. The upper half of each wait is
    left to chance (``jitter``: numbers from 0 to 1).

    ``short_lived`` counts connections in a row that did not prove themselves; from the twentieth on the
    waits for them grow slowly: two daemons may be throwing each other out.
    """

    def __init__(self, settings: MqttSettings, jitter: Callable[[], float]) -> None:
        self.short_lived = 0
        self._first = settings.reconnect_first_seconds
        self._max = settings.reconnect_max_seconds
        self._jitter = jitter
        self._failures = 0

    def failed(self) -> float:
        """Seconds to wait after an attempt that led to no connection."""
        self._failures += 1
        return self._wait(self._failures, self._max)

    def lost(self, lived_seconds: float, *, taken_over: bool) -> float:
        """Seconds to wait after the end of a connection. ``taken_over``: somebody else came under our
        client id, and goes if we come: it must be slow, whoever is right."""
        if taken_over:
            if lived_seconds >= self._max:
                self._failures = 0
            return self.failed()
        self._failures = 0
        return self._wait(self.short_lived, max(SHORT_SECONDS, self.short_lived / _PATIENCE))

    def ended(self, lived_seconds: float) -> None:
        """A connection ended: heed it in ``short_lived``."""
        self.short_lived = 0 if lived_seconds >= PROVEN_SECONDS else self.short_lived + 1

    def _wait(self, times: int, cap: float) -> float:
        full = min(self._first * 2.0 ** min(max(0, times - 1), 30), cap, self._max)
        return full * (0.5 + 0.5 * self._jitter())
