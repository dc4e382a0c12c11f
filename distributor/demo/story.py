"""The story of a demo: one rep goes dark, another slows down, and both come back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from distributor.demo.eyes import View
from distributor.demo.plan import DEFAULT_SECONDS, Plan
from distributor.demo.rep import SLOW_SECONDS, DemoRep

_CALM_SHARE: Final = 0.3
_CALM_FLOOR_SECONDS: Final = 600.0
_HELD_SHARE: Final = 0.12
_HELD_FLOOR_SECONDS: Final = 240.0


class Story:
    """Makes trouble, waits until the daemon has noticed, ends the trouble, waits until flow is back.

    Nobody tells the daemon: it must find out from what does not happen. What is told is what
    ``GET /v1/reps`` showed: hand every look to ``see``. ``tell`` gets a sentence for who watches, and the reason that the daemon gives.
    A recorded floor has stories of its own. ``over`` is set once all was seen; ``unseen`` is what was
    not, yet.
    """

    def __init__(
        self, plan: Plan, reps: Mapping[str, DemoRep], tell: Callable[[str, str], None]
    ) -> None:
        self._reps = reps
        self._tell = tell
        length = plan.seconds or DEFAULT_SECONDS
        scale = plan.time_scale
        self._calm_seconds = min(length * _CALM_SHARE, _CALM_FLOOR_SECONDS / scale)
        self._held_seconds = min(length * _HELD_SHARE, _HELD_FLOOR_SECONDS / scale)
        self._dark, self._slow = plan.dark, plan.slow
        self._rows: dict[str, dict[str, Any]] = {}
        self._news = asyncio.Event()
        self.over = asyncio.Event()
        actors = [name for name in (self._dark, self._slow) if name]
        self.unseen = [f"{name} {what}" for name in actors for what in (_HELD_BACK, _BACK)]

    def see(self, view: View) -> None:
        """Take in one look at the daemon."""
        self._rows = {rep["id"]: rep for rep in view.reps}
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def play(self) -> None:
        """Play it to its end, which may never come."""
        await asyncio.sleep(self._calm_seconds)
        async with asyncio.TaskGroup() as group:
            if self._dark:
                rep = self._reps[self._dark]
                what = "goes dark (never answers, no event)"
                group.create_task(self._trouble(rep, rep.go_dark, what))
            if self._slow:
                rep = self._reps[self._slow]
                usual = rep.habits.lag_seconds
                what = f"picks up after {SLOW_SECONDS:.0f} s instead of {usual:.0f} s"
                group.create_task(self._trouble(rep, rep.go_slow, what))
        self.over.set()

    async def _trouble(self, rep: DemoRep, begin: Callable[[], Awaitable[None]], what: str) -> None:
        # A call under way would hide what follows: it begins with the next lead.
        await self._seen(rep, lambda row: rep.idle and row["contacts"] > 0)
        await begin()
        self._tell(f"{rep.name} {what}; the daemon is not told", "")
        row = await self._seen(rep, lambda row: row["state"] == "ready" and row["flow"] < 1)
        self._tell(f"{rep.name} {_HELD_BACK}, flow {row['flow']:.2f}", why(row))
        self.unseen.remove(f"{rep.name} {_HELD_BACK}")
        await asyncio.sleep(self._held_seconds)
        await rep.recover()
        self._tell(f"{rep.name} works as before again", "")
        await self._seen(rep, lambda row: row["flow"] >= 1 and row["state"] == "ready")
        self._tell(f"{rep.name} {_BACK}", "")
        self.unseen.remove(f"{rep.name} {_BACK}")

    async def _seen(
        self, rep: DemoRep, wanted: Callable[[Mapping[str, Any]], bool]
    ) -> Mapping[str, Any]:
        """Wait for a look that shows what is wanted of the rep."""
        while True:
            await self._news.wait()  # a new one each time: this waits for the next look
            row = self._rows.get(rep.name)
            if row is not None and wanted(row):
                return row


_HELD_BACK: Final = "is held back"
_BACK: Final = "is back at full flow"


def why(row: Mapping[str, Any]) -> str:
    """Why a rep has less than full flow, and what restores it."""
    because = str(row["because"] or row["reason"])
    return f"{because} {row['restores']}".rstrip()
