"""The live picture: a table on a terminal, a plain line now and then on a pipe."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from distributor.demo.eyes import Eyes, View
from distributor.demo.stream import AssignmentStream
from distributor.errors import Unavailable

_LOOK_SECONDS: Final = 0.5
_LINE_SECONDS: Final = 5.0
_BAR: Final = 10
_STORY_LINES: Final = 4
_MOST_REPS: Final = 24


class _Output(Protocol):
    def show(self, view: View) -> None: ...

    def say(self, text: str) -> None: ...


class Board:
    """Looks at the daemon again and again and shows what it sees.

    ``held_back``: reps who were seen with less than full flow while they were ready.
    """

    def __init__(self, eyes: Eyes, stream: AssignmentStream, console: Console) -> None:
        self.held_back: set[str] = set()
        self._eyes = eyes
        self._console = console
        began = asyncio.get_running_loop().time()
        self._output: _Output = (
            _Screen(console, stream, began) if console.is_terminal else _Plain(console, began)
        )

    def say(self, text: str) -> None:
        """Something happens on the floor."""
        self._output.say(text)

    async def run(self) -> None:
        """Look until cancelled."""
        with contextlib.ExitStack() as stack:
            if isinstance(self._output, _Screen):
                stack.enter_context(self._output.live)
            while True:
                with contextlib.suppress(Unavailable):  # the next look may be luckier
                    self.see(await self._eyes.look())
                await asyncio.sleep(_LOOK_SECONDS)

    def see(self, view: View) -> None:
        """Take in and show one look."""
        self.held_back |= {
            rep["id"] for rep in view.reps if rep["flow"] < 1 and rep["state"] == "ready"
        }
        self._output.show(view)


class _Plain:
    """A line every few seconds."""

    def __init__(self, console: Console, began: float) -> None:
        self._console = console
        self._began = began
        self._next = began

    def show(self, view: View) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next:
            self._next = now + _LINE_SECONDS
            self._print(f"{headline(view)}; {_throttled(view.reps)}")

    def say(self, text: str) -> None:
        self._print(f"-- {text}")

    def _print(self, text: str) -> None:
        seconds = asyncio.get_running_loop().time() - self._began
        self._console.print(
            f"{seconds:5.0f} s  {text}", markup=False, highlight=False, soft_wrap=True
        )


class _Screen:
    """The table, drawn again at each look."""

    def __init__(self, console: Console, stream: AssignmentStream, began: float) -> None:
        self.live = Live(console=console, auto_refresh=False, transient=True)
        self._stream = stream
        self._began = began
        self._story: deque[str] = deque(maxlen=_STORY_LINES)

    def show(self, view: View) -> None:
        seconds = asyncio.get_running_loop().time() - self._began
        parts: list[Any] = [
            Text(f"{seconds:.0f} s   {headline(view)}", style="bold"),
            reps_table(view.reps),
            *(Text(f"* {line}", style="yellow") for line in self._story),
            *(
                Text(f"  {sentence}", style="dim", no_wrap=True, overflow="ellipsis")
                for sentence in self._stream.sentences
            ),
        ]
        self.live.update(Group(*parts), refresh=True)

    def say(self, text: str) -> None:
        self._story.append(f"{asyncio.get_running_loop().time() - self._began:.0f} s: {text}")


def headline(view: View) -> str:
    """How the floor is doing, in one line."""
    metrics = view.metrics

    def state(name: str) -> str:
        return f"{metrics.total('distributor_leads_in_state', state=name):.0f}"

    met = metrics.total("distributor_standard_events_total", result="met")
    judged = met + metrics.total("distributor_standard_events_total", result="missed")
    median = metrics.median("distributor_speed_to_contact_seconds")
    return (
        f"waiting {state('waiting')}, assigned {state('assigned')}, in work {state('working')}, "
        f"closed {state('closed')}; first minute "
        + (f"{met / judged:.0%}" if judged else "-")
        + ", p50 "
        + (f"{median:.0f} s" if median is not None else "-")
    )


def reps_table(reps: Sequence[dict[str, Any]]) -> Table:
    """A row for each rep; of a large floor those with less than full flow come first."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name, width in (("rep", 8), ("state", 7), ("open lead", 14), ("flow", _BAR), ("", 4)):
        table.add_column(name, no_wrap=True, min_width=width)
    table.add_column("why", no_wrap=True, overflow="ellipsis")
    shown = reps if len(reps) <= _MOST_REPS else sorted(reps, key=lambda rep: rep["flow"] >= 1)
    for rep in shown[:_MOST_REPS]:
        full = rep["flow"] >= 1
        table.add_row(
            rep["id"],
            rep["state"],
            " ".join([*rep["leads"][:1], *(["..."] if rep["leads"][1:] else [])]) or "-",
            Text(flow_bar(rep["flow"]), style="green" if full else "red"),
            f"{rep['flow']:.2f}",
            "" if full else rep["because"] or rep["reason"],
        )
    if len(reps) > _MOST_REPS:
        table.add_row(f"and {len(reps) - _MOST_REPS} more")
    return table


def flow_bar(flow: float) -> str:
    """A flow from 0 to 1 as a bar."""
    full = round(min(1.0, max(0.0, flow)) * _BAR)
    return "█" * full + "░" * (_BAR - full)


def _throttled(reps: Sequence[dict[str, Any]]) -> str:
    names = [
        f"{rep['id']} {rep['flow']:.2f} ({rep['reason']})"
        for rep in reps
        if rep["flow"] < 1 and rep["state"] == "ready"
    ]
    return "held back: " + (", ".join(names) or "nobody")
