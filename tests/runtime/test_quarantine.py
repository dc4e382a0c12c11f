"""An event that breaks the engine ends one process, not every one after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.domain.decisions import LeadAccepted, LeadRejected
from distributor.domain.events import Event, LeadEvent, LeadReceived, Ticked, Undecodable
from distributor.runtime.quarantine import Quarantine, name_of
from tests.runtime.test_dispatcher import Loop

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


async def test_the_loop_goes_on_without_what_broke_it(tmp_path: Path) -> None:
    """The first process ends on the event; the next one refuses it and takes the ones beside it."""
    path = tmp_path / "store.quarantine.jsonl"
    first = Loop()
    first.dispatcher._quarantine = Quarantine(path)
    first.engine.handle = _fails_on_17(first.engine.handle)  # type: ignore[method-assign]
    await first.begin()
    first.submit(OTHER, LEAD)
    with pytest.raises(KeyError):
        await first.task
    assert not [entry for entry in first.journal.entries if entry.event == OTHER]

    second = Loop()
    second.dispatcher._quarantine = Quarantine(path)
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


def _fails_on_17(handle: Any) -> Any:
    def broken(event: Event, now_ns: int) -> Any:
        if isinstance(event, LeadReceived) and event.vendor_id == "17":
            raise KeyError("a defect")
        return handle(event, now_ns)

    return broken
