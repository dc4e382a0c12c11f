"""What happened in one simulated shift: plain lists that the metrics are made from."""

from __future__ import annotations

from bench.simulate.draws import Person, Roster, Shift
from bench.simulate.scenario import Scenario


class Record:
    """Times are ns from the begin of the shift; leads and reps are indexes. ``contact_ns`` -1: never.

    ``deliveries``: (at, rep, lead, age of the lead). ``returns``: (at, rep, lead), taken back for any
    cause. ``flows``: (at, rep, value). ``idle_minutes``: the minutes in which a fresh lead waited
    beside an idle healthy rep. ``held``: leads that went to the exception desk.
    """

    def __init__(
        self, scenario: Scenario, crew: tuple[Person, ...], shift: Shift, policy: str
    ) -> None:
        self.scenario = scenario
        self.crew = crew
        self.shift = shift
        self.policy = policy
        count = len(shift.leads)
        self.contact_ns = [-1] * count
        self.contact_rep = [-1] * count
        self.returned = [0] * count
        self.deliveries: list[tuple[int, int, int, int]] = []
        self.returns: list[tuple[int, int, int]] = []
        self.flows: list[tuple[int, int, float]] = []
        self.idle_minutes: set[int] = set()
        self.held = 0
        self.agenda_events = 0
        self.core_events = 0
        self.core_seconds = 0.0
        self.seconds = 0.0

    def is_healthy(self, rep: int) -> bool:
        """Whether nothing was wrong with the rep: no lag, absence, departure or burning of leads."""
        roster: Roster = self.shift.rosters[rep]
        plagued = roster.lag[1] or roster.absent[1] or roster.leaves
        return not plagued and not self.crew[rep].burner
