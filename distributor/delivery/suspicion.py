"""Whether what a dialer does not take speaks of one message or of all of them."""

from __future__ import annotations

from typing import Final

MANY_REFUSALS: Final = 10


class Suspicion:
    """What a dialer answered since it last took an assignment."""

    def __init__(self) -> None:
        self._misdirected: set[int] = set()
        self._refused: set[int] = set()

    def taken(self) -> None:
        """An assignment was taken: its request is good."""
        self._misdirected.clear()
        self._refused.clear()

    def alone(self, message_id: int) -> bool:
        """This message was answered as any message might be. Whether it is the only one so far: then it
        may be its own fault after all (a field of it stands in the url)."""
        if len(self._misdirected) < 2:
            self._misdirected.add(message_id)
        return self._misdirected == {message_id}

    def many_refused(self, message_id: int) -> bool:
        """This message was refused. Whether it is the tenth without one that was taken between."""
        if message_id in self._refused or len(self._refused) >= MANY_REFUSALS:
            return False
        self._refused.add(message_id)
        return len(self._refused) == MANY_REFUSALS
