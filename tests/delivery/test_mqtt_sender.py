"""The MQTT target: pipelining, arrays, refusals and lost connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from structlog.testing import capture_logs

from distributor.delivery.lanes import Item, Lanes
from distributor.delivery.mqtt_sender import MqttSender
from distributor.domain.messages import Outgoing, Settlement


async def settle_down() -> None:
    """Let the sender's task do what it can."""
    for _ in range(5):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def running(sender: MqttSender) -> AsyncIterator[MqttSender]:
    task = asyncio.create_task(sender.run())
    await settle_down()
    try:
        yield sender
    finally:
        await sender.stop(0.0)
        await task


async def test_what_waits_leaves_in_order_up_to_the_free_slots(
    lanes: Lanes, make_link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    link = make_link(slots=2)
    fill(*(message(n, f"L{n}") for n in (1, 2, 3)))
    async with running(MqttSender(lanes, link, clock)):
        assert [payload for _, payload in link.sent] == [b'{"n":1}', b'{"n":2}']
        link.answer()
        await settle_down()
        assert link.sent[-1] == ("leads/dialer/assign", b'{"n":3}')
        link.answer_all()
    assert settled.results() == [(1, "done"), (2, "done"), (3, "done")]


async def test_a_new_message_wakes_the_sender(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any
) -> None:
    async with running(MqttSender(lanes, link, clock)):
        fill(message(1))
        await settle_down()
        assert len(link.sent) == 1


async def test_a_revocation_waits_for_its_assignment_and_the_desktop_does_not(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any
) -> None:
    """One act may be told to two receivers at once; the next act waits for both."""
    fill(message(1), message(2, kind="lead"), message(3, kind="revoke"), message(4, attempt=2))
    async with running(MqttSender(lanes, link, clock)):
        assert [topic for topic, _ in link.sent] == ["leads/dialer/assign", "leads/rep/ana/lead"]
        link.answer(index=1)
        await settle_down()
        assert len(link.sent) == 2
        link.answer()
        await settle_down()
        assert link.sent[2][0] == "leads/dialer/revoke"
        link.answer()
        await settle_down()
        assert link.sent[3] == ("leads/dialer/assign", b'{"n":4}')


async def test_with_assign_batch_the_dialer_gets_arrays(
    lanes: Lanes, make_link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    """Assignments and revocations share arrays on the assign topic; each array takes one slot."""
    link = make_link(slots=2)
    fill(message(1, "L1"), message(2, "L2", "revoke"), message(3, "L3"))
    async with running(MqttSender(lanes, link, clock, assign_batch=2)):
        assert link.sent == [
            ("leads/dialer/assign", b'[{"n":1},{"n":2}]'),
            ("leads/dialer/assign", b'[{"n":3}]'),
        ]
        link.answer()
        assert settled.results() == [(1, "done"), (2, "done")]


async def test_an_array_fills_up_although_the_last_slot_is_its_own(
    lanes: Lanes, make_link: Any, clock: Any, fill: Any, message: Any
) -> None:
    link = make_link(slots=1)
    fill(*(message(n, f"L{n}") for n in range(1, 6)))
    async with running(MqttSender(lanes, link, clock, assign_batch=4)):
        assert [len(json.loads(payload)) for _, payload in link.sent] == [4]


async def test_an_array_that_is_too_large_for_the_broker_is_made_smaller(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    fill(*(message(n, f"L{n}") for n in range(1, 5)))
    async with running(MqttSender(lanes, link, clock, assign_batch=4)) as sender:
        link.answer(0x95)
        clock.forward(10)
        sender.wake()
        await settle_down()
        assert [len(json.loads(payload)) for _, payload in link.sent] == [4, 2, 2]


async def test_a_refused_message_is_tried_slowly_and_holds_back_only_its_own_lead(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    fill(message(1, "L1"), message(2, "L1", "revoke"), message(3, "L2"))
    async with running(MqttSender(lanes, link, clock)) as sender:
        link.answer(0x87)
        link.answer_all()
        await settle_down()
        assert settled[0] == Settlement(
            1,
            "retry",
            1,
            clock.ns + 10_000_000_000,
            "the broker refused leads/dialer/assign: 0x87",
        )
        assert len(link.sent) == 2
        for pause in (10, 20, 40, 80, 160, 300, 300):
            clock.forward(pause - 0.1)
            sender.wake()
            await settle_down()
            before = len(link.sent)
            clock.forward(0.1)
            sender.wake()
            await settle_down()
            assert len(link.sent) == before + 1
            link.answer(0x87)
        assert sender.refused == 8
        clock.forward(300)
        sender.wake()
        await settle_down()
        link.answer()
        await settle_down()
        assert link.sent[-1] == ("leads/dialer/revoke", b'{"n":2}')


async def test_a_refusing_receiver_holds_back_no_other(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    """A broker that forbids the desktop's topic and the desk's: the dialer hears everything, in order,
    the revocation before the next assignment."""
    fill(
        message(1),
        message(2, kind="lead"),
        message(3, kind="revoke"),
        message(4, kind="lead_revoke"),
        message(5, kind="exception"),
        message(6, attempt=2),
        message(7, kind="lead", attempt=2),
    )
    dialer = []
    async with running(MqttSender(lanes, link, clock)) as sender:
        for _ in range(10):
            while link.unanswered:
                topic, _ = link.sent[-len(link.unanswered)]
                refused = not topic.startswith("leads/dialer/")
                dialer += [] if refused else [topic.rpartition("/")[2]]
                link.answer(0x87 if refused else 0)
            await settle_down()
        assert dialer == ["assign", "revoke", "assign"]
        assert {settlement.id for settlement in settled if settlement.result == "done"} == {1, 3, 6}
        # What it missed comes in its own order once the receiver takes it.
        del link.sent[:]
        for _ in range(10):
            clock.forward(300)
            sender.wake()
            await settle_down()
            link.answer_all()
        rest = [payload for _, payload in link.sent if payload != b'{"n":5}']
        assert rest == [b'{"n":2}', b'{"n":4}', b'{"n":7}']


async def test_what_was_refused_before_a_restart_holds_back_no_other_receiver(
    lanes: Lanes, link: Any, clock: Any, message: Any
) -> None:
    lanes.put(Item(message(1, kind="lead"), attempts=3, loaded=True))
    lanes.put(Item(message(2, kind="lead_revoke"), loaded=True))
    lanes.put(Item(message(3, kind="revoke"), loaded=True))
    async with running(MqttSender(lanes, link, clock)):
        assert [topic for topic, _ in link.sent] == ["leads/rep/ana/lead", "leads/dialer/revoke"]


@pytest.mark.parametrize("hung_up", [False, True])
async def test_a_new_connection_tries_at_once_what_was_refused_unless_it_hung_up_for_that(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any, settled: Any, hung_up: bool
) -> None:
    fill(message(1))
    async with running(MqttSender(lanes, link, clock)) as sender:
        link.answer(0x87)
        clock.forward(0.1 if hung_up else 5)
        sender.disconnected()
        sender.connected()
        await settle_down()
        assert len(link.sent) == (1 if hung_up else 2)
        if not hung_up:
            link.answer(0x87)  # the pauses go on from where they were
            assert settled[1].attempts == 2
            assert settled[1].next_ns == clock.ns + 20 * 10**9


async def test_a_delayed_message_leaves_by_itself_when_its_time_comes(
    lanes: Lanes, link: Any, fill: Any, message: Any
) -> None:
    loop = asyncio.get_running_loop()
    sender = MqttSender(lanes, link, lambda: round(loop.time() * 1e9), refused_first_seconds=0.02)
    fill(message(1))
    async with running(sender):
        link.asked.clear()
        link.answer(0x87)
        await asyncio.wait_for(link.asked.wait(), 60)
    assert len(link.sent) == 2


async def test_after_a_lost_connection_everything_unanswered_leaves_again_in_order(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    fill(*(message(n, f"L{n}") for n in (1, 2, 3)))
    async with running(MqttSender(lanes, link, clock)) as sender:
        link.answer(index=1)
        link.lose()
        await settle_down()
        assert len(link.sent) == 3
        link.up = True
        sender.wake()
        await settle_down()
        assert [payload for _, payload in link.sent[3:]] == [b'{"n":1}', b'{"n":3}']
    assert settled.results() == [(2, "done")]  # a lost connection is no failed attempt


async def test_nobody_subscribed_is_done_counted_and_said_once_a_minute(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    fill(*(message(n, f"L{n}") for n in (1, 2, 3)))
    with capture_logs() as lines:
        async with running(MqttSender(lanes, link, clock)) as sender:
            link.answer_all(0x10)
            assert sender.no_subscriber == {"assign": 3}
    assert [result for _, result in settled.results()] == ["done"] * 3
    assert [(line["event"], line["messages"]) for line in lines] == [("nobody_subscribed", 1)]


async def test_a_topic_that_cannot_be_published_to_is_given_up(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    fill(message(1, kind="#"), message(2, "L2"))
    async with running(MqttSender(lanes, link, clock)):
        assert settled.results() == [(1, "dead")]
        assert len(link.sent) == 1


async def test_stopping_waits_for_the_answers_and_sends_nothing_more(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    fill(message(1, "L1"))
    sender = MqttSender(lanes, link, clock)
    task = asyncio.create_task(sender.run())
    await settle_down()
    stopping = asyncio.create_task(sender.stop(5.0))
    await settle_down()
    fill(message(2, "L2"))
    await settle_down()
    assert not stopping.done()
    link.answer()
    await stopping
    await task
    assert settled.results() == [(1, "done")]
    assert len(link.sent) == 1


async def test_stopping_gives_up_after_its_grace(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any, settled: Any
) -> None:
    fill(message(1))
    async with running(MqttSender(lanes, link, clock)) as sender:
        await sender.stop(0.01)
    assert settled == []


@pytest.mark.parametrize("batch", [1, 3])
def test_the_order_of_each_lead_survives_refusals_and_lost_connections(
    batch: int, make_link: Any, make_clock: Any, message: Callable[..., Outgoing]
) -> None:
    """No message of a lead leaves before what stands in front of it is settled, but for what another
    receiver refused; a receiver that refuses everything holds back no other; each is settled once;
    nothing is left over once the broker is well again."""

    class Machine(RuleBasedStateMachine):
        @initialize(slots=st.integers(1, 4))
        def begin(self, slots: int) -> None:
            self.runner = asyncio.Runner()
            self.link = make_link(slots)
            self.clock = make_clock()
            self.rows: dict[int, Item] = {}
            self.settled: set[int] = set()
            self.refused: set[int] = set()
            self.free: set[int] = set()
            self.checked = 0
            self.lanes = Lanes(self.note)
            self.number = 0
            self.runner.run(self.start())

        async def start(self) -> None:
            self.sender = MqttSender(self.lanes, self.link, self.clock, assign_batch=batch)
            self.task = asyncio.create_task(self.sender.run())

        def note(self, item: Item, settlement: Settlement) -> None:
            if settlement.result == "done":
                assert settlement.id not in self.settled
                self.settled.add(settlement.id)
            else:
                self.refused.add(settlement.id)

        async def act(self, what: Callable[[], None]) -> None:
            what()
            await settle_down()

        def pump(self, what: Callable[[], None] = lambda: None) -> None:
            self.runner.run(self.act(what))
            for _, payload in self.link.sent[self.checked :]:
                content = json.loads(payload)
                for one in content if isinstance(content, list) else [content]:
                    self.check(one["n"])
            self.checked = len(self.link.sent)
            # What may leave once may leave for good, whatever others are told meanwhile.
            self.free |= {number for number in self.rows if not self.before(number)}

        def check(self, number: int) -> None:
            assert number not in self.settled
            if number not in self.free:
                assert not self.before(number), f"{number} left before {self.before(number)}"

        def before(self, number: int) -> list[int]:
            """The messages that this one must wait for, now."""
            row = self.rows[number]
            found = []
            refusing: set[str] = set()
            for earlier, other in self.rows.items():
                if earlier == number:
                    break
                if other.message.order_key != row.message.order_key or earlier in self.settled:
                    continue
                if earlier in self.refused:
                    refusing.add(other.receiver)
                may_pass = other.act == row.act or other.receiver in refusing
                if other.receiver == row.receiver or not may_pass:
                    found.append(earlier)
            return found

        @rule(
            key=st.sampled_from(["L1", "L2"]),
            kind=st.sampled_from(["assign", "lead", "revoke", "lead_revoke"]),
            attempt=st.integers(1, 2),
        )
        def add(self, key: str, kind: str, attempt: int) -> None:
            self.number += 1
            one = message(self.number, key, kind, attempt=attempt)
            self.rows[self.number] = Item(one)
            self.lanes.put(Item(one))
            self.lanes.on_ready()
            self.pump()

        @precondition(lambda self: self.link.unanswered)
        @rule(data=st.data(), code=st.sampled_from([0, 0, 0x10, 0x87]))
        def answer(self, data: Any, code: int) -> None:
            last = len(self.link.unanswered) - 1
            index = data.draw(st.integers(0, last))
            self.pump(lambda: self.link.answer(code, index))

        @rule()
        def lose(self) -> None:
            self.pump(self.link.lose)

        @rule()
        def connect(self) -> None:
            self.link.up = True
            self.sender.wake()
            self.pump()

        @rule(seconds=st.sampled_from([1.0, 10.0, 300.0]))
        def wait(self, seconds: float) -> None:
            self.clock.forward(seconds)
            self.sender.wake()
            self.pump()

        @invariant()
        def nothing_is_lost(self) -> None:
            assert len(self.lanes) + len(self.settled) == self.number
            assert self.lanes.sent >= len(self.link.unanswered)

        def teardown(self) -> None:
            try:
                self.forbid()
                self.heal()
            finally:
                self.runner.run(self.end())
                self.runner.close()

        def forbid(self) -> None:
            """Refuse all but the dialer's messages."""
            self.link.up = True
            for _ in range(4 * self.number + 4):
                self.clock.forward(300)
                self.sender.wake()
                self.pump()
                while self.link.unanswered:
                    topic, _ = self.link.sent[-len(self.link.unanswered)]
                    code = 0 if topic.startswith("leads/dialer/") else 0x87
                    self.pump(lambda code=code: self.link.answer(code))
            dialer = {n for n, row in self.rows.items() if row.receiver == "leads/dialer"}
            assert dialer <= self.settled

        def heal(self) -> None:
            for _ in range(4 * self.number + 4):
                self.clock.forward(300)
                self.sender.wake()
                self.pump()
                while self.link.unanswered:
                    self.pump(self.link.answer)
            assert self.settled == set(self.rows)

        async def end(self) -> None:
            await self.sender.stop(0.0)
            await self.task

    run_state_machine_as_test(Machine, settings=settings(max_examples=40, stateful_step_count=30))


async def test_an_assignment_is_unheard_when_neither_dialer_nor_desktop_listens(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any
) -> None:
    """Of a lead whose dialer is asked over HTTP the desktop has a copy alone: that says nothing."""
    unheard: list[str] = []
    kinds = ("assign", "lead")
    fill(
        *(message(n, "L1", kind=kind) for n, kind in enumerate(kinds, 1)),
        *(message(n, "L2", kind=kind) for n, kind in enumerate(kinds, 3)),
        *(message(n, "L3", kind=kind) for n, kind in enumerate(kinds, 5)),
        message(7, "L4", kind="lead"),
        message(8, "L5", kind="result"),
    )
    sender = MqttSender(lanes, link, clock, on_unheard=unheard.append)
    async with running(sender):
        for code in (0x10, 0x10, 0x10, 0x00, 0x00, 0x10, 0x10, 0x10):
            link.answer(code)
    assert unheard == ["L1-1"]
    assert not sender._unheard


async def test_without_desktops_the_dialer_is_the_only_listener(
    lanes: Lanes, link: Any, clock: Any, fill: Any, message: Any
) -> None:
    unheard: list[str] = []
    fill(message(1, "L1"))
    sender = MqttSender(lanes, link, clock, desktops=False, on_unheard=unheard.append)
    async with running(sender):
        link.answer(0x10)
    assert unheard == ["L1-1"]
