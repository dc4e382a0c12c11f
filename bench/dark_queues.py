"""The yardsticks of ``bench dark``: one queue by arrival, without and with taking leads back, and what
it reaches with a knowledge that nobody has."""

from __future__ import annotations

import asyncio
import itertools
from bisect import insort
from collections.abc import Callable
from typing import Any, Final

import msgspec

from bench.dark_floor import CONTACT_SECONDS, DARK, PROMPT_SECONDS, SLOW, SLOWER, Case

RECALL_SECONDS: Final = 15.0
PAUSE_SECONDS: Final = 120.0
MISSES: Final = 2


class CentralQueue:
    """Leads wait by arrival, a rep has one until its status comes, and nothing is taken back (what
    RabbitMQ with a prefetch of 1 does)."""

    def __init__(self, hear: Callable[[str, bytes], None], case: Case) -> None:
        self._hear = hear
        self._case = case
        self._numbers = itertools.count(1)
        self._free: list[str] = []
        self._waiting: list[tuple[int, dict[str, Any]]] = []
        """(place, lead): what comes back has its old place."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    def lead(self, vendor: str, body: dict[str, Any]) -> None:
        self._waiting.append((next(self._numbers), body))
        self._match()

    def tell(self, event: dict[str, Any]) -> None:
        if event["type"] in {"status", "agent_state"}:
            self._freed(event["rep"])

    def _freed(self, rep: str) -> None:
        self._free.append(rep)
        self._match()

    def _next_rep(self) -> str | None:
        """Who gets the next lead: the longest free."""
        return self._free[0] if self._free else None

    def _next_lead(self, rep: str) -> int | None:
        """Which of the waiting leads the rep gets: the first."""
        return 0

    def _match(self) -> None:
        while self._waiting and (rep := self._next_rep()) is not None:
            at = self._next_lead(rep)
            if at is None:
                return
            self._free.remove(rep)
            self._give(rep, *self._waiting.pop(at))

    def _give(self, rep: str, place: int, body: dict[str, Any]) -> str:
        assignment_id = f"{body['id']}-{next(self._numbers)}"
        self._say("assign", rep, assignment_id, body, lead=body)
        return assignment_id

    def _say(
        self, kind: str, rep: str, assignment_id: str, body: dict[str, Any], **more: object
    ) -> None:
        message = {
            "type": kind,
            "assignment_id": assignment_id,
            "lead_key": body["id"],
            "rep": rep,
            "because": "next",
        }
        self._hear(f"leads/dialer/{kind}", msgspec.json.encode(message | more))


class RecallQueue(CentralQueue):
    """As well takes a lead back that has no contact ``RECALL_SECONDS`` after it was given: it keeps
    its place by arrival, and the rep is free at once."""

    def __init__(self, hear: Callable[[str, bytes], None], case: Case) -> None:
        super().__init__(hear, case)
        self._silent: dict[str, asyncio.TimerHandle] = {}

    def tell(self, event: dict[str, Any]) -> None:
        if event["type"] == "contacted":
            self._silent.pop(event["assignment_id"]).cancel()
        super().tell(event)

    def _give(self, rep: str, place: int, body: dict[str, Any]) -> str:
        given = super()._give(rep, place, body)
        loop = asyncio.get_running_loop()
        seconds = self._patience(rep)
        self._silent[given] = loop.call_later(seconds, self._recall, rep, given, place, body)
        return given

    def _patience(self, rep: str) -> float:
        return RECALL_SECONDS

    def _recall(self, rep: str, given: str, place: int, body: dict[str, Any]) -> None:
        del self._silent[given]
        self._say("revoke", rep, given, body)
        insort(self._waiting, (place, body), key=lambda entry: entry[0])
        self._freed(rep)


class BreakerQueue(RecallQueue):
    """As well pauses a rep for ``PAUSE_SECONDS`` after ``MISSES`` leads in a row that were taken back.
    Then it may have one lead as a test, behind everybody who needs none; a contact ends it."""

    def __init__(self, hear: Callable[[str, bytes], None], case: Case) -> None:
        super().__init__(hear, case)
        self._missed: dict[str, int] = {}
        self._paused: set[str] = set()

    def tell(self, event: dict[str, Any]) -> None:
        if event["type"] == "contacted":
            self._missed.pop(event["rep"], None)
        super().tell(event)

    def _recall(self, rep: str, given: str, place: int, body: dict[str, Any]) -> None:
        self._missed[rep] = self._missed.get(rep, 0) + 1
        if self._in_doubt(rep):
            self._paused.add(rep)
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._resume, rep)
        super()._recall(rep, given, place, body)

    def _resume(self, rep: str) -> None:
        self._paused.remove(rep)
        self._match()

    def _in_doubt(self, rep: str) -> bool:
        return self._missed.get(rep, 0) >= MISSES

    def _next_rep(self) -> str | None:
        able = (rep for rep in self._free if rep not in self._paused)
        return min(able, key=self._in_doubt, default=None)


class KnowingQueue(RecallQueue):
    """Knows who is dark (and gets nothing), who is slow (and is asked last), and after how many seconds
    a contact must have come. A lead that the rep cannot reach in its first minute any more is left to the
    others, and taken when there is none else. No proven bound, but who knows less will hardly do better."""

    def __init__(self, hear: Callable[[str, bytes], None], case: Case) -> None:
        super().__init__(hear, case)
        self._came: dict[str, float] = {}

    def lead(self, vendor: str, body: dict[str, Any]) -> None:
        self._came[body["id"]] = asyncio.get_running_loop().time()
        super().lead(vendor, body)

    def _is_slow(self, rep: str) -> bool:
        return rep in SLOW and asyncio.get_running_loop().time() >= self._case.trouble

    def _is_dark(self, rep: str) -> bool:
        now, back = asyncio.get_running_loop().time(), self._case.back
        return rep == DARK and now >= self._case.trouble and (back is None or now < back)

    def _to_contact(self, rep: str) -> float:
        return CONTACT_SECONDS * (SLOWER if self._is_slow(rep) else 1.0)

    def _patience(self, rep: str) -> float:
        return self._to_contact(rep) + 1.0

    def _next_rep(self) -> str | None:
        able = (rep for rep in self._free if not self._is_dark(rep))
        return min(able, key=self._is_slow, default=None)

    def _next_lead(self, rep: str) -> int | None:
        latest = asyncio.get_running_loop().time() + self._to_contact(rep) - PROMPT_SECONDS
        ids = (body["id"] for _, body in self._waiting)
        prompt = (at for at, lead in enumerate(ids) if self._came[lead] >= latest)
        return next(prompt, None if self._is_slow(rep) else 0)
