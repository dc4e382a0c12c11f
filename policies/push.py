"""What the push policies share: take the most valuable lead, rank the reps who may have it, lease it.

A push policy leases at once, never recalls (the core ends a lease after ``lease_seconds``) and slows
nobody: every rep has full flow. What differs is the order of the reps, which a subclass gives by
``_order``. A supervisor's override of 0 keeps all leads from a rep. One between 0 and 1 multiplies the
weight where a policy goes by weights; elsewhere ``PoolView.may_take`` sees to the share.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Final

from distributor.domain.decisions import EndCause, WorkEndCause
from distributor.domain.lead import Lead
from distributor.domain.policy import Intent, Lease, PoolView
from distributor.domain.rep import Flow, Rep
from distributor.domain.shares import is_at_work, share_in_force

Key = tuple[float, int, str]
"""A place in an order of reps, smallest first: the policy's figure, a time in ns, the rep's id."""

RANKED: Final = 8
SCANNED_LEADS: Final = 64
_SUPERVISORS_REASONS: Final = frozenset({"full_flow", "full_pipeline", "paused", "manual"})


def flow_weight(rep: Rep, now_ns: int) -> float:
    """The rep's configured weight times a supervisor's override in force; 0: it gets nothing."""
    return rep.weight if rep.override is None else rep.weight * share_in_force(rep, now_ns)


def is_present(rep: Rep, now_ns: int) -> bool:
    """Whether the rep takes part in the rotation: at work, even if busy, and not held back."""
    return is_at_work(rep, now_ns) and flow_weight(rep, now_ns) > 0.0


class RepOrder:
    """Reps sorted by a ``Key``. Moving one costs a bisection; the first few cost a slice."""

    def __init__(self) -> None:
        self._sorted: list[Key] = []
        self._keys: dict[str, Key] = {}

    def __iter__(self) -> Iterator[Key]:
        return iter(self._sorted)

    def __len__(self) -> int:
        return len(self._sorted)

    def __getitem__(self, place: int) -> Key:
        return self._sorted[place]

    def end_of_equals(self, place: int) -> int:
        """The first place after ``place`` whose figure is another one."""
        figure = self._sorted[place][0]
        return bisect_right(self._sorted, figure, lo=place, key=lambda key: key[0])

    def put(self, key: Key) -> None:
        """Give a rep its place; nothing happens when it is there already."""
        old = self._keys.get(key[2])
        if old == key:
            return
        if old is not None:
            del self._sorted[bisect_left(self._sorted, old)]
        self._keys[key[2]] = key
        insort(self._sorted, key)

    def drop(self, rep: str) -> None:
        """Take a rep out, if it is in."""
        key = self._keys.pop(rep, None)
        if key is not None:
            del self._sorted[bisect_left(self._sorted, key)]

    def walk(self, available: Mapping[str, Rep]) -> Iterator[tuple[Key, Rep]]:
        """The available reps in order, by whichever way is shorter."""
        if len(available) * 8 <= len(self._sorted):
            keys = sorted(self._keys[rep] for rep in available if rep in self._keys)
        else:
            keys = self._sorted
        for key in keys:
            rep = available.get(key[2])
            if rep is not None:
                yield key, rep

    def clear(self) -> None:
        """Forget everybody."""
        self._sorted.clear()
        self._keys.clear()


class PushPolicy:
    """The common half. A subclass gives ``_order`` and ``_sentence``, and overrides what it hears.

    ``reason`` is the code that its leases carry, ``note`` names the figure among their numbers.
    """

    reason: ClassVar[str] = "push"
    note: ClassVar[str] = ""
    sign: ClassVar[float] = 1.0
    """-1 where the largest figure is first and keys hold it negated."""
    equals: ClassVar[str] = "as good as equal"
    """What is said of the next best rep where the figures that are told are the same."""
    weighs_overrides: ClassVar[bool] = False
    """Whether the order itself sees to overrides between 0 and 1 (they multiply the weight)."""
    window: ClassVar[int] = 1
    """See ``Policy.window``."""

    def __init__(self) -> None:
        self._pool: PoolView | None = None
        self._changed: dict[str, None] = {}
        self._flows: list[tuple[str, Flow, dict[str, float]]] = []
        self._wake_ns: int | None = None

    # What a subclass says.

    def _order(
        self, pool: PoolView, lead: Lead, available: Mapping[str, Rep], now_ns: int
    ) -> Iterable[tuple[Key, Rep]]:
        """The available reps for this lead, first choice first; a key's figure is shown to people."""
        raise NotImplementedError

    def _sentence(
        self, pool: PoolView, best: tuple[Key, Rep], second: Key | None, now_ns: int
    ) -> str:
        """Why ``best`` and not ``second``, with the numbers."""
        raise NotImplementedError

    def _told(self, pool: PoolView, key: Key, place: int, now_ns: int) -> str:
        """A rep's figure in words, beginning with a number; ``place``: 1 for the first choice."""
        return f"{key[0] * self.sign:.2f} {self.note.replace('_', ' ')}"

    def _next(self, pool: PoolView, best: Key, second: Key | None, now_ns: int) -> str:
        """The half sentence about the next best rep."""
        if second is None:
            return "no other rep could take it"
        told = self._told(pool, second, 2, now_ns)
        equal = f", {self.equals}," if told == self._told(pool, best, 2, now_ns) else ""
        return f"next{equal} is {second[2]} with {told}"

    def _memory(self, rep: str) -> bytes:
        """What is to be remembered of a rep ("": of the pool) that was put into ``_changed``."""
        raise NotImplementedError

    def _leads(self, pool: PoolView, now_ns: int) -> Iterator[Lead]:
        """The waiting leads to be tried, first choice first: those of most value."""
        best = pool.best(now_ns)
        if best is not None:
            yield best
            # Where the best is for reps whose slots are full, others need not wait behind it.
            yield from pool.in_order(now_ns, SCANNED_LEADS)

    # The Protocol.

    def start(self, pool: PoolView, now_ns: int) -> None:
        """Begin with this pool. Reps that another policy had slowed get their full flow back."""
        self._pool = pool
        full = Flow(because="This policy slows nobody: full flow.", since_ns=now_ns)
        self._flows = [
            (rep.id, full, {})
            for rep in pool.members.values()
            if rep.flow.reason not in _SUPERVISORS_REASONS
        ]
        self._wake_ns = None

    def restore(self, rep: str, memory: bytes) -> None:
        """Nothing is remembered unless a subclass does."""

    def changed_memory(self) -> list[tuple[str, bytes]]:
        """(rep or "", memory) of what changed since the last call."""
        changed = [(rep, self._memory(rep)) for rep in self._changed]
        self._changed.clear()
        return changed

    def rep_changed(self, rep: Rep, now_ns: int) -> None:
        """Presence, pause, override, pace, wrap-up or slots of a member changed."""

    def lead_waiting(self, lead: Lead, now_ns: int) -> None:
        """The pool's own order is used."""

    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """An assignment was committed."""

    def lease_restarted(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """Nobody is judged here."""

    def lease_ended(
        self, lead: Lead, rep: Rep, cause: EndCause, *, blame: bool, now_ns: int
    ) -> None:
        """An uncontacted assignment ended."""

    def contacted(self, lead: Lead, rep: Rep, at_ns: int, *, counted: bool, now_ns: int) -> None:
        """Nobody is judged here."""

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
        """A contacted lead left the rep's pipeline."""

    def converted(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """Nobody is judged here."""

    def next_intent(self, now_ns: int) -> Intent | None:
        """Lease the best lead that an available rep may take; None where there is none."""
        pool = self._pool
        if pool is None:
            return None
        self._wake_ns = None
        available = pool.available
        if not available:
            return None
        for lead in self._leads(pool, now_ns):
            intent = self._offer(pool, lead, available, now_ns)
            if intent is not None:
                return intent
        return None

    def wake_ns(self) -> int | None:
        """Time alone changes nothing, unless a subclass says so."""
        return self._wake_ns

    def _may_have(self, pool: PoolView, rep: Rep, lead: Lead, now_ns: int) -> bool:
        """Whether nothing keeps this lead from this rep at present, nor a supervisor's hand."""
        return pool.may_take(rep, lead) and flow_weight(rep, now_ns) > 0.0

    def flow_changes(self, now_ns: int) -> list[tuple[str, Flow, dict[str, float]]]:
        """Full flow for those whom an earlier policy had slowed, once."""
        changes, self._flows = self._flows, []
        return changes

    def _offer(
        self, pool: PoolView, lead: Lead, available: Mapping[str, Rep], now_ns: int
    ) -> Lease | None:
        """The lease of ``lead`` to the first rep of the order who may take it."""
        ranked: list[Key] = []
        chosen: tuple[Key, Rep] | None = None
        for key, rep in self._order(pool, lead, available, now_ns):
            if not self._may_have(pool, rep, lead, now_ns):
                continue
            if chosen is None:
                chosen = (key, rep)
            ranked.append(key)
            if len(ranked) == RANKED:
                break
        if chosen is None:
            return None
        second = ranked[1] if len(ranked) > 1 else None
        note, sign = self.note, self.sign
        numbers = {note: chosen[0][0] * sign}
        if second is not None:
            numbers["runner_up"] = second[0] * sign
        return Lease(
            lead.key,
            chosen[1].id,
            self.reason,
            self._sentence(pool, chosen, second, now_ns),
            numbers,
            tuple(
                [
                    (key[2], key[0] * sign, self._told(pool, key, place, now_ns))
                    for place, key in enumerate(ranked, start=1)
                ]
            ),
        )


def called(rep: Rep) -> str:
    """How people know the rep."""
    return rep.name or rep.id


def several(number: float, what: str) -> str:
    """``1 open lead``, ``2 open leads``."""
    return f"{number:.0f} {what}" if number == 1.0 else f"{number:.0f} {what}s"


def since(pool: PoolView, at_ns: int, now_ns: int) -> str:
    """How long ago something was, as finely as it may have decided."""
    seconds = pool.seconds(at_ns, now_ns)
    return f"{seconds:.1f} s" if seconds < 10.0 else f"{seconds:.0f} s"
