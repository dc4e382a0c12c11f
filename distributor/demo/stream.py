"""What the dialer was told, kept like a notary: who has which lead at this moment."""

from __future__ import annotations

from collections import deque

_SENTENCES = 8
_SHORT = 6


def short(lead_key: str) -> str:
    """The end of a lead key: all keys of one daemon begin alike."""
    return lead_key[-_SHORT:]


class AssignmentStream:
    """The assignments and revocations in the order in which they came.

    A lead with two live assignments at once is what must never be; ``twice`` has the lead keys.
    Repeats of a message change nothing.
    """

    def __init__(self) -> None:
        self.assignments = 0
        self.revocations = 0
        self.repeats = 0
        self.twice: list[str] = []
        self.sentences: deque[str] = deque(maxlen=_SENTENCES)
        self._live: dict[str, str] = {}
        self._assigned: set[str] = set()
        self._over: set[str] = set()

    def say(self, lead_key: str, because: str) -> None:
        """Keep a sentence for who watches; a move is told with its revocation and its assignment."""
        sentence = f"{short(lead_key)}  {because}"
        if sentence not in self.sentences:
            self.sentences.append(sentence)

    def assigned(self, lead_key: str, assignment_id: str) -> bool:
        """An assignment came; False when it is no news."""
        if assignment_id in self._assigned:
            self.repeats += 1
            return False
        self._assigned.add(assignment_id)
        self.assignments += 1
        if assignment_id in self._over:
            return False
        if lead_key in self._live:
            self.twice.append(lead_key)
        self._live[lead_key] = assignment_id
        return True

    def revoked(self, lead_key: str, assignment_id: str) -> bool:
        """A revocation came; False when it is no news."""
        if assignment_id in self._over:
            self.repeats += 1
            return False
        self.revocations += 1
        self.ended(lead_key, assignment_id)
        return True

    def ended(self, lead_key: str, assignment_id: str) -> None:
        """The receiver itself ended the assignment, with a status that closes or parks the lead."""
        self._over.add(assignment_id)
        if self._live.get(lead_key) == assignment_id:
            del self._live[lead_key]
