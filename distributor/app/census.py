"""What scrapes and requests see of the running engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distributor.domain.rep import FOREVER_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from distributor.core.state import State
    from distributor.delivery.outbox import Outbox
    from distributor.domain.floor import Floor
    from distributor.domain.rep import Rep


class EngineCensus:
    """The ``Census`` of ``observe``, read from the engine's state when it is asked."""

    def __init__(
        self, state: State, outbox: Outbox, store_path: Path, now_ns: Callable[[], int]
    ) -> None:
        self._state = state
        self._outbox = outbox
        self._path = store_path
        self._now_ns = now_ns
        self._floor: Floor | None = None
        self._reps: list[Rep] = []

    def leads_in_state(self) -> Mapping[str, int]:
        return {str(state): count for state, count in self._state.ledger.counts.items()}

    def conservation_difference(self) -> int:
        return self._state.ledger.difference

    def pools(self) -> Iterable[tuple[str, int, float]]:
        now_ns, flow = self._now_ns(), self._state.floor.flow
        for pool in self._state.pools.values():
            oldest = pool.oldest_clock_ns()
            age = 0.0 if oldest is None else flow.floor_seconds(now_ns - oldest)
            yield pool.plan.id, pool.waiting, age

    def reps(self) -> Sequence[Rep]:
        if self._state.floor is not self._floor:  # only a new floor brings reps, or takes them away
            self._floor = self._state.floor
            self._reps = [rep for rep in self._state.reps.values() if rep.listed]
        return self._reps

    def exceptions(self) -> Iterable[tuple[str, int, float]]:
        now_ns = self._now_ns()
        cases: dict[str, list[int]] = {}
        for key in self._state.desk:
            lead = self._state.leads[key]
            cases.setdefault(lead.reason, []).append(lead.since_ns)
        return [(kind, len(at), (now_ns - min(at)) / 1e9) for kind, at in sorted(cases.items())]

    def outbox(self) -> Iterable[tuple[str, int, float]]:
        for target in self._outbox.targets:
            yield target, self._outbox.depth(target), self._outbox.oldest_age(target)

    def store_bytes(self) -> int:
        total = 0
        for suffix in ("", "-wal"):
            try:
                total += self._path.with_name(self._path.name + suffix).stat().st_size
            except OSError:
                continue
        return total

    def now_ns(self) -> int:
        return self._now_ns()


def rep_view(rep: Rep, now_ns: int, rfc3339: Callable[[int], str]) -> dict[str, Any]:
    """A rep as the contract shows it: state, pipeline, flow with its reason and what restores it."""
    flow = rep.flow_in_force(now_ns)
    state = rep.state_in_force(now_ns)
    since_ns = rep.since_ns
    if state != rep.state:
        since_ns = rep.paused_since_ns if state == "paused" else rep.last_freed_ns
    held_back = flow.value < 1 and flow.since_ns
    return {
        "id": rep.id,
        "name": rep.name,
        "team": rep.team,
        "skills": list(rep.skills),
        "state": state,
        "presence": rep.state,
        "state_since": rfc3339(since_ns) if since_ns else None,
        "flow": flow.value,
        "reason": flow.reason,
        "because": flow.because,
        "restores": flow.restores,
        "held_back_since": rfc3339(flow.since_ns) if held_back else None,
        "window": rep.window,
        "inflight": len(rep.open),
        "uncontacted": rep.uncontacted,
        "leads": list(rep.open),
        "assignments": rep.assignments,
        "contacts": rep.contacts,
        "contacts_on_time": rep.contacts_on_time,
        "free_from": rfc3339(rep.free_from_ns) if rep.free_from_ns > now_ns else None,
        "paused_until": _until(rep.paused_until_ns, rfc3339) if flow.reason == "paused" else None,
        "override": rep.override,
        "override_until": _until(rep.override_until_ns, rfc3339),
        "override_reason": rep.override_reason,
        "override_by": rep.override_by,
    }


def _until(at_ns: int, rfc3339: Callable[[int], str]) -> str | None:
    return rfc3339(at_ns) if 0 < at_ns < FOREVER_NS else None
