"""What one demo is to do, and the people in it."""

from __future__ import annotations

import math
import random
from typing import Final

from msgspec import Struct

from distributor.demo.trace import Trace

SEED: Final = 20
DEFAULT_SECONDS: Final = 90.0
"""The length of a demo without a trace, when nobody names one and its story is told by then."""
MOST_SECONDS: Final = 180.0
"""The end of such a demo, whatever was seen."""
DEFAULT_RATE: Final = 120.0
DEFAULT_REPS: Final = 8

_LOAD: Final = 0.62
"""Enough room that the others can take over from a rep in trouble."""

_BESIDES_SECONDS: Final = 20.0  # to pick up, to give the status, side tasks
_MOST_HANDLING_SECONDS: Final = 240.0
_LEAST_HANDLING_SECONDS: Final = 6.0
_LAG_SECONDS: Final = 8.0
_NAMES: Final = (
    *("ana", "ben", "cleo", "dev", "eva", "finn", "gia", "hugo", "iris", "jon", "kim", "leo"),
    *("mia", "ned", "oona", "paul", "quin", "rosa", "sam", "tess", "uma", "vic", "wren", "yara"),
)


class Plan(Struct, frozen=True):
    """``seconds`` and ``rate`` (leads a minute) are of the wall clock; ``time_scale`` is how many
    seconds pass on the floor in one of them. ``seconds`` None: until the story is told, or the trace
    is through. With a ``trace`` the rate is the trace's own. ``prometheus``: the port of a Prometheus that
    is to run beside it, None for none."""

    seconds: float | None
    rate: float
    reps: tuple[str, ...]
    time_scale: float
    trace: Trace | None = None
    prometheus: int | None = None

    @property
    def dark(self) -> str | None:
        """The rep who goes dark in the story; None on a floor that is too small for one."""
        return self.reps[1] if self.trace is None and len(self.reps) > 1 else None

    @property
    def slow(self) -> str | None:
        """The rep who slows down: where two in trouble are not more than half of the floor."""
        return self.reps[2] if self.trace is None and len(self.reps) > 3 else None

    @property
    def handling_seconds(self) -> float:
        """Mean handling time, of the floor, that keeps the reps busy but not swamped."""
        if self.trace is not None:
            return _MOST_HANDLING_SECONDS
        busy = _LOAD * len(self.reps) * 60.0 / self.rate * self.time_scale
        return min(_MOST_HANDLING_SECONDS, max(_LEAST_HANDLING_SECONDS, busy - _BESIDES_SECONDS))


class Habits(Struct, frozen=True):
    """What a rep is like. Seconds are of the floor.

    ``lag_seconds``: median time to pick up a lead. ``sends_states``: the dialer reports busy and
    ready. ``sloppy``: forgets or delays the status of a lead.
    """

    handling_seconds: float
    lag_seconds: float
    sends_states: bool
    sloppy: bool


def rep_names(count: int) -> tuple[str, ...]:
    """``count`` different rep ids."""
    rounds = range(math.ceil(count / len(_NAMES)))
    names = [f"{name}-{turn + 1}" if turn else name for turn in rounds for name in _NAMES]
    return tuple(names[:count])


def habits(rep: str, handling_seconds: float) -> Habits:
    """The rep's habits: the same in every demo."""
    chance = random.Random(f"{SEED}/{rep}")
    return Habits(
        handling_seconds=handling_seconds * 4 ** (chance.random() - 0.5),
        lag_seconds=_LAG_SECONDS * 4 ** (chance.random() - 0.5),
        sends_states=chance.random() < 0.75,
        sloppy=chance.random() < 0.2,
    )
