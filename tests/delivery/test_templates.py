"""Templates: what goes wrong is said at the start, with the template and the field named."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from distributor.delivery.messages import Assignment, encode
from distributor.delivery.templates import Call, CannotRender, Request, compile_plan, context
from distributor.domain.dialers import WebhookCall, WebhookPlan
from distributor.errors import BadConfig

REMEDY = "; name a field of the message, or add | default('')"
URL = "http://dialer.example/add"


def assignment(**lead: Any) -> bytes:
    return encode(
        Assignment(
            "A1-1", "A1", msgspec.Raw(encode(lead)), "ana", "n", "p", "lease", 1, "t", "t", "t", "b"
        )
    )


def fill(call: WebhookCall, payload: bytes, secret: str = "") -> Request:
    return Call("dialers[d].assign", call).request(payload, context(payload, secret), "A1-1:assign")


def test_an_empty_body_sends_the_message_itself() -> None:
    payload = assignment(phone="+12125550100")
    request = fill(WebhookCall(URL), payload)
    assert request.body == payload
    assert request.headers == {
        "Idempotency-Key": "A1-1:assign",
        "Content-Type": "application/json",
    }


def test_templates_see_the_message_the_lead_and_the_secret() -> None:
    call = WebhookCall(
        URL,
        headers={"X-Auth": "Bearer {{ secret }}", "content-type": "application/x-custom"},
        body='{"key": {{ lead_key | tojson }}, "all": {{ message | tojson }},'
        ' "phone": {{ lead.phone | tojson }}, "email": "{{ lead.email }}"}',
    )
    request = fill(call, assignment(phone='+1"2'), "s3cret")
    body = json.loads(request.body)
    assert (body["key"], body["phone"], body["email"]) == ("A1", '+1"2', "")
    assert body["all"]["lead"]["phone"] == '+1"2'
    assert request.headers["X-Auth"] == "Bearer s3cret"
    assert "Content-Type" not in request.headers


def test_a_lead_cannot_add_parameters_to_the_url() -> None:
    """The fields of a lead come from strangers."""
    call = WebhookCall(URL + "?first={{ lead.first_name }}&last={{ lead.last_name | urlencode }}")
    request = fill(call, assignment(first_name="a&function=hangup#", last_name="é/?"))
    assert request.url == URL + "?first=a%26function%3Dhangup%23&last=%C3%A9%2F%3F"


def test_a_lead_cannot_add_headers() -> None:
    call = WebhookCall(URL, headers={"X-Name": "{{ lead.first_name }}"})
    with pytest.raises(CannotRender, match=r"assign\.headers\.X-Name: must be a single line"):
        fill(call, assignment(first_name="a\r\nX-Admin: 1"))


def test_a_control_character_in_a_header_is_the_leads_own_fault() -> None:
    call = WebhookCall(URL, headers={"X-Name": "{{ lead.first_name }}"})
    with pytest.raises(CannotRender, match="without control characters"):
        fill(call, assignment(first_name="a\x01b"))
    assert fill(call, assignment(first_name="a\tb")).headers["X-Name"] == "a\tb"


@pytest.mark.parametrize(
    "url",
    ["http://h:99999/", "http://a..b/", "http://.h/", "http://[::1/", f"http://{'x' * 64}.h/"],
)
def test_a_host_or_port_that_cannot_be_is_found_when_the_file_is_read(url: str) -> None:
    with pytest.raises(BadConfig, match=r"dialers\[d\]\.assign\.url: no such host or port can be"):
        compile_plan(WebhookPlan("d", WebhookCall(url)))
    compile_plan(WebhookPlan("d", WebhookCall("http://[::1]:8080/")))


def test_a_template_cannot_reach_into_the_program() -> None:
    call = WebhookCall(URL, body="{{ lead.__class__.__mro__ }}")
    with pytest.raises(CannotRender, match=r"assign\.body"):
        fill(call, assignment())


def test_optional_attributes_need_a_default() -> None:
    call = WebhookCall(URL, body="{{ lead.attributes.roof | default('') }}!")
    assert fill(call, assignment()).body == b"!"
    assert fill(call, assignment(attributes={"roof": "tile"})).body == b"tile!"


def problems(**more: Any) -> list[str]:
    fields: dict[str, Any] = {"id": "vici", "assign": WebhookCall(URL)} | more
    with pytest.raises(BadConfig) as caught:
        compile_plan(WebhookPlan(**fields))
    return caught.value.problems


def test_every_mistake_is_named_at_once() -> None:
    found = problems(
        assign=WebhookCall(
            "dialer.example/{{ rep }}", headers={"X": "{{ secret }}"}, body="{{ lead.fone }}"
        ),
        revoke=WebhookCall(URL + "/{{ lead.phone }}"),
        success_body="(",
    )
    assert [line.split(": ")[0] for line in found] == [
        "dialers[vici].assign.url",
        "dialers[vici].assign.headers.X",
        "dialers[vici].assign.body",
        "dialers[vici].revoke.url",
        "dialers[vici].success_body",
    ]
    assert "begin it with http" in found[0]
    assert "lead" in found[3]


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (
            WebhookCall(URL, body="{{ lead.fone }}"),
            "dialers[vici].assign.body: 'dict object' has no attribute 'fone'" + REMEDY,
        ),
        (
            WebhookCall(URL, headers={"X-Key": "{{ secret }}"}),
            "dialers[vici].assign.headers.X-Key: 'secret' is undefined" + REMEDY,
        ),
        (
            WebhookCall(URL + "{% if %}"),
            (
                "dialers[vici].assign.url: Expected an expression, got 'end of statement block'; "
                "mend the template"
            ),
        ),
        (
            WebhookCall(URL, body="{{ 1 / 0 }}"),
            "dialers[vici].assign.body: division by zero; mend the template",
        ),
        (
            WebhookCall("{{ rep }}"),
            "dialers[vici].assign.url: makes no URL; begin it with http:// or https:// and a host",
        ),
    ],
)
def test_a_wrong_template_is_one_line_with_the_field(call: WebhookCall, line: str) -> None:
    assert problems(assign=call) == [line]


def test_a_good_plan_compiles() -> None:
    plan = WebhookPlan(
        "vici",
        WebhookCall(URL + "?pass={{ secret }}"),
        revoke=WebhookCall(URL + "?key={{ lead_key }}"),
        lookup=WebhookCall(URL + "?key={{ lead_key }}", method="GET"),
        unknown_outcome="lookup",
        lookup_found="FOUND",
    )
    calls = compile_plan(plan, "x")
    assert calls.revoke is not None
    assert calls.lookup is not None
