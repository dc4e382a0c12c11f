"""The vendors: one sends over MQTT, one over HTTP, and each keeps book of what was acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator, Mapping
from typing import Any, Final

import aiohttp
import msgspec

from distributor.demo.peer import Address, Peer
from distributor.demo.plan import SEED, Plan

OVER_MQTT: Final = "acme"
OVER_HTTP: Final = "bolt"

_TRIES: Final = 20
_RETRY_SECONDS: Final = 0.5
_AT_ONCE: Final = 64
_FIRST: Final = (
    *("Alma", "Bruno", "Carla", "Dario", "Edith", "Felix", "Greta", "Hector", "Ilse", "Jonas"),
    *("Karin", "Luis", "Marta", "Nadia", "Oscar", "Petra", "Ramon", "Sonia", "Tobias", "Vera"),
)
_LAST: Final = (
    *("Abbott", "Barlow", "Castillo", "Dunmore", "Ellery", "Fairley", "Gallo", "Hendry"),
    *("Ibarra", "Jessop", "Kessler", "Lomas", "Marlow", "Nance", "Ortega", "Pruitt", "Quist"),
)
_AREAS: Final = ("206", "212", "303", "312", "404", "415", "503", "602", "617", "713")
_PRODUCTS: Final = ("auto", "home", "life", "solar")

Key = tuple[str, str]
"""A lead as the vendor names it: vendor, the vendor's id."""


class Book:
    """What the vendors sent, and what they were told.

    ``accepted``: the lead key of each lead that is acknowledged. ``refused``: leads that were finally
    not taken, with the reason. ``sent`` minus both is what nobody answered for. ``sendings`` counts
    what went out, repeats of the vendor's own included. ``late_seconds``: how much after its time a
    lead went out, at most.
    """

    def __init__(self) -> None:
        self.sent: set[Key] = set()
        self.accepted: dict[Key, str] = {}
        self.refused: dict[Key, str] = {}
        self.sendings = 0
        self.late_seconds = 0.0
        self.repeats = 0
        self.changed_keys = 0

    @property
    def unanswered(self) -> int:
        """Leads without an answer."""
        return len(self.sent) - len(self.accepted) - len(self.refused)

    def send(self, key: Key) -> None:
        """A lead goes out."""
        self.sendings += 1
        self.repeats += key in self.sent
        self.sent.add(key)

    def answer(self, vendor: str, reply: Mapping[str, Any]) -> bool:
        """A unified reply came; False when the lead should be sent again."""
        key = (vendor, str(reply.get("lead_id")))
        outcome = reply.get("outcome")
        if outcome in {"accepted", "duplicate"}:
            known = self.accepted.setdefault(key, str(reply["lead_key"]))
            self.changed_keys += known != reply["lead_key"]
        elif reply.get("retryable"):
            return False
        elif key not in self.accepted:
            self.refused[key] = str(reply.get("reason"))
        return True


class Vendors:
    """Both vendors. ``run`` sends until ``leave`` is called or the trace has no more."""

    def __init__(self, address: Address, prefix: str, name: str, plan: Plan) -> None:
        self.book = Book()
        self._plan = plan
        self._topic = f"{prefix}/in/{OVER_MQTT}"
        self._peer = Peer(address, f"{name}-vendor", [f"{self._topic}/result"], self._hear)
        self._bodies: dict[str, dict[str, Any]] = {}
        self._again: asyncio.Queue[str] = asyncio.Queue()
        self._leaving = asyncio.Event()

    async def connect(self) -> None:
        """Listen for replies before anything is sent."""
        await self._peer.start()

    async def stop(self) -> None:
        """Hang up."""
        await self._peer.stop()

    async def run(self, url: str) -> None:
        """Send the leads at their times; returns when each was handed over or given up."""
        now = asyncio.get_running_loop().time
        start = now()
        pending: asyncio.Semaphore = asyncio.Semaphore(_AT_ONCE)
        async with aiohttp.ClientSession(url) as http, asyncio.TaskGroup() as group:
            again = group.create_task(self._send_again())
            for at_seconds, vendor, body in leads(self._plan):
                await self._pause(start + at_seconds - now())
                await pending.acquire()
                if self._leaving.is_set():
                    break
                self.book.send((vendor, body["id"]))
                late = now() - start - at_seconds
                self.book.late_seconds = max(self.book.late_seconds, late)
                sending = group.create_task(self._send(vendor, body, http))
                sending.add_done_callback(lambda _: pending.release())
            again.cancel()

    def leave(self) -> None:
        """Begin nothing new; what was begun is finished."""
        self._leaving.set()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._leaving.wait()

    async def settled(self, seconds: float) -> None:
        """Wait until every lead has an answer, at most so long; what has none is sent again half-way."""
        if not await self._answered(seconds / 2):
            for body in list(self._bodies.values()):
                await self._peer.say(self._topic, body)
            await self._answered(seconds / 2)

    async def _answered(self, seconds: float) -> bool:
        end = asyncio.get_running_loop().time() + seconds
        while self.book.unanswered and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return not self.book.unanswered

    async def _send(self, vendor: str, body: dict[str, Any], http: aiohttp.ClientSession) -> None:
        if vendor == OVER_MQTT:
            self._bodies[body["id"]] = body
            await self._peer.say(self._topic, body)
        else:
            await self._post(body, http)

    async def _post(self, body: dict[str, Any], http: aiohttp.ClientSession) -> None:
        """Post until there is a final answer: the id makes a repeat harmless."""
        for _ in range(_TRIES):
            try:
                async with http.post(f"/v1/leads/{OVER_HTTP}", json=body) as response:
                    if response.status == 200:
                        reply = await response.json()
                        if self.book.answer(OVER_HTTP, reply):
                            return
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(_RETRY_SECONDS)

    def _hear(self, topic: str, payload: bytes) -> None:
        replies = msgspec.json.decode(payload)
        for reply in replies if isinstance(replies, list) else [replies]:
            lead_id = str(reply.get("lead_id"))
            if self.book.answer(OVER_MQTT, reply):
                self._bodies.pop(lead_id, None)
            else:
                self._again.put_nowait(lead_id)

    async def _send_again(self) -> None:
        """Send what the daemon could not take, once more."""
        while True:
            body = self._bodies.get(await self._again.get())
            await asyncio.sleep(_RETRY_SECONDS)
            if body is not None:
                await self._peer.say(self._topic, body)


def leads(plan: Plan) -> Iterator[tuple[float, str, dict[str, Any]]]:
    """(wall-clock seconds from the start, vendor, lead), in order; endless without a trace."""
    chance = random.Random(SEED)
    if plan.trace is None:
        at_seconds = 0.0
        for number in range(1, 1 << 62):
            vendor = chance.choice((OVER_MQTT, OVER_HTTP))
            yield at_seconds, vendor, _person(chance, f"{vendor}-{number:06d}")
            at_seconds += chance.expovariate(plan.rate / 60.0)
    else:
        for arrival in plan.trace.arrivals:
            # By the id, not by chance: a repeated arrival is a repeat at the same vendor.
            vendor = random.Random(arrival.lead).choice((OVER_MQTT, OVER_HTTP))
            person = _person(chance, arrival.lead)
            yield arrival.at_seconds / plan.time_scale, vendor, person


def _person(chance: random.Random, lead_id: str) -> dict[str, Any]:
    """An invented person with a telephone number that is set aside for fiction."""
    first, last = chance.choice(_FIRST), chance.choice(_LAST)
    return {
        "id": lead_id,
        "first_name": first,
        "last_name": last,
        "phone": f"({chance.choice(_AREAS)}) 555-01{chance.randrange(100):02d}",
        "email": f"{first}.{last}@example.com".lower(),
        "product": chance.choice(_PRODUCTS),
    }
