"""What each HTTP request takes and answers. A route of the code that is missing here is an error."""

from __future__ import annotations

import inspect
import re
from typing import Any, Final, cast, get_args

from msgspec import Struct

from distributor.domain.ids import NAME_PATTERN
from distributor.domain.lead import LEAD_STATES, LeadStatus
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
    "limit": "leads on the page",
    "after": "the cursor `next` of the page before",
}

_NAMED: Final = re.compile(r"\{(\w+)\}")
_PATTERNS: Final = {"vendor": NAME_PATTERN, "rep": NAME_PATTERN, "lead_key": "^[A-Za-z0-9]{1,20}$"}
_QUERY: Final[dict[str, dict[str, Any]]] = {
    "state": {"enum": list(LEAD_STATES)},
    "status": {"enum": list(get_args(LeadStatus))},
    "limit": {"type": "integer", "minimum": 1, "maximum": 1_000, "default": 100},
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
    "list_reps": Note("RepPage", errors=(400,)),
    "get_rep": Note("RepView", errors=_READ),
    "pause": Note("RepView", "RepAction", errors=_ACT),
    "resume": Note("RepView", "RepAction", errors=_ACT),
    "override": Note("RepView", "OverrideAction", errors=_ACT),
    "list_exceptions": Note("ExceptionPage", errors=(400,)),
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


def address(route: Route) -> str:
    """The path as OpenAPI wants it: paths that differ in the names of their parameters alone are one
    there, and the parameter is called by each of its names."""
    ways = [_parts(other[1]) for other in table() if _form(other[1]) == _form(route[1])]
    alike = ["_or_".join(dict.fromkeys(names)) for names in zip(*ways, strict=True)]
    return _NAMED.sub(lambda _: f"{{{alike.pop(0)}}}", route[1])


def parameters(route: Route) -> list[dict[str, Any]]:
    """Path and query parameters as OpenAPI wants them."""
    found: list[dict[str, Any]] = []
    for called, name in zip(_parts(address(route)), _parts(route[1]), strict=True):
        note = {} if called == name else {"description": f"The {name}."}
        kind = {"type": "string", "pattern": _PATTERNS[name]}
        found.append({"name": called, "in": "path", "required": True, **note, "schema": kind})
    for name, about in NOTES[name_of(route)].query.items():
        kind = _QUERY.get(name, {"type": "string"})
        query = {"name": name, "in": "query", "description": about}
        found.append({**query, "allowEmptyValue": True, "schema": kind})
    return found


def _parts(path: str) -> list[str]:
    return _NAMED.findall(path)


def _form(path: str) -> str:
    return _NAMED.sub("{}", path)
