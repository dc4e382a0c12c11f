"""Whether a webhook's target takes messages: what its answers say of it, and of the message.

Some answers are about the *target*: it fails, asks for a pause, or turns everybody away at the door (a
wrong URL, an expired secret). A door that is shut to one message alone, while others are taken, is
about that message. The difference matters: what a human must mend at the target must not empty the
queue onto the exception desk, and one rep whom the dialer does not know must not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

import structlog

from distributor.delivery.answers import Answer
from distributor.delivery.breaker import Breaker
from distributor.delivery.lanes import Item
from distributor.domain.dialers import WebhookPlan

MAX_PAUSE_SECONDS: Final = 60.0
"""The longest that a dialer is left alone because it asked for it (``Retry-After``): a lead cannot wait
for an hour, and a dialer that still has enough says so again."""

REFUSED_IN_A_ROW: Final = 3
"""So many messages given up with none taken between them: it is the template rather than the leads."""

OnTarget = Callable[[str, bool, str], None]
"""Told when a target stops (False) or begins (True) to take messages, and why."""


class Standing:
    """Of one target. ``clock`` gives seconds; ``on_target`` is told of every change, and once at the
    start. Reasons have gone through ``line``, which keeps the secret out of them."""

    def __init__(
        self,
        plan: WebhookPlan,
        clock: Callable[[], float],
        on_target: OnTarget | None,
        line: Callable[[str], str],
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._on_target = on_target
        self._line = line
        self._breaker = Breaker(plan.breaker_failures, plan.breaker_seconds)
        self._quiet_until = -inf
        self._up: bool | None = None
        self._taken = 0
        self._given_up = 0
        self._turns_away = False
        self._log = structlog.get_logger(__name__)

    # --- what may go

    def delay(self) -> float:
        """Seconds until a request may go; infinite while a trial is under way."""
        now = self._clock()
        return max(self._breaker.delay(now), self._quiet_until - now)

    def reopens(self) -> float:
        """Seconds until a trial may go; infinite unless the breaker is open."""
        return self._breaker.delay(self._clock()) if self._breaker.state == "open" else inf

    def ripen(self) -> bool:
        """Whether the time for a trial came just now."""
        return self._breaker.ripen(self._clock())

    def enter(self) -> bool:
        """A request goes. True: it is the trial."""
        return self._breaker.enter(self._clock())

    def without_trial(self) -> None:
        """There is no message to try with. Nobody sends leads to a target that is down, so nothing
        would ever try again: it counts as up."""
        if self._breaker.state == "half_open" and self._breaker.delay(self._clock()) == 0.0:
            self.mark(True, "nothing is left to try with: the next message is the trial")

    # --- what an answer says

    def judge(self, item: Item, answer: Answer, trial: bool) -> tuple[Answer, float]:
        """What the answer means for the message, and the seconds that it must wait at least.

        A message that is turned away where others are taken counts as ``refused``.
        """
        pause = min(answer.pause_seconds, MAX_PAUSE_SECONDS)
        counted = False
        if answer.outcome == "turned_away":
            answer, counted = self._at_the_door(item, answer)
        if pause >= self._plan.breaker_seconds:
            self._rest(answer, pause, trial)
        elif answer.outcome not in ("failed", "unknown", "turned_away"):
            self._answered(answer, trial)
        elif trial or not counted:
            self._failed(answer, trial)
        self._quiet_until = max(self._quiet_until, self._clock() + pause)
        return answer, pause

    def _at_the_door(self, item: Item, answer: Answer) -> tuple[Answer, bool]:
        """What it means to be turned away, and whether this message has counted as a failure of the
        target before: one message alone must not open the breaker."""
        if not self._turns_away:
            self._turns_away = True
            error = self._line(answer.error)
            self._log.error("dialer_turns_away", target=self._plan.id, error=error)
        before, others_taken = item.turned_away > 0, item.taken_before != self._taken
        item.taken_before = self._taken
        if before and others_taken:
            return Answer("refused", answer.error, answer.pause_seconds), False
        item.turned_away += 1
        return answer, before

    def gave_up(self, error: str) -> None:
        """A message went to a human."""
        self._given_up += 1
        if self._given_up == REFUSED_IN_A_ROW:
            self._log.error(
                "dialer_refuses_everything",
                target=self._plan.id,
                error=error,
                remedy="none was taken meanwhile: look at body, headers and success_body",
            )

    def mark(self, up: bool, reason: str) -> None:
        """The target takes messages (True) or does not, because of ``reason``."""
        if self._up is up:
            return
        first, self._up = self._up is None, up
        if not first:
            self._log.warning("target_changed", target=self._plan.id, up=up, reason=reason)
        if self._on_target is not None:
            self._on_target(self._plan.id, up, reason)

    def _rest(self, answer: Answer, pause: float, trial: bool) -> None:
        self._breaker.rest(self._clock(), pause, trial)
        asked = f"it asks to be left alone for {answer.pause_seconds:.0f} s"
        self.mark(False, self._line(f"{asked}, and is for {pause:.0f}: {answer.error}"))

    def _failed(self, answer: Answer, trial: bool) -> None:
        if self._breaker.failure(self._clock(), trial):
            self.mark(False, self._line(answer.error))

    def _answered(self, answer: Answer, trial: bool) -> None:
        if answer.outcome in ("taken", "duplicate"):
            self._taken += 1
            self._given_up = 0
            self._turns_away = False
        if self._breaker.success(trial):
            self.mark(True, "the dialer answers again")
