"""The text of ``GET /metrics``, made in slices so that a scrape never holds up the loop."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter
from typing import Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import Metric as LibraryFamily
from prometheus_client.registry import Collector

from distributor.domain.lead import LEAD_STATES
from distributor.observe.census import Census
from distributor.observe.metrics import Metrics
from distributor.observe.rep_lines import RepLines

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

SLICE_SECONDS: Final = 0.001
"""After this much work the loop has its turn."""

FRESH_SECONDS: Final = 1.0
"""For so long a text is given again: several scrapers cost as much as one."""


Text = Sequence[bytes]
"""Pieces of a text: putting megabytes together would hold the loop up longer than making them."""

_GZIP: Final = 31
"""zlib's number for a gzip frame around the largest window."""


class _One(Collector):
    """One piece of a family, as the library's renderer wants it."""

    def __init__(self, part: LibraryFamily) -> None:
        self._part = part

    def collect(self) -> Iterable[LibraryFamily]:
        return [self._part]


class _Slices:
    """Lets the loop run after every ``SLICE_SECONDS`` of work."""

    def __init__(self) -> None:
        self._began = perf_counter()

    async def pause(self) -> None:
        """Give the loop its turn if it is time."""
        if perf_counter() - self._began >= SLICE_SECONDS:
            await self.turn()

    async def turn(self) -> None:
        """Give the loop its turn."""
        await asyncio.sleep(0)
        self._began = perf_counter()


class Exposition:
    """Renders ``metrics`` together with what ``census`` tells at the time of the scrape."""

    def __init__(self, metrics: Metrics, census: Census) -> None:
        self._metrics = metrics
        self._census = census
        self._reps = RepLines(metrics.per_rep)
        self._turn = asyncio.Lock()
        self._made_at = float("-inf")
        self._text: Text = ()
        self._packed: Text | None = None

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
                self._packed = await asyncio.to_thread(_pack, self._text)
            return self._packed

    async def _make(self) -> Text:
        slices = _Slices()
        census = self._census
        reps = list(census.reps())
        await self._reps.refresh(reps, census.now_ns(), slices.pause)
        self._count_reps()
        await slices.pause()
        self._take_census()
        pieces = [generate_latest(self._metrics.process)]
        for family in self._metrics.families.values():
            for number, part in enumerate(family.parts()):
                await slices.pause()
                text = generate_latest(_One(part))
                pieces.append(text if not number else _without_header(text))
        pieces.extend(await self._reps.render(slices.pause))
        return pieces

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


def _pack(text: Text) -> Text:
    packer = zlib.compressobj(1, wbits=_GZIP)
    packed = [packer.compress(piece) for piece in text]
    return [piece for piece in (*packed, packer.flush()) if piece]


def _without_header(text: bytes) -> bytes:
    """A later piece of a family: HELP and TYPE stand once, above the first."""
    return text.split(b"\n", 2)[2]
