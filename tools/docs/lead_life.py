"""The blocks of ``docs/lead-life.md``, from the one table of moves."""

from __future__ import annotations

from distributor.core.lifecycle import mermaid
from distributor.domain.lead import LEAD_STATES, LEAD_TRANSITIONS, MOVE_MEANINGS, STATUS_MOVES


def diagram() -> str:
    """The state diagram (mermaid)."""
    return mermaid()


def moves() -> str:
    """A row for each move: what it means, and where it leads from each state."""
    lines = [f"| move | what happened | {' | '.join(LEAD_STATES)} |"]
    lines.append("|---|---|" + "---|" * len(LEAD_STATES))
    for move, meaning in MOVE_MEANINGS.items():
        targets = [LEAD_TRANSITIONS[state].get(move, "") for state in LEAD_STATES]
        lines.append(f"| `{move}` | {meaning} | {' | '.join(targets)} |")
    return "\n".join(lines) + "\n"


def statuses() -> str:
    """A row for each status that a rep can set."""
    lines = ["| status | move |", "|---|---|"]
    lines += [f"| `{status}` | `{move}` |" for status, move in STATUS_MOVES.items()]
    return "\n".join(lines) + "\n"
