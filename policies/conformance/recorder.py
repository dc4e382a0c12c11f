"""What stands between the core and a policy that is tried: it forwards all, notes what the policy asks for,
and raises at what the core would let pass."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, TypeVar, cast

import msgspec

from distributor.domain.faults import PolicyMisbehaved
from distributor.domain.lead import Lead
from distributor.domain.policy import Intent, Policy, PolicyFactory, PoolView
from distributor.domain.rep import Flow
from policies.conformance.asked import bad_flow, bad_intent
from policies.conformance.watch import Watch

T = TypeVar("T")


class Notes:
    """What was seen of a policy, whatever restarts it had."""

    def __init__(self) -> None:
        self.policy: Policy
        self.intents: list[Intent] = []
        self.flows: list[tuple[str, Flow]] = []


def recorded(factory: PolicyFactory, notes: Notes, watch: Watch | None = None) -> PolicyFactory:
    """A factory of the same policies with a recorder before each."""
    return lambda: cast("Policy", _Recorder(factory, notes, watch))


class _Recorder:
    """A policy that is another one, looked at."""

    def __init__(self, factory: PolicyFactory, notes: Notes, watch: Watch | None) -> None:
        self._notes = notes
        self._watching = watch or nullcontext()
        self._policy = self._call(factory)
        self._pool: PoolView | None = None
        self._asked = 0

    def __getattr__(self, name: str) -> Any:
        """Facts are passed on; so is what a policy says of itself."""
        found = getattr(self._policy, name)
        return partial(self._call, found) if callable(found) else found

    def start(self, pool: PoolView, now_ns: int) -> None:
        self._pool, self._notes.policy = pool, self._policy
        self._call(self._policy.start, pool, now_ns)

    def next_intent(self, now_ns: int) -> Intent | None:
        intent = self._call(self._policy.next_intent, now_ns)
        if intent is None:
            wake_ns = self._call(self._policy.wake_ns)
            if wake_ns is not None and wake_ns <= now_ns:
                _complain("wake_ns lies in the past although next_intent had nothing to do")
            self._asked = 0
            return None
        self._notes.intents.append(intent)
        assert self._pool is not None
        _complain(bad_intent(self._pool, intent))
        self._asked += 1
        if self._asked > 16 and self._asked > _most_intents(self._pool):
            _complain(f"next_intent did not come to an end after {self._asked} intents")
        return intent

    def flow_changes(self, now_ns: int) -> list[tuple[str, Flow, dict[str, float]]]:
        changes = self._call(lambda: list(self._policy.flow_changes(now_ns)))
        assert self._pool is not None
        for rep, flow, _ in changes:
            self._notes.flows.append((rep, flow))
            _complain(bad_flow(self._pool, rep, flow))
        return changes

    def changed_memory(self) -> list[tuple[str, bytes]]:
        changes = self._call(lambda: list(self._policy.changed_memory()))
        if self._call(lambda: list(self._policy.changed_memory())):
            _complain("changed_memory gave the same changes twice")
        return changes

    def _call(self, what: Callable[..., T], *args: Any, **named: Any) -> T:
        """Ask or tell the policy; a lead that it is shown is for reading."""
        leads = [one for one in args if isinstance(one, Lead)]
        before = msgspec.msgpack.encode(leads) if leads else b""
        with self._watching:
            answer = what(*args, **named)
        if leads and before != msgspec.msgpack.encode(leads):
            _complain("the policy wrote to a lead: leads are for reading")
        return answer


def _most_intents(pool: PoolView) -> int:
    """How many intents one pass may take: far more than there is to move. The core waits for longer."""
    return 16 + 4 * (pool.waiting + sum([1 + len(rep.open) for rep in pool.members.values()]))


def _complain(problem: str) -> None:
    """Raise what the core raises, if there is a problem."""
    if problem:
        raise PolicyMisbehaved(problem)
