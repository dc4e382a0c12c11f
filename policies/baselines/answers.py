"""What the baselines share that learn from reps: how long after its delivery a lead is called.

An answer is the first sign of life on a lease that is evidence: a dial or a conversation, not a bare
claim. One lease gives one answer, or none: who never calls is never heard of. That blindness belongs to
these policies.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from distributor.domain.decisions import EndCause, WorkEndCause
from distributor.domain.lead import Lead
from distributor.domain.rep import Rep
from policies.push import PushPolicy


class Heard(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of a rep: its open leads that were answered. A policy adds its own figures."""

    heard: list[str] = []


S = TypeVar("S", bound=Heard)


class Listening(PushPolicy, Generic[S]):
    """Tells a subclass of every answer (``_answered``) and keeps what it knows of each rep."""

    def __init__(self, blank: type[S]) -> None:
        super().__init__()
        self._blank = blank
        self._known: dict[str, S] = {}

    def _answered(self, lead: Lead, rep: Rep, seconds: float, in_flight: int, at_ns: int) -> None:
        """``rep`` called ``lead`` ``seconds`` after its delivery; it had ``in_flight`` uncontacted leads
        then, this one among them."""
        raise NotImplementedError

    def _of(self, rep: str) -> S:
        """What is known of a rep; write to it only with ``_changed``."""
        known = self._known.get(rep)
        if known is None:
            known = self._known[rep] = self._blank()
        return known

    def restore(self, rep: str, memory: bytes) -> None:
        """Take back what was known of a rep."""
        if rep:
            self._known[rep] = msgspec.msgpack.decode(memory, type=self._blank)
        else:
            super().restore(rep, memory)

    def _memory(self, rep: str) -> bytes:
        return msgspec.msgpack.encode(self._known[rep]) if rep else super()._memory(rep)

    def contacted(self, lead: Lead, rep: Rep, at_ns: int, *, counted: bool, now_ns: int) -> None:
        """An answer, if it is evidence and the first on this lease."""
        known = self._of(rep.id)
        if counted and self._pool is not None and lead.key not in known.heard:
            known.heard.append(lead.key)
            self._changed[rep.id] = None
            seconds = max(self._pool.seconds(lead.assigned_ns, at_ns), 0.0)
            others = rep.uncontacted - rep.open.get(lead.key, False)
            self._answered(lead, rep, seconds, others + 1, at_ns)
        super().contacted(lead, rep, at_ns, counted=counted, now_ns=now_ns)

    def lease_ended(
        self, lead: Lead, rep: Rep, cause: EndCause, *, blame: bool, now_ns: int
    ) -> None:
        """The lease is over: what comes later is of another one."""
        self._forget(lead, rep)
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
        """The lead left the pipeline: what comes later is of another lease."""
        self._forget(lead, rep)
        super().work_ended(lead, rep, cause, at_ns, now_ns, counted=counted)

    def _forget(self, lead: Lead, rep: Rep) -> None:
        known = self._of(rep.id)
        if lead.key in known.heard:
            known.heard.remove(lead.key)
            self._changed[rep.id] = None
