"""When a demo is over. Each of these sets ``ended``, unless somebody else does before."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from distributor.demo.board import Board
from distributor.demo.floor import DemoFloor
from distributor.demo.plan import DEFAULT_SECONDS, MOST_SECONDS, Plan
from distributor.demo.story import Story
from distributor.demo.vendor import Vendors

_LOOK_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 20.0
_LEAST_WORK_SECONDS: Final = 3.0
_WORK_FLOOR_SECONDS: Final = 1800.0
_LOOKS: Final = 2
"""A look that is under way may miss the last lead; the one after it does not."""
_TIMES_AS_LONG: Final = 10.0
_SPARE_SECONDS: Final = 60.0


async def after(seconds: float, ended: asyncio.Event) -> None:
    """The length that somebody asked for."""
    await asyncio.sleep(seconds)
    ended.set()


async def of_story(story: Story, ended: asyncio.Event) -> None:
    """The usual length, or longer until all was seen; a limit keeps it from going on for ever."""
    await asyncio.sleep(DEFAULT_SECONDS)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MOST_SECONDS - DEFAULT_SECONDS):
            await story.over.wait()
    ended.set()


async def of_trace(
    plan: Plan,
    sending: asyncio.Task[None],
    vendors: Vendors,
    floor: DemoFloor,
    board: Board,
    ended: asyncio.Event,
) -> None:
    """Every arrival was sent and answered, and the floor had time to work it off.

    A machine that does not keep up gets ten times the time that the trace should take.
    """
    assert plan.trace is not None
    planned = plan.trace.length_seconds / plan.time_scale
    await asyncio.wait({sending}, timeout=planned * _TIMES_AS_LONG + _SPARE_SECONDS)
    if sending.done():
        await vendors.settled(_ANSWER_SECONDS)
        with contextlib.suppress(TimeoutError):
            # Who has gone home calls nobody: what waits for them may wait for ever.
            limit = max(_LEAST_WORK_SECONDS, _WORK_FLOOR_SECONDS / plan.time_scale)
            async with asyncio.timeout(limit):
                await _worked_off(floor, board)
    ended.set()


async def _worked_off(floor: DemoFloor, board: Board) -> None:
    """Nobody waits for a call, and nobody is in one."""
    enough = board.looks + _LOOKS
    while (  # noqa: ASYNC110
        board.looks < enough or board.unsettled or not all(rep.idle for rep in floor.reps.values())
    ):
        await asyncio.sleep(_LOOK_SECONDS)
