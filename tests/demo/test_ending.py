"""When a demo is over, in virtual time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from distributor.demo import ending
from distributor.demo import vendor as demo_vendor
from distributor.demo.peer import Address
from distributor.demo.plan import Plan
from distributor.demo.trace import Trace
from distributor.demo.vendor import Vendors
from tests.demo.virtual import run


async def moment_of(over, ended):
    """When ``over`` sets ``ended``."""
    await over
    assert ended.is_set()
    return asyncio.get_running_loop().time()


class Looking:
    """A board that looks twice a second, and sees uncalled leads for a while."""

    def __init__(self, unsettled_at=0.0, until=0.0):
        self.unsettled = False
        self.looks = 0
        self._span = (unsettled_at, until)

    async def look(self):
        while True:
            self.looks += 1
            self.unsettled = self._span[0] < asyncio.get_running_loop().time() < self._span[1]
            await asyncio.sleep(0.5)


@pytest.mark.parametrize("told_at, ends_at", [(50, 90), (120, 120), (500, 180)])
def test_a_demo_ends_once_its_story_is_told_within_limits(told_at, ends_at):
    async def main():
        ended, story = asyncio.Event(), SimpleNamespace(over=asyncio.Event())
        asyncio.get_running_loop().call_later(told_at, story.over.set)
        return await moment_of(ending.of_story(story, ended), ended)

    assert run(main()) == pytest.approx(ends_at)


@pytest.mark.parametrize(
    "sending_seconds, answers_after, works_until, ends_at",
    [
        pytest.param(10, 0, 0, 10, id="at the plan's end"),
        pytest.param(70, 0, 0, 70, id="a slow machine takes longer"),
        pytest.param(10, 5, 0, 15, id="every lead is answered"),
        pytest.param(10, 0, 30, 30, id="the floor works them off"),
        pytest.param(10, 0, 1e6, 40, id="but half an hour of the floor at most"),
        pytest.param(1e6, 0, 0, 160, id="nor a vendor that hangs"),
    ],
)
def test_a_replay_ends_when_every_arrival_was_sent_and_had_its_time(
    sending_seconds, answers_after, works_until, ends_at
):
    trace = Trace((), (), (), {}, length_seconds=600.0, defects={})
    plan = Plan(seconds=None, rate=1.0, reps=(), time_scale=60.0, trace=trace)

    async def answered(_limit):
        await asyncio.sleep(answers_after)

    async def main():
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        rep = SimpleNamespace(idle=True)
        floor, board = SimpleNamespace(reps={"ana": rep}), Looking()
        looking = asyncio.create_task(board.look())
        if works_until:
            rep.idle = False
            loop.call_later(works_until, setattr, rep, "idle", True)
        vendors = SimpleNamespace(settled=answered)
        sending = asyncio.create_task(asyncio.sleep(sending_seconds))
        at = await moment_of(ending.of_trace(plan, sending, vendors, floor, board, ended), ended)
        for task in (sending, looking):
            task.cancel()
        await asyncio.gather(sending, looking, return_exceptions=True)
        return at

    # Two looks pass until one is surely newer than the last lead.
    assert ends_at - 0.01 <= run(main()) <= ends_at + 1.2


def test_a_replay_is_not_over_by_a_look_from_before_its_last_lead():
    trace = Trace((), (), (), {}, length_seconds=600.0, defects={})
    plan = Plan(seconds=None, rate=1.0, reps=(), time_scale=60.0, trace=trace)

    async def main():
        ended, board = asyncio.Event(), Looking(unsettled_at=10.4, until=20.0)
        looking = asyncio.create_task(board.look())
        floor = SimpleNamespace(reps={})
        vendors = SimpleNamespace(settled=lambda _: asyncio.sleep(0))
        sending = asyncio.create_task(asyncio.sleep(10.3))
        at = await moment_of(ending.of_trace(plan, sending, vendors, floor, board, ended), ended)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        return at

    assert 19.99 <= run(main()) < 21.2


def test_a_lead_without_an_answer_is_sent_again(monkeypatch):
    """Its id makes a repeat harmless."""
    said = []

    class Peer:
        def __init__(self, address, name, filters, hear):
            self.hear = hear

        async def say(self, topic, body):
            said.append(body["id"])
            if said.count(body["id"]) == 2:
                self.hear(topic, b'{"outcome":"duplicate","lead_id":"v1","lead_key":"K1"}')

    async def main():
        monkeypatch.setattr(demo_vendor, "Peer", Peer)
        plan = Plan(seconds=None, rate=1.0, reps=("ana",), time_scale=1.0)
        vendors = Vendors(Address("127.0.0.1", 1883, "demo", "auto"), "leads", "demo", plan)
        vendors.book.send(("acme", "v1"))
        await vendors._send("acme", {"id": "v1"}, None)
        await vendors.settled(20.0)
        return vendors.book

    book = run(main())
    assert (said, book.unanswered, book.accepted) == (["v1", "v1"], 0, {("acme", "v1"): "K1"})
