"""The text of ``GET /metrics``: the loop only copies the numbers, a thread makes the text of them."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from distributor.domain.lead import LEAD_STATES
from distributor.domain.rep import Rep
from distributor.observe.census import Census
from distributor.observe.metrics import Metrics
from distributor.observe.rep_lines import Copies, RepLines

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

SLICE_REPS: Final = 500
"""After the copies of so many reps, a quarter of a millisecond, the loop has its turn."""

SWEEP_REPS: Final = 250
"""So many reps are looked at in turn though nobody said that they changed: whatever is wrong rights itself."""

FRESH_SECONDS: Final = 1.0
"""For so long a text is given again: several scrapers cost as much as one."""

_GivenT = TypeVar("_GivenT")
_MadeT = TypeVar("_MadeT")

Text = Sequence[bytes]
"""Pieces of a text: to write megabytes at once would hold the loop up."""

_GZIP: Final = 31
"""zlib's number for a gzip frame around the largest window."""


class Exposition:
    """Renders ``metrics`` together with what ``census`` tells at the time of the scrape."""

    def __init__(self, metrics: Metrics, census: Census) -> None:
        self._metrics = metrics
        self._census = census
        self._reps = RepLines(metrics.per_rep)
        self._shown: Sequence[Rep] = ()
        self._places: dict[str, int] = {}
        self._changed: set[str] = set()
        self._whole = True
        self._swept = 0
        self._turn = asyncio.Lock()
        # One thread of our own: what a cancelled scrape began ends before the next begins.
        self._thread = ThreadPoolExecutor(1, "scrape")
        self._made_at = float("-inf")
        self._text: Text = ()
        self._packed: Text | None = None

    def changed(self, reps: Iterable[Rep]) -> None:
        """Look at these reps at the next scrape. To be called for every change but those of time alone."""
        self._changed.update([rep.id for rep in reps])

    def forget(self) -> None:
        """Make the next text anew, however fresh the last one is."""
        self._made_at = float("-inf")

    async def render(self, *, compressed: bool = False) -> Text:
        """The text in its pieces, at most a second old; gzip where asked (packed in a thread)."""
        async with self._turn:
            loop = asyncio.get_running_loop()
            if loop.time() - self._made_at >= FRESH_SECONDS:
                self._text = await self._make()
                self._packed = None
                self._made_at = loop.time()
            if not compressed:
                return self._text
            if self._packed is None:
                self._packed = await self._in_thread(_pack, self._text)
            return self._packed

    async def _make(self) -> Text:
        rep_lines = await self._rep_lines()
        self._count_reps()
        self._take_census()
        families = [family.frozen() for family in self._metrics.families.values()]
        fleet = await self._in_thread(_rendered, [self._metrics.process, *families])
        return [fleet, *rep_lines]

    async def _rep_lines(self) -> list[bytes]:
        reps = self._census.reps()
        if reps is not self._shown:
            self._shown, self._whole = reps, True
            self._places = {rep.id: place for place, rep in enumerate(reps)}
        whole, self._whole = self._whole, True  # should this scrape fail or be given up
        changed, self._changed = self._changed, set()
        places = range(len(reps)) if whole else self._worth_a_look(changed)
        copies = Copies(len(reps), self._census.now_ns())
        for start in range(0, len(places), SLICE_REPS):
            part = places[start : start + SLICE_REPS]
            copies.add(part, [reps[place] for place in part])
            await asyncio.sleep(0)
        made = await self._in_thread(self._reps.render, copies)
        self._whole = False
        return made

    def _worth_a_look(self, changed: Collection[str]) -> list[int]:
        """The places of those who changed, and the next few of all."""
        places = self._places
        found = {places[rep] for rep in changed if rep in places}
        found.update(range(self._swept, min(self._swept + SWEEP_REPS, len(places))))
        self._swept = self._swept + SWEEP_REPS if self._swept + SWEEP_REPS < len(places) else 0
        return sorted(found)

    async def _in_thread(self, work: Callable[[_GivenT], _MadeT], given: _GivenT) -> _MadeT:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, given)

    def _count_reps(self) -> None:
        tally = self._reps.tally
        self._fill("reps", tally.reps)
        self._fill("reps_available", tally.available)
        self._fill("reps_throttled", tally.throttled)
        self._fill("reps_without_state_reports", tally.unreported)
        self._metrics.gauge("unreported_state_cost_ratio").set((), tally.unreported_cost)

    def _take_census(self) -> None:
        census, gauge = self._census, self._metrics.gauge
        states = census.leads_in_state()
        self._fill("leads_in_state", {(state,): states.get(state, 0) for state in LEAD_STATES})
        gauge("lead_conservation_difference").set((), census.conservation_difference())
        gauge("store_bytes").set((), census.store_bytes())
        self._fill_pair("queue_leads", "queue_oldest_lead_age_seconds", census.pools())
        self._fill_pair("exceptions_open", "exceptions_oldest_age_seconds", census.exceptions())
        self._fill_pair("outbox_messages", "outbox_oldest_message_age_seconds", census.outbox())

    def _fill_pair(self, count: str, age: str, rows: Iterable[tuple[str, int, float]]) -> None:
        rows = list(rows)
        self._fill(count, {(name,): number for name, number, _ in rows})
        self._fill(age, {(name,): seconds for name, _, seconds in rows})

    def _fill(self, name: str, cells: Mapping[tuple[str, ...], float]) -> None:
        """Present values; a series that has none now says 0, it does not go away."""
        gauge = self._metrics.gauge(name)
        gauge.replace({**dict.fromkeys(gauge.cells, 0), **cells})


def _rendered(families: Iterable[Collector]) -> bytes:
    return b"".join(map(generate_latest, families))


def _pack(text: Text) -> Text:
    packer = zlib.compressobj(1, wbits=_GZIP)
    packed = [packer.compress(piece) for piece in text]
    return [piece for piece in (*packed, packer.flush()) if piece]
