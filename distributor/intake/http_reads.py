"""HTTP out: what people and systems look up. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, get_args

from aiohttp import web

from distributor.domain.lead import LEAD_STATES, LeadStatus
from distributor.intake.http_auth import CALLER, forbidden
from distributor.intake.http_parts import Parts, View, answer
from distributor.intake.problems import Problem

_DEFAULT_LIMIT = 100
_MOST_LIMIT = 1_000
_STATUSES: tuple[str, ...] = get_args(LeadStatus)


class ReadHandlers:
    """The GET requests."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def get_lead(self, request: web.Request) -> web.Response:
        """GET /v1/leads/{lead_key}: the lead with its history."""
        lead = await self._lead(request)
        history = await self._parts.reader.history(request.match_info["lead_key"])
        return answer({**lead, "history": history})

    async def get_why(self, request: web.Request) -> web.Response:
        """GET /v1/leads/{lead_key}/why[?rep=]: the decision record."""
        lead = await self._lead(request)
        rep = request.query.get("rep") or None
        if rep is not None and not self._parts.directory().knows_rep(rep):
            raise Problem(404, f"rep: {rep[:64]} is not known; see GET /v1/reps")
        record = await self._parts.reader.why(str(lead["lead_key"]), rep)
        if record is None:
            raise Problem(404, f"nothing was decided about lead {lead['lead_key']} yet")
        return answer(record)

    async def list_leads(self, request: web.Request) -> web.Response:
        """GET /v1/leads: a page of leads."""
        query = request.query
        items, cursor = await self._parts.reader.leads(
            state=_one_of("state", query.get("state"), LEAD_STATES),
            status=_one_of("status", query.get("status"), _STATUSES),
            pool=query.get("pool") or None,
            rep=query.get("rep") or None,
            limit=_limit(query.get("limit")),
            after=query.get("after") or None,
        )
        return answer({"items": items, "next": cursor})

    async def list_reps(self, request: web.Request) -> web.Response:
        """GET /v1/reps: every rep."""
        return answer({"items": self._parts.reps()})

    async def get_rep(self, request: web.Request) -> web.Response:
        """GET /v1/reps/{rep}: state, pipeline, flow with its reason and what restores it."""
        rep = request.match_info["rep"]
        request[CALLER].speak_for_rep(rep)
        view = self._parts.rep(rep)
        if view is None:
            raise Problem(404, f"rep: {rep[:64]} is not known; see GET /v1/reps")
        return answer(view)

    async def list_exceptions(self, request: web.Request) -> web.Response:
        """GET /v1/exceptions: the open cases of the exception desk."""
        return answer({"items": await self._parts.reader.exceptions()})

    async def get_metrics(self, request: web.Request) -> web.Response:
        """GET /metrics: the Prometheus text format."""
        compressed = "gzip" in request.headers.get("Accept-Encoding", "")
        text, content_type = await self._parts.metrics(compressed)
        headers = {"Content-Type": content_type, "Vary": "Accept-Encoding"}
        if compressed:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=_each(text), headers=headers)

    async def get_health(self, request: web.Request) -> web.Response:
        """GET /healthz: whether the process works."""
        return _state("healthy", self._parts.health())

    async def get_ready(self, request: web.Request) -> web.Response:
        """GET /readyz: whether leads are taken and given out."""
        return _state("ready", self._parts.ready())

    async def _lead(self, request: web.Request) -> View:
        key = request.match_info["lead_key"]
        lead = await self._parts.reader.lead(key)
        if lead is None:
            raise Problem(404, f"lead_key: {key[:64]} is not known; see GET /v1/leads")
        caller = request[CALLER]
        if caller.role == "rep" and lead.get("rep") != caller.rep:
            raise forbidden(f"lead {key} is not {caller.rep}'s; ask a supervisor")
        return lead


def _state(word: str, reasons: list[str]) -> web.Response:
    if reasons:
        raise Problem(503, "; ".join(reasons), headers={"Retry-After": "1"}, reasons=reasons)
    body: dict[str, Any] = {"status": word, "reasons": []}
    return answer(body)


def _one_of(name: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    if not value:
        return None
    if value not in allowed:
        raise Problem(400, f"{name}: {value[:64]!r} is none; send one of {', '.join(allowed)}")
    return value


def _limit(text: str | None) -> int:
    if not text:
        return _DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= _MOST_LIMIT):
        raise Problem(400, f"limit: not usable; send a number from 1 to {_MOST_LIMIT}")
    return int(text)


async def _each(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    """Sent one after the other, each as soon as the client has taken enough of those before."""
    for piece in pieces:
        yield piece
