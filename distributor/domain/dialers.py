"""How assignments reach a dialer, as the operator described it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class WebhookCall(Struct, frozen=True, forbid_unknown_fields=True):
    """One templated HTTP request.

    ``url``, the values of ``headers`` and ``body`` are Jinja2 templates over the outgoing message's
    fields (``assignment_id``, ``lead_key``, ``rep``, ``lead.phone``, ...; ``message`` is the whole).
    An empty ``body`` sends the message itself as JSON.
    """

    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: dict[str, str] = {}
    body: str = ""


class WebhookPlan(Struct, frozen=True, forbid_unknown_fields=True):
    """A dialer behind HTTP (``[[dialers]]``).

    ``assign`` and ``revoke``: the requests; without ``revoke`` revocations are not sent there.
    ``success_status``: HTTP statuses that mean "taken"; ``success_body``: a regular expression that
    the answer must contain as well ("" = any). ``duplicate_body``: one that means "taken before",
    whatever the status. ``secret_env`` / ``secret_file``: a secret that templates use as ``secret``.
    ``timeout_seconds``: whole request. ``retry_first_seconds`` doubles up to ``retry_max_seconds``.
    ``max_attempts``: after so many refusals of it (400, 409, 410, 413, 422, ...) a message is given up
    for a human; failures of the dialer itself (5xx, no connection) and answers that any message would
    get (3xx, 401, 403, 404, 405, ...) are tried for ever.
    ``concurrency``: requests under way at once. ``rate_per_second``: 0 = no limit.
    ``breaker_failures`` in a row open the breaker for ``breaker_seconds``; then one trial request.
    ``unknown_outcome``: what to do when nobody knows whether a request was taken (time-out after it
    was sent): ``repeat`` with the same idempotency key (the dialer drops repeats), ``lookup`` first,
    or ``hold`` it for a human. ``lookup``: the request that asks; ``lookup_found``: a regular expression
    of its answer that means "taken".
    """

    id: str
    assign: WebhookCall
    revoke: WebhookCall | None = None
    success_status: tuple[int, ...] = (200, 201, 202, 204)
    success_body: str = ""
    duplicate_body: str = ""
    secret_env: str | None = None
    secret_file: str | None = None
    timeout_seconds: float = 10.0
    retry_first_seconds: float = 1.0
    retry_max_seconds: float = 60.0
    max_attempts: int = 5
    concurrency: int = 8
    rate_per_second: float = 0.0
    breaker_failures: int = 5
    breaker_seconds: float = 15.0
    unknown_outcome: Literal["repeat", "lookup", "hold"] = "repeat"
    lookup: WebhookCall | None = None
    lookup_found: str = ""
