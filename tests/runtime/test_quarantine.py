"""An event that breaks the engine ends one process, not every one after it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from distributor.domain.decisions import EventRecorded, LeadAccepted, LeadRejected
from distributor.domain.events import (
    Event,
    LeadEvent,
    LeadReceived,
    PresenceReported,
    SupervisorActed,
    Ticked,
    Undecodable,
)
from distributor.runtime.quarantine import Quarantine, name_of
from tests.runtime.loop import Loop

LEAD = LeadReceived("acme", "17", 1, "mqtt", b"{}")
AGAIN = LeadReceived("acme", "17", 999, "http", b"{}")
OTHER = LeadReceived("acme", "18", 1, "mqtt", b"{}")


def test_what_broke_the_engine_is_refused_after_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "store.quarantine.jsonl"
    assert Quarantine(path).reason(LEAD) == ""
    Quarantine(path).add(LEAD, KeyError("pool"), 5)
    after = Quarantine(path)
    assert "KeyError" in after.reason(AGAIN)
    assert path.name in after.reason(AGAIN)
    assert after.reason(OTHER) == ""


def test_it_is_written_once_and_what_has_no_name_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "store.quarantine.jsonl"
    quarantine = Quarantine(path)
    for _ in range(3):
        quarantine.add(LEAD, ValueError("x"), 5)
    quarantine.add(Ticked(), ValueError("x"), 5)
    assert len(path.read_bytes().splitlines()) == 1


@given(st.binary(max_size=200))
def test_any_rubbish_in_the_file_is_passed_over(
    content: bytes,
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "q.jsonl"
        path.write_bytes(content + b"\n")
        Quarantine(path).add(LEAD, ValueError("x"), 5)
        assert Quarantine(path).reason(LEAD)


def test_names_tell_sources_apart() -> None:
    one = LeadEvent("e1", "dialer", "contacted", lead_key="K")
    other = LeadEvent("e1", "rep:ana", "contacted", lead_key="K")
    assert name_of(one) != name_of(other)


PRESENCE = PresenceReported("ana", "ready", "rep:ana")
NAMED = {
    "presence": PRESENCE,
    "presence with a time": replace(PRESENCE, at_ns=7),
    "agent_state": replace(PRESENCE, source="dialer", event_id="e9"),
    "action": SupervisorActed("pause", "mia", "coaching", rep="ana"),
    "action on a lead": SupervisorActed("close", "mia", "spam", lead_key="K", status="invalid"),
}


def test_every_event_from_outside_has_a_name_of_its_own() -> None:
    names = [name_of(event) for event in (LEAD, *NAMED.values())]
    assert all(names)
    assert len(set(names)) == len(names)
    assert name_of(replace(PRESENCE, retained=True)) == name_of(PRESENCE)


@pytest.mark.parametrize("what", NAMED)
async def test_any_event_from_outside_breaks_one_process_only(tmp_path: Path, what: str) -> None:
    """A retained presence comes again at every start."""
    event = NAMED[what]
    path = tmp_path / "store.quarantine.jsonl"
    first = Loop(quarantine=Quarantine(path))
    first.engine.handle = _fails_on(event, first.engine.handle)  # type: ignore[method-assign]
    await first.begin()
    first.submit(event)
    with pytest.raises(KeyError):
        await first.task

    loop = Loop(quarantine=Quarantine(path))
    loop.engine.handle = _fails_on(event, loop.engine.handle)  # type: ignore[method-assign]
    await loop.begin()
    (answer,) = await loop.give(event)
    assert isinstance(answer, EventRecorded)
    assert (answer.outcome, answer.rep) == ("rejected", getattr(event, "rep", ""))
    assert "set aside" in answer.reason
    letters = [e.event for e in loop.journal.entries if isinstance(e.event, Undecodable)]
    assert [letter.topic for letter in letters] == ["quarantine"]
    await loop.end()


async def test_what_is_set_aside_is_one_dead_letter_also_where_nobody_is_answered(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.quarantine.jsonl"
    Quarantine(path).add(PRESENCE, KeyError("x"), 5)
    loop = Loop(quarantine=Quarantine(path))
    await loop.begin()
    letter = Undecodable("leads/rep/ana/presence", "set aside", b"{}")
    await asyncio.wait_for(loop.submit(PRESENCE, letters=lambda _: [letter]), 60)
    letters = [e.event for e in loop.journal.entries if isinstance(e.event, Undecodable)]
    assert letters == [letter]
    await loop.end()


async def test_the_loop_goes_on_without_what_broke_it(tmp_path: Path) -> None:
    """The first process ends on the event; the next one refuses it and takes the ones beside it."""
    path = tmp_path / "store.quarantine.jsonl"
    first = Loop(quarantine=Quarantine(path))
    first.engine.handle = _fails_on_17(first.engine.handle)  # type: ignore[method-assign]
    await first.begin()
    first.submit(OTHER, LEAD)
    with pytest.raises(KeyError):
        await first.task
    assert not [entry for entry in first.journal.entries if entry.event == OTHER]

    second = Loop(quarantine=Quarantine(path))
    second.engine.handle = _fails_on_17(second.engine.handle)  # type: ignore[method-assign]
    await second.begin()
    answers = await second.submit(OTHER, AGAIN)
    assert isinstance(answers[0], LeadAccepted)
    assert isinstance(answers[1], LeadRejected)
    assert "set aside" in answers[1].reason
    letters = [e for e in second.journal.entries if isinstance(e.event, Undecodable)]
    assert len(letters) == 1
    second.dispatcher.stop()
    await second.task


def _fails_on(what: Event, handle: Any) -> Any:
    def broken(event: Event, now_ns: int) -> Any:
        if event == what:
            raise KeyError("a defect")
        return handle(event, now_ns)

    return broken


def _fails_on_17(handle: Any) -> Any:
    def broken(event: Event, now_ns: int) -> Any:
        if isinstance(event, LeadReceived) and event.vendor_id == "17":
            raise KeyError("a defect")
        return handle(event, now_ns)

    return broken
