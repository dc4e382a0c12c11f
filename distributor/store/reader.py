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
from distributor.domain.floor import Floor
from distributor.domain.journal import Entry
from distributor.domain.lead import LEAD_STATES, Lead
from distributor.domain.rep import Rep
from distributor.errors import Damaged, StoreFailed
from distributor.store import schema, snapshots
from distributor.store.codec import rfc3339, unpack_entry, unpack_floor, unpack_rep
from distributor.store.connection import connect_reader
from distributor.store.explain import (
    candidates,
    key_of,
    lead_history,
    numbers,
    obstacles,
    verdict,
)
from distributor.store.scratch import Table, read_table
from distributor.store.standstill import lead_waits, pools_of, rep_waits

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
            schema.refuse_strangers(self._connection)
            found = schema.version(self._connection)
        except (sqlite3.Error, StoreFailed) as error:
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

    def why(self, lead_key: str, rep: str | None = None, now_ns: int = 0) -> Json | None:
        """The decision record: who got the lead and why, or why nobody has it; None: unknown lead.

        With ``rep`` the candidates are this rep alone: why it did not get the lead. ``now_ns``: as for
        ``why_idle``.
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
            if lead["state"] == "waiting":
                self._add_standstill(answer, lead, now_ns)
        if rep is not None:
            named = [one for one in answer["candidates"] if one["rep"] == rep]
            answer["candidates"] = named[:1] or [self._verdict_then(rep, seq)]
        return answer

    def knows_rep(self, rep: str) -> bool:
        """Whether ``rep`` is or once was on the floor."""
        return bool(self._rows("SELECT 1 FROM reps WHERE rep = ?", (rep,)))

    def why_idle(self, rep: str, now_ns: int = 0) -> Json | None:
        """Why a rep is receiving nothing, or less: ``{rep, flow, reasons: [{code, because}]}``.

        ``now_ns``: the time, where the caller knows it. None: unknown rep.
        """
        record = self._rep(rep)
        if record is None:
            return None
        reasons = obstacles(record, now_ns)
        if not reasons:
            pools = pools_of(self._floor(), rep)
            waiting = {plan.id: self._waiting(plan.id) for plan in pools}
            reasons = rep_waits(rep, pools, waiting, self._down())
        return {"rep": rep, "flow": record.flow_in_force(now_ns).value, "reasons": reasons}

    def _add_standstill(self, answer: Json, lead: Json, now_ns: int) -> None:
        """What keeps a waiting lead waiting at present, beside what was decided about it before."""
        floor = self._floor()
        plan = next((plan for plan in floor.pools if plan.id == lead["pool"]), None)
        if plan is None:
            return
        known = (self._rep(member.id) for member in floor.members(plan))
        members = [rep for rep in known if rep is not None]
        code, because, listed = lead_waits(plan, members, self._down(), now_ns)
        if code:
            decided = answer["because"] if answer["reason"] != "waiting" else ""
            answer["reason"] = code if not decided else answer["reason"]
            answer["because"] = f"{decided}; now {because}" if decided else because
        told = {one["rep"] for one in answer["candidates"]}
        answer["candidates"] += [one for one in listed if one["rep"] not in told]

    # The journal and the outbox

    def last_seq(self) -> int:
        """The newest entry's number, 0 for none."""
        return int(self._rows("SELECT coalesce(max(seq), 0) AS seq FROM journal")[0]["seq"])

    def identity(self) -> Json:
        """The store's ``tag``, ``seed`` and ``epoch``. Raises ``Damaged`` where they are gone."""
        rows = self._rows("SELECT tag, seed, epoch FROM meta")
        if not rows:
            raise Damaged("meta: the row with the store's tag, seed and epoch is missing")
        return dict(rows[0])

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

    def set_aside(self, limit: int = 100) -> list[Json]:
        """The newest outbox messages that were given up (``dead``) or that nobody knows the fate of
        (``in_doubt``), newest first."""
        rows = self._rows(
            "SELECT id, target, state, kind, message_id, order_key, payload, created_ns, attempts,"
            " error FROM outbox WHERE state <> 'pending' ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        return [
            {
                "id": row["id"],
                "target": row["target"],
                "state": row["state"],
                "kind": row["kind"],
                "message_id": row["message_id"],
                "lead_key": row["order_key"] or None,
                "payload": row["payload"].decode(),
                "at": rfc3339(row["created_ns"]),
                "attempts": row["attempts"],
                "error": row["error"],
            }
            for row in rows
        ]

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

    # What ``verify`` compares

    def rows(self, table: Table) -> Iterator[tuple[Any, ...]]:
        """The rows of a table as they are stored, the key first, in the order of the key."""
        try:
            yield from read_table(self._connection, table)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def snapshots(self) -> list[int]:
        """After which entries there is a complete snapshot, the newest first."""
        return snapshots.complete_ones(self._connection)

    def snapshot(self, seq: int) -> tuple[bytes, Iterator[list[Lead]]]:
        """The head of a snapshot, and its leads part by part. Raises ``Damaged``."""
        head, parts = snapshots.read_head(self._connection, seq)
        numbers = range(1, parts + 1)
        return head, (snapshots.read_part(self._connection, seq, part) for part in numbers)

    def stray_message(self) -> str | None:
        """What is wrong with the first outbox message that no assignment accounts for."""
        rows = self._rows(
            "SELECT outbox.id, kind, message_id FROM outbox LEFT JOIN assignments"
            " ON assignment_id = message_id WHERE kind IN ('assign', 'revoke', 'lead', 'lead_revoke')"
            " AND assignment_id IS NULL ORDER BY outbox.id LIMIT 1"
        )
        for row in rows:
            return (
                f"message {row['id']} of the outbox: there is no assignment {row['message_id']!r}"
            )
        return None

    # Inside

    def _rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        try:
            cursor = self._connection.execute(sql, parameters)
            cursor.row_factory = sqlite3.Row
            return cursor.fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> StoreFailed:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return Damaged(f"{self.path}: {error}: restore the store from a backup")
        return StoreFailed(f"{self.path}: {error}: try again")

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

    def _floor(self) -> Floor:
        """The settings in force as of the last commit; none yet: an empty floor."""
        rows = self._rows("SELECT record FROM floor")
        return unpack_floor(rows[0]["record"]) if rows else Floor(digest="")

    def _down(self) -> dict[str, str]:
        rows = self._rows("SELECT target, reason FROM targets WHERE NOT up")
        return {row["target"]: row["reason"] for row in rows}

    def _waiting(self, pool: str) -> int:
        """How many leads wait in a pool, counted up to a thousand."""
        sql = "SELECT 1 FROM leads WHERE state = 'waiting' AND pool = ? AND NOT test LIMIT ?"
        return len(self._rows(sql, (pool, _LIMIT)))

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
