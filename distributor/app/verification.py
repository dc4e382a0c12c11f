"""``distributor verify``: does the store say what its journal says, and would we decide it again?"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from distributor import __version__
from distributor.app.snapshot_check import unlike
from distributor.app.unlikeness import unlikeness
from distributor.core.engine import Engine
from distributor.domain.decisions import Assigned, AssignmentEnded, LeadHeld, LeadReleased
from distributor.domain.events import Started, Ticked
from distributor.errors import Damaged, DistributorError
from distributor.observe.logs import clean
from distributor.runtime.progress import Progress
from distributor.settings.policies import Policies
from distributor.store import evidence, journal
from distributor.store.readonly import ReadOnly
from distributor.store.scratch import TABLES, Scratch, first_difference

if TYPE_CHECKING:
    from pathlib import Path

    from distributor.domain.journal import Entry

WRITTEN_AT_ONCE = 1_000
_LONGEST = 120
_DATED = (Assigned, AssignmentEnded, LeadHeld, LeadReleased)
"""Decisions that carry the time of their entry."""


def verify(path: Path) -> str | None:
    """The first difference between the journal and the rest, None when all agrees.

    Folds every recorded decision from the beginning; makes from it the rows of every table that people
    query and compares them with the stored ones; compares the snapshots and, as far as it follows from
    the journal, the outbox; checks the ledger after every entry; and decides every event again where
    the recording version is this one. What cannot be read is a difference, too. Nothing personal is in
    the answer. Raises ``StoreFailed`` where there is no store of this release.
    """
    try:
        with closing(ReadOnly(path)) as store, closing(Scratch()) as scratch, store.picture():
            difference = _Verification(store, scratch).run()
    except Damaged as error:
        difference = str(error).removeprefix(f"{path}: ")
    return difference and clean(difference)


class _Verification:
    """One walk through the journal."""

    def __init__(self, store: ReadOnly, scratch: Scratch) -> None:
        self._store = store
        self._scratch = scratch
        identity = journal.identity(store)
        self._epoch: int = identity["epoch"]
        tag, seed = identity["tag"], identity["seed"]
        self._folded = Engine(tag=tag, seed=seed, factories={})
        self._again: Engine | None = Engine(tag=tag, seed=seed, factories=Policies())
        self._snapshots = set(evidence.complete_snapshots(store))
        self._unwritten: list[Entry] = []
        self._at_ns = 0

    def run(self) -> str | None:
        """The first difference."""
        last = journal.last_seq(self._store)
        with Progress("verify", "entries", last) as progress:
            for number, entry in enumerate(progress.count(journal.entries(self._store)), 1):
                if entry.seq != number:
                    return f"entry {number} is missing from the journal"
                difference = self._take(entry)
                if difference:
                    return f"entry {entry.seq}: {difference}"
                if entry.seq in self._snapshots:
                    difference = unlike(
                        self._folded.state, *evidence.snapshot(self._store, entry.seq)
                    )
                    if difference:
                        return f"snapshot {entry.seq}: {difference}"
            self._write()
        ahead = [seq for seq in self._snapshots if seq > last]
        if ahead:
            return f"snapshot {max(ahead)}: the journal ends before it, at entry {last}"
        if self._folded.state.epoch > self._epoch:
            return f"meta: the epoch is {self._epoch}, the journal has {self._folded.state.epoch}"
        return self._compare_tables() or evidence.stray_message(self._store)

    def _compare_tables(self) -> str | None:
        for table in TABLES:
            with Progress(f"verify: {table.name}", "rows") as progress:
                made = progress.count(self._scratch.rows(table))
                difference = first_difference(table, made, evidence.rows(self._store, table))
            if difference:
                return difference
        return None

    def _take(self, entry: Entry) -> str | None:
        """Fold one entry, decide it again, and note what it writes."""
        difference = self._misdated(entry)
        if difference:
            return difference
        try:
            self._folded.fold(entry.at_ns, entry.decisions)
        except Exception as error:  # noqa: BLE001 - it cannot have been decided in this state
            return f"its decisions do not fit what was before: {_short(error)}"
        if self._folded.state.ledger.difference:
            return f"the ledger is off by {self._folded.state.ledger.difference}"
        self._unwritten.append(entry)
        if len(self._unwritten) >= WRITTEN_AT_ONCE:
            self._write()
        if isinstance(entry.event, Started) and entry.event.version != __version__:
            self._again = None  # another release decided from here on
        if self._again is None:
            return None
        try:
            return _decide_again(self._again, entry)
        except DistributorError:
            raise  # a policy that is not installed here
        except Exception as error:  # noqa: BLE001 - it did not fail then
            return f"deciding it again fails: {_short(error)}"

    def _misdated(self, entry: Entry) -> str | None:
        if entry.at_ns < self._at_ns:
            return "its time is before that of the entry before it"
        self._at_ns = entry.at_ns
        for decision in entry.decisions:
            if isinstance(decision, _DATED) and decision.at_ns != entry.at_ns:
                return f"its time is {entry.at_ns}, that of what was decided {decision.at_ns}"
        return None

    def _write(self) -> None:
        self._scratch.write(self._unwritten, *self._folded.take_touched())
        self._unwritten = []


def _short(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _decide_again(engine: Engine, entry: Entry) -> str | None:
    if isinstance(entry.event, Started) and entry.seq > 1:
        engine.resume()
    for at_ns in entry.idle_ticks:
        decided = tuple(engine.handle(Ticked(), at_ns))
        if decided:
            return f"before it, {type(decided[0]).__name__} is decided now, nothing then"
    decided = tuple(engine.handle(entry.event, entry.at_ns))
    if decided == entry.decisions:
        return None
    for number, (now, then) in enumerate(zip(decided, entry.decisions, strict=False)):
        if now != then:
            return f"decision {number}: {unlikeness(then, now)}"
    return f"recorded {len(entry.decisions)} decisions, now {len(decided)}"
