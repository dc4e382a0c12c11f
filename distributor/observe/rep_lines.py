"""The per-rep families, written by hand: the library would hold up the loop for a second at 10,000 reps.

A rep's lines are written again only when something about the rep changed since the last scrape; the
rest is one comparison for each rep.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from distributor.domain.rep import Flow, Rep
from distributor.observe.families import Labels, number
from distributor.observe.metrics import SHOWN_STATES, PerRep
from distributor.observe.table import PREFIX, TABLE, Metric, metric

_FAMILIES = (
    "rep_inflight_leads",
    "rep_window_leads",
    "rep_throttle_ratio",
    "rep_throttle_reason_info",
    "rep_throttle_since_timestamp_seconds",
    "rep_state",
    "rep_assignments_total",
    "rep_contacts_total",
    "rep_speed_to_contact_smoothed_seconds",
)
AT_WORK: Final = ("ready", "busy", "wrap_up")
_CHECK_EVERY = 8
_PIECE_REPS = 250

Pause = Callable[[], Awaitable[None]]
Seen = tuple[object, ...]

if {row.name for row in TABLE if row.per_rep} != set(_FAMILIES):
    raise AssertionError("the table's per-rep families are not those that are written here")


def escaped(value: str) -> str:
    """A label's value as the text format wants it between quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def header(row: Metric) -> str:
    """HELP and TYPE of a family."""
    meaning = row.meaning.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {row.full_name} {meaning}\n# TYPE {row.full_name} {row.type}\n"


Tallied = tuple[str, str, float, bool]
"""What counts of a rep: team, shown state, flow, whether a dialer reports the rep's states."""

NOBODY: Final[Tallied] = ("", "", 1.0, False)

UNREPORTED_COST: Final = 0.04
"""The share of the leads' value that a floor loses whose dialer reports no states: from ``python -m bench
simulate``, ``lease`` at a load of 0.9 with and without them (0.953 and 0.991 of the bound)."""


class TeamTally:
    """Reps by team, kept up as their lines change."""

    def __init__(self) -> None:
        self.reps: Counter[Labels] = Counter()
        self.available: Counter[Labels] = Counter()
        self.throttled: Counter[Labels] = Counter()
        self.unreported: Counter[Labels] = Counter()
        self.at_work = 0

    def add(self, rep: Tallied, by: int) -> None:
        """Count a rep in (``by`` 1) or out (-1)."""
        team, shown, flow, reported = rep
        if (team, "ready") not in self.reps:
            for state in SHOWN_STATES:
                self.reps[team, state] = 0
        self.reps[team, shown] += by
        ready = by if shown == "ready" else 0
        self.available[team,] += ready
        self.throttled[team,] += ready if flow < 1 else 0
        present = by if shown in AT_WORK else 0
        self.at_work += present
        self.unreported[team,] += 0 if reported else present

    @property
    def unreported_cost(self) -> float:
        """An estimate of the share of the leads' value that is lost, by the share of the reps at work
        whose states nobody reports."""
        share = self.unreported.total() / self.at_work if self.at_work else 0.0
        return UNREPORTED_COST * share


class RepLines:
    """The lines of every rep, in the order in which the reps were given."""

    def __init__(self, per_rep: PerRep) -> None:
        self.per_rep = per_rep
        self.tally = TeamTally()
        self._seen: list[Seen] = []
        self._counted: list[Tallied] = []
        self._lines: tuple[list[str], ...] = tuple([] for _ in _FAMILIES)
        self._heads = tuple(header(metric(name)) for name in _FAMILIES)

    async def refresh(self, reps: Sequence[Rep], now_ns: int, pause: Pause) -> None:
        """Bring the lines up to date. ``pause`` is awaited again and again, to let the loop run."""
        self._resize(len(reps))
        seen = self._seen
        for index, rep in enumerate(reps):
            if not index % _CHECK_EVERY:
                await pause()
            now = (
                rep.id,
                rep.team,
                rep.state,
                len(rep.open),
                rep.window,
                rep.paused_until_ns > now_ns,
                rep.override,
                rep.flow,
                rep.assignments,
                rep.contacts,
                rep.contacts_on_time,
                rep.sends_states,
            )
            if now != seen[index]:
                seen[index] = now
                self._write(index, rep, now_ns)

    async def render(self, pause: Pause) -> list[bytes]:
        """All families as text, in pieces."""
        pieces = []
        for head, lines in zip(self._heads, self._lines, strict=True):
            pieces.append(head.encode())
            for start in range(0, len(lines), _PIECE_REPS):
                await pause()
                pieces.append("".join(lines[start : start + _PIECE_REPS]).encode())
        return pieces

    def _resize(self, count: int) -> None:
        """Make room for, or forget, reps at the end."""
        while len(self._seen) > count:
            self._seen.pop()
            self.tally.add(self._counted.pop(), -1)
            for lines in self._lines:
                lines.pop()
        missing = count - len(self._seen)
        self._seen.extend([()] * missing)
        self._counted.extend([NOBODY] * missing)
        for lines in self._lines:
            lines.extend([""] * missing)

    def _write(self, index: int, rep: Rep, now_ns: int) -> None:
        flow = rep.flow_in_force(now_ns)
        paused = flow.reason == "paused"
        shown = "paused" if paused and rep.state != "offline" else rep.state
        old = self._counted[index]
        if old[1]:
            self.tally.add(old, -1)
        new = self._counted[index] = (rep.team, shown, flow.value, rep.sends_states)
        self.tally.add(new, 1)
        held_back = flow.value < 1
        wanted = self.per_rep == "all" or (self.per_rep == "held_back" and held_back)
        texts = _texts(rep, shown, flow) if wanted else ("",) * len(_FAMILIES)
        for lines, text in zip(self._lines, texts, strict=True):
            lines[index] = text


def _texts(rep: Rep, shown: str, flow: Flow) -> tuple[str, ...]:
    """One rep's lines, a text for each of ``_FAMILIES``."""
    name = escaped(rep.id)
    both = f'{{rep="{name}",team="{escaped(rep.team)}"}}'
    alone = f'{{rep="{name}"}}'
    late = rep.contacts - rep.contacts_on_time
    why = f'{{reason="{escaped(flow.reason)}",rep="{name}"}}'
    states = "".join(
        f'{PREFIX}rep_state{{rep="{name}",state="{state}"}} {"1.0" if state == shown else "0.0"}\n'
        for state in SHOWN_STATES
    )
    contacts = (
        f'{PREFIX}rep_contacts_total{{on_time="true",rep="{name}"}} {number(rep.contacts_on_time)}\n'
        f'{PREFIX}rep_contacts_total{{on_time="false",rep="{name}"}} {number(late)}\n'
    )
    smoothed = (
        f"{PREFIX}rep_speed_to_contact_smoothed_seconds{alone} {number(rep.response_seconds)}\n"
    )
    since = f"{PREFIX}rep_throttle_since_timestamp_seconds{both} {number(flow.since_ns / 1e9)}\n"
    return (
        f"{PREFIX}rep_inflight_leads{both} {number(len(rep.open))}\n",
        f"{PREFIX}rep_window_leads{both} {number(rep.window)}\n",
        f"{PREFIX}rep_throttle_ratio{both} {number(flow.value)}\n",
        f"{PREFIX}rep_throttle_reason_info{why} 1.0\n" if flow.value < 1 else "",
        since if flow.value < 1 and flow.since_ns else "",
        states,
        f"{PREFIX}rep_assignments_total{alone} {number(rep.assignments)}\n",
        contacts,
        smoothed if rep.contacts else "",
    )
