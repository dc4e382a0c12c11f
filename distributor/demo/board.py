"""The live picture: a table on a terminal, a plain line now and then on a pipe."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Protocol

from rich.console import Console
from rich.live import Live

from distributor.demo.eyes import Eyes, View
from distributor.demo.picture import headline, held_back, picture
from distributor.demo.stream import AssignmentStream
from distributor.demo.summary import first, floor_time
from distributor.errors import Unavailable

_LOOK_SECONDS: Final = 0.5
_LINE_SECONDS: Final = 5.0


class _Output(Protocol):
    def show(self, view: View, clock: str) -> None: ...

    def say(self, text: str, why: str, clock: str) -> None: ...


class Board:
    """Looks at the daemon again and again and shows what it sees, with the time of the floor.

    ``held_back``: reps who were seen with less than full flow while they were ready. ``unsettled``:
    whether the last look showed leads that nobody has called yet. ``looks``: how many there were.
    """

    def __init__(
        self, eyes: Eyes, stream: AssignmentStream, console: Console, time_scale: float
    ) -> None:
        self.held_back: set[str] = set()
        self.unsettled = True
        self.looks = 0
        self._eyes = eyes
        self._time_scale = time_scale
        self._began = asyncio.get_running_loop().time()
        self._output: _Output = (
            _Screen(console, stream, time_scale)
            if console.is_terminal
            else _Plain(console, time_scale)
        )

    @property
    def seconds(self) -> float:
        """How long it looks already, by the wall clock."""
        return asyncio.get_running_loop().time() - self._began

    def say(self, text: str, why: str) -> None:
        """Something happens on the floor."""
        self._output.say(text, why, self._clock())

    async def run(self, also: Callable[[View], None]) -> None:
        """Look until cancelled, and let ``also`` see each look."""
        with contextlib.ExitStack() as stack:
            if isinstance(self._output, _Screen):
                stack.enter_context(self._output.live)
            while True:
                with contextlib.suppress(Unavailable):  # the next look may be luckier
                    view = await self._eyes.look()
                    self.see(view)
                    also(view)
                await asyncio.sleep(_LOOK_SECONDS)

    def see(self, view: View) -> None:
        """Take in and show one look."""
        self.looks += 1
        self.held_back |= {rep["id"] for rep in held_back(view.reps)}
        self.unsettled = any(view.leads(state) for state in ("waiting", "assigned"))
        self._output.show(view, self._clock())

    def _clock(self) -> str:
        return floor_time(self.seconds * self._time_scale)


class _Plain:
    """A line every few seconds, after the floor's time."""

    def __init__(self, console: Console, time_scale: float) -> None:
        self._console = console
        self._time_scale = time_scale
        self._next = 0.0

    def show(self, view: View, clock: str) -> None:
        now = asyncio.get_running_loop().time()
        if not self._next:
            self._print(f"floor time, {self._time_scale:g} x speed", clock)
        if now >= self._next:
            self._next = now + _LINE_SECONDS
            names = [f"{rep['id']} {rep['flow']:.2f}" for rep in held_back(view.reps)]
            self._print(f"{headline(view)}; held back: {first(names) or 'nobody'}", clock)

    def say(self, text: str, why: str, clock: str) -> None:
        self._print(f"-- {text}: {why}" if why else f"-- {text}", clock)

    def _print(self, text: str, clock: str) -> None:
        self._console.print(f"{clock:>8}  {text}", markup=False, highlight=False, soft_wrap=True)


class _Screen:
    """The table, drawn again at each look."""

    def __init__(self, console: Console, stream: AssignmentStream, time_scale: float) -> None:
        self.live = Live(console=console, auto_refresh=False, transient=True)
        self._console = console
        self._stream = stream
        self._time_scale = time_scale
        self._story: list[str] = []

    def show(self, view: View, clock: str) -> None:
        head = f"floor time {clock}, {self._time_scale:g} x speed"
        size = self._console.size
        self.live.update(
            picture(head, view, self._story, list(self._stream.sentences), size), refresh=True
        )

    def say(self, text: str, why: str, clock: str) -> None:
        # Why stands under the table, for as long as it is so.
        self._story.append(f"{clock}  {text}")
