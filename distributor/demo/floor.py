"""The dialer and its reps: an outside system that hears assignments and reports what became of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import structs

from distributor.demo.peer import Address, Peer
from distributor.demo.plan import Habits, Plan, habits
from distributor.demo.rep import DemoRep, Given
from distributor.demo.stream import AssignmentStream
from distributor.demo.trace import Trace


class DemoFloor:
    """One dialer on MQTT with all reps behind it."""

    def __init__(self, address: Address, prefix: str, name: str, plan: Plan) -> None:
        self.stream = AssignmentStream()
        self._plan = plan
        self._prefix = prefix
        self._numbers = itertools.count()
        self._given: dict[str, Given] = {}
        self._peer = Peer(
            address,
            f"{name}-dialer",
            [f"{prefix}/dialer/assign", f"{prefix}/dialer/revoke"],
            self.hear,
        )
        self.reps: Mapping[str, DemoRep] = {rep: self.hire(rep) for rep in plan.reps}

    def hire(self, name: str) -> DemoRep:
        """The person behind a rep's name."""
        plan = self._plan
        handling = plan.trace.handling.get if plan.trace is not None else _unknown
        return DemoRep(
            name, _habits(plan, name), plan.time_scale, self.tell, self.stream.ended, handling
        )

    async def connect(self) -> None:
        """Be there before the daemon is, so that no assignment goes unheard."""
        await self._peer.start()

    async def run(self) -> None:
        """Let the reps come and work, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for rep in self.reps.values():
                group.create_task(rep.run())
            trace = self._plan.trace
            if trace is not None and trace.shifts:
                await self._follow(trace)
            else:
                for rep in self.reps.values():
                    await rep.go_online(True)

    async def stop(self) -> None:
        """Hang up."""
        await self._peer.stop()

    async def _follow(self, trace: Trace) -> None:
        """Have the reps come and go as recorded; who was never seen to come is here all the time."""
        now = asyncio.get_running_loop().time
        start = now()
        recorded = {shift.rep for shift in trace.shifts}
        for rep in self.reps.values():
            rep.online = rep.name not in recorded
            if rep.online:
                await rep.go_online(True)
        for shift in trace.shifts:
            await asyncio.sleep(start + shift.at_seconds / self._plan.time_scale - now())
            await self.reps[shift.rep].go_online(shift.online)

    async def tell(self, event: dict[str, Any]) -> None:
        """Report an event."""
        event.setdefault("event_id", f"dialer-{next(self._numbers)}")
        await self._peer.say(f"{self._prefix}/dialer/event", event)

    def hear(self, topic: str, payload: bytes) -> None:
        """Take a message to the dialer."""
        messages = msgspec.json.decode(payload)
        for message in messages if isinstance(messages, list) else [messages]:
            if message["type"] == "assign":
                self._assigned(message)
            else:
                self._revoked(message)

    def _assigned(self, message: dict[str, Any]) -> None:
        lead_key, name = message["lead_key"], message["assignment_id"]
        if not self.stream.assigned(lead_key, name):
            return
        self.stream.say(lead_key, message["because"])
        given = Given(name, lead_key, str(message["lead"].get("id", "")))
        self._given[name] = given
        rep = self.reps.get(message["rep"])
        if rep is not None:
            rep.give(given)

    def _revoked(self, message: dict[str, Any]) -> None:
        name = message["assignment_id"]
        if not self.stream.revoked(message["lead_key"], name):
            return
        self.stream.say(message["lead_key"], message["because"])
        given = self._given.get(name)
        if given is not None:
            given.revoked = True
        rep = self.reps.get(message["rep"])
        if rep is not None:
            rep.wake()


def _habits(plan: Plan, rep: str) -> Habits:
    """Who is in the story has a dialer that reports states: the return shows by its ``ready``."""
    usual = habits(rep, plan.handling_seconds)
    if rep in {plan.dark, plan.slow}:
        return structs.replace(usual, sends_states=True, sloppy=False)
    return usual


def _unknown(lead_id: str) -> float | None:
    return None
