"""In which order things happened to a lead, whatever the order in which they are told.

A desktop and a dialer speak by different ways: the record of a call may come after the status that the
call led to. What counts is ``at``, the time of which a word is, where that can be believed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from distributor.domain.lead import STATUS_MOVES

if TYPE_CHECKING:
    from distributor.domain.lead import Lead, LeadState, LeadStatus, Move

CLOCK_ERROR_NS: Final = 3 * 60 * 1_000_000_000
"""How far before the assignment a sender may put what came of it. Clocks that are kept are right to a
second and those set by hand to a minute or two. One that is further off says nothing of when."""

AT_REST: Final[tuple[LeadState, ...]] = ("waiting", "parked", "exception")
"""States in which nobody has the lead in hand."""

_FINALITY: Final[dict[Move, int]] = {"work": 0, "park": 1, "close": 2}
"""Of two statuses of the same time the more final one was the later."""


def doubted(lead: Lead, said_ns: int) -> bool:
    """Whether a sender's time (0: it said none) cannot be: what came of an assignment is not so much
    older than the assignment."""
    return 0 < said_ns < _begun_ns(lead) - CLOCK_ERROR_NS


def believed_ns(lead: Lead, said_ns: int, now_ns: int) -> int:
    """The time that counts for what a sender says of a lead: its own, but not after ``now_ns``, our
    receipt, and not before the assignment; our receipt where it said none or is doubted."""
    if not said_ns or doubted(lead, said_ns):
        return now_ns
    return max(min(said_ns, now_ns), _begun_ns(lead))


def _begun_ns(lead: Lead) -> int:
    return lead.leased_ns or lead.assigned_ns or lead.received_ns


def overtaken(lead: Lead, status: LeadStatus, at_ns: int, *, again: bool) -> bool:
    """Whether a status comes after a newer one, so that it changes nothing. One that closes an open lead
    always does: who bought, or must not be called, is not called again for what was said later.
    ``again``: it is said of an assignment before the present one, where the same word is no news."""
    move = STATUS_MOVES[status]
    if move == "close" and lead.state != "closed":
        return False
    if lead.status is None:
        return False
    said = (at_ns, _FINALITY[move])
    in_force = (lead.status_ns, _FINALITY[STATUS_MOVES[lead.status]])
    # Nor is it of a lead that was released, or lies on the desk.
    if again or lead.state in ("waiting", "exception"):
        return said <= in_force
    return said < in_force


def over(lead: Lead, at_ns: int, ended_ns: int) -> bool:
    """Whether a conversation that began at ``at_ns`` is over: its call led to the status in force, is
    known already, or began before ``ended_ns``, so that it is taken for ended."""
    return at_ns <= max(lead.status_ns, lead.call_ns) or at_ns < ended_ns


def held_by_a_call(lead: Lead) -> bool:
    """Whether a parked lead rests longer than agreed because its rep is talking to the person."""
    return lead.state == "parked" and 0 < lead.parked_until_ns < lead.deadline_ns
