"""``fastest_first``: the rep who would be done first, known as "shortest expected delay".

A lead goes to the least (open leads + 1) x mean handling time. The reference knows each rep's true mean; a
daemon does not, so this one takes what it has seen: the time from the first dial or conversation to the end
that was reported, from 240 s on as if seen three times, with at most the weight of the last forty.
"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from distributor.domain.decisions import WorkEndCause
from distributor.domain.lead import Lead
from distributor.domain.policy import PoolView
from distributor.domain.rep import Rep
from policies.baselines.first_come import FirstCome
from policies.drawn import Drawn
from policies.push import Key, called

ASSUMED_SECONDS: Final = 240.0
ASSUMED_TIMES: Final = 3
REMEMBERED: Final = 40
_REPORTED_ENDS: Final = frozenset({"call_ended", "status"})


class _Handling(msgspec.Struct, array_like=True, gc=False):
    """The mean of a rep's handling times in seconds, and of how many."""

    mean: float = ASSUMED_SECONDS
    count: int = 0


class FastestFirst(FirstCome, Drawn):
    """Least expected delay, by the handling times that were seen."""

    reason: ClassVar[str] = "done_first"
    note: ClassVar[str] = "expected_seconds"

    def __init__(self) -> None:
        super().__init__()
        self._handling: dict[str, _Handling] = {}

    def restore(self, rep: str, memory: bytes) -> None:
        """Take back a rep's handling."""
        self._handling[rep] = msgspec.msgpack.decode(memory, type=_Handling)

    def _memory(self, rep: str) -> bytes:
        return msgspec.msgpack.encode(self._handling[rep])

    def _figure(self, rep: Rep) -> float:
        handling = self._handling.get(rep.id)
        return (len(rep.open) + 1) * (handling.mean if handling else ASSUMED_SECONDS)

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
        """A reported end teaches how long the rep takes; an inferred one teaches nothing."""
        began = [begun_ns for begun_ns in (lead.attempted_ns, lead.call_ns) if begun_ns]
        if began and cause in _REPORTED_ENDS and self._pool is not None:
            handling = self._handling.setdefault(rep.id, _Handling())
            seconds = max(self._pool.seconds(min(began), at_ns), 0.0)
            handling.count = min(handling.count + 1, REMEMBERED)
            handling.mean += (seconds - handling.mean) / (handling.count + ASSUMED_TIMES)
            self._changed[rep.id] = None
        super().work_ended(lead, rep, cause, at_ns, now_ns, counted=counted)

    def _told(self, pool: PoolView, key: Key, place: int, now_ns: int) -> str:
        return f"{key[0]:.0f} s until it would be done"

    def _sentence(
        self, pool: PoolView, best: tuple[Key, Rep], second: Key | None, now_ns: int
    ) -> str:
        (seconds, _, _), rep = best
        return (
            f"{called(rep)} would be done first, in {seconds:.0f} s: {len(rep.open)} open lead(s) and this "
            f"one at {seconds / (len(rep.open) + 1):.0f} s each; {self._next(pool, best[0], second, now_ns)}."
        )
