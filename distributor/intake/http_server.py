"""One HTTP connection: how long it may keep us waiting, and what is answered to bytes that are no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from distributor.intake.problems import Problem, library_log

SILENT_SECONDS: Final = 75.0
"""The longest from a connection's start, or from its last answer, to the end of the next request's
head. Longer than proxies keep their idle connections to us, which is usually a minute."""

ANSWER_SECONDS: Final = 60.0
"""The longest that a client may take to receive an answer."""

CONNECTION_ARGS: Final[dict[str, Any]] = {
    "keepalive_timeout": SILENT_SECONDS,
    # ``content_coding`` unpacks: the library answers a broken body with a traceback in the log.
    "auto_decompress": False,
    "logger": library_log,
    "access_log": None,
}


class Connection(web.RequestHandler):
    """One connection. What the library would answer in its own words, it answers in ours.

    ``waits_since``: the loop's time since which it waits for a request; None while one is at work, or
    its answer on the way. ``on_lost`` is called once, when the connection is over.
    """

    __slots__ = ("_on_lost", "_unread", "_wire", "waits_since")

    def __init__(
        self,
        server: web.Server,
        on_lost: Callable[[Connection], None],
        *,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(server, loop=loop, **CONNECTION_ARGS)
        self.waits_since: float | None = loop.time()
        self._on_lost = on_lost
        self._unread: asyncio.TimerHandle | None = None
        self._wire: asyncio.Transport | None = None

    def hang_up(self) -> bool:
        """End it now, whatever is unsent. False where it is not made yet."""
        if self._wire is not None:
            self._wire.abort()
        return self._wire is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast("asyncio.Transport", transport)  # the library forgets its own on closing
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._unread is not None:
            self._unread.cancel()
        self._on_lost(self)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPExpectationFailed):  # raised before any handler of ours
            resp = Problem(417, "Expect: only 100-continue is known here; leave it out").response()
        if self._unread is not None:
            self._unread.cancel()
        self._unread = self._loop.call_later(ANSWER_SECONDS, self._hang_up_unread)
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self.waits_since = self._loop.time()
            if not self._has_unread():
                self._unread.cancel()

    def _has_unread(self) -> bool:
        return self._wire is not None and self._wire.get_write_buffer_size() > 0

    def _hang_up_unread(self) -> None:
        """Closing would wait until the client has read what is left: for ever, where it does not."""
        if self._has_unread():
            self.hang_up()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, message)  # it logs what is ours to know
        if isinstance(exc, LineTooLong):
            detail = "a line of the request is over 8190 bytes; send shorter ones"
        elif status < 500:
            detail = "the request is no HTTP/1.1; send a method, a path, Host and other headers"
        else:
            detail = "our mistake; see the daemon's log"
        answer = Problem(status, detail).response()
        answer.force_close()
        return answer


def note_work(server: web.Server) -> None:
    """Have the connections of ``server`` know when a request is at work."""
    handle = server.request_handler

    async def at_work(request: web.BaseRequest) -> web.StreamResponse:
        cast("Connection", request.protocol).waits_since = None
        return await handle(request)

    server.request_handler = at_work
