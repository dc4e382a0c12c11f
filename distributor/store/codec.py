"""How values look on disk: msgpack for the journal, RFC 3339 for people."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from distributor.domain.decisions import Decision, LeadAccepted
from distributor.domain.events import Event, LeadReceived
from distributor.domain.floor import Floor
from distributor.domain.journal import Entry
from distributor.domain.lead import Lead
from distributor.domain.rep import Rep
from distributor.errors import Damaged

_packer = msgspec.msgpack.Encoder()
_json = msgspec.json.Encoder()
_event = msgspec.msgpack.Decoder(Event)
_decisions = msgspec.msgpack.Decoder(tuple[Decision, ...])
_ticks = msgspec.msgpack.Decoder(tuple[int, ...])
_lead = msgspec.msgpack.Decoder(Lead)
_leads = msgspec.msgpack.Decoder(list[Lead])
_rep = msgspec.json.Decoder(Rep)
_floor = msgspec.msgpack.Decoder(Floor)

pack = _packer.encode
"""Any domain value as msgpack."""

pack_json = _json.encode
"""Any domain value as JSON text in UTF-8."""

unpack_lead = _lead.decode
unpack_leads = _leads.decode
unpack_rep = _rep.decode
unpack_floor = _floor.decode


def pack_entry(entry: Entry) -> tuple[int, int, bytes, bytes, bytes | None]:
    """One row of the journal. The text of a lead stands in its acceptance and is not written twice."""
    event = entry.event
    if type(event) is LeadReceived and type(entry.decisions[0]) is LeadAccepted:
        event = replace(event, body=b"")
    ticks = pack(entry.idle_ticks) if entry.idle_ticks else None
    return entry.seq, entry.at_ns, pack(event), pack(entry.decisions), ticks


def unpack_entry(
    seq: int, at_ns: int, event: bytes, decisions: bytes, idle_ticks: bytes | None
) -> Entry:
    """What ``pack_entry`` packed. Raises ``Damaged``."""
    column = "event"
    try:
        happened = _event.decode(event)
        column = "decisions"
        decided = _decisions.decode(decisions)
        if type(happened) is LeadReceived and type(decided[0]) is LeadAccepted:
            happened = replace(happened, body=decided[0].lead.body)
        column = "idle_ticks"
        ticks = _ticks.decode(idle_ticks) if idle_ticks is not None else ()
        return Entry(seq, int(at_ns), happened, decided, ticks)
    except (msgspec.MsgspecError, ValueError, TypeError, IndexError) as error:
        raise Damaged(
            f"entry {seq} of the journal: its {column} cannot be read ({error}): "
            "restore the store from a backup"
        ) from error


def rfc3339(ns: int) -> str | None:
    """A time in UTC with milliseconds, ``2026-11-21T09:00:59.250Z``; None for 0 (unknown)."""
    if not ns:
        return None
    seconds, rest = divmod(ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{rest // 1_000_000:03d}Z"
