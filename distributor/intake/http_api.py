"""The HTTP application: every route, the right it takes, and the handler behind it."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from distributor.intake.http_actions import ActionHandlers
from distributor.intake.http_auth import Tokens, authorise
from distributor.intake.http_intake import IntakeHandlers
from distributor.intake.http_parts import Parts
from distributor.intake.http_reads import ReadHandlers
from distributor.intake.http_server import CONNECTION_ARGS
from distributor.intake.problems import Handler, problems

Route = tuple[str, str, Handler, str | None]
"""Method, path, handler, right (None: open to everybody)."""


def make_http_app(
    parts: Parts, tokens: Callable[[], Tokens], *, max_body_bytes: int = 1_048_576
) -> web.Application:
    """The application to embed with ``aiohttp.web.AppRunner`` and ``listen``.

    ``tokens`` gives the tokens in force at each request; without any, everything is open.
    """
    table = routes(parts)
    rights: dict[object, str] = {
        handler: right for _, _, handler, right in table if right is not None
    }
    app = web.Application(
        client_max_size=max_body_bytes,
        middlewares=[problems, authorise(tokens, rights)],
        handler_args=CONNECTION_ARGS,
    )
    for method, path, handler, _ in table:
        if method == "GET":
            app.router.add_get(path, handler)  # and HEAD
        else:
            app.router.add_route(method, path, handler)
    return app


def routes(parts: Parts) -> list[Route]:
    """The table of requests, as in the contract. What answers GET answers HEAD as well."""
    take, read, act = IntakeHandlers(parts), ReadHandlers(parts), ActionHandlers(parts)
    return [
        ("POST", "/v1/leads/{vendor}", take.post_leads, "post_leads"),
        ("POST", "/v1/events", take.post_events, "post_events"),
        ("PUT", "/v1/reps/{rep}/presence", take.put_presence, "put_presence"),
        ("GET", "/v1/leads", read.list_leads, "list_leads"),
        ("GET", "/v1/leads/{lead_key}", read.get_lead, "get_lead"),
        ("GET", "/v1/leads/{lead_key}/why", read.get_why, "get_why"),
        ("POST", "/v1/leads/{lead_key}/assign", act.assign, "act_on_lead"),
        ("POST", "/v1/leads/{lead_key}/recycle", act.recycle, "act_on_lead"),
        ("POST", "/v1/leads/{lead_key}/close", act.close, "act_on_lead"),
        ("GET", "/v1/reps", read.list_reps, "list_reps"),
        ("GET", "/v1/reps/{rep}", read.get_rep, "get_rep"),
        ("POST", "/v1/reps/{rep}/pause", act.pause, "control_rep"),
        ("POST", "/v1/reps/{rep}/resume", act.resume, "control_rep"),
        ("POST", "/v1/reps/{rep}/override", act.override, "control_rep"),
        ("GET", "/v1/exceptions", read.list_exceptions, "list_exceptions"),
        ("GET", "/metrics", read.get_metrics, None),
        ("GET", "/healthz", read.get_health, None),
        ("GET", "/readyz", read.get_ready, None),
    ]
