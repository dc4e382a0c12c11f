"""How a policy is asked on the small floor, and watched: the half of ``MiniFloor`` that knows no leads' lives.

Every intent is checked before it is carried out; what was wrong is collected in ``problems``.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from distributor.domain.policy import Intent, Policy
from distributor.domain.rep import Flow
from policies.minipool import START_NS, MiniPool
from policies.possible import impossible


class Asking:
    """A policy over a pool in memory. ``log`` holds every intent as text, for comparison.

    With ``restart_every`` the policy is replaced after so many events by a new one that gets the
    recorded memory back, as after a restart.
    """

    policy: Policy

    def __init__(self, factory: Callable[[], Policy], pool: MiniPool, restart_every: int) -> None:
        self.pool = pool
        self.factory = factory
        self.problems: list[str] = []
        self.log: list[str] = []
        self.flows: list[tuple[str, Flow]] = []
        self.memory: dict[str, bytes] = {}
        self._restart_every = restart_every
        self._step = 0

    @property
    def now_ns(self) -> int:
        return self.pool.now_ns

    def _before_asking(self) -> None:
        """What the core does without the policy."""

    def _commit(self, intent: Intent) -> None:
        """Carry out an intent that is possible."""
        raise NotImplementedError

    def settle(self) -> None:
        """Ask until the policy has nothing to ask for, as the core does after every event."""
        self._step += 1
        self._before_asking()
        bound = 4 * len(self.pool.leads) + 4 * len(self.pool.reps) + 16
        for _ in range(bound):
            before = self._state()
            intent = self.policy.next_intent(self.now_ns)
            if self._state() != before:
                self._problem("the policy wrote to a rep: reps are for reading")
            if intent is None:
                break
            self.log.append(f"{self.now_ns - START_NS} {intent}")
            problem = impossible(self.pool, intent)
            if problem:
                self._problem(problem)
                break
            self._commit(intent)
        else:
            self._problem(f"next_intent did not come to an end after {bound} intents")
        self._after()

    def _after(self) -> None:
        wake = self.policy.wake_ns()
        if wake is not None and wake <= self.now_ns:
            self._problem("wake_ns lies in the past although next_intent had nothing to do")
        for rep_id, flow, _numbers in self.policy.flow_changes(self.now_ns):
            self.flows.append((rep_id, flow))
            if rep_id not in self.pool.reps:
                self._problem(f"flow_changes names {rep_id!r}, who is no member")
            if not 0.0 <= flow.value <= 1.0 or not flow.reason:
                self._problem("a flow is from 0 to 1 and has a reason")
            elif flow.value < 1.0 and not (flow.because and flow.restores):
                self._problem("less than full flow says why and what restores it")
        for rep_id, memory in self.policy.changed_memory():
            self.memory[rep_id] = bytes(memory)
        if any(True for _ in self.policy.changed_memory()):
            self._problem("changed_memory gave the same changes twice")
        if self._restart_every and self._step % self._restart_every == 0:
            self._start_anew()

    def _start_anew(self) -> None:
        self.policy = self.factory()
        for rep_id, memory in self.memory.items():
            self.policy.restore(rep_id, memory)
        self.policy.start(self.pool, self.now_ns)

    def _tell(self, fact: Callable[[], None]) -> None:
        before = self._state()
        fact()
        if self._state() != before:
            self._problem("the policy wrote to a rep: reps are for reading")

    def _state(self) -> bytes:
        return msgspec.msgpack.encode(self.pool.reps)

    def _problem(self, text: str) -> None:
        if text not in self.problems:
            self.problems.append(text)
