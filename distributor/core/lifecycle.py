"""The only place where a lead changes: every move goes through the table of transitions."""

from __future__ import annotations

from copy import copy
from typing import Any

from distributor.domain.faults import ImpossibleMove
from distributor.domain.lead import LEAD_TRANSITIONS, Lead, Move


def moved(lead: Lead, move: Move, now_ns: int, **fields: Any) -> Lead:
    """A new record of ``lead`` after ``move`` at ``now_ns``, with ``fields`` set.

    Raises ``ImpossibleMove`` when the table has no such move from the lead's state; ``lead`` itself
    never changes, so earlier holders (a snapshot under way) keep what they saw.
    """
    state = LEAD_TRANSITIONS[lead.state].get(move)
    if state is None:
        message = f"lead {lead.key} is {lead.state}: it cannot {move}"
        raise ImpossibleMove(message)
    new = copy(lead)
    if state != lead.state:
        new.state = state
        new.since_ns = now_ns
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def changed(lead: Lead, **fields: Any) -> Lead:
    """A new record of ``lead`` with ``fields`` set and the state as it was."""
    new = copy(lead)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def can(lead: Lead, move: Move) -> bool:
    """Whether the table has ``move`` from the lead's state."""
    return move in LEAD_TRANSITIONS[lead.state]


def mermaid() -> str:
    """The state diagram of the documentation, drawn from the table."""
    lines = ["stateDiagram-v2", "    [*] --> waiting: received"]
    for state, moves in LEAD_TRANSITIONS.items():
        targets: dict[str, list[str]] = {}
        for move, target in moves.items():
            targets.setdefault(target, []).append(move)
        lines += [f"    {state} --> {target}: {' / '.join(m)}" for target, m in targets.items()]
    lines.append("    closed --> [*]")
    return "\n".join(lines) + "\n"
