"""``StoreReader``: what people and programs ask of a store, beside the daemon that owns it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from distributor.store import attention, leads
from distributor.store.exports import ExportKind, export
from distributor.store.history import history
from distributor.store.readonly import ReadOnly
from distributor.store.why import why, why_idle

P = ParamSpec("P")
T = TypeVar("T")
Json = dict[str, Any]


class StoreReader:
    """Reads one store. Plain methods for the command line; ``ask`` runs them off the loop for HTTP.

    Raises ``StoreFailed`` where there is no store, or one of another schema; ``Damaged`` where the file
    is no sound database.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._store = ReadOnly(path)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-reader")

    async def ask(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A method of this reader in the reader's own thread: ``await r.ask(r.lead, key)``."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(question, *args, **kwargs))

    def close(self) -> None:
        """Break off what is under way, and close."""
        self._store.connection.interrupt()
        self._thread.shutdown(cancel_futures=True)
        self._store.close()

    def lead(self, lead_key: str) -> Json | None:
        """A lead with what the vendor sent (``lead``), without its history; None: unknown."""
        return leads.lead(self._store, lead_key)

    def leads(self, **wanted: Any) -> Json:
        """A page of leads: see ``leads.page``."""
        return leads.page(self._store, **wanted)

    def history(self, lead_key: str) -> list[Json]:
        """All that happened to a lead, oldest first: [{at, type, because, rep?, ...}]."""
        return history(self._store, lead_key)

    def why(self, lead_key: str, rep: str | None = None, now_ns: int = 0) -> Json | None:
        """The decision record; with ``rep``, why that one did not get the lead. None: unknown lead."""
        return why(self._store, lead_key, rep, self._later(now_ns))

    def why_idle(self, rep: str, now_ns: int = 0) -> Json | None:
        """Why a rep is receiving nothing, or less. None: unknown rep."""
        return why_idle(self._store, rep, self._later(now_ns))

    def _later(self, now_ns: int) -> int:
        """``now_ns``, but no earlier than what happened last (the clock may have been set back). 0 stays."""
        newest = self._store.rows("SELECT at_ns FROM journal ORDER BY seq DESC LIMIT 1")
        return max(now_ns, newest[0]["at_ns"]) if newest and now_ns else now_ns

    def knows_rep(self, rep: str) -> bool:
        """Whether ``rep`` is or once was on the floor."""
        return bool(self._store.rows("SELECT 1 FROM reps WHERE rep = ?", (rep,)))

    def exceptions(self) -> list[Json]:
        """The cases on the exception desk, the longest open first."""
        return attention.exceptions(self._store)

    def dead_letters(self, limit: int = 100) -> list[Json]:
        """The newest dead letters, newest first."""
        return attention.dead_letters(self._store, limit)

    def set_aside(self, limit: int = 100) -> list[Json]:
        """The newest messages that were given up or are in doubt, newest first."""
        return attention.set_aside(self._store, limit)

    def export(self, kind: ExportKind) -> Iterator[Json]:
        """All rows of one database. Raises ``ValueError``."""
        return export(self._store, kind)
