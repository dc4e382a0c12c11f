"""When a dialer may be asked: not faster than it allows, and not while it is down.

Both are plain state machines over seconds that the caller hands in.
"""

from __future__ import annotations

from math import inf
from typing import Literal


class Breaker:
    """Opens after ``failures`` in a row, for ``seconds``; then one trial decides.

    ``closed``: requests go. ``open``: none goes. ``half_open``: one may go, the trial; its success
    closes the breaker, its failure opens it again. Answers to requests that were under way when the
    breaker opened are no evidence any more. ``hold`` opens it for as long as the dialer asks for.
    """

    def __init__(self, failures: int, seconds: float) -> None:
        self.state: Literal["closed", "open", "half_open"] = "closed"
        self._limit = max(1, failures)
        self._seconds = seconds
        self._failures = 0
        self._open_until = 0.0
        self._trial = False

    def delay(self, now: float) -> float:
        """Seconds until a request may go; infinite while a trial is under way."""
        if self.state == "open":
            return max(0.0, self._open_until - now)
        return inf if self._trial else 0.0

    def enter(self, now: float) -> bool:
        """A request goes. True: it is the trial."""
        assert self.delay(now) == 0.0
        if self.state == "closed":
            return False
        self.state = "half_open"
        self._trial = True
        return True

    def ripen(self, now: float) -> bool:
        """Whether the breaker became half open just now."""
        if self.state != "open" or now < self._open_until:
            return False
        self.state = "half_open"
        return True

    def success(self, trial: bool) -> bool:
        """The dialer answered. Whether that closed the breaker."""
        if trial:
            self._trial = False
            self.state = "closed"
        if self.state == "closed":
            self._failures = 0
        return trial

    def failure(self, now: float, trial: bool) -> bool:
        """The dialer failed. Whether that opened the breaker."""
        if trial:
            self._trial = False
        elif self.state != "closed":
            return False
        self._failures += 1
        if not trial and self._failures < self._limit:
            return False
        self.state = "open"
        self._failures = 0
        self._open_until = now + self._seconds
        return True

    def hold(self, now: float, seconds: float) -> None:
        """The dialer asks to be left alone for so long."""
        until = now + seconds
        self._open_until = max(self._open_until, until) if self.state == "open" else until
        self.state = "open"
        self._failures = 0


class Bucket:
    """A bucket of one token, filled ``rate`` times a second: requests keep their distance, because
    dialers that limit the rate mean the distance. ``rate`` 0: no limit."""

    def __init__(self, rate: float) -> None:
        self._distance = 1.0 / rate if rate > 0 else 0.0
        self._next = -inf

    def delay(self, now: float) -> float:
        """Seconds until there is a token."""
        return max(0.0, self._next - now)

    def take(self, now: float) -> None:
        """Use a token; one taken ahead of its time delays the following."""
        self._next = max(self._next, now) + self._distance
