"""Who may do what over HTTP: bearer tokens, their roles, and the one table of roles."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final, Literal

from aiohttp import web
from aiohttp.typedefs import Middleware
from msgspec import Struct
from msgspec.structs import replace

from distributor.domain.events import LeadEvent, PresenceReported
from distributor.intake.problems import Handler, Problem

Role = Literal["vendor", "dialer", "rep", "supervisor", "decider", "admin"]

ROLES: Final[dict[str, frozenset[Role]]] = {
    "post_leads": frozenset({"vendor", "admin"}),
    "post_events": frozenset({"dialer", "rep", "supervisor", "admin"}),
    "put_presence": frozenset({"dialer", "rep", "supervisor", "admin"}),
    "get_lead": frozenset({"dialer", "rep", "supervisor", "decider", "admin"}),
    "get_why": frozenset({"rep", "supervisor", "decider", "admin"}),
    "list_leads": frozenset({"supervisor", "decider", "admin"}),
    "list_reps": frozenset({"supervisor", "decider", "admin"}),
    "get_rep": frozenset({"dialer", "rep", "supervisor", "decider", "admin"}),
    "control_rep": frozenset({"supervisor", "admin"}),
    "act_on_lead": frozenset({"supervisor", "admin"}),
    "list_exceptions": frozenset({"supervisor", "decider", "admin"}),
}
"""What each right takes; a route carries one of these rights, or none (open to everybody)."""


class Token(Struct, frozen=True):
    """A configured token. ``vendor``, ``rep``: whom a token of that role speaks for ("": the one with
    the token's own name)."""

    name: str
    role: Role
    secret: str
    vendor: str = ""
    rep: str = ""

    def __repr__(self) -> str:
        return f"Token({self.name!r}, {self.role!r})"


class Caller(Struct, frozen=True):
    """Who sends a request. Without configured tokens everybody is ``anybody`` and may do all.
    ``vendor``, ``rep``: for whom a caller of that role speaks."""

    name: str = "http"
    role: Role | Literal["anybody"] = "anybody"
    vendor: str = ""
    rep: str = ""

    @property
    def source(self) -> str:
        """What scopes the ids of this caller's events."""
        return self.name if self.role == "anybody" else f"token:{self.name}"

    def scoped(self, event: LeadEvent | PresenceReported) -> LeadEvent | PresenceReported:
        """The event with what scopes its id. Over open HTTP nobody says who speaks; reps count their
        own events, so there every rep that is named is a scope."""
        if self.role == "anybody" and event.rep:
            return replace(event, source=f"{event.source}:{event.rep}")
        return event

    @property
    def speaker(self) -> str:
        """The rep who speaks; "" for a caller who is no rep and may name any."""
        return self.rep if self.role == "rep" else ""

    @property
    def may_claim_dialer(self) -> bool:
        """Whether this caller's contacts may carry a dialer's evidence."""
        return self.role in ("anybody", "dialer")

    def speak_for_vendor(self, vendor: str) -> None:
        """Refuse a vendor's token for another vendor (``Problem`` 403)."""
        if self.role == "vendor" and self.vendor != vendor:
            raise forbidden(f"token {self.name} is not vendor {vendor}'s; use that vendor's own")

    def speak_for_rep(self, rep: str) -> None:
        """Refuse a rep's token for another rep (``Problem`` 403)."""
        if self.role == "rep" and self.rep != rep:
            raise forbidden(f"token {self.name} is not rep {rep}'s; use that rep's own")


CALLER: Final = web.RequestKey("caller", Caller)


class Tokens:
    """The tokens in force. They are looked up by digest, so that time tells nothing about them."""

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self._by_digest = {sha256(token.secret.encode()).digest(): token for token in tokens}

    def caller(self, authorization: str | None) -> Caller | None:
        """Who the header speaks for; None where it names no token of ours."""
        if not self._by_digest:
            return Caller()
        scheme, _, secret = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        presented = secret.strip().encode("utf-8", "surrogateescape")
        token = self._by_digest.get(sha256(presented).digest())
        if (
            not presented
            or token is None
            or not hmac.compare_digest(presented, token.secret.encode())
        ):
            return None
        name = token.name
        return Caller(name, token.role, token.vendor or name, token.rep or name)


def forbidden(detail: str) -> Problem:
    """The token is known but may not do this."""
    challenge = 'Bearer realm="distributor", error="insufficient_scope"'
    return Problem(403, detail, headers={"WWW-Authenticate": challenge})


def authorise(tokens: Callable[[], Tokens], rights: dict[object, str]) -> Middleware:
    """A middleware that lets in who has the right that the route's handler takes."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        right = rights.get(request.match_info.handler)
        if right is None:
            return await handler(request)
        header = request.headers.get("Authorization")
        caller = tokens().caller(header)
        if caller is None:
            raise _unauthorised(header)
        if caller.role != "anybody" and caller.role not in ROLES[right]:
            may = " or ".join(sorted(ROLES[right]))
            raise forbidden(f"role {caller.role} may not do this; use a token of role {may}")
        request[CALLER] = caller
        return await handler(request)

    return check


def _unauthorised(header: str | None) -> Problem:
    challenge = 'Bearer realm="distributor"'
    if header is None:
        detail = "no token; send Authorization: Bearer TOKEN"
    else:
        challenge += ', error="invalid_token"'
        detail = "the token is not known; send one that is configured"
    return Problem(401, detail, headers={"WWW-Authenticate": challenge})
