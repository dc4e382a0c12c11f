"""``docs/openapi.yaml``: every HTTP request."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from distributor import __version__
from distributor.intake.http_api import Route
from distributor.intake.http_intake import FORM
from tools.docs import examples
from tools.docs.requests import (
    NOTES,
    address,
    errors_of,
    name_of,
    parameters,
    roles,
    summary,
    table,
)
from tools.docs.schemas import ACTIONS, MESSAGES, one_or_array, ref, schemas
from tools.docs.views import VIEWS

_DESCRIPTION: Final = """\
Everything that changes something is answered after it is committed to disk. No GET changes anything.

Without configured tokens HTTP is open, and the daemon listens on a loopback address only. With tokens,
every request but `/metrics`, `/healthz` and `/readyz` needs one (`Authorization: Bearer ...`); `x-roles`
names the roles that may make it. A token of role vendor or rep speaks for that vendor or rep alone.

Errors are problem details (RFC 9457) with one line that says what to do."""

_TAKEN: Final = ("Lead", "UnifiedReply", "Event", "Presence", "ExceptionCase")
_RETRY: Final = (429, 503)


def openapi() -> dict[str, Any]:
    """The document."""
    messages = {name: MESSAGES[name] for name in _TAKEN}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "distributor over HTTP",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8080"}],
        "paths": _paths(),
        "components": {
            "schemas": {**schemas(messages), **schemas(ACTIONS), **VIEWS},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for route in table():
        paths.setdefault(address(route), {})[route[0].lower()] = _request(route)
    return paths


def _request(route: Route) -> dict[str, Any]:
    request: dict[str, Any] = {"operationId": name_of(route), "summary": summary(route)}
    found = parameters(route)
    if found:
        request["parameters"] = found
    body = _body(route)
    if body:
        request["requestBody"] = body
    request["responses"] = _responses(route)
    who = roles(route)
    # An empty requirement beside the token: without configured tokens everything is open.
    request["security"] = [{"token": []}, {}] if who else []
    if who:
        request["x-roles"] = who
    return request


def _body(route: Route) -> dict[str, Any]:
    note = NOTES[name_of(route)]
    if not note.body:
        return {}
    example = {**examples.EXAMPLES, **examples.ACTIONS}[note.body]
    schema = one_or_array(note.body) if note.many else ref(note.body)
    content: dict[str, Any] = {"application/json": {"schema": schema, "example": example}}
    if name_of(route) == "post_leads":
        content[FORM] = {
            "schema": {
                "type": "object",
                "description": "The fields of a lead as text; any other field becomes an attribute.",
                "additionalProperties": {"type": "string"},
                "minProperties": 1,
                "maxProperties": 1000,
            },
            "example": {"id": "1001", "first_name": "Rosa", "phone": "(212) 555-0187"},
        }
    optional = note.body in ("RepAction", "RecycleAction")
    return {"required": not optional, "content": content}


def _responses(route: Route) -> dict[str, Any]:
    note = NOTES[name_of(route)]
    if note.answer == "Metrics":
        good: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
    else:
        schema = one_or_array(note.answer) if note.answer == "UnifiedReply" else ref(note.answer)
        good = {"application/json": {"schema": schema}}
        if note.answer in examples.EXAMPLES:
            good["application/json"]["example"] = examples.EXAMPLES[note.answer]
    responses: dict[str, Any] = {"200": {"description": "OK", "content": good}}
    for status in errors_of(route):
        responses[str(status)] = _error(status)
    return responses


def _error(status: int) -> dict[str, Any]:
    error: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {"application/problem+json": {"schema": ref("Problem")}},
    }
    if status in _RETRY:
        after = {"description": "Seconds until it is worth trying.", "schema": {"type": "integer"}}
        error["headers"] = {"Retry-After": after}
    return error
