"""A rep as the contract shows it."""

from __future__ import annotations

from typing import Any

from distributor.app.census import rep_view
from distributor.domain.rep import FOREVER_NS, Rep
from distributor.store.codec import rfc3339

NOW_NS = 1_795_500_000_000_000_000
HOUR_NS = 3_600_000_000_000


def view(**fields: Any) -> dict[str, Any]:
    return rep_view(Rep("ana", "north", state="ready", since_ns=1, **fields), NOW_NS, rfc3339)


def test_a_timed_pause_shows_since_when_and_until_when() -> None:
    seen = view(paused_until_ns=NOW_NS + HOUR_NS, paused_since_ns=NOW_NS - HOUR_NS)
    assert (seen["state"], seen["presence"]) == ("paused", "ready")
    assert seen["state_since"] == "2026-11-24T05:00:00.000Z"
    assert seen["paused_until"] == "2026-11-24T07:00:00.000Z"
    assert seen["restores"] == "It ends at 07:00:00Z, or when a supervisor resumes the rep."


def test_a_pause_without_an_end_and_one_that_is_over_have_none() -> None:
    assert view(paused_until_ns=FOREVER_NS)["paused_until"] is None
    over = view(paused_until_ns=NOW_NS)
    assert (over["state"], over["paused_until"]) == ("ready", None)


def test_the_wrap_up_after_a_call_shows_with_its_end() -> None:
    freed = {"free_from_ns": NOW_NS + HOUR_NS, "last_freed_ns": NOW_NS - HOUR_NS}
    seen = view(wraps_up=True, **freed)
    assert (seen["state"], seen["presence"]) == ("wrap_up", "ready")
    assert seen["state_since"] == "2026-11-24T05:00:00.000Z"
    assert seen["free_from"] == "2026-11-24T07:00:00.000Z"
    paced = view(**freed)
    assert (paced["state"], paced["free_from"]) == ("ready", "2026-11-24T07:00:00.000Z")
    assert view()["free_from"] is None
