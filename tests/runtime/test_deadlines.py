"""Deadlines come in time, and what keeps them from it is told by its cause."""

from __future__ import annotations

import asyncio
import time

import pytest

from distributor.domain.decisions import (
    LeaseRestarted,
)
from distributor.domain.events import (
    LeadEvent,
    PresenceReported,
    StoodStill,
    Ticked,
)
from distributor.runtime.times import CATCH_UP_SECONDS
from tests.core.floors import BEGIN, SECOND
from tests.runtime.loop import Loop, lead, ready


async def test_a_deadline_ticks_before_what_arrived_with_it(loop):
    """The lease was over when the rep's report came in: the report is late."""
    await loop.end()
    short = Loop(lease_seconds=10)
    await short.begin()
    await short.give(ready("ana"), lead("1"))
    key = next(iter(short.engine.state.leads))
    short.now_ns += 9 * SECOND
    await short.give(lead("2"))
    short.now_ns += 2 * SECOND

    (answer,) = await short.give(LeadEvent("e1", "dialer", "rejected", lead_key=key, rep="ana"))

    assert ("late", pytest.approx(1.0)) in short.told
    assert isinstance(short.journal.entries[-2].event, Ticked)
    assert (answer.outcome, short.engine.state.leads[key].state) == ("stale", "exception")
    await short.end()
    loop.task = short.task


async def test_after_a_stand_still_what_was_said_meanwhile_is_read_before_any_deadline():
    """The process was stopped for a minute; the rep called, and its report lies unread."""
    short = Loop(lease_seconds=10)
    await short.begin()
    await short.give(ready("ana"), lead("1"))
    key = next(iter(short.engine.state.leads))
    short.now_ns += 60 * SECOND
    await short.give(lead("2"))  # the first that was read
    still = short.journal.entries[-2]
    assert still.event == StoodStill(50.0)
    assert ("late", pytest.approx(50.0)) in short.told
    assert [type(decision) for decision in still.decisions] == [LeaseRestarted]
    short.now_ns += round(0.9 * CATCH_UP_SECONDS * SECOND)

    report = LeadEvent("e1", "dialer", "contacted", lead_key=key, rep="ana", evidence="dialer")
    (answer,) = await short.give(report)

    assert answer.outcome == "accepted"
    assert not [entry for entry in short.journal.entries if isinstance(entry.event, Ticked)]
    short.now_ns += round(0.2 * CATCH_UP_SECONDS * SECOND)
    short.inbox.wake()
    await short.give(lead("3"))
    assert short.engine.state.leads[key].state == "working"
    await short.end()


@pytest.mark.parametrize(
    ("jumped_seconds", "told", "because"),
    [(0, "stood_still", "the daemon stood still for 50 s"),
     (60, "clock_put_forward", "the clock was put forward by 50 s")],
)  # fmt: skip
async def test_a_late_deadline_is_told_by_its_cause(capsys, jumped_seconds, told, because):
    short = Loop(lease_seconds=10)
    await short.begin()
    await short.give(ready("ana"), lead("1"))
    capsys.readouterr()

    short.now_ns += 60 * SECOND
    short.jumped_ns = jumped_seconds * SECOND
    await short.give(lead("2"))

    (decision,) = short.journal.entries[-2].decisions
    assert decision.because.startswith(because)
    said = capsys.readouterr().out
    assert [name for name in ("stood_still", "clock_put_forward") if name in said] == [told]
    await short.end()


async def test_what_others_said_is_recorded_in_our_time(loop):
    loop.ahead_ns = 30 * SECOND
    loop.now_ns += 30 * SECOND
    await loop.give(PresenceReported("ana", "ready", "desktop", BEGIN))
    assert loop.journal.entries[-1].event.at_ns == BEGIN + 30 * SECOND
    assert loop.engine.state.reps["ana"].state_at_ns == BEGIN + 30 * SECOND


async def test_a_disk_that_takes_its_time_is_no_stand_still():
    """Deadlines act while a commit is being written."""

    class Living(Loop):
        begun = time.monotonic()
        now_ns = property(  # type: ignore[assignment]
            lambda self: BEGIN + int((time.monotonic() - self.begun) * 1e9), lambda self, _: None
        )

    living = Living(lease_seconds=0.1)
    await living.begin()
    await living.give(ready("ana"), lead("1"))
    key = next(iter(living.engine.state.leads))
    living.journal.gate.clear()
    answered = living.submit(lead("2"))
    async with asyncio.timeout(60):
        while living.engine.state.leads[key].state == "assigned":
            await asyncio.sleep(0.01)
    living.journal.gate.set()
    await answered
    assert not [entry for entry in living.journal.entries if isinstance(entry.event, StoodStill)]
    await living.end()


async def test_the_daemons_own_silence_is_no_stand_still(loop):
    """Nothing was due meanwhile: nobody was judged either."""
    await loop.give(ready("ana"), lead("1"))
    loop.now_ns += 30 * SECOND
    await loop.give(lead("2"))
    assert not [entry for entry in loop.journal.entries if isinstance(entry.event, StoodStill)]


async def test_a_deadline_wakes_the_loop_by_itself():
    loop = Loop(lease_seconds=0.02)
    await loop.begin()
    await loop.give(ready("ana"), lead("1"))
    key = next(iter(loop.engine.state.leads))
    loop.journal.appending.clear()
    loop.now_ns += SECOND

    await asyncio.wait_for(loop.journal.appending.wait(), 60)

    assert loop.engine.state.leads[key].state != "assigned"
    await loop.end()
