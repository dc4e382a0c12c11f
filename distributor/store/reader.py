"""``StoreReader``: answers from the store, beside the daemon that owns it, without disturbing it."""

from __future__ import annotations

import asyncio
import base64
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import msgspec

from distributor.domain.decisions import (
    Assigned,
    AssignmentEnded,
    Decision,
    FlowChanged,
    LeadDeferred,
    LeadHeld,
    LeadReleased,
    PresenceChanged,
    RepControlled,
)
from distributor.domain.journal import Entry
from distributor.domain.lead import LEAD_STATES
from distributor.domain.rep import Rep
from distributor.errors import StoreFailed
from distributor.store import schema
from distributor.store.codec import rfc3339, unpack_entry, unpack_rep
from distributor.store.connection import connect_reader
from distributor.store.explain import (
    candidates,
    key_of,
    lead_history,
    numbers,
    obstacles,
    verdict,
)

P = ParamSpec("P")
T = TypeVar("T")
Json = dict[str, Any]
ExportKind = Literal["leads", "prospects", "events", "assignments"]

_CHUNK = 1_000
_LIMIT = 1_000
_LEAD_COLUMNS = (
    "lead_key, vendor, lead_id, state, status, pool, rep, assignment_id, attempt, score, test,"
    " received_ns, contacted_ns, reason, because"
)
_RETURNED_BY_STATUS = ("closed", "parked")


class StoreReader:
    """Reads one store. Plain methods for the command line; ``ask`` runs them off the loop for HTTP.

    Raises ``StoreFailed`` where there is no store, or one of another schema.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise StoreFailed(
                f"{self.path}: there is no store: check [store] path, or run the daemon once"
            )
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-reader")
        try:
            self._connection = connect_reader(self.path)
            found = schema.version(self._connection)
        except sqlite3.Error as error:
            raise StoreFailed(f"{self.path}: {error}: check [store] path") from error
        known = len(schema.MIGRATIONS)
        if found != known:
            self._connection.close()
            remedy = "start the daemon once to migrate it" if found < known else "use the newer one"
            raise StoreFailed(
                f"{self.path}: the store has schema {found}, this release reads {known}: {remedy}"
            )

    @contextmanager
    def picture(self) -> Iterator[None]:
        """All answers within are of one moment, whatever a running daemon goes on writing."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    async def ask(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A method of this reader in the reader's own thread: ``await r.ask(r.lead, key)``."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(question, *args, **kwargs))

    def close(self) -> None:
        """Break off what is under way, and close."""
        self._connection.interrupt()
        self._thread.shutdown(cancel_futures=True)
        self._connection.close()

    # Leads

    def lead(self, lead_key: str) -> Json | None:
        """A lead with what the vendor sent (``lead``), without its history; None: unknown."""
        found = self._rows(
            f"SELECT {_LEAD_COLUMNS}, body FROM leads WHERE lead_key = ?", (lead_key,)
        )
        return _lead_json(found[0]) if found else None

    def leads(
        self,
        *,
        state: str | None = None,
        status: str | None = None,
        pool: str | None = None,
        rep: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Json:
        """``{"items": [lead, ...], "next": cursor or null}`` in the order of the keys.

        ``limit``: 1 to 1,000. ``after``: the cursor of the page before.
        """
        limit = max(1, min(limit, _LIMIT))
        wanted = {"state": state, "status": status, "pool": pool, "rep": rep}
        given = {name: value for name, value in wanted.items() if value is not None}
        terms = ["lead_key > ?", *(f"{name} = ?" for name in given)]
        if state is not None and state != "closed":
            terms.append("state <> 'closed'")  # What the indexes of open leads ask for.
        rows = self._rows(
            f"SELECT {_LEAD_COLUMNS} FROM leads WHERE {' AND '.join(terms)}"
            " ORDER BY lead_key LIMIT ?",
            (after or "", *given.values(), limit + 1),
        )
        items = [_lead_json(row) for row in rows[:limit]]
        more = len(rows) > limit
        return {"items": items, "next": items[-1]["lead_key"] if more else None}

    def history(self, lead_key: str) -> list[Json]:
        """All that happened to a lead, oldest first: [{at, type, because, rep?, ...}]."""
        found = []
        for entry in self._entries_about(lead_key):
            found += lead_history(entry, lead_key)
        return found

    def exceptions(self) -> list[Json]:
        """The cases on the exception desk, the longest open first."""
        rows = self._rows(
            "SELECT lead_key, reason, since_ns, deadline_ns, because FROM leads"
            " WHERE state = 'exception' AND state <> 'closed' ORDER BY since_ns, lead_key"
        )
        return [
            {
                "lead_key": row["lead_key"],
                "kind": row["reason"],
                "reason": row["reason"],
                "decider": None,
                "opened_at": rfc3339(row["since_ns"]),
                "due_at": rfc3339(row["deadline_ns"]),
                "because": row["because"],
            }
            for row in rows
        ]

    def ledger(self) -> dict[str, int]:
        """How many leads are in each state; all of them together are every lead ever accepted."""
        counts: dict[str, int] = dict.fromkeys(LEAD_STATES, 0)
        for row in self._rows(
            "SELECT state, count(*) AS leads FROM leads WHERE state <> 'closed' GROUP BY state"
        ):
            counts[row["state"]] = row["leads"]
        total: int = self._rows("SELECT count(*) AS leads FROM leads")[0]["leads"]
        counts["closed"] = total - sum(counts.values())
        return counts

    # Why

    def why(self, lead_key: str, rep: str | None = None) -> Json | None:
        """The decision record: who got the lead and why, or why nobody has it; None: unknown lead.

        With ``rep`` the candidates are this rep alone: why it did not get the lead.
        """
        lead = self.lead(lead_key)
        if lead is None:
            return None
        seq, decision = self._newest_verdict(lead_key)
        if isinstance(decision, Assigned):
            answer: Json = {
                "lead_key": lead_key,
                "rep": decision.rep,
                "assignment_id": decision.assignment_id,
                "reason": decision.reason,
                "because": decision.because,
                "at": rfc3339(decision.at_ns),
                "policy": decision.policy,
                "numbers": numbers(decision),
                "candidates": candidates(decision),
            }
        else:
            reason, because = _not_assigned(decision)
            answer = {
                "lead_key": lead_key,
                "rep": None,
                "assignment_id": None,
                "reason": reason or lead["reason"] or lead["state"],
                "because": because or lead["because"] or f"the lead is {lead['state']}",
                "candidates": self._had_it_before(lead_key),
            }
        if rep is not None:
            named = [one for one in answer["candidates"] if one["rep"] == rep]
            answer["candidates"] = named[:1] or [self._verdict_then(rep, seq)]
        return answer

    def why_idle(self, rep: str, now_ns: int = 0) -> Json | None:
        """Why a rep is receiving nothing, or less: ``{rep, flow, reasons: [{code, because}]}``.

        ``now_ns``: the time, where the caller knows it. None: unknown rep.
        """
        record = self._rep(rep)
        if record is None:
            return None
        reasons = obstacles(record, now_ns) or [
            {
                "code": "no_waiting_lead",
                "because": f"nothing keeps {rep} from receiving: no lead it may take is waiting",
            }
        ]
        return {"rep": rep, "flow": record.flow.value, "reasons": reasons}

    # The journal and the outbox

    def last_seq(self) -> int:
        """The newest entry's number, 0 for none."""
        return int(self._rows("SELECT coalesce(max(seq), 0) AS seq FROM journal")[0]["seq"])

    def identity(self) -> Json:
        """The store's ``tag``, ``seed`` and ``epoch``."""
        return dict(self._rows("SELECT tag, seed, epoch FROM meta")[0])

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The journal in order, from the entry behind ``after`` to the newest at the time."""
        sql = "SELECT seq, at_ns, event, decisions, idle_ticks FROM journal WHERE seq > ? ORDER BY seq LIMIT ?"
        while rows := self._rows(sql, (after, _CHUNK)):
            for row in rows:
                yield unpack_entry(*row)
            after = rows[-1]["seq"]

    def dead_letters(self, limit: int = 100) -> list[Json]:
        """The newest dead letters, newest first."""
        rows = self._rows(
            "SELECT topic, reason, payload, truncated, at_ns FROM dead_letters"
            " ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        return [
            {
                "topic": row["topic"],
                "reason": row["reason"],
                "payload_base64": base64.b64encode(row["payload"]).decode(),
                "truncated": bool(row["truncated"]),
                "at": rfc3339(row["at_ns"]),
            }
            for row in rows
        ]

    def outbox(self) -> dict[str, dict[str, int]]:
        """Undelivered messages: target -> state (``pending``, ``dead``, ``in_doubt``) -> how many."""
        counts: dict[str, dict[str, int]] = {}
        for row in self._rows(
            "SELECT target, state, count(*) AS messages FROM outbox GROUP BY target, state"
        ):
            states = counts.setdefault(row["target"], {"pending": 0, "dead": 0, "in_doubt": 0})
            states[row["state"]] = row["messages"]
        return counts

    # Export

    def export(self, kind: ExportKind) -> Iterator[Json]:
        """All rows of one database, in slices: a running daemon is not held up.

        ``prospects`` are the leads that are qualified or converted. Raises ``ValueError``.
        """
        if kind == "leads":
            return map(_lead_json, self._pages("leads", "lead_key", f"{_LEAD_COLUMNS}, body"))
        if kind == "prospects":
            term = "status IN ('qualified', 'converted')"
            pages = self._pages("leads", "lead_key", f"{_LEAD_COLUMNS}, body", term)
            return map(_lead_json, pages)
        if kind == "assignments":
            return map(_assignment_json, self._pages("assignments", "assignment_id", "*"))
        if kind == "events":
            return map(_event_json, self._pages("events", "id", "*"))
        raise ValueError(f"export {kind}: one of leads, prospects, events, assignments")

    def rows(self, table: Literal["leads", "assignments"]) -> Iterator[tuple[Any, ...]]:
        """The rows of a table as they are stored, all columns, in the order of their keys."""
        key = "lead_key" if table == "leads" else "assignment_id"
        return map(tuple, self._pages(table, key, "*"))

    # Inside

    def _rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        try:
            cursor = self._connection.execute(sql, parameters)
            cursor.row_factory = sqlite3.Row
            return cursor.fetchall()
        except sqlite3.Error as error:
            raise StoreFailed(f"{self.path}: {error}: try again") from error

    def _pages(self, table: str, key: str, columns: str, term: str = "1") -> Iterator[sqlite3.Row]:
        sql = f"SELECT {columns} FROM {table} WHERE {key} > ? AND {term} ORDER BY {key} LIMIT ?"
        after: str | int = 0 if key == "id" else ""
        while rows := self._rows(sql, (after, _CHUNK)):
            yield from rows
            after = rows[-1][key]

    def _entries_about(self, lead_key: str, *, newest_first: bool = False) -> Iterator[Entry]:
        order = "DESC" if newest_first else "ASC"
        places = self._rows(
            f"SELECT seq FROM history WHERE lead_key = ? ORDER BY seq {order}", (lead_key,)
        )
        for place in places:
            yield self._entry(place["seq"])

    def _entry(self, seq: int) -> Entry:
        sql = "SELECT seq, at_ns, event, decisions, idle_ticks FROM journal WHERE seq = ?"
        return unpack_entry(*self._rows(sql, (seq,))[0])

    def _newest_verdict(self, lead_key: str) -> tuple[int, Decision | None]:
        """The newest decision that says who has the lead or why nobody does, and where it stands.

        The end of an assignment by a status is none: the lead was that rep's to the end.
        """
        for entry in self._entries_about(lead_key, newest_first=True):
            for decision in reversed(entry.decisions):
                if key_of(decision) != lead_key or not isinstance(decision, _VERDICTS):
                    continue
                if getattr(decision, "cause", "") not in _RETURNED_BY_STATUS:
                    return entry.seq, decision
        return self.last_seq(), None

    def _had_it_before(self, lead_key: str) -> list[Json]:
        found: dict[str, Json] = {}
        for entry in self._entries_about(lead_key):
            for decision in entry.decisions:
                if isinstance(decision, AssignmentEnded) and decision.lead_key == lead_key:
                    code = "excluded" if decision.excluded else decision.cause
                    found[decision.rep] = verdict(decision.rep, code, decision.because)
        return list(found.values())

    def _rep(self, rep: str) -> Rep | None:
        rows = self._rows("SELECT record FROM reps WHERE rep = ?", (rep,))
        return unpack_rep(rows[0]["record"]) if rows else None

    def _verdict_then(self, rep: str, seq: int) -> Json:
        """What a rep's own history says about it at ``seq``, when the decision does not name it."""
        if self._rep(rep) is None:
            return verdict(rep, "not_a_member", f"no rep {rep} is known")
        presence = self._rep_decision(rep, "presence", seq, PresenceChanged)
        if presence is None or presence.state != "ready":
            state = "offline" if presence is None else presence.state
            since = f" since {rfc3339(presence.at_ns)}" if presence is not None else ""
            return verdict(rep, state, f"{rep} was {state}{since}")
        control = self._rep_decision(rep, "control", seq, RepControlled)
        if control is not None and control.action == "pause":
            return verdict(rep, "paused", f"{rep} was paused by {control.who}: {control.reason}")
        flow = self._rep_decision(rep, "flow", seq, FlowChanged)
        if flow is not None and flow.flow.value < 1.0:
            return verdict(rep, "held_back", flow.flow.because)
        return verdict(rep, "not_asked")

    def _rep_decision(self, rep: str, kind: str, seq: int, wanted: type[T]) -> T | None:
        rows = self._rows(
            "SELECT seq FROM rep_history WHERE rep = ? AND kind = ? AND seq <= ?"
            " ORDER BY seq DESC LIMIT 1",
            (rep, kind, seq),
        )
        if not rows:
            return None
        for decision in reversed(self._entry(rows[0]["seq"]).decisions):
            if isinstance(decision, wanted) and getattr(decision, "rep", "") == rep:
                return decision
        return None


_VERDICTS = (Assigned, AssignmentEnded, LeadDeferred, LeadHeld, LeadReleased)


def _not_assigned(decision: Decision | None) -> tuple[str, str]:
    """(reason code, sentence) of a decision that leaves a lead with nobody."""
    if isinstance(decision, LeadHeld):
        return decision.kind, decision.because
    if isinstance(decision, LeadDeferred | LeadReleased):
        return decision.reason, decision.because
    if isinstance(decision, AssignmentEnded):
        return decision.cause, decision.because
    return "", ""


def _lead_json(row: sqlite3.Row) -> Json:
    lead = {
        "lead_key": row["lead_key"],
        "vendor": row["vendor"],
        "lead_id": row["lead_id"],
        "state": row["state"],
        "status": row["status"],
        "pool": row["pool"],
        "rep": row["rep"],
        "assignment_id": row["assignment_id"],
        "attempt": row["attempt"],
        "score": row["score"],
        "received_at": rfc3339(row["received_ns"]),
        "contacted_at": rfc3339(row["contacted_ns"]),
        "test": bool(row["test"]),
        "reason": row["reason"],
        "because": row["because"],
    }
    if "body" in row.keys():  # noqa: SIM118 (a Row looks for values, not for names)
        lead["lead"] = msgspec.json.decode(row["body"])
    return lead


def _assignment_json(row: sqlite3.Row) -> Json:
    return {
        "assignment_id": row["assignment_id"],
        "lead_key": row["lead_key"],
        "rep": row["rep"],
        "attempt": row["attempt"],
        "assigned_at": rfc3339(row["assigned_ns"]),
        "ended_at": rfc3339(row["ended_ns"] or 0),
        "end_reason": row["end_reason"],
    }


def _event_json(row: sqlite3.Row) -> Json:
    return {
        "event_id": row["event_id"],
        "source": row["source"],
        "type": row["type"],
        "lead_key": row["lead_key"] or None,
        "assignment_id": row["assignment_id"] or None,
        "rep": row["rep"] or None,
        "at": rfc3339(row["at_ns"]),
        "outcome": row["outcome"],
        "reason": row["reason"] or None,
    }
