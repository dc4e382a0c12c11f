"""Errors over HTTP: problem details of RFC 9457, for ours and for those of the HTTP library."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from distributor.intake.wording import shown

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SEE_LIST = "see docs/http.md for the list of requests"
_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a line of the HTTP library is about us. Bytes that are no HTTP were answered with 400;
    they are no fault here, and strangers must not fill the log."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError)


library_log = logging.getLogger("distributor.http")
"""Where the HTTP library writes."""
library_log.addFilter(_is_ours)


class Problem(Exception):
    """An answer other than the wanted one. ``detail`` is one line with the remedy."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    def response(self) -> web.Response:
        """The problem as ``application/problem+json``."""
        body = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }
        return web.Response(
            status=self.status,
            body=_encode(body),
            content_type="application/problem+json",
            headers=self.headers,
        )


def try_later(detail: str, seconds: int, status: int = 503) -> Problem:
    """We take nothing now; ``seconds`` is when to come back."""
    return Problem(status, detail, headers={"Retry-After": str(seconds)})


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error with problem details; nobody outside sees a traceback."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _from_library(request, error).response()
    except (ConnectionError, web.RequestPayloadError):
        # Cut off or garbled in the middle: nothing is wrong here.
        return Problem(400, "the body ended too early; send it whole").response()
    except Exception:  # noqa: BLE001 - the last line before the outside
        _log.exception("request failed: %s %s", request.method, request.path)
        return Problem(500, "our mistake; see the daemon's log").response()


def _from_library(request: web.Request, error: web.HTTPException) -> Problem:
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        detail = f"{request.method} does nothing here; use {allowed}, {_SEE_LIST}"
        return Problem(error.status, detail, headers={"Allow": allowed})
    if isinstance(error, web.HTTPNotFound):
        return Problem(404, f"nothing is at {shown(request.path)}; {_SEE_LIST}")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        most = request.client_max_size
        return Problem(413, f"the body is over {most} bytes; send less at a time")
    return Problem(error.status, error.reason or "the request was not understood")
