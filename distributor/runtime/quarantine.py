"""What broke the daemon once must not break it at every start.

An event that makes the engine fail ends the process, because memory cannot be trusted any more; the
broker or the vendor then sends it again. Its name is written to a file beside the store first, and from
the next start on it is refused and kept as a dead letter for a human, while everything else goes on.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import structlog

from distributor.domain.events import (
    Event,
    LeadEvent,
    LeadReceived,
    PresenceReported,
    SupervisorActed,
)

log = structlog.get_logger(__name__)


class Suspect(msgspec.Struct, frozen=True):
    """One line of the file: what the event is called, when it failed (ns), and how."""

    name: str
    at_ns: int
    error: str


def name_of(event: Event) -> str:
    """By what an event from outside is known when it is sent again; "" for our own (time, settings)."""
    if isinstance(event, LeadReceived):
        return f"lead {event.vendor} {event.vendor_id}"
    if isinstance(event, LeadEvent) or (isinstance(event, PresenceReported) and event.event_id):
        return f"event {event.source} {event.event_id}"
    if isinstance(event, PresenceReported):
        # Retained or not: the broker may give the same message either way. Without a time, every
        # later report of this state is refused as well, until somebody looks.
        at = f" {event.at_ns}" if event.at_ns else ""
        return f"presence {event.source} {event.rep} {event.state}{at}"
    if isinstance(event, SupervisorActed):
        return f"action {event.action} by {event.who}: {event.rep} {event.lead_key}".rstrip()
    return ""


class Quarantine:
    """The events that are set aside. ``path`` is a file of JSON lines; removing a line, or the file,
    gives the event another chance at the next start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._suspects: dict[str, Suspect] = {}
        self._load()

    def _load(self) -> None:
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                suspect = msgspec.json.decode(line, type=Suspect)
            except msgspec.DecodeError:
                continue  # a line torn by a crash names nothing
            self._suspects[suspect.name] = suspect

    def reason(self, event: Event) -> str:
        """Why this event is refused; "" when it is not set aside."""
        if not self._suspects:
            return ""
        suspect = self._suspects.get(name_of(event))
        if suspect is None:
            return ""
        return f"set aside: it made the daemon fail ({suspect.error}); see {self.path.name}"

    def add(self, event: Event, error: Exception, now_ns: int) -> None:
        """Remember, on disk, an event that made the engine fail."""
        name = name_of(event)
        log.critical("event_set_aside", name=name or type(event).__name__, error=repr(error))
        if not name or name in self._suspects:
            return
        suspect = Suspect(name, now_ns, f"{type(error).__name__}: {error}"[:300])
        self._suspects[name] = suspect
        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(suspect) + b"\n")
            file.flush()
            os.fsync(file.fileno())
