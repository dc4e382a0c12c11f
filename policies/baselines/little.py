"""``little_window`` and ``little_window_gamma``: as many uncontacted leads as a rep contacts in a minute.

By Little's law a queue of rate x 60 s is worked off within the minute. What differs is the rate:

- ``little_window``: one over the mean time between two answers, which moves by a fifth with each;
- ``little_window_gamma``: (2 + answers) / (60 s + exposure), the mean of a gamma posterior. Exposure is the
  time during which the rep had an uncontacted lead, so silence counts too. Both fade within 15 minutes.
"""

from __future__ import annotations

from math import exp
from typing import Final

from distributor.domain.decisions import EndCause, WorkEndCause
from distributor.domain.lead import Lead
from distributor.domain.policy import PoolView
from distributor.domain.rep import Rep
from policies.baselines.answers import Heard, Listening
from policies.baselines.central import Uncontacted
from policies.baselines.windows import SHORTEST_TRIP, Window, Windowed, within

MINUTE: Final = 60.0
MOVES_BY: Final = 0.2
PRIOR_ANSWERS: Final = 2.0
PRIOR_SECONDS: Final = 60.0
FADES_SECONDS: Final = 900.0


def of_rate(answers_per_second: float) -> float:
    """The window for a rate: the answers of a minute, rounded."""
    return within(float(int(answers_per_second * MINUTE + 0.5)))


class _Pace(Window, array_like=True, gc=False):
    """The mean time between two answers in seconds (0: unknown), and when the last one came."""

    between: float = 0.0
    last_ns: int = 0


class LittleWindow(Windowed[_Pace]):
    """The rate from the mean time between answers."""

    def __init__(self) -> None:
        super().__init__(_Pace)

    def _answered(self, lead: Lead, rep: Rep, seconds: float, in_flight: int, at_ns: int) -> None:
        known = self._of(rep.id)
        if known.last_ns and self._pool is not None:
            since = max(self._pool.seconds(known.last_ns, at_ns), SHORTEST_TRIP)
            moved = known.between + MOVES_BY * (since - known.between)
            known.between = moved if known.between else since
            known.window = of_rate(1.0 / known.between)
        known.last_ns = max(known.last_ns, at_ns)


class _Exposure(Heard, array_like=True, gc=False):
    """Answers and seconds of exposure, faded to ``stamp_ns``; whether it is going on."""

    answers: float = 0.0
    seconds: float = 0.0
    stamp_ns: int = 0
    exposed: bool = False


class LittleWindowGamma(Listening[_Exposure], Uncontacted):
    """The rate from a gamma posterior with exposure."""

    def __init__(self) -> None:
        super().__init__(_Exposure)

    def _limit(self, rep: Rep, now_ns: int) -> int:
        answers, seconds = self._faded(self._of(rep.id), now_ns)
        return int(of_rate((PRIOR_ANSWERS + answers) / (PRIOR_SECONDS + seconds)))

    def _faded(self, known: _Exposure, now_ns: int) -> tuple[float, float]:
        """Answers and exposure as of now."""
        if self._pool is None or not known.stamp_ns:
            return known.answers, known.seconds
        kept = exp(-max(self._pool.seconds(known.stamp_ns, now_ns), 0.0) / FADES_SECONDS)
        added = FADES_SECONDS * (1.0 - kept) if known.exposed else 0.0
        return known.answers * kept, known.seconds * kept + added

    def _bring_up(self, known: _Exposure, rep: Rep, now_ns: int) -> None:
        known.answers, known.seconds = self._faded(known, now_ns)
        known.stamp_ns = max(known.stamp_ns, now_ns)
        self._changed[rep.id] = None

    def _watch(self, rep: Rep, now_ns: int) -> None:
        """Exposure begins with the first uncontacted lead and ends with the last."""
        known, exposed = self._of(rep.id), rep.uncontacted > 0
        if exposed != known.exposed:
            self._bring_up(known, rep, now_ns)
            known.exposed = exposed

    def _answered(self, lead: Lead, rep: Rep, seconds: float, in_flight: int, at_ns: int) -> None:
        known = self._of(rep.id)
        self._bring_up(known, rep, at_ns)
        known.answers += 1.0

    def start(self, pool: PoolView, now_ns: int) -> None:
        """Begin to watch the leads that reps have."""
        super().start(pool, now_ns)
        for rep in pool.members.values():
            self._watch(rep, now_ns)

    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """Exposure may begin."""
        self._watch(rep, now_ns)
        super().leased(lead, rep, now_ns)

    def contacted(self, lead: Lead, rep: Rep, at_ns: int, *, counted: bool, now_ns: int) -> None:
        """Exposure may end."""
        super().contacted(lead, rep, at_ns, counted=counted, now_ns=now_ns)
        self._watch(rep, now_ns)

    def lease_ended(
        self, lead: Lead, rep: Rep, cause: EndCause, *, blame: bool, now_ns: int
    ) -> None:
        """Exposure may end."""
        self._watch(rep, now_ns)
        super().lease_ended(lead, rep, cause, blame=blame, now_ns=now_ns)

    def work_ended(
        self,
        lead: Lead,
        rep: Rep,
        cause: WorkEndCause,
        at_ns: int,
        now_ns: int,
        *,
        counted: bool,
    ) -> None:
        """Exposure may end."""
        self._watch(rep, now_ns)
        super().work_ended(lead, rep, cause, at_ns, now_ns, counted=counted)
