"""What a dialer's answer means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.delivery.answers import classify, lookup_says, retry_after
from distributor.delivery.templates import compile_plan
from distributor.domain.dialers import WebhookCall, WebhookPlan

CALL = WebhookCall("http://dialer.example/")


def outcome(status: int, text: str = "", **more: Any) -> str:
    plan = WebhookPlan("d", CALL, **more)
    return classify(plan, compile_plan(plan), (status, text, 0.0)).outcome


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (200, "taken"),
        (204, "taken"),
        (206, "refused"),
        (302, "refused"),
        (400, "refused"),
        (404, "refused"),
        (408, "busy"),
        (425, "busy"),
        (429, "busy"),
        (500, "failed"),
        (502, "unknown"),
        (503, "failed"),
        (504, "unknown"),
    ],
)
def test_the_status_says_what_became_of_it(status: int, meaning: str) -> None:
    assert outcome(status) == meaning


def test_a_success_body_is_needed_where_it_is_named() -> None:
    """ViciDial answers HTTP 200 even to errors."""
    assert outcome(200, "SUCCESS: add_lead", success_body="^SUCCESS") == "taken"
    assert outcome(200, "ERROR: bad phone", success_body="^SUCCESS") == "refused"


def test_a_duplicate_is_taken_whatever_the_status() -> None:
    assert outcome(409, "DUPLICATE", duplicate_body="DUPLICATE") == "duplicate"


@pytest.mark.parametrize(
    ("reply", "meaning"),
    [
        ((200, "LEADS FOUND", 0.0), "taken"),
        ((200, "NO MATCHES", 0.0), None),
        ((404, "", 0.0), None),
        ((500, "LEADS FOUND", 0.0), "failed"),
        ((401, "", 0.0), "failed"),
    ],
)
def test_a_lookup_that_does_not_know_is_not_a_no(
    reply: tuple[int, str, float], meaning: str | None
) -> None:
    plan = WebhookPlan("d", CALL, lookup=CALL, lookup_found="LEADS FOUND")
    answer = lookup_says(plan, compile_plan(plan), reply)
    assert (answer.outcome if answer else None) == meaning


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("999999999999", 3600.0),
        ("Thu, 01 Jan 1970 00:00:30 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("-5", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str, seconds: float) -> None:
    assert retry_after(text, 10_000_000_000) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_does_harm(text: str) -> None:
    assert 0.0 <= retry_after(text, 0) <= 3600.0
