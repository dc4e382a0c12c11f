"""The end of a demo: does the daemon have what the vendors were promised?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from distributor.demo.stream import AssignmentStream
from distributor.demo.vendor import Book
from distributor.domain.ids import NANOSECONDS

FIRST_CONTACT_SECONDS = 60.0
_NAMES = 5
_LATE_SECONDS = 1.0


class Summary(Struct, frozen=True):
    """The figures at the end. Times are of the floor.

    ``leads_in``: acknowledged to a vendor. ``judged``: leads that were contacted,
    or had their first minute. ``open``: leads that are not closed, by state. ``lost``: of these, unknown to the daemon, or under another
    key. ``unexpected``: leads of the daemon that nobody sent. ``assigned_twice``: leads with two live
    assignments at once, as the dialer saw it. ``difference``: the daemon's own ledger, 0 when it
    balances. ``held_back``: reps who had less than full flow at some time. ``unsent``: arrivals of the
    trace that never went out. ``late_seconds`` (of the wall clock): how much after its time a lead went
    out, at most. ``unseen``: what the story of the demo should have shown and did not. ``seconds`` (of
    the wall clock): how long it all took.
    """

    leads_in: int
    refused: int
    unanswered: int
    repeats: int
    contacted: int
    on_time: int
    judged: int
    closed: int
    open: Mapping[str, int]
    assignments: int
    taken_back: int
    held_back: tuple[str, ...]
    lost: int
    unexpected: int
    assigned_twice: int
    difference: int
    unsent: int = 0
    late_seconds: float = 0.0
    unseen: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def problems(self) -> list[str]:
        """Why the account does not balance or is not whole, a line each; empty when all is well."""
        lost = {
            "acknowledged leads that are lost": self.lost,
            "leads from nowhere": self.unexpected,
            "leads that were with two reps at once": self.assigned_twice,
            "difference in the daemon's ledger": self.difference,
        }
        open_ = {
            "arrivals of the trace not sent": self.unsent,
            "leads without an answer": self.unanswered,
        }
        return [
            *(f"DOES NOT BALANCE: {what}: {count}" for what, count in lost.items() if count),
            *(f"NOT COMPLETE: {what}: {count}" for what, count in open_.items() if count),
        ]


def summarise(
    book: Book,
    leads: Sequence[Mapping[str, Any]],
    stream: AssignmentStream,
    *,
    time_scale: float,
    held_back: Iterable[str],
    difference: float,
    now_ns: int,
    arrivals: int | None = None,
    unseen: Iterable[str] = (),
    seconds: float = 0.0,
) -> Summary:
    """The account of what the vendors were told against what the daemon and the dialer have.

    ``arrivals``: how many the trace has, None without one.
    """
    kept = {(str(lead["vendor"]), str(lead["lead_id"])): lead for lead in leads}
    ours = [
        kept[key]
        for key, lead_key in book.accepted.items()
        if key in kept and kept[key]["lead_key"] == lead_key
    ]
    responses = [_response_seconds(lead, time_scale) for lead in ours if lead["contacted_at"]]
    overdue = sum(
        not lead["contacted_at"] and _age_seconds(lead, now_ns, time_scale) > FIRST_CONTACT_SECONDS
        for lead in ours
    )
    closed = sum(lead["state"] == "closed" for lead in ours)
    unexpected = sum(key not in book.sent for key in kept) + len(leads) - len(kept)
    return Summary(
        leads_in=len(book.accepted),
        refused=len(book.refused),
        unanswered=book.unanswered,
        repeats=book.repeats,
        contacted=len(responses),
        on_time=sum(seconds <= FIRST_CONTACT_SECONDS for seconds in responses),
        judged=len(responses) + overdue,
        closed=closed,
        open=Counter(str(lead["state"]) for lead in ours if lead["state"] != "closed"),
        assignments=stream.assignments,
        taken_back=stream.revocations,
        held_back=tuple(sorted(held_back)),
        lost=len(book.accepted) - len(ours) + book.changed_keys,
        unexpected=unexpected,
        assigned_twice=len(stream.twice),
        difference=round(difference),
        unsent=0 if arrivals is None else max(0, arrivals - book.sendings),
        late_seconds=book.late_seconds,
        unseen=tuple(unseen),
        seconds=seconds,
    )


def lines(summary: Summary) -> list[str]:
    """The summary as people read it."""
    share = (
        f" ({summary.on_time / summary.judged:.0%} of {summary.judged})" if summary.judged else ""
    )
    reps = f" ({first(summary.held_back)})" if summary.held_back else ""
    extra = [
        f"{count} {word}"
        for count, word in (
            (summary.refused, "refused"),
            (summary.unanswered, "without an answer"),
            (summary.repeats, "sent twice"),
        )
        if count
    ]
    rows = [
        ("leads in", f"{summary.leads_in}" + (f" (besides {', '.join(extra)})" if extra else "")),
        ("contacted", f"{summary.contacted}"),
        ("contacted within 60 s", f"{summary.on_time}{share}"),
        ("closed", f"{summary.closed}"),
        ("open", _with_parts(summary.open)),
        ("assignments", f"{summary.assignments}, taken back {summary.taken_back}"),
        ("held back", f"{counted(len(summary.held_back), 'rep')} for a while{reps}"),
        ("lost", f"{summary.lost}"),
        ("assigned twice at once", f"{summary.assigned_twice}"),
    ]
    if summary.unseen:
        rows.append(("not seen", "; ".join(summary.unseen)))
    if summary.late_seconds >= _LATE_SECONDS:
        late = f"up to {summary.late_seconds:.0f} s: a lower --time-scale or --rate is kept up with"
        rows.append(("sent late", late))
    text = [f"  {name:<28}{value}" for name, value in rows]
    return [*text, *(f"  {line}" for line in summary.problems or ["every lead is accounted for"])]


def floor_time(seconds: float) -> str:
    """A time of the floor as its clock shows it: ``04:40``, ``1:04:40``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def counted(count: int, what: str) -> str:
    """A number with its noun."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def first(names: Sequence[str]) -> str:
    """The first of many names."""
    more = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {more} more" if more > 0 else "")


def _with_parts(counts: Mapping[str, int]) -> str:
    parts = ", ".join(f"{state} {count}" for state, count in sorted(counts.items()))
    return f"{sum(counts.values())}" + (f" ({parts})" if parts else "")


def _age_seconds(lead: Mapping[str, Any], now_ns: int, time_scale: float) -> float:
    since = datetime.fromisoformat(lead["received_at"])
    return (now_ns / NANOSECONDS - since.timestamp()) * time_scale


def _response_seconds(lead: Mapping[str, Any], time_scale: float) -> float:
    since = datetime.fromisoformat(lead["received_at"])
    until = datetime.fromisoformat(lead["contacted_at"])
    return (until - since).total_seconds() * time_scale
