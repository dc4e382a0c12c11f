"""HTTP out: what people and systems look up. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from aiohttp import web

from distributor.domain.lead import LEAD_STATES, LeadStatus
from distributor.intake.http_auth import CALLER, forbidden
from distributor.intake.http_parts import Parts, View, answer, not_known
from distributor.intake.problems import Problem
from distributor.intake.wording import shown

_DEFAULT_LIMIT = 100
_MOST_LIMIT = 1_000
_MOST_NAMES = 12
_STATUSES: tuple[str, ...] = get_args(LeadStatus)


class ReadHandlers:
    """The GET requests."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def get_lead(self, request: web.Request) -> web.Response:
        """GET /v1/leads/{lead_key}: the lead with its history."""
        _parameters(request)
        lead = await self._lead(request)
        history = await self._parts.reader.history(request.match_info["lead_key"])
        return answer({**lead, "history": history})

    async def get_why(self, request: web.Request) -> web.Response:
        """GET /v1/leads/{lead_key}/why[?rep=]: the decision record."""
        rep = _parameters(request, "rep").get("rep")
        lead = await self._lead(request)
        if rep is not None and not await self._knows_rep(rep):
            raise not_known("rep", rep)
        record = await self._parts.reader.why(str(lead["lead_key"]), rep)
        if record is None:
            key = lead["lead_key"]
            raise Problem(404, f"nothing was decided about lead {key} yet; ask again later")
        return answer(record)

    async def list_leads(self, request: web.Request) -> web.Response:
        """GET /v1/leads: a page of leads."""
        query = _parameters(request, "state", "status", "pool", "rep", "limit", "after")
        state = _one_of("state", query.get("state"), LEAD_STATES)
        status = _one_of("status", query.get("status"), _STATUSES)
        limit = _limit(query.get("limit"))
        pool, rep, after = query.get("pool"), query.get("rep"), query.get("after")
        await self._refuse_strangers(pool, rep, after)
        items, cursor = await self._parts.reader.leads(
            state=state, status=status, pool=pool, rep=rep, limit=limit, after=after
        )
        return answer({"items": items, "next": cursor})

    async def list_reps(self, request: web.Request) -> web.Response:
        """GET /v1/reps: every rep."""
        _parameters(request)
        return answer({"items": self._parts.reps()})

    async def get_rep(self, request: web.Request) -> web.Response:
        """GET /v1/reps/{rep}: state, pipeline, flow with its reason and what restores it."""
        _parameters(request)
        rep = request.match_info["rep"]
        request[CALLER].speak_for_rep(rep)
        view = self._parts.rep(rep)
        if view is None:
            raise not_known("rep", rep)
        return answer(view)

    async def list_exceptions(self, request: web.Request) -> web.Response:
        """GET /v1/exceptions: the open cases of the exception desk."""
        _parameters(request)
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

    async def _refuse_strangers(self, pool: str | None, rep: str | None, after: str | None) -> None:
        """Raise ``Problem`` 400 for a filter that can find nothing. Who is off the floor, and a pool
        that is no longer configured, can still be asked for."""
        pools = self._parts.directory().pools
        if pool is not None and pool not in pools and not await self._has_leads(pool):
            remedy = f"send one of {', '.join(pools[:_MOST_NAMES])}"
            raise Problem(400, f"pool: {shown(pool)} is not configured and has no leads; {remedy}")
        if rep is not None and not await self._knows_rep(rep):
            raise Problem(400, f"rep: {shown(rep)} is not known; see GET /v1/reps")
        if after is not None and await self._parts.reader.lead(after) is None:
            remedy = 'send the "next" of the page before'
            raise Problem(400, f"after: {shown(after)} is no cursor; {remedy}")

    async def _has_leads(self, pool: str) -> bool:
        items, _ = await self._parts.reader.leads(
            state=None, status=None, pool=pool, rep=None, limit=1, after=None
        )
        return bool(items)

    async def _knows_rep(self, rep: str) -> bool:
        return self._parts.directory().knows_rep(rep) or await self._parts.reader.knows_rep(rep)

    async def _lead(self, request: web.Request) -> View:
        key = request.match_info["lead_key"]
        lead = await self._parts.reader.lead(key)
        if lead is None:
            raise not_known("lead_key", key)
        caller = request[CALLER]
        if caller.role == "rep" and lead.get("rep") != caller.rep:
            raise forbidden(f"lead {key} is not {caller.rep}'s; ask a supervisor")
        return lead


def _parameters(request: web.Request, *known: str) -> dict[str, str]:
    """The parameters of a read that say something. Raises ``Problem`` 400 for one that it does not
    take, or that comes twice: what is passed over in silence is believed to have had its effect.

    Not for /metrics and the probes: nobody's monitoring should go blind over a parameter.
    """
    query = request.query
    for name in query:
        if name not in known:
            meant = get_close_matches(name, known, n=1)
            guess = f"did you mean {meant[0]}? " if meant else ""
            listed = f"use {', '.join(known)}" if known else "leave it out"
            raise Problem(400, f"{shown(name)}: no such parameter; {guess}{listed}")
        if len(query.getall(name)) > 1:
            raise Problem(400, f"{name}: comes more than once; send it once")
    return {name: value for name, value in query.items() if value}


def _state(word: str, reasons: list[str]) -> web.Response:
    if reasons:
        raise Problem(503, "; ".join(reasons), headers={"Retry-After": "1"}, reasons=reasons)
    body: dict[str, Any] = {"status": word, "reasons": []}
    return answer(body)


def _one_of(name: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    if not value:
        return None
    if value not in allowed:
        choices = ", ".join(allowed)
        raise Problem(400, f"{name}: {shown(value)} is none of them; send one of {choices}")
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
