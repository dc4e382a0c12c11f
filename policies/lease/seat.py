"""One member of a pool, as the policy knows it."""

from __future__ import annotations

from typing import Literal

from distributor.domain.rep import Rep
from policies.lease.memory import RepMemory

Place = Literal["", "eligible", "low"]


class Seat:
    """One member: its record in the core, its memory, and where it stands."""

    __slots__ = (
        "at_work",
        "conversions",
        "enters_ns",
        "expected",
        "free_asked",
        "free_span",
        "handled",
        "handling",
        "index",
        "judged",
        "longer",
        "memory",
        "place",
        "record",
        "rep",
        "share",
        "slowed",
        "turns_ns",
        "usual_lag",
    )  # fmt: skip

    def __init__(self, index: int, rep: Rep, memory: RepMemory) -> None:
        self.index = index
        self.rep = rep
        self.memory = memory
        self.place: Place = ""
        self.at_work = False
        self.record: tuple[float, ...] = ()
        self.slowed = False
        self.share = 0
        self.conversions = 0
        self.expected = 0
        self.handled = 0
        self.longer = 0
        self.judged: tuple[float, float, float] = (-1.0, 1.0, 1.0)
        self.usual_lag = 9.0
        self.handling = 240.0
        self.enters_ns = 0
        self.turns_ns = 0
        self.free_asked: tuple[float, ...] = ()
        self.free_span = 0.0

    @property
    def deep(self) -> bool:
        """Whether leads may queue at this rep: then a waiting lead says little about the rep."""
        return self.rep.window > 1

    def queue_open(self) -> bool:
        """Whether a deep pipeline has a free slot."""
        return self.rep.window > 1 and len(self.rep.open) < self.rep.window
