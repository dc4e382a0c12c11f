"""Whether a target takes messages, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from distributor.delivery.answers import Answer
from distributor.delivery.lanes import Item
from distributor.delivery.standing import MAX_PAUSE_SECONDS, Standing
from distributor.domain.dialers import WebhookCall, WebhookPlan

TAKEN = Answer("taken")
LOCKED = Answer("turned_away", "HTTP 401: expired")


class Target:
    """A standing with a clock of its own, and what it told."""

    def __init__(self, message: Any, **more: Any) -> None:
        self.now = 0.0
        self.marks: list[tuple[bool, str]] = []
        plan = WebhookPlan("vici", WebhookCall("http://dialer.example/"), **more)
        self.standing = Standing(plan, lambda: self.now, self._mark, str.strip)
        self.standing.mark(True, "started")
        self._message = message

    def _mark(self, _target: str, up: bool, reason: str) -> None:
        self.marks.append((up, reason))

    def item(self, number: int = 1) -> Item:
        return Item(self._message(number, f"L{number}", target="vici"))

    def judge(self, item: Item, answer: Answer, trial: bool = False) -> str:
        return self.standing.judge(item, answer, trial)[0].outcome


@pytest.fixture
def target(message: Any) -> Target:
    return Target(message, breaker_failures=3, breaker_seconds=15.0)


def test_a_door_shut_to_everybody_is_the_targets_fault(target: Target) -> None:
    items = [target.item(number) for number in range(3)]
    assert [target.judge(item, LOCKED) for item in items] == ["turned_away"] * 3
    assert target.marks[-1] == (False, "HTTP 401: expired")
    assert target.standing.delay() == 15.0
    # However often the same are tried then: none is refused while no other is taken.
    for _ in range(10):
        target.now += 15.0
        assert target.standing.ripen()
        assert target.standing.enter()
        assert target.judge(items[0], LOCKED, trial=True) == "turned_away"


def test_a_door_shut_to_one_alone_is_that_messages_fault(target: Target) -> None:
    """A rep whom the dialer does not know must not stop the leads of the others."""
    item = target.item()
    answers = []
    for number in range(2, 12):
        answers.append(target.judge(item, LOCKED))
        target.judge(target.item(number), TAKEN)
    assert answers == ["turned_away"] + ["refused"] * 9
    assert target.standing.delay() == 0.0
    assert target.marks == [(True, "started")]


def test_one_message_alone_does_not_open_the_breaker(target: Target) -> None:
    item = target.item()
    assert [target.judge(item, LOCKED) for _ in range(10)] == ["turned_away"] * 10
    assert target.standing.delay() == 0.0


def test_what_was_turned_away_is_not_at_the_dialer(target: Target) -> None:
    item = target.item()
    target.judge(item, LOCKED)
    item.attempts += 1
    assert item.untaken


def test_being_turned_away_is_told_once_until_one_is_taken(target: Target) -> None:
    with structlog.testing.capture_logs() as lines:
        for number in range(3):
            target.judge(target.item(number), LOCKED)
        target.standing.judge(target.item(4), TAKEN, True)
        target.judge(target.item(5), LOCKED)
    told = [line for line in lines if line["event"] == "dialer_turns_away"]
    assert [(line["target"], line["error"]) for line in told] == [("vici", "HTTP 401: expired")] * 2


@pytest.mark.parametrize("outcome", ["busy", "failed"])
def test_a_long_pause_counts_as_down_and_has_an_end(target: Target, outcome: Any) -> None:
    asked = Answer(outcome, "HTTP 429: later", 3600.0)
    _, pause = target.standing.judge(target.item(), asked, False)
    assert pause == target.standing.delay() == MAX_PAUSE_SECONDS == 60.0
    assert target.marks[-1] == (
        False, "it asks to be left alone for 3600 s, and is for 60: HTTP 429: later"
    )  # fmt: skip
    target.now = 60.0
    assert target.standing.ripen()
    assert target.standing.enter()
    target.judge(target.item(), TAKEN, trial=True)
    assert target.marks[-1] == (True, "the dialer answers again")


def test_a_short_pause_is_kept_and_no_more(target: Target) -> None:
    target.judge(target.item(), Answer("busy", "HTTP 429: later", 5.0))
    assert target.standing.delay() == 5.0
    assert target.marks == [(True, "started")]


def test_a_target_that_refuses_everything_is_told_of_once(target: Target) -> None:
    with structlog.testing.capture_logs() as lines:
        for _ in range(5):
            target.standing.gave_up("HTTP 422: no field phone")
        target.judge(target.item(), TAKEN)
        for _ in range(2):
            target.standing.gave_up("HTTP 422: no field phone")
    told = [line for line in lines if line["event"] == "dialer_refuses_everything"]
    assert len(told) == 1
    assert told[0]["error"] == "HTTP 422: no field phone"
    assert "look at body" in told[0]["remedy"]
