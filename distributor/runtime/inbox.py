"""The one door into the core: bounded, first in, first out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter

from distributor.domain.decisions import Decision
from distributor.domain.events import Channel, Event, Undecodable
from distributor.domain.messages import Outgoing, Settlement

Answers = Sequence[Decision]
"""The first decision of each event of a submission, in their order."""


class Submission:
    """Events that arrived together (one message, one request) and are committed together.

    ``reply`` makes the outgoing messages that answer them, in the same transaction (None: no
    message); an empty array has no events and is answered all the same. ``letters`` makes the dead
    letters of those that were refused, where nobody is answered (None: somebody is). ``done`` is called
    on the loop once they are on disk; it must not raise. ``channel``: the way in, where somebody outside
    waits for an answer. ``settlement``: of the outbox message that the events are about, in the same
    transaction.
    """

    __slots__ = ("channel", "done", "events", "letters", "received", "reply", "settlement")

    def __init__(
        self,
        events: Sequence[Event],
        *,
        reply: Callable[[Answers], list[Outgoing]] | None = None,
        letters: Callable[[Answers], list[Undecodable]] | None = None,
        done: Callable[[Answers], None] | None = None,
        channel: Channel | None = None,
        settlement: Settlement | None = None,
    ) -> None:
        self.events = events
        self.reply = reply
        self.letters = letters
        self.done = done
        self.channel = channel
        self.settlement = settlement
        self.received = perf_counter()


class Inbox:
    """Submissions that wait for the next batch. ``limit`` counts events, not submissions; ``refused``
    counts the events that found it full or closed."""

    def __init__(self, limit: int = 20_000) -> None:
        self.limit = limit
        self.events = 0
        self.refused = 0
        self.open = True
        self._queue: deque[Submission] = deque()
        self._arrived = asyncio.Event()

    def offer(self, submission: Submission) -> bool:
        """Queue a submission. False when intake is closed or the inbox is full: try again later."""
        if not self.open or (self.events >= self.limit and self._queue):
            self.refused += len(submission.events)
            return False
        self.push(submission)
        return True

    def push(self, submission: Submission) -> None:
        """Queue a submission past the limit: for what is bounded elsewhere (MQTT's receive maximum,
        our own timers)."""
        self._queue.append(submission)
        self.events += len(submission.events)
        self._arrived.set()

    async def wait(self) -> None:
        """Return when something is queued or ``wake`` was called."""
        await self._arrived.wait()

    def wake(self) -> None:
        """End a ``wait`` although nothing is queued."""
        self._arrived.set()

    def take(self, limit: int) -> list[Submission]:
        """The oldest submissions, whole, until they hold ``limit`` events or more."""
        taken: list[Submission] = []
        count = 0
        while self._queue and count < limit:
            submission = self._queue.popleft()
            taken.append(submission)
            count += len(submission.events)
        self.events -= count
        if not self._queue:
            self._arrived.clear()
        return taken
