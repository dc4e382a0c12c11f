"""``distributor verify``: does the store say what its journal says, and would we decide it again?"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from distributor import __version__
from distributor.app.policies import Policies
from distributor.core.engine import Engine
from distributor.domain.decisions import Assigned, AssignmentEnded
from distributor.domain.events import Started, Ticked
from distributor.store.projection import Row, lead_row
from distributor.store.reader import StoreReader

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from distributor.domain.journal import Entry


def verify(path: Path) -> str | None:
    """The first difference between the journal and the rest, None when all agrees.

    Folds every recorded decision from the beginning and compares the leads and the assignments with
    the tables that people query; checks the ledger after every entry; and decides every event again
    where the recording version is this one.
    """
    with closing(StoreReader(path)) as reader, reader.picture():
        identity = reader.identity()
        tag, seed = identity["tag"], identity["seed"]
        folded = Engine(tag=tag, seed=seed, factories={})
        again: Engine | None = Engine(tag=tag, seed=seed, factories=Policies())
        expected = _Expected()
        for number, entry in enumerate(reader.entries(), 1):
            if entry.seq != number:
                return f"entry {number} is missing from the journal"
            folded.fold(entry.at_ns, entry.decisions)
            expected.take(folded, entry)
            if folded.state.ledger.difference:
                return f"entry {entry.seq}: the ledger is off by {folded.state.ledger.difference}"
            if isinstance(entry.event, Started) and entry.event.version != __version__:
                again = None  # another release decided from here on
            if again is not None:
                if isinstance(entry.event, Started) and entry.seq > 1:
                    again.resume()
                difference = _decide_again(again, entry)
                if difference:
                    return difference
        return _compare(expected.leads, reader.rows("leads"), "lead") or _compare(
            expected.assignments, reader.rows("assignments"), "assignment"
        )


class _Expected:
    """The rows that the journal makes, by their first column."""

    def __init__(self) -> None:
        self.leads: dict[str, Row] = {}
        self.assignments: dict[str, Row] = {}

    def take(self, folded: Engine, entry: Entry) -> None:
        """What one folded entry changes."""
        for lead in folded.take_touched()[0]:
            self.leads[lead.key] = lead_row(lead)
        for decision in entry.decisions:
            name = getattr(decision, "assignment_id", "")
            if isinstance(decision, Assigned):
                who = (decision.lead_key, decision.rep, decision.attempt)
                self.assignments[name] = (name, *who, decision.at_ns, None, None)
            elif isinstance(decision, AssignmentEnded):
                begun = self.assignments[name][:5]
                self.assignments[name] = (*begun, decision.at_ns, decision.cause)


def _decide_again(engine: Engine, entry: Entry) -> str | None:
    for at_ns in entry.idle_ticks:
        decided = tuple(engine.handle(Ticked(), at_ns))
        if decided:
            return f"before entry {entry.seq}: decided now {decided[0]!r}, nothing then"
    decided = tuple(engine.handle(entry.event, entry.at_ns))
    if decided == entry.decisions:
        return None
    for number, (now, then) in enumerate(zip(decided, entry.decisions, strict=False)):
        if now != then:
            return f"entry {entry.seq}, decision {number}: recorded {then!r}, decided now {now!r}"
    return f"entry {entry.seq}: recorded {len(entry.decisions)} decisions, now {len(decided)}"


def _compare(expected: dict[str, Row], rows: Iterable[Row], what: str) -> str | None:
    """What the journal makes against what the table has; empties ``expected``."""
    for row in rows:
        mine = expected.pop(row[0], None)
        if mine is None:
            return f"{what} {row[0]} is in the table and not in the journal"
        if mine != row:
            pairs = [(was, now) for was, now in zip(mine, row, strict=True) if was != now]
            return f"{what} {row[0]}: the journal says {pairs[0][0]!r}, the table {pairs[0][1]!r}"
    for key in expected:
        return f"{what} {key} is in the journal and not in the table"
    return None
