"""A rep of the demo: picks up leads one at a time, talks, and says how it went."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from distributor.demo.plan import SEED, Habits

Tell = Callable[[dict[str, Any]], Awaitable[None]]

SLOW_SECONDS = 90.0
"""The median time to pick up of a rep in slow times."""

_WAITING_LAG_SECONDS = 3.0
_LAG_SIGMA = 0.6
_HANDLING_SIGMA = math.sqrt(math.log(2.0))  # lognormal whose spread is as large as its mean
_SIDE_TASK_SHARE = 0.15
_SIDE_TASK_SECONDS = 60.0
_FORGOTTEN_SHARE = 0.3
_USUAL_LAG_SECONDS = 8.0
_STATUSES = {
    "unqualified": 0.25,
    "lost": 0.3,
    "not_ready": 0.2,
    "qualified": 0.18,
    "converted": 0.07,
}


class Given(Struct):
    """An assignment in a rep's inbox."""

    assignment_id: str
    lead_key: str
    lead_id: str
    revoked: bool = False


class DemoRep:
    """One rep, whose pace is that of a floor ``time_scale`` times as fast as the wall clock.

    ``dark``: does nothing and says nothing. ``slow_seconds``: the median time to pick up while the rep
    is slow, 0 for the usual one. ``idle``: has nothing in hand and nothing in the inbox.
    ``handling``: known handling times by lead id; others are drawn. ``tell`` sends an event, ``ended``
    is called when the rep's own status ends an assignment.
    """

    def __init__(
        self,
        name: str,
        habits: Habits,
        time_scale: float,
        tell: Tell,
        ended: Callable[[str, str], None],
        handling: Callable[[str], float | None],
    ) -> None:
        self.name = name
        self.habits = habits
        self.dark = False
        self.slow_seconds = 0.0
        self.online = True
        self._time_scale = time_scale
        self._tell = tell
        self._ended = ended
        self._handling = handling
        self._inbox: deque[Given] = deque()
        self._in_hand = False
        self._changed = asyncio.Event()
        self._late = asyncio.TaskGroup()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._in_hand and all(given.revoked for given in self._inbox)

    # -- what happens to the rep -----------------------------------------------------------------

    def give(self, given: Given) -> None:
        """A lead for this rep."""
        self._inbox.append(given)
        self._changed.set()

    def wake(self) -> None:
        """Something about the rep or its leads is different now."""
        self._changed.set()

    async def go_online(self, online: bool) -> None:
        """Come, or go (a call under way is finished)."""
        self.online = online
        await self._say_state("ready" if online else "offline")
        self._changed.set()

    async def go_dark(self) -> None:
        """Do nothing and say nothing from now on."""
        self.dark = True

    async def go_slow(self) -> None:
        """Take very long to pick up from now on."""
        self.slow_seconds = SLOW_SECONDS

    async def recover(self) -> None:
        """Work as usual again, and press "ready" at the dialer."""
        self.dark, self.slow_seconds = False, 0.0
        self._changed.set()
        if self.idle:
            await self._say_state("ready")

    # -- the rep's day -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled."""
        async with self._late:
            lag_share = 1.0
            while True:
                given = await self._next()
                if given is None:
                    lag_share = 1.0
                    await self._change(None)
                    continue
                self._in_hand = True
                if await self._pick_up(given, lag_share):
                    await self._work(given)
                    lag_share = _WAITING_LAG_SECONDS / _USUAL_LAG_SECONDS
                self._in_hand = False

    async def _next(self) -> Given | None:
        while self._inbox:
            given = self._inbox.popleft()
            if not given.revoked:
                return given
        return None

    async def _pick_up(self, given: Given, lag_share: float) -> bool:
        """Take the time it takes; False when the lead was taken away before."""
        chance = random.Random(f"{SEED}/{given.assignment_id}/lag")
        factor = chance.lognormvariate(0.0, _LAG_SIGMA) / self._time_scale
        now = asyncio.get_running_loop().time
        begun = now()
        while not given.revoked:
            absent = self.dark or not self.online
            usual = self.slow_seconds or self.habits.lag_seconds * lag_share
            due = begun + usual * factor
            if not absent and now() >= due:
                return True
            await self._change(None if absent else due - now())
        return False

    async def _work(self, given: Given) -> None:
        chance = random.Random(f"{SEED}/{given.lead_key}/work")
        seconds = self._handling(given.lead_id) or self._draw(chance)
        await self._report(given, "contacted", evidence="dialer")
        if self.habits.sends_states:
            await self._say_state("busy")
        await self._sleep(seconds)
        await self._report(given, "call_ended", talk_seconds=round(seconds, 1))
        await self._close(given, chance)
        if chance.random() < _SIDE_TASK_SHARE:
            await self._sleep(chance.expovariate(1 / _SIDE_TASK_SECONDS))
        if self.habits.sends_states and self.online:
            await self._say_state("ready")

    def _draw(self, chance: random.Random) -> float:
        mean = self.habits.handling_seconds
        return chance.lognormvariate(math.log(mean) - _HANDLING_SIGMA**2 / 2, _HANDLING_SIGMA)

    async def _close(self, given: Given, chance: random.Random) -> None:
        if not self.habits.sloppy:
            await self._give_status(given, chance, 2.0)
        elif chance.random() >= _FORGOTTEN_SHARE:
            self._late.create_task(self._give_status(given, chance, 60.0))

    async def _give_status(self, given: Given, chance: random.Random, mean_seconds: float) -> None:
        names, weights = list(_STATUSES), list(_STATUSES.values())
        (status,) = random.Random(f"{SEED}/{given.lead_key}/end").choices(names, weights)
        await self._sleep(chance.expovariate(1 / mean_seconds))
        if status != "qualified":
            self._ended(given.lead_key, given.assignment_id)
        await self._report(given, "status", status=status)

    # -- small things ------------------------------------------------------------------------------

    async def _report(self, given: Given, kind: str, **more: object) -> None:
        event = {
            "event_id": f"{given.assignment_id}-{kind}",
            "type": kind,
            "assignment_id": given.assignment_id,
            "lead_key": given.lead_key,
            "rep": self.name,
        }
        await self._tell(event | more)

    async def _say_state(self, state: str) -> None:
        await self._tell({"type": "agent_state", "rep": self.name, "state": state})

    async def _sleep(self, floor_seconds: float) -> None:
        await asyncio.sleep(floor_seconds / self._time_scale)

    async def _change(self, seconds: float | None) -> None:
        """Wait until something is different, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()
