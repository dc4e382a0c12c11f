"""What one look at the daemon is on a terminal, within its width and height."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import ConsoleDimensions, Group
from rich.table import Table
from rich.text import Text

from distributor.demo.eyes import View
from distributor.demo.story import why
from distributor.demo.stream import short

Row = dict[str, Any]

_BAR: Final = 10
_MOST_REPS: Final = 24
_LEAST_REPS: Final = 4
_HEAD_LINES: Final = 4
_STORY_LINES: Final = 4


def headline(view: View) -> str:
    """How the floor is doing, in one line."""
    metrics = view.metrics
    met = metrics.total("distributor_standard_events_total", result="met")
    judged = met + metrics.total("distributor_standard_events_total", result="missed")
    median = metrics.median("distributor_speed_to_contact_seconds")
    return (
        f"waiting {view.leads('waiting')}, assigned {view.leads('assigned')}, "
        f"in work {view.leads('working')}, closed {view.leads('closed')}; first minute "
        + (f"{met / judged:.0%}" if judged else "-")
        + ", p50 "
        + (f"{median:.0f} s" if median is not None else "-")
    )


def held_back(reps: Sequence[Row]) -> list[Row]:
    """Those who are ready and get less than full flow."""
    return [rep for rep in reps if rep["flow"] < 1 and rep["state"] == "ready"]


def picture(
    head: str, view: View, story: Sequence[str], sentences: Sequence[str], size: ConsoleDimensions
) -> Group:
    """Headline, reps, why some are held back, the story, and the newest decisions where there is room.

    The first lines matter most: what does not fit is left out from the end.
    """
    width, room = size.width, size.height - 1
    shown = max(_LEAST_REPS, min(_MOST_REPS, room - _HEAD_LINES - _STORY_LINES))
    lines = [Text(head, style="bold"), Text(headline(view))]
    room -= sum(_height(line, width) for line in lines)
    table = reps_table(view.reps, shown)
    room -= table.row_count + 1
    kept: list[Text] = []
    for newest_first, block in (
        (False, [Text(_reason(rep), style="red") for rep in held_back(view.reps)]),
        (True, [Text(f"* {line}", style="yellow") for line in story[-_STORY_LINES:]]),
        (False, [_sentence(sentence) for sentence in reversed(sentences)]),
    ):
        some = _fitting(block[::-1] if newest_first else block, room, width)
        room -= sum(_height(line, width) for line in some)
        kept += some[::-1] if newest_first else some
    return Group(*lines, table, *kept)


def _fitting(lines: Sequence[Text], room: int, width: int) -> list[Text]:
    """The first of the lines that fit."""
    kept = []
    for line in lines:
        room -= _height(line, width)
        if room < 0:
            break
        kept.append(line)
    return kept


def _sentence(text: str) -> Text:
    return Text(f"  {text}", style="dim", no_wrap=True, overflow="ellipsis")


def _height(line: Text, width: int) -> int:
    return 1 if line.no_wrap else max(1, -(-line.cell_len // max(1, width - 1)))


def _reason(rep: Row) -> str:
    return f"{rep['id']} {rep['flow']:.2f}: {why(rep)}"


def reps_table(reps: Sequence[Row], most: int = _MOST_REPS) -> Table:
    """A row for each rep; of a large floor those with less than full flow come first."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    # What every width must show has its own; names that are too long give way.
    table.add_column("rep", no_wrap=True, min_width=6, max_width=20, overflow="ellipsis")
    for name, width in (("state", 7), ("open lead", 9), ("flow", _BAR), ("", 4)):
        table.add_column(name, no_wrap=True, min_width=width)
    table.add_column("reason", no_wrap=True, overflow="ellipsis")
    shown = reps if len(reps) <= most else sorted(reps, key=lambda rep: rep["flow"] >= 1)
    rows = shown if len(reps) <= most else shown[: most - 1]
    for rep in rows:
        full = rep["flow"] >= 1
        table.add_row(
            rep["id"],
            rep["state"],
            _leads(rep["leads"]),
            Text(flow_bar(rep["flow"]), style="green" if full else "red"),
            f"{rep['flow']:.2f}",
            "" if full else rep["reason"],
        )
    if len(reps) > len(rows):
        table.add_row(f"and {len(reps) - len(rows)} more")
    return table


def _leads(keys: Sequence[str]) -> str:
    if not keys:
        return "-"
    more = f" +{len(keys) - 1}" if len(keys) > 1 else ""
    return f"{short(keys[0])}{more}"


def flow_bar(flow: float) -> str:
    """A flow from 0 to 1 as a bar."""
    full = round(min(1.0, max(0.0, flow)) * _BAR)
    return "█" * full + "░" * (_BAR - full)
