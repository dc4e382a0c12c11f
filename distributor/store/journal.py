"""The journal, read beside the daemon that writes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from distributor.domain.journal import Entry
from distributor.errors import Damaged
from distributor.store.codec import unpack_entry
from distributor.store.readonly import CHUNK, ReadOnly

_ENTRY = "SELECT seq, at_ns, event, decisions, idle_ticks FROM journal"


def identity(store: ReadOnly) -> dict[str, Any]:
    """The store's ``tag``, ``seed`` and ``epoch``. Raises ``Damaged`` where they are gone."""
    rows = store.rows("SELECT tag, seed, epoch FROM meta")
    if not rows:
        raise Damaged("meta: the row with the store's tag, seed and epoch is missing")
    return dict(rows[0])


def last_seq(store: ReadOnly) -> int:
    """The newest entry's number, 0 for none."""
    return int(store.rows("SELECT coalesce(max(seq), 0) AS seq FROM journal")[0]["seq"])


def entry(store: ReadOnly, seq: int) -> Entry:
    """One entry that is there. Raises ``Damaged``."""
    return unpack_entry(*store.rows(f"{_ENTRY} WHERE seq = ?", (seq,))[0])


def entries(store: ReadOnly, after: int = 0) -> Iterator[Entry]:
    """All in order, from the one behind ``after`` to the newest at the time. Raises ``Damaged``."""
    while rows := store.rows(f"{_ENTRY} WHERE seq > ? ORDER BY seq LIMIT ?", (after, CHUNK)):
        for row in rows:
            yield unpack_entry(*row)
        after = rows[-1]["seq"]


def entries_about(store: ReadOnly, lead_key: str, *, newest_first: bool = False) -> Iterator[Entry]:
    """The entries that speak of a lead. Raises ``Damaged``."""
    order = "DESC" if newest_first else "ASC"
    sql = f"SELECT seq FROM history WHERE lead_key = ? ORDER BY seq {order}"
    for place in store.rows(sql, (lead_key,)):
        yield entry(store, place["seq"])
