"""Golden bytes: other systems parse these messages."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.delivery.messages import (
    Assignment,
    DaemonStatus,
    DeadLetter,
    ExceptionCase,
    Revocation,
    Routes,
    compose,
    encode,
    rfc3339,
)
from distributor.domain.decisions import (
    Assigned,
    AssignmentEnded,
    DeadLettered,
    DeliveryAccepted,
    LeadHeld,
)
from distributor.domain.ids import NANOSECONDS
from distributor.domain.lead import Lead

NOW = 1_763_715_659_250_999_999  # 2025-11-21T09:00:59.250Z
BODY = '{"id":"1","first_name":"Zoë","phone":"+12125550100"}'.encode()


def lead(**more: Any) -> Lead:
    fields: dict[str, Any] = {"pool": "default", "body": BODY} | more
    return Lead(
        key="A01",
        vendor="acme",
        vendor_id="1",
        state="assigned",
        received_ns=1,
        clock_ns=1,
        **fields,
    )


def assigned(**more: Any) -> Assigned:
    fields: dict[str, Any] = {
        "lead_key": "A01",
        "assignment_id": "A01-2",
        "rep": "ana",
        "team": "north",
        "pool": "default",
        "policy": "lease",
        "attempt": 2,
        "epoch": 3,
        "at_ns": NOW,
        "contact_by_ns": NOW + 60 * NANOSECONDS,
        "lease_expires_ns": NOW + 600 * NANOSECONDS,
        "reason": "best",
        "because": "ana: 0.91 > ben: 0.88",
    }
    return Assigned(**(fields | more))


def ended(*, revoke: bool = True, dialer: str = "") -> AssignmentEnded:
    return AssignmentEnded(
        "A01", "A01-2", "ana", "expired", NOW, revoke, True, True, "600 s passed", dialer=dialer
    )


ROUTES = Routes("leads")


def places(messages: list[Any]) -> list[tuple[str, str, str]]:
    return [(one.target, one.kind, one.address) for one in messages]


def test_an_assignment_has_the_bytes_that_receivers_were_promised() -> None:
    dialer, desktop = compose([assigned()], {"A01": lead()}, ROUTES, NOW)
    assert dialer.payload.decode() == (
        '{"type":"assign","assignment_id":"A01-2","lead_key":"A01",'
        '"lead":{"id":"1","first_name":"Zoë","phone":"+12125550100"},'
        '"rep":"ana","team":"north","pool":"default","policy":"lease","attempt":2,'
        '"assigned_at":"2025-11-21T09:00:59.250Z","contact_by":"2025-11-21T09:01:59.250Z",'
        '"lease_expires_at":"2025-11-21T09:10:59.250Z","because":"ana: 0.91 > ben: 0.88"}'
    )
    assert desktop.payload is dialer.payload  # encoded once
    assert places([dialer, desktop]) == [
        ("mqtt", "assign", "leads/dialer/assign"),
        ("mqtt", "lead", "leads/rep/ana/lead"),
    ]
    assert {(one.order_key, one.message_id, one.at_ns, one.id) for one in (dialer, desktop)} == {
        ("A01", "A01-2", NOW, 0)
    }


def test_a_revocation_goes_where_the_assignment_went() -> None:
    dialer, desktop = compose([ended()], {"A01": lead()}, ROUTES, NOW)
    assert dialer.payload == (
        b'{"type":"revoke","assignment_id":"A01-2","lead_key":"A01","rep":"ana",'
        b'"revoked_at":"2025-11-21T09:00:59.250Z","because":"600 s passed"}'
    )
    assert places([dialer, desktop]) == [
        ("mqtt", "revoke", "leads/dialer/revoke"),
        ("mqtt", "lead_revoke", "leads/rep/ana/revoke"),
    ]


def test_a_dialer_that_never_had_the_assignment_hears_nothing_of_its_end() -> None:
    end = msgspec.structs.replace(ended(), untaken=True)
    (desktop,) = compose([end], {"A01": lead()}, ROUTES, NOW)
    assert desktop.kind == "lead_revoke"
    assert compose([end], {"A01": lead()}, Routes("leads", rep_topics=False), NOW) == []


def test_an_end_that_the_receivers_made_themselves_is_not_told() -> None:
    assert compose([ended(revoke=False)], {"A01": lead()}, ROUTES, NOW) == []


def test_a_test_lead_is_never_dialled_and_is_marked() -> None:
    (desktop,) = compose([assigned(test=True)], {"A01": lead(test=True)}, ROUTES, NOW)
    assert desktop.kind == "lead"
    assert json.loads(desktop.payload)["test"] is True
    (revoked,) = compose([ended()], {"A01": lead(test=True)}, ROUTES, NOW)
    assert revoked.kind == "lead_revoke"


def test_a_lead_without_a_phone_goes_to_the_desktop_alone() -> None:
    (desktop,) = compose([assigned()], {"A01": lead(dialable=False)}, ROUTES, NOW)
    assert desktop.kind == "lead"
    assert "test" not in json.loads(desktop.payload)


def test_a_pool_with_a_webhook_dialer_keeps_the_desktop_on_mqtt() -> None:
    out = compose([assigned(dialer="vici"), ended(dialer="vici")], {"A01": lead()}, ROUTES, NOW)
    assert places(out) == [
        ("vici", "assign", ""),
        ("mqtt", "lead", "leads/rep/ana/lead"),
        ("vici", "revoke", ""),
        ("mqtt", "lead_revoke", "leads/rep/ana/revoke"),
    ]


@pytest.mark.parametrize(
    ("routes", "dialer", "kinds"),
    [
        (Routes("leads", rep_topics=False), "", ["assign"]),
        (Routes("leads", rep_topics=False), "mqtt", ["assign"]),
        (Routes(""), "", []),
        (Routes(""), "mqtt", []),
        (Routes(""), "vici", ["assign"]),
    ],
)
def test_what_is_not_there_gets_no_message(routes: Routes, dialer: str, kinds: list[str]) -> None:
    out = compose([assigned(dialer=dialer)], {"A01": lead()}, routes, NOW)
    assert [one.kind for one in out] == kinds


@pytest.mark.parametrize("undialled", [{"dialable": False}, {"test": True}])
@pytest.mark.parametrize("dialer", ["", "vici"])
def test_what_no_dialer_gets_is_told_to_the_rep_whatever_the_setting(
    undialled: dict[str, bool], dialer: str
) -> None:
    """Otherwise the lead would be assigned and nobody told."""
    decisions = [assigned(dialer=dialer), ended(dialer=dialer)]
    out = compose(decisions, {"A01": lead(**undialled)}, Routes("leads", rep_topics=False), NOW)
    assert places(out) == [
        ("mqtt", "lead", "leads/rep/ana/lead"),
        ("mqtt", "lead_revoke", "leads/rep/ana/revoke"),
    ]
    assert compose(decisions, {"A01": lead(**undialled)}, Routes(""), NOW) == []


def test_a_revocation_follows_its_assignment_when_the_pool_changed_its_dialer() -> None:
    """The lead may be in another pool by now, and the pool may have another dialer."""
    (dialer, _) = compose([ended(dialer="old")], {"A01": lead(pool="other")}, ROUTES, NOW)
    assert places([dialer]) == [("old", "revoke", "")]


def test_decisions_without_a_receiver_make_no_message() -> None:
    assert compose([DeliveryAccepted("A01", "A01-2", "ana")], {}, ROUTES, NOW) == []


def test_a_held_lead_opens_a_case_at_the_desk() -> None:
    held = lead(deadline_ns=NOW + NANOSECONDS)
    held.state, held.reason = "exception", "refused_by_all"
    (case,) = compose([LeadHeld("A01", "all_refused", NOW, "3 of 3")], {"A01": held}, ROUTES, NOW)
    assert case.address == "leads/exception"
    assert case.payload == (
        b'{"lead_key":"A01","kind":"all_refused","reason":"refused_by_all","decider":null,'
        b'"opened_at":"2025-11-21T09:00:59.250Z","due_at":"2025-11-21T09:01:00.250Z",'
        b'"because":"3 of 3"}'
    )


def test_a_dead_letter_shows_what_came_in() -> None:
    (dead,) = compose([DeadLettered("leads/in/acme", "not JSON", b"\x00x", True)], {}, ROUTES, NOW)
    assert (dead.address, dead.order_key) == ("leads/dead", "")
    assert dead.payload == (
        b'{"topic":"leads/in/acme","reason":"not JSON","payload_base64":"AHg=",'
        b'"truncated":true,"at":"2025-11-21T09:00:59.250Z"}'
    )


def test_without_mqtt_there_is_no_desk_and_no_dead_letter_topic() -> None:
    decisions = [LeadHeld("A01", "no_pool", NOW, ""), DeadLettered("t", "r", b"", False)]
    assert compose(decisions, {"A01": lead()}, Routes(""), NOW) == []


def test_the_daemon_status_names_state_version_and_time() -> None:
    assert encode(DaemonStatus("online", "0.1.0", rfc3339(NOW))) == (
        b'{"state":"online","version":"0.1.0","at":"2025-11-21T09:00:59.250Z"}'
    )


@given(st.integers(0, 4_000_000_000 * NANOSECONDS))
def test_times_are_rounded_down_to_milliseconds(at_ns: int) -> None:
    text = rfc3339(at_ns)
    back = msgspec.convert(text, datetime, strict=False)
    assert round(back.timestamp() * 1000) == at_ns // 1_000_000


@pytest.mark.parametrize("kind", [Assignment, Revocation, ExceptionCase, DeadLetter, DaemonStatus])
def test_every_field_is_described_for_the_published_contract(kind: type) -> None:
    schema = msgspec.json.schema(kind)["$defs"][kind.__name__]
    described = {name for name, field in schema["properties"].items() if "description" in field}
    assert set(schema["properties"]) - described <= {"type"}
