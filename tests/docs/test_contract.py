"""docs/asyncapi.yaml and docs/openapi.yaml: whole, and true to the code and to the names that are fixed."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
import yaml

from distributor.delivery.messages import (
    Assignment,
    DaemonStatus,
    DeadLetter,
    ExceptionCase,
    Revocation,
)
from distributor.domain.events import LeadEvent, LeadReceived, PresenceReported
from distributor.domain.lead import LEAD_STATES
from distributor.intake.decode import decode_leads
from distributor.intake.decode_events import decode_events, decode_presence
from distributor.intake.directory import Directory
from distributor.intake.http_actions import (
    AssignAction,
    CloseAction,
    OverrideAction,
    RecycleAction,
    RepAction,
)
from distributor.intake.http_auth import ROLES
from distributor.intake.messages import UnifiedReply
from distributor.intake.mqtt_intake import MqttIntake
from distributor.runtime.inbox import Inbox
from tests.docs.pages import DOCS
from tools.docs import examples
from tools.docs.requests import NOTES, address, name_of, table
from tools.docs.schemas import MESSAGES

ASYNC: dict[str, Any] = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())
OPEN: dict[str, Any] = yaml.safe_load((DOCS / "openapi.yaml").read_text())
NOW_NS = 1_795_269_660_000_000_000  # 2026-11-21T14:01:00Z

FIXED_TOPICS = {
    "leads/in/{vendor}",
    "leads/in/{vendor}/result",
    "leads/rep/{rep}/presence",
    "leads/rep/{rep}/event",
    "leads/rep/{rep}/pull",
    "leads/dialer/event",
    "leads/dialer/assign",
    "leads/dialer/revoke",
    "leads/rep/{rep}/lead",
    "leads/rep/{rep}/revoke",
    "leads/notice/{audience}/{who}",
    "leads/exception",
    "leads/dead",
    "leads/daemon/status",
}
"""The topics that other systems are wired to."""


def walk(node: Any, path: str = "#"):
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, f"{path}/{key}")
    elif isinstance(node, list):
        for at, value in enumerate(node):
            yield from walk(value, f"{path}/{at}")


def resolve(document: dict[str, Any], ref: str) -> Any:
    node: Any = document
    for part in ref.removeprefix("#/").split("/"):
        node = node[part]
    return node


@pytest.mark.parametrize("document", [ASYNC, OPEN], ids=["asyncapi", "openapi"])
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    refs = [node["$ref"] for _, node in walk(document) if isinstance(node, dict) and "$ref" in node]
    assert len(refs) > 20
    for ref in refs:
        assert resolve(document, ref)


@pytest.mark.parametrize("document", [ASYNC, OPEN], ids=["asyncapi", "openapi"])
def test_every_component_is_used(document: dict[str, Any]) -> None:
    used = {node["$ref"] for _, node in walk(document) if isinstance(node, dict) and "$ref" in node}
    for kind in set(document["components"]) & {"schemas", "messages"}:
        for name in document["components"][kind]:
            assert f"#/components/{kind}/{name}" in used, name


@pytest.mark.parametrize("document", [ASYNC, OPEN], ids=["asyncapi", "openapi"])
def test_no_word_of_the_code_leaks_into_the_documents(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    assert "Wire" not in text
    assert "$defs" not in text


# -- MQTT --------------------------------------------------------------------------------------


def test_the_channels_are_the_fixed_topics() -> None:
    assert {channel["address"] for channel in ASYNC["channels"].values()} == FIXED_TOPICS


def test_the_daemon_subscribes_to_exactly_what_it_receives() -> None:
    """What is described as received but not subscribed to, or the reverse, is a lie to users."""
    intake = MqttIntake(None, Inbox(), lambda: Directory((), {}), lambda: 0, lambda: 0)  # type: ignore[arg-type]
    received = {
        resolve(ASYNC, operation["channel"]["$ref"])["address"]
        for operation in ASYNC["operations"].values()
        if operation["action"] == "receive"
    }
    assert {re.sub(r"\{\w+\}", "+", topic) for topic in received} == set(intake.subscriptions)


def test_what_no_operation_serves_says_that_it_is_reserved() -> None:
    served = {operation["channel"]["$ref"] for operation in ASYNC["operations"].values()}
    for name, channel in ASYNC["channels"].items():
        assert (f"#/channels/{name}" in served) != channel.get("x-reserved", False)
        assert ("Reserved" in channel["description"]) == channel.get("x-reserved", False)


def test_every_parameter_of_an_address_is_described() -> None:
    for channel in ASYNC["channels"].values():
        wanted = set(re.findall(r"\{(\w+)\}", channel["address"]))
        assert set(channel.get("parameters", {})) == wanted


def test_every_message_has_an_example() -> None:
    for name, message in ASYNC["components"]["messages"].items():
        assert message["examples"], name


# -- HTTP --------------------------------------------------------------------------------------


def test_every_route_of_the_code_is_described_and_no_other() -> None:
    described = {
        (method.upper(), path) for path, methods in OPEN["paths"].items() for method in methods
    }
    assert described == {(route[0], address(route)) for route in table()}
    assert {name_of(route) for route in table()} == set(NOTES)
    # The API has no POST that reads nothing.
    assert [name_of(route) for route in table() if (route[0] == "POST") > bool(_body(route))] == []


def _body(route: Any) -> str:
    return NOTES[name_of(route)].body


def test_the_roles_are_those_of_the_code() -> None:
    for route in table():
        method, _, _, right = route
        request = OPEN["paths"][address(route)][method.lower()]
        wanted = sorted(ROLES[right]) if right is not None else []
        assert request.get("x-roles", []) == wanted
        assert bool(request["security"]) == (right is not None)
        assert ("401" in request["responses"]) == (right is not None)


def test_every_request_says_what_it_does_and_has_its_parameters() -> None:
    for path, methods in OPEN["paths"].items():
        for request in methods.values():
            assert len(request["summary"].split()) > 1
            named = {p["name"] for p in request.get("parameters", []) if p["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


def test_no_two_paths_differ_in_the_names_of_their_parameters_alone() -> None:
    """OpenAPI takes them for the same path, and its tools refuse the document."""
    forms = [re.sub(r"\{\w+\}", "{}", path) for path in OPEN["paths"]]
    assert sorted(forms) == sorted({re.sub(r"\{\w+\}", "{}", route[1]) for route in table()})


def test_a_parameter_says_what_it_takes() -> None:
    found = {p["name"]: p["schema"] for p in OPEN["paths"]["/v1/leads"]["get"]["parameters"]}
    assert found["state"]["enum"] == list(LEAD_STATES)
    assert (found["limit"]["minimum"], found["limit"]["maximum"]) == (1, 1_000)
    assert all("pattern" in p["schema"] for p in _all_parameters() if p["in"] == "path")


def test_what_refuses_an_unknown_parameter_says_so() -> None:
    """Reads answer it with 400."""
    for path, methods in OPEN["paths"].items():
        if path.startswith("/v1/") and "get" in methods:
            assert "400" in methods["get"]["responses"], path


def _all_parameters() -> list[dict[str, Any]]:
    return [
        parameter
        for methods in OPEN["paths"].values()
        for request in methods.values()
        for parameter in request.get("parameters", [])
    ]


def test_no_get_has_a_body() -> None:
    for methods in OPEN["paths"].values():
        assert "requestBody" not in methods.get("get", {})


# -- examples ----------------------------------------------------------------------------------


def encoded(example: Any) -> bytes:
    return msgspec.json.encode(example)


def test_the_example_of_a_lead_is_one() -> None:
    (lead,) = decode_leads("acme", encoded(examples.EXAMPLES["Lead"]), "mqtt", NOW_NS)
    assert isinstance(lead, LeadReceived)
    assert lead.note == ""
    assert lead.submitted_ns


def test_the_example_of_an_event_is_one() -> None:
    payload = encoded(examples.EXAMPLES["Event"])
    (event,) = decode_events(payload, "dialer", NOW_NS + 10**11, may_claim_dialer=True)
    assert isinstance(event, LeadEvent)
    assert event.evidence == "dialer"


def test_the_example_of_a_presence_is_one() -> None:
    found = decode_presence(encoded(examples.EXAMPLES["Presence"]), "ana", "rep:ana", NOW_NS)
    assert isinstance(found, PresenceReported)


@pytest.mark.parametrize(
    "kind",
    [
        UnifiedReply,
        Assignment,
        Revocation,
        ExceptionCase,
        DeadLetter,
        DaemonStatus,
        RepAction,
        OverrideAction,
        AssignAction,
        RecycleAction,
        CloseAction,
    ],
    ids=lambda kind: kind.__name__,
)
def test_the_example_has_every_field_that_is_sent(kind: type[msgspec.Struct]) -> None:
    example = (examples.EXAMPLES | examples.ACTIONS)[kind.__name__]
    value = msgspec.json.decode(encoded(example), type=kind)
    again = msgspec.json.decode(msgspec.json.encode(value))
    assert again.keys() >= example.keys()
    for key in example:
        assert again[key] == example[key] or key == "until"


def test_every_example_fits_its_schema() -> None:
    for name in MESSAGES:
        fits(examples.EXAMPLES[name], ASYNC["components"]["schemas"][name], ASYNC)
    for name, example in examples.ACTIONS.items():
        fits(example, OPEN["components"]["schemas"][name], OPEN)


TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def fits(value: Any, schema: dict[str, Any], document: dict[str, Any], path: str = "$") -> None:
    """A small JSON schema check: what our own documents use of it."""
    if "$ref" in schema:
        fits(value, resolve(document, schema["$ref"]), document, path)
    for part in schema.get("allOf", []):
        fits(value, part, document, path)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            assert any(_does_fit(value, part, document) for part in schema[word]), path
    if "enum" in schema:
        assert value in schema["enum"], f"{path}: {value!r}"
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        allowed = tuple(kind for name in kinds for kind in TYPES[name])
        assert isinstance(value, allowed), f"{path}: {value!r} is no {kinds}"
        assert isinstance(value, bool) <= ("boolean" in kinds), path
    if isinstance(value, str) and "pattern" in schema:
        assert re.search(schema["pattern"], value), path
    if isinstance(value, dict):
        for key in schema.get("required", []):
            assert key in value, f"{path}.{key} is missing"
        for key, item in value.items():
            if key in schema.get("properties", {}):
                fits(item, schema["properties"][key], document, f"{path}.{key}")
    if isinstance(value, list) and "items" in schema:
        for at, item in enumerate(value):
            fits(item, schema["items"], document, f"{path}[{at}]")


def _does_fit(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> bool:
    try:
        fits(value, schema, document)
    except AssertionError:
        return False
    return True


def test_the_small_schema_check_finds_what_is_wrong() -> None:
    """Else the tests above would prove nothing."""
    good = examples.EXAMPLES["Assignment"]
    schema = ASYNC["components"]["schemas"]["Assignment"]
    for wrong in ({"attempt": "1"}, {"rep": None}, {"type": "revoke"}, {"lead": {"id": []}}):
        assert not _does_fit(good | wrong, schema, ASYNC), wrong
    assert not _does_fit({k: v for k, v in good.items() if k != "rep"}, schema, ASYNC)
