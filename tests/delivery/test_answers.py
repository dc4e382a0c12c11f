"""What a dialer's answer means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.delivery.answers import Reply, classify, lookup_says, retry_after
from distributor.delivery.templates import compile_plan
from distributor.domain.dialers import WebhookCall, WebhookPlan

CALL = WebhookCall("http://dialer.example/")


def outcome(status: int, text: str = "", **more: Any) -> str:
    plan = WebhookPlan("d", CALL, **more)
    return classify(plan, compile_plan(plan), Reply(status, text)).outcome


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (200, "taken"),
        (204, "taken"),
        (206, "refused"),
        (302, "misdirected"),
        (400, "refused"),
        (401, "misdirected"),
        (403, "misdirected"),
        (404, "misdirected"),
        (405, "misdirected"),
        (409, "refused"),
        (410, "refused"),
        (413, "refused"),
        (415, "misdirected"),
        (422, "refused"),
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


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (
            Reply(301, "gone", location="https://h.example/?phone=1"),
            (
                "HTTP 301 to dialers[d].assign: it moved to https://h.example/ and redirects are not"
                " followed: set its url to where it is now: gone"
            ),
        ),
        (
            Reply(401, "bad token"),
            "HTTP 401 to dialers[d].assign: check its headers and the dialer's secret: bad token",
        ),
        (
            Reply(405, "POST?"),
            "HTTP 405 to dialers[d].assign: check its url and method: POST?",
        ),
    ],
)
def test_what_every_message_would_get_names_the_remedy(reply: Reply, error: str) -> None:
    plan = WebhookPlan("d", CALL)
    answer = classify(plan, compile_plan(plan), reply)
    assert (answer.outcome, answer.error) == ("misdirected", error)


def test_a_configured_success_is_one_whatever_the_status() -> None:
    assert outcome(302, success_status=(302,)) == "taken"
    assert outcome(403, "DUPLICATE", duplicate_body="DUPLICATE") == "duplicate"


def test_a_revocation_of_what_is_not_there_is_refused_alone() -> None:
    plan = WebhookPlan("d", CALL, revoke=CALL)
    calls = compile_plan(plan)
    assert classify(plan, calls, Reply(404, ""), "revoke").outcome == "refused"
    assert classify(plan, calls, Reply(401, ""), "revoke").outcome == "misdirected"


def test_a_success_body_is_needed_where_it_is_named() -> None:
    """ViciDial answers HTTP 200 even to errors."""
    assert outcome(200, "SUCCESS: add_lead", success_body="^SUCCESS") == "taken"
    assert outcome(200, "ERROR: bad phone", success_body="^SUCCESS") == "refused"


def test_a_duplicate_is_taken_whatever_the_status() -> None:
    assert outcome(409, "DUPLICATE", duplicate_body="DUPLICATE") == "duplicate"


@pytest.mark.parametrize(
    ("reply", "meaning"),
    [
        (Reply(200, "LEADS FOUND"), "taken"),
        (Reply(200, "NO MATCHES"), None),
        (Reply(404, ""), None),
        (Reply(500, "LEADS FOUND"), "failed"),
        (Reply(401, ""), "failed"),
    ],
)
def test_a_lookup_that_does_not_know_is_not_a_no(reply: Reply, meaning: str | None) -> None:
    plan = WebhookPlan("d", CALL, lookup=CALL, lookup_found="LEADS FOUND")
    answer = lookup_says(plan, compile_plan(plan), reply)
    assert (answer.outcome if answer else None) == meaning


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("999999999999", 999_999_999.0),
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
    assert 0.0 <= retry_after(text, 0) < 1e12
