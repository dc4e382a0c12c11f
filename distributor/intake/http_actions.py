"""What supervisors do over HTTP: each action is an event, journalled with who, when and why."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from aiohttp import web
from msgspec import Meta, Struct

from distributor.domain.decisions import DeadLettered, EventRecorded
from distributor.domain.events import SupervisorActed, SupervisorAction
from distributor.domain.ids import NANOSECONDS
from distributor.intake.decode_events import FARTHEST_NS
from distributor.intake.http_auth import CALLER
from distributor.intake.http_parts import Parts, View, answer, commit, not_known, read_object
from distributor.intake.messages import Instant, Name, Reason, moment_ns
from distributor.intake.problems import Problem

LONGEST_OVERRIDE_DAYS: Final = 31
_LONGEST_OVERRIDE_NS: Final = LONGEST_OVERRIDE_DAYS * 86_400 * NANOSECONDS


class RepAction(Struct):
    """The body of pause and resume. A pause without ``until`` lasts until somebody ends it."""

    reason: Reason | None = None
    until: Instant | None = None


class OverrideAction(Struct):
    """The body of override. It has a reason and an end: a flow set by hand outlives its cause easily."""

    flow: Annotated[float, Meta(ge=0, le=1, description="The rep's flow from 0 to 1.")]
    reason: Annotated[Reason, Meta(min_length=1)]
    until: Annotated[Instant, Meta(description="Its end, within the next 31 days.")]


class AssignAction(Struct):
    """The body of assign. ``force``: also to a rep who is not ready, and of a lead that must not
    be called (``dnc``)."""

    rep: Name
    reason: Reason | None = None
    force: bool = False


class RecycleAction(Struct):
    """The body of recycle."""

    reason: Reason | None = None


class CloseAction(Struct):
    """The body of close."""

    status: Literal["converted", "lost", "invalid", "dnc", "unqualified"]
    reason: Reason | None = None


class ActionHandlers:
    """The POST requests of supervisors."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def pause(self, request: web.Request) -> web.Response:
        """POST /v1/reps/{rep}/pause: the rep receives nothing until resumed, or until a time."""
        return await self._control(request, "pause")

    async def resume(self, request: web.Request) -> web.Response:
        """POST /v1/reps/{rep}/resume: ends a pause or an override."""
        return await self._control(request, "resume")

    async def override(self, request: web.Request) -> web.Response:
        """POST /v1/reps/{rep}/override: a flow set by hand, with a reason and an end."""
        rep = request.match_info["rep"]
        self._known_rep(rep)
        body = await read_object(request, OverrideAction)
        if not body.reason.strip():
            raise Problem(400, "reason: empty; say why in 1 to 500 characters")
        until_ns = moment_ns(body.until)
        now_ns = self._parts.now_ns()
        if not now_ns < until_ns <= now_ns + _LONGEST_OVERRIDE_NS:
            span = f"the next {LONGEST_OVERRIDE_DAYS} days"
            raise Problem(400, f"until: not within {span}; send a later or nearer time")
        who = request[CALLER].name
        await self._act(
            SupervisorActed(
                "override", who, body.reason, rep=rep, until_ns=until_ns, flow=body.flow
            )
        )
        return answer(self._known_rep(rep))

    async def assign(self, request: web.Request) -> web.Response:
        """POST /v1/leads/{lead_key}/assign: 409 for a rep who is not ready, or a lead with the
        status ``dnc``, unless forced."""
        key = await self._known_lead(request)
        body = await read_object(request, AssignAction)
        if self._parts.rep(body.rep) is None:
            raise not_known("rep", body.rep)
        who = request[CALLER].name
        event = SupervisorActed(
            "assign", who, body.reason or "", rep=body.rep, lead_key=key, force=body.force
        )
        return await self._act_on_lead(event)

    async def recycle(self, request: web.Request) -> web.Response:
        """POST /v1/leads/{lead_key}/recycle: the lead waits in its pool again; 409 for one with the
        status ``dnc``."""
        key = await self._known_lead(request)
        body = await read_object(request, RecycleAction)
        who = request[CALLER].name
        return await self._act_on_lead(
            SupervisorActed("recycle", who, body.reason or "", lead_key=key)
        )

    async def close(self, request: web.Request) -> web.Response:
        """POST /v1/leads/{lead_key}/close: with a status that closes."""
        key = await self._known_lead(request)
        body = await read_object(request, CloseAction)
        who = request[CALLER].name
        return await self._act_on_lead(
            SupervisorActed("close", who, body.reason or "", lead_key=key, status=body.status)
        )

    async def _control(self, request: web.Request, action: SupervisorAction) -> web.Response:
        rep = request.match_info["rep"]
        self._known_rep(rep)
        body = await read_object(request, RepAction)
        until_ns = self._until_ns(body.until)
        who = request[CALLER].name
        await self._act(SupervisorActed(action, who, body.reason or "", rep=rep, until_ns=until_ns))
        return answer(self._known_rep(rep))

    def _until_ns(self, until: datetime | None) -> int:
        if until is None:
            return 0
        until_ns = moment_ns(until)
        now_ns = self._parts.now_ns()
        if not now_ns < until_ns < now_ns + FARTHEST_NS:
            raise Problem(400, "until: not within the next five years; send a later or nearer time")
        return until_ns

    def _known_rep(self, rep: str) -> View:
        view = self._parts.rep(rep)
        if view is None:
            raise not_known("rep", rep)
        return view

    async def _known_lead(self, request: web.Request) -> str:
        key = request.match_info["lead_key"]
        if await self._parts.reader.lead(key) is None:
            raise not_known("lead_key", key)
        return key

    async def _act_on_lead(self, event: SupervisorActed) -> web.Response:
        await self._act(event)
        return answer(await self._parts.reader.lead(event.lead_key))

    async def _act(self, event: SupervisorActed) -> None:
        """Commit the action. Raises ``Problem`` 409 where the core refuses it."""
        (said,) = await commit(self._parts.inbox, [event])
        if isinstance(said, DeadLettered) or (
            isinstance(said, EventRecorded) and said.outcome == "rejected"
        ):
            raise Problem(409, said.reason)
