"""Whether a snapshot is what the journal makes up to the same entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from distributor.core.state import Head

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributor.core.state import State
    from distributor.domain.lead import Lead


def unlike(state: State, head: bytes, parts: Iterable[list[Lead]]) -> str | None:
    """The first way in which a snapshot differs from ``state``, which was folded up to its entry.

    Two things may: the clock of a living engine goes on between entries, and so it may have forgotten
    closed leads that ``state`` still has. Raises ``Damaged`` for a part that cannot be read.
    """
    try:
        found = msgspec.msgpack.decode(head, type=Head)
    except msgspec.MsgspecError as error:
        return f"its head cannot be read: {error}"
    expected = msgspec.msgpack.decode(state.head(), type=Head)
    if found.now_ns < expected.now_ns:
        return "its time is before that of its entry"
    mine, its = _contents(expected), _contents(found)
    for name, value in mine.items():
        if its[name] != value:
            return f"its {name} is not what the journal makes"
    return _unlike_leads(state, parts)


def _contents(head: Head) -> dict[str, Any]:
    """What a head says, whatever the order in which it says it."""
    return {
        "floor": head.floor,
        "reps": {rep.id: rep for rep in head.reps},
        "received": head.received,
        "counts": head.counts,
        "memories": {(pool, rep): memory for pool, rep, memory in head.memories},
        "picks": {pool: picks for pool, picks in head.picks.items() if picks},
        "targets_down": set(head.targets_down),
        "deferred": head.deferred,
        "dialled": head.dialled,
        "epoch": head.epoch,
        "salt": head.salt,
    }


def _unlike_leads(state: State, parts: Iterable[list[Lead]]) -> str | None:
    open_leads = 0
    for part in parts:
        for lead in part:
            mine = state.leads.get(lead.key)
            if lead.state != "closed":
                open_leads += 1
            elif mine is None:
                continue
            if mine != lead:
                return f"its lead {lead.key} is not what the journal makes"
    expected = state.ledger.received - state.ledger.counts["closed"]
    if open_leads != expected:
        return f"it has {open_leads} open leads, the journal makes {expected}"
    return None
