"""What a watcher of the demo sees: the daemon's HTTP answers and nothing else."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

import aiohttp
from msgspec import Struct

from distributor.errors import Unavailable

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_PAGE = 1000

Labels = tuple[tuple[str, str], ...]
_Body = TypeVar("_Body")


class Metrics(dict[tuple[str, Labels], float]):
    """Samples of one scrape by name and labels."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The samples in a Prometheus text; what is none is passed over."""
        found = cls()
        for line in text.splitlines():
            match = _SAMPLE.match(line)
            if match:
                labels = tuple(_LABEL.findall(match[2] or ""))
                try:
                    found[match[1], labels] = float(match[3])
                except ValueError:
                    continue
        return found

    def total(self, name: str, **wanted: str) -> float:
        """The sum over all series of a family that have these labels."""
        return sum(
            value
            for (family, labels), value in self.items()
            if family == name and wanted.items() <= dict(labels).items()
        )

    def median(self, histogram: str) -> float | None:
        """The median of a histogram, interpolated in its bucket; None while it is empty."""
        buckets: dict[float, float] = {}
        for (family, labels), value in self.items():
            if family == f"{histogram}_bucket":
                edge = float(dict(labels)["le"])
                buckets[edge] = buckets.get(edge, 0.0) + value
        edges = sorted(buckets)
        if not edges or not buckets[edges[-1]]:
            return None
        half = buckets[edges[-1]] / 2
        low, below = 0.0, 0.0
        for edge in edges:
            if buckets[edge] >= half:
                if math.isinf(edge):
                    return low
                return low + (edge - low) * (half - below) / (buckets[edge] - below)
            low, below = edge, buckets[edge]
        return low


class View(Struct, frozen=True):
    """One look at the daemon."""

    reps: list[dict[str, Any]]
    metrics: Metrics

    def leads(self, state: str) -> int:
        """How many leads are in a state."""
        return round(self.metrics.total("distributor_leads_in_state", state=state))


class Eyes:
    """Looks at the daemon over HTTP. Raises ``Unavailable`` where it does not answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=10))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def ready(self) -> str:
        """Why leads are not taken yet, the empty text when they are."""
        try:
            async with self._http.get("/readyz") as response:
                return "" if response.status == 200 else await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            return str(error)

    async def look(self) -> View:
        """The reps and the metrics now."""
        reps = await self._json("/v1/reps")
        return View(reps["items"], Metrics.parse(await self._text("/metrics")))

    async def leads(self) -> list[dict[str, Any]]:
        """Every lead the daemon knows, page by page."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = await self._json(f"/v1/leads?limit={_PAGE}{after}")
            found += page["items"]
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"

    async def _json(self, path: str) -> Any:
        return await self._get(path, aiohttp.ClientResponse.json)

    async def _text(self, path: str) -> str:
        return await self._get(path, aiohttp.ClientResponse.text)

    async def _get(
        self, path: str, read: Callable[[aiohttp.ClientResponse], Awaitable[_Body]]
    ) -> _Body:
        try:
            async with self._http.get(path) as response:
                response.raise_for_status()
                return await read(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"GET {path}: {error}") from error
