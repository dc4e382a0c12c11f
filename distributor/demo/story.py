"""The story of a demo: one rep goes dark, another slows down, and both come back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from distributor.demo.floor import DemoFloor
from distributor.demo.plan import Plan

_TROUBLE_AT = 0.3
_RETURN_AT = 0.55
_SLOWNESS = 8.0


async def play(plan: Plan, floor: DemoFloor, tell: Callable[[str], None]) -> None:
    """Make trouble in the middle of the demo and end it in time to see the flow return.

    Nobody tells the daemon: it must find out from what does not happen. ``tell`` gets a sentence for
    who watches. A recorded floor has stories of its own.
    """
    if plan.trace is not None:
        return
    reps = list(floor.reps.values())
    await asyncio.sleep(plan.seconds * _TROUBLE_AT)
    dark, slow = reps[1:2], reps[2:3]
    for rep in dark:
        rep.dark = True
    for rep in slow:
        rep.slowness = _SLOWNESS
    names = [f"{rep.name} goes dark (never answers, no event)" for rep in dark]
    names += [f"{rep.name} picks up {_SLOWNESS:g} times slower" for rep in slow]
    if names:
        tell(" and ".join(names) + "; the daemon is not told")
    await asyncio.sleep(plan.seconds * (_RETURN_AT - _TROUBLE_AT))
    for rep in (*dark, *slow):
        rep.dark, rep.slowness = False, 1.0
        rep.wake()
    if names:
        tell(" and ".join(rep.name for rep in (*dark, *slow)) + " work as before again")
