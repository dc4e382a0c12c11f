"""HTTP in: leads, events and presence. Each is answered after it is on disk."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from distributor.domain.decisions import DeadLettered, Decision, EventRecorded, LeadRejected
from distributor.domain.events import Event
from distributor.intake.decode import LeadDefaults, LeadItem, decode_form_lead, decode_leads
from distributor.intake.decode_events import Invalid, decode_events, decode_presence
from distributor.intake.directory import unknown
from distributor.intake.frame import Unreadable, is_array
from distributor.intake.http_auth import CALLER
from distributor.intake.http_parts import (
    Parts,
    answer,
    commit,
    is_json,
    read_body,
    read_json,
    unreadable,
    unsupported,
)
from distributor.intake.problems import Problem, try_later
from distributor.intake.replies import encode_replies

FORM = "application/x-www-form-urlencoded"
_MOST_FORM_FIELDS = 1_000
_POOL_FULL_SECONDS = 5


class IntakeHandlers:
    """The requests of vendors, dialers and rep desktops."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def post_leads(self, request: web.Request) -> web.Response:
        """POST /v1/leads/{vendor}: 200 with the unified reply of each lead."""
        vendor = request.match_info["vendor"]
        request[CALLER].speak_for_vendor(vendor)
        defaults = self._parts.directory().vendor(vendor)
        if defaults is None:
            raise Problem(404, unknown("vendor", vendor))
        leads, array = await self._read_leads(request, vendor, defaults)
        answers = await commit(self._parts.inbox, leads)
        refused = [a for a in answers if isinstance(a, LeadRejected) and a.retryable]
        if refused and len(refused) == len(answers):
            raise try_later(refused[0].reason, _POOL_FULL_SECONDS, 429)
        body = encode_replies(answers, array=array)
        return web.Response(body=body, content_type="application/json")

    async def _read_leads(
        self, request: web.Request, vendor: str, defaults: LeadDefaults
    ) -> tuple[list[LeadItem], bool]:
        """The leads of the body, and whether it is an array of them."""
        now_ns = self._parts.now_ns()
        kind = request.content_type
        if "Content-Type" not in request.headers:
            kind = FORM if defaults.form else "application/json"
        body = await read_body(request)
        # Tools such as curl call JSON a form unless told otherwise; no form begins with a bracket.
        if is_json(kind) or (kind == FORM and body[:1] in (b"{", b"[")):
            leads = decode_leads(vendor, body, "http", now_ns, defaults)
            if isinstance(leads, Unreadable):
                raise unreadable(leads)
            return leads, is_array(body)
        if kind != FORM:
            raise unsupported(kind, f"application/json, {FORM}")
        return [decode_form_lead(vendor, _read_form(body), "http", now_ns, defaults)], False

    async def post_events(self, request: web.Request) -> web.Response:
        """POST /v1/events: 200 with how many counted, and the rejected ones by index."""
        caller = request[CALLER]
        found = decode_events(
            await read_json(request),
            caller.source,
            self._parts.now_ns(),
            may_claim_dialer=caller.may_claim_dialer,
            speaker=caller.speaker,
        )
        if isinstance(found, Unreadable):
            raise unreadable(found)
        rejected: list[dict[str, Any]] = []
        events: list[Event] = []
        places: list[tuple[int, str]] = []
        directory = self._parts.directory()
        for index, event in enumerate(found):
            if isinstance(event, Invalid):
                rejected.append(_rejected(index, event.event_id, event.reason))
            elif event.rep and not directory.knew_rep(event.rep):
                rejected.append(_rejected(index, event.event_id, unknown("rep", event.rep)))
            else:
                events.append(caller.scoped(event))
                places.append((index, event.event_id))
        answers = await commit(self._parts.inbox, events)
        return answer(_count(answers, places, rejected))

    async def put_presence(self, request: web.Request) -> web.Response:
        """PUT /v1/reps/{rep}/presence: 200 with ``accepted``, or ``stale`` for an older report."""
        rep = request.match_info["rep"]
        caller = request[CALLER]
        caller.speak_for_rep(rep)
        if not self._parts.directory().knows_rep(rep):
            raise Problem(404, unknown("rep", rep))
        body = await read_json(request)
        presence = decode_presence(body, rep, caller.source, self._parts.now_ns())
        if isinstance(presence, Unreadable):
            raise unreadable(presence)
        if isinstance(presence, Invalid):
            raise Problem(400, presence.reason)
        (said,) = await commit(self._parts.inbox, [presence])
        outcome, reason = _verdict(said)
        if outcome == "rejected":
            raise Problem(409, reason)
        return answer({"outcome": outcome, "rep": rep, "state": presence.state})


def _read_form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FORM_FIELDS,
        )
    except UnicodeDecodeError:
        raise Problem(400, "body: not UTF-8; send UTF-8") from None
    except ValueError:
        raise Problem(400, f"body: more than {_MOST_FORM_FIELDS} fields; send fewer") from None
    if not pairs:
        raise Problem(400, "body: no form fields; send at least id and phone or email")
    return dict(pairs)


def _rejected(index: int, event_id: str, reason: str) -> dict[str, Any]:
    return {"index": index, "event_id": event_id or None, "reason": reason}


def _verdict(said: Decision) -> tuple[str, str]:
    """(outcome, reason) of an answer to an event; what is recorded without a verdict counts."""
    if isinstance(said, EventRecorded):
        return said.outcome, said.reason
    if isinstance(said, DeadLettered):
        return "rejected", said.reason
    return "accepted", ""


def _count(
    answers: Any, places: list[tuple[int, str]], rejected: list[dict[str, Any]]
) -> dict[str, Any]:
    accepted = duplicate = 0
    for said, (index, event_id) in zip(answers, places, strict=True):
        outcome, reason = _verdict(said)
        if outcome == "rejected":
            rejected.append(_rejected(index, event_id, reason))
        elif outcome == "duplicate":
            duplicate += 1
        else:
            accepted += 1
    rejected.sort(key=lambda item: int(item["index"]))
    return {"accepted": accepted, "duplicate": duplicate, "rejected": rejected}
