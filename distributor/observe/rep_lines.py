"""The per-rep families, written by hand: the library would need a second at 10,000 reps.

The loop only copies the reps that may have changed (``Copies``); all the rest is done on the copies, in the
scrape's thread. There a rep's lines are written again only when something about the rep did change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
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
_PIECE_REPS = 1_000

if {row.name for row in TABLE if row.per_rep} != set(_FAMILIES):
    raise AssertionError("the table's per-rep families are not those that are written here")


# A third of what copy.copy costs.
_copied: Callable[[Rep], Rep] = Rep.__copy__  # type: ignore[attr-defined]


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


class Copies:
    """Some reps as they are at ``now_ns``, each with its place among the ``count`` that are shown. Made on
    the loop, read in the scrape's thread."""

    def __init__(self, count: int, now_ns: int) -> None:
        self.count = count
        self.now_ns = now_ns
        self.places: list[int] = []
        self.reps: list[Rep] = []
        self.inflight: list[int] = []

    def add(self, places: Sequence[int], reps: Sequence[Rep]) -> None:
        """Copy ``reps``, half a microsecond each."""
        self.places.extend(places)
        # The copies share ``open``, which the core goes on writing: what counts of it is its size now.
        self.inflight.extend([len(rep.open) for rep in reps])
        self.reps.extend(map(_copied, reps))


class RepLines:
    """The lines of every rep. Used by one thread at a time."""

    def __init__(self, per_rep: PerRep) -> None:
        self.per_rep = per_rep
        self.tally = TeamTally()
        self._known: list[tuple[Rep, int] | None] = []
        self._counted: list[Tallied] = []
        self._timed: dict[int, tuple[bool, str]] = {}
        self._lines: tuple[list[str], ...] = tuple([] for _ in _FAMILIES)
        self._heads = tuple(header(metric(name)) for name in _FAMILIES)

    def render(self, copies: Copies) -> list[bytes]:
        """All families as text, in pieces. A place that was never copied has no lines."""
        self._resize(copies.count)
        self._take(copies)
        self._end_by_clock(copies.now_ns)
        pieces = []
        for head, lines in zip(self._heads, self._lines, strict=True):
            for start in range(0, len(lines) or 1, _PIECE_REPS):
                text = "".join(lines[start : start + _PIECE_REPS])
                pieces.append((text if start else head + text).encode())
        return pieces

    def _take(self, copies: Copies) -> None:
        """Write the lines of those who changed."""
        known = self._known
        for place, rep, inflight in zip(copies.places, copies.reps, copies.inflight, strict=True):
            if known[place] != (rep, inflight):
                self._write(place, rep, inflight, copies.now_ns)

    def _end_by_clock(self, now_ns: int) -> None:
        """A pause and a wrap-up end by the clock: no decision is needed for it, so none tells of it."""
        for place, timed in list(self._timed.items()):
            known = self._known[place]
            if known is not None and timed != _timed(known[0], now_ns):
                self._write(place, *known, now_ns)

    def _resize(self, count: int) -> None:
        """Make room for, or forget, reps at the end."""
        while len(self._counted) > count:
            self._count(len(self._counted) - 1, NOBODY)
            self._counted.pop()
            self._known.pop()
            self._timed.pop(len(self._known), None)
            for lines in self._lines:
                lines.pop()
        missing = count - len(self._counted)
        self._counted.extend([NOBODY] * missing)
        self._known.extend([None] * missing)
        for lines in self._lines:
            lines.extend([""] * missing)

    def _count(self, place: int, rep: Tallied) -> None:
        """Count the rep at ``place`` as ``rep``, no longer as what it was."""
        for tallied, by in ((self._counted[place], -1), (rep, 1)):
            if tallied is not NOBODY:
                self.tally.add(tallied, by)
        self._counted[place] = rep

    def _write(self, place: int, rep: Rep, inflight: int, now_ns: int) -> None:
        flow = rep.flow_in_force(now_ns)
        shown = rep.state_in_force(now_ns)
        self._count(place, (rep.team, shown, flow.value, rep.sends_states))
        held_back = flow.value < 1
        wanted = self.per_rep == "all" or (self.per_rep == "held_back" and held_back)
        texts = _texts(rep, inflight, shown, flow) if wanted else ("",) * len(_FAMILIES)
        for lines, text in zip(self._lines, texts, strict=True):
            lines[place] = text
        if rep.paused_until_ns or shown != rep.state:
            self._timed[place] = _timed(rep, now_ns)
        else:
            self._timed.pop(place, None)
        # Last, so that a failure above is made good by the next copy.
        self._known[place] = (rep, inflight)


def _timed(rep: Rep, now_ns: int) -> tuple[bool, str]:
    """What the clock alone can change of a rep: whether it is paused, and the state that is shown."""
    return rep.paused_until_ns > now_ns, rep.state_in_force(now_ns)


def _texts(rep: Rep, inflight: int, shown: str, flow: Flow) -> tuple[str, ...]:
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
        f"{PREFIX}rep_inflight_leads{both} {number(inflight)}\n",
        f"{PREFIX}rep_window_leads{both} {number(rep.window)}\n",
        f"{PREFIX}rep_throttle_ratio{both} {number(flow.value)}\n",
        f"{PREFIX}rep_throttle_reason_info{why} 1.0\n" if flow.value < 1 else "",
        since if flow.value < 1 and flow.since_ns else "",
        states,
        f"{PREFIX}rep_assignments_total{alone} {number(rep.assignments)}\n",
        contacts,
        smoothed if rep.contacts else "",
    )
