"""The requests that an operator described, filled in for one message.

What a template prints into a ``url`` is percent-encoded, because a lead's fields come from strangers
and must not add parameters of their own. In a JSON ``body`` use ``{{ lead.first_name | tojson }}``,
in a form ``{{ lead.first_name | urlencode }}``. A field that is known but empty prints as nothing; a
name that does not exist is an error, found when the configuration is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from msgspec import Struct

from distributor.delivery.messages import Assignment, Revocation, encode
from distributor.domain.dialers import WebhookCall, WebhookPlan
from distributor.errors import BadConfig

_LEAD_FIELDS: tuple[str, ...] = (
    "id",
    "submitted_at",
    "first_name",
    "last_name",
    "phone",
    "email",
    "postal_code",
    "state",
    "country",
    "language",
    "product",
    "segment",
    "source",
    "campaign",
    "score",
    "price",
    "owner",
    "consent",
    "comments",
    "attributes",
    "test",
)
_NO_LEAD: dict[str, Any] = {**dict.fromkeys(_LEAD_FIELDS), "consent": {}, "attributes": {}}
_SAMPLE_LEAD = b'{"id":"1","first_name":"Ada","last_name":"Byron","phone":"+12125550100"}'
_SAMPLE_TIME = "2026-01-01T00:00:00.000Z"

SAMPLE_ASSIGN = encode(
    Assignment(
        "A0000000001-1",
        "A0000000001",
        msgspec.Raw(_SAMPLE_LEAD),
        "ana",
        "north",
        "default",
        "lease",
        1,
        _SAMPLE_TIME,
        _SAMPLE_TIME,
        _SAMPLE_TIME,
        "a sample",
    )
)
SAMPLE_REVOKE = encode(Revocation("A0000000001-1", "A0000000001", "ana", _SAMPLE_TIME, "a sample"))


_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
"""What a header cannot carry."""


class CannotRender(Exception):
    """A message does not fit its template; the text names the template and the field."""


class Request(Struct, frozen=True, gc=False):
    """An HTTP request ready to be sent."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


class _Encoded(str):
    """Percent-encoded already."""

    __slots__ = ()


def _urlencode(value: object) -> _Encoded:
    return _Encoded(quote("" if value is None else str(value), safe=""))


def _into_text(value: object) -> object:
    return "" if value is None else value


def _into_url(value: object) -> object:
    return value if isinstance(value, _Encoded) else _urlencode(value)


def _environment(finalize: Any) -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        undefined=StrictUndefined, finalize=finalize, keep_trailing_newline=True
    )
    environment.filters["urlencode"] = _urlencode
    return environment


_TEXT = _environment(_into_text)
_URL = _environment(_into_url)


def context(payload: bytes, secret: str) -> dict[str, Any]:
    """What templates can name: the message's fields, ``message`` and (where there is one)
    ``secret``."""
    message: dict[str, Any] = msgspec.json.decode(payload)
    if "lead" in message:
        message["lead"] = {**_NO_LEAD, **message["lead"]}
    names = {**message, "message": message}
    if secret:
        names["secret"] = secret
    return names


class Call:
    """One compiled ``WebhookCall``. Raises BadConfig with a line for each wrong template."""

    def __init__(self, where: str, plan: WebhookCall) -> None:
        problems: list[str] = []
        self._where = where
        self._method = plan.method
        self._url = _compile(_URL, f"{where}.url", plan.url, problems)
        self._headers = {
            name: _compile(_TEXT, f"{where}.headers.{name}", text, problems)
            for name, text in plan.headers.items()
        }
        self._body = _compile(_TEXT, f"{where}.body", plan.body, problems) if plan.body else None
        self._typed = any(name.lower() == "content-type" for name in plan.headers)
        if problems:
            raise BadConfig(problems)

    def request(self, payload: bytes, names: Mapping[str, Any], key: str) -> Request:
        """The request for one message. ``key``: the idempotency key. Raises CannotRender."""
        url = self._filled_url(names)
        headers = {name: self._filled_header(name, names) for name in self._headers}
        headers["Idempotency-Key"] = key
        body = payload if self._body is None else self._filled_body(names)
        if self._method == "GET" and self._body is None:
            body = b""
        if body and not self._typed:
            headers["Content-Type"] = "application/json"
        return Request(self._method, url, headers, body)

    def _filled_url(self, names: Mapping[str, Any]) -> str:
        url = _render(f"{self._where}.url", self._url, names).strip()
        if not re.match(r"https?://[^/?#]", url):
            remedy = "begin it with http:// or https:// and a host"
            raise CannotRender(f"{self._where}.url: makes no URL; {remedy}")
        try:
            parts = urlsplit(url)
            (parts.hostname or "").encode("idna")
            _ = parts.port
        except ValueError as error:
            text = f"no such host or port can be: {_one_line(error)}; correct it"
            raise CannotRender(f"{self._where}.url: {text}") from error
        return url

    def _filled_header(self, name: str, names: Mapping[str, Any]) -> str:
        value = _render(f"{self._where}.headers.{name}", self._headers[name], names)
        if _CONTROL.search(value):
            text = "must be a single line without control characters"
            raise CannotRender(f"{self._where}.headers.{name}: {text}")
        return value

    def _filled_body(self, names: Mapping[str, Any]) -> bytes:
        return (
            b""
            if self._body is None
            else _render(f"{self._where}.body", self._body, names).encode()
        )

    def problems(self, payload: bytes, secret: str) -> list[str]:
        """What goes wrong with a sample message, a line for each template."""
        names = context(payload, secret)
        fill: list[Callable[[Mapping[str, Any]], object]] = [self._filled_url]
        fill += [partial(self._filled_header, name) for name in self._headers]
        found = []
        for one in (*fill, self._filled_body):
            try:
                one(names)
            except CannotRender as error:
                found.append(str(error))
        return found


class Calls(Struct, frozen=True):
    """The compiled calls and expressions of one dialer."""

    assign: Call
    revoke: Call | None
    lookup: Call | None
    success: re.Pattern[str] | None
    duplicate: re.Pattern[str] | None
    found: re.Pattern[str] | None


def compile_plan(plan: WebhookPlan, secret: str = "", *, where: str = "") -> Calls:
    """Compile the templates and expressions of a dialer and try them with a sample message.

    ``where``: how problems call the dialer ("": by its id). Raises BadConfig with a line for each.
    """
    where = where or f"dialers[{plan.id}]"
    problems: list[str] = []

    def call(name: str, described: WebhookCall | None, sample: bytes) -> Call | None:
        if described is None:
            return None
        try:
            compiled = Call(f"{where}.{name}", described)
        except BadConfig as error:
            problems.extend(error.problems)
            return None
        problems.extend(compiled.problems(sample, secret))
        return compiled

    def expression(name: str, text: str) -> re.Pattern[str] | None:
        try:
            return re.compile(text) if text else None
        except re.error as error:
            problems.append(f"{where}.{name}: not a regular expression: {error}")
            return None

    assign = call("assign", plan.assign, SAMPLE_ASSIGN)
    revoke = call("revoke", plan.revoke, SAMPLE_REVOKE)
    lookup = call("lookup", plan.lookup, SAMPLE_ASSIGN)
    success = expression("success_body", plan.success_body)
    duplicate = expression("duplicate_body", plan.duplicate_body)
    found = expression("lookup_found", plan.lookup_found)
    if problems or assign is None:
        raise BadConfig(problems)
    return Calls(assign, revoke, lookup, success, duplicate, found)


def _compile(
    environment: SandboxedEnvironment, where: str, text: str, problems: list[str]
) -> Template:
    try:
        return environment.from_string(text)
    except TemplateError as error:
        problems.append(f"{where}: {_with_remedy(error)}")
        return environment.from_string("")


def _render(where: str, template: Template, names: Mapping[str, Any]) -> str:
    try:
        return template.render(names)
    except Exception as error:  # a template can raise whatever its filters raise
        raise CannotRender(f"{where}: {_with_remedy(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _with_remedy(error: Exception) -> str:
    text = _one_line(error)
    if "undefined" in text or "has no attribute" in text:
        return f"{text}; name a field of the message, or add | default('')"
    return f"{text}; mend the template"
