"""What the HTTP handlers share: their parts, bodies, answers, waiting for the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct, ValidationError

from distributor.domain.events import Event
from distributor.intake.content_coding import decoded
from distributor.intake.directory import Directory
from distributor.intake.frame import Unreadable, inspect, readable
from distributor.intake.problems import Problem, try_later
from distributor.intake.wording import explain, named, remedies_of
from distributor.runtime.inbox import Answers, Inbox, Submission

View = Mapping[str, Any]
"""A value as the contract shows it: JSON names to JSON values."""

BODY_SECONDS: Final = 30.0
"""The longest from a request's head to the end of its body."""
_FULL_SECONDS = 1
_CLOSED_SECONDS = 5
_STATUS_OF = {"items": 413}
_encode = msgspec.json.Encoder().encode
_T = TypeVar("_T", bound=Struct)


class Reader(Protocol):
    """What the store shows of the committed past. ``why`` is None where nothing is known."""

    async def lead(self, lead_key: str) -> View | None:
        """One lead."""

    async def history(self, lead_key: str) -> Sequence[View]:
        """What happened to a lead, oldest first: ``at``, ``type``, ``because`` and more."""

    async def leads(
        self,
        *,
        state: str | None,
        status: str | None,
        pool: str | None,
        rep: str | None,
        limit: int,
        after: str | None,
    ) -> tuple[Sequence[View], str | None]:
        """A page of leads in the order of their keys, and the cursor of the next page."""

    async def why(self, lead_key: str, rep: str | None) -> View | None:
        """The decision record: who got the lead and why; with ``rep``, why that one did not."""

    async def knows_rep(self, rep: str) -> bool:
        """Whether ``rep`` is or once was on the floor."""

    async def exceptions(self) -> Sequence[View]:
        """The open cases of the exception desk."""


class Parts(Struct, frozen=True):
    """What the handlers work with. The callables give what is in force when they are called.

    ``reps``, ``rep``: the reps as the contract shows them (None: unknown rep). ``metrics``: the
    exposition (packed with gzip where True is handed in) and its content type. ``health``,
    ``ready``: the reasons against, empty for none. ``now_ns``: the clock that the times in messages
    are told by.
    """

    inbox: Inbox
    directory: Callable[[], Directory]
    reader: Reader
    reps: Callable[[], Sequence[View]]
    rep: Callable[[str], View | None]
    metrics: Callable[[bool], Awaitable[tuple[Sequence[bytes], str]]]
    health: Callable[[], list[str]]
    ready: Callable[[], list[str]]
    now_ns: Callable[[], int]


def answer(value: Any) -> web.Response:
    """200 with ``value`` as JSON."""
    return web.Response(body=_encode(value), content_type="application/json")


def not_known(field: str, name: str) -> Problem:
    """404 for a ``rep`` or a ``lead_key`` that is nobody's, with where those that are can be seen."""
    where = "GET /v1/reps" if field == "rep" else "GET /v1/leads"
    return Problem(404, f"{field}: {named(name)} is not known; see {where}")


async def commit(inbox: Inbox, events: Sequence[Event]) -> Answers:
    """Hand the events in and return their answers once they are on disk.

    Raises ``Problem`` 503 when nothing is taken. A caller who is gone loses nothing: what was taken
    is committed all the same.
    """
    if not events:
        return []
    committed: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()

    def done(answers: Answers) -> None:
        if not committed.done():
            committed.set_result(answers)

    if not inbox.offer(Submission(events, done=done, channel="http")):
        if inbox.open:
            raise try_later("too much is waiting; try again shortly", _FULL_SECONDS)
        raise try_later("the daemon is stopping or starting; try again shortly", _CLOSED_SECONDS)
    return await committed


async def read_body(request: web.Request) -> bytes:
    """The body, unpacked. Raises ``Problem`` 413, 408 for one that does not come, or 415 and 400 for
    its ``Content-Encoding``."""
    coding = ", ".join(request.headers.getall("Content-Encoding", ()))
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await request.read()
    except TimeoutError:
        detail = f"the body did not come within {BODY_SECONDS:.0f} s; send less at a time"
        raise Problem(408, detail, headers={"Connection": "close"}) from None
    return decoded(body, coding, request.client_max_size)


async def read_json(request: web.Request) -> bytes:
    """The body of a request that must be JSON. Raises ``Problem`` 415 for another type."""
    body = await read_body(request)
    if body and "Content-Type" in request.headers and not is_json(request.content_type):
        raise unsupported(request.content_type, "application/json")
    return body


def is_json(content_type: str) -> bool:
    """Whether a media type is JSON."""
    return content_type == "application/json" or content_type.endswith("+json")


def unsupported(content_type: str, wanted: str) -> Problem:
    """415: another media type is wanted."""
    detail = f"content type {content_type} is not read here; send {wanted}"
    return Problem(415, detail, headers={"Accept": wanted})


def unreadable(problem: Unreadable) -> Problem:
    """400 for what cannot be decoded, 413 for too many items."""
    return Problem(_STATUS_OF.get(problem.kind, 400), problem.reason)


async def read_object(request: web.Request, kind: type[_T]) -> _T:
    """The JSON object in the body as ``kind``; an empty body is an empty object.

    Raises ``Problem`` 400 with the field and what is wrong with it.
    """
    body = await read_json(request) or b"{}"
    whole = inspect(body) or readable(body)
    if isinstance(whole, Unreadable):
        raise unreadable(whole)
    try:
        return msgspec.json.decode(whole, type=kind)
    except ValidationError as error:
        raise Problem(400, explain(error, remedies_of(kind), "body")) from None
