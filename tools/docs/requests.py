"""What each HTTP request takes and answers. A route of the code that is missing here is an error."""

from __future__ import annotations

import inspect
from typing import Any, Final, cast

from msgspec import Struct

from distributor.intake.http_api import Route, routes
from distributor.intake.http_auth import ROLES
from distributor.intake.http_parts import Parts


class Note(Struct, frozen=True):
    """A request beyond its route: ``body`` and ``answer`` name components, ``many`` says that arrays
    are taken too; ``query``: parameter -> what it means; ``errors``: statuses besides 200.
    """

    answer: str
    body: str = ""
    many: bool = False
    query: dict[str, str] = {}
    errors: tuple[int, ...] = ()


_READ: Final = (400, 404)
_ACT: Final = (400, 404, 408, 409, 413, 415, 503)
_PAGE: Final = {
    "state": "only leads in this state",
    "status": "only leads of this status",
    "pool": "only leads of this pool",
    "rep": "only leads of this rep",
    "limit": "1 to 1,000; 100 where it is left out",
    "after": "the cursor `next` of the page before",
}

NOTES: Final[dict[str, Note]] = {
    "post_leads": Note(
        "UnifiedReply", "Lead", many=True, errors=(400, 404, 408, 413, 415, 429, 503)
    ),
    "post_events": Note("EventCount", "Event", many=True, errors=(400, 408, 413, 415, 503)),
    "put_presence": Note("PresenceTaken", "Presence", errors=(400, 404, 408, 409, 413, 415, 503)),
    "list_leads": Note("LeadPage", query=_PAGE, errors=(400,)),
    "get_lead": Note("LeadWithHistory", errors=_READ),
    "get_why": Note("Why", query={"rep": "why this rep did not get it"}, errors=_READ),
    "assign": Note("LeadView", "AssignAction", errors=_ACT),
    "recycle": Note("LeadView", "RecycleAction", errors=_ACT),
    "close": Note("LeadView", "CloseAction", errors=_ACT),
    "list_reps": Note("RepPage"),
    "get_rep": Note("RepView", errors=(404,)),
    "pause": Note("RepView", "RepAction", errors=_ACT),
    "resume": Note("RepView", "RepAction", errors=_ACT),
    "override": Note("RepView", "OverrideAction", errors=_ACT),
    "list_exceptions": Note("ExceptionPage"),
    "get_metrics": Note("Metrics"),
    "get_health": Note("Health", errors=(503,)),
    "get_ready": Note("Health", errors=(503,)),
}
"""Handler -> note."""


def table() -> list[Route]:
    """The routes of the code. Their handlers are never called, so they get no parts."""
    return routes(cast("Parts", None))


def name_of(route: Route) -> str:
    """The handler's name, which is the request's."""
    return str(getattr(route[2], "__name__"))  # noqa: B009 - a bound method has one


def summary(route: Route) -> str:
    """What the request does, from the handler's docstring."""
    text = inspect.getdoc(route[2]) or ""
    _, _, after = " ".join(text.split()).partition(": ")
    return after


def roles(route: Route) -> list[str]:
    """The roles of which a token may make this request; empty: no token is needed."""
    return sorted(ROLES[route[3]]) if route[3] is not None else []


def request_table() -> str:
    """The block of ``docs/http.md``."""
    lines = ["| request | does | role of the token |", "|---|---|---|"]
    for route in table():
        who = ", ".join(roles(route)) or "no token needed"
        lines.append(f"| `{route[0]} {route[1]}` | {summary(route)} | {who} |")
    return "\n".join(lines) + "\n"


def errors_of(route: Route) -> list[int]:
    """Every status other than 200, with those that each guarded request can have."""
    found: set[int] = set(NOTES[name_of(route)].errors)
    if route[3] is not None:
        found |= {401, 403}
    return sorted(found)


def parameters(route: Route) -> list[dict[str, Any]]:
    """Path and query parameters as OpenAPI wants them."""
    path = [part[1:-1] for part in route[1].split("/") if part.startswith("{")]
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in path
    ]
    for name, about in NOTES[name_of(route)].query.items():
        kind = "integer" if name == "limit" else "string"
        found.append({"name": name, "in": "query", "description": about, "schema": {"type": kind}})
    return found
