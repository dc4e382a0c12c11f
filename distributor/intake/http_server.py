"""The listener: how many connections there may be, how long they may be silent, and what is answered
to bytes that are no HTTP.

Every connection costs a file of the process, and the store and the broker need files as well: who
opens more than there is room for is turned away at once.
"""

from __future__ import annotations

import asyncio
import resource
import ssl
import time
from typing import Any, Final, cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from distributor.intake.problems import Problem, library_log

MAX_CONNECTIONS: Final = 1_000
RESERVED_FILES: Final = 64
"""Files that are not for connections: the store's, the broker's, the webhooks', the log."""

SILENT_SECONDS: Final = 75.0
"""The longest from a connection's start, or from its last answer, to the end of the next request's
head. Longer than proxies keep their idle connections to us, which is usually a minute."""

HANDSHAKE_SECONDS: Final = 10.0
_TELL_SECONDS: Final = 60.0
_LATER: Final = "2"

CONNECTION_ARGS: Final[dict[str, Any]] = {
    "keepalive_timeout": SILENT_SECONDS,
    # ``content_coding`` unpacks: the library answers a broken body with a traceback in the log.
    "auto_decompress": False,
    "logger": library_log,
    "access_log": None,
}


class Connection(web.RequestHandler):
    """One connection. What the library would answer in its own words, it answers in ours."""

    __slots__ = ()

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

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPExpectationFailed):  # raised before any handler of ours
            resp = Problem(417, "Expect: only 100-continue is known here; leave it out").response()
        return await super().finish_response(request, resp, start_time)


class Crowd:
    """How many connections there may be, and who was turned away."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.turned_away = 0
        self._told_at = -_TELL_SECONDS
        self._log = structlog.get_logger(__name__)

    def turn_away(self) -> asyncio.Protocol:
        """One more than there is room for. The log says so once a minute."""
        self.turned_away += 1
        now = time.monotonic()
        if now - self._told_at >= _TELL_SECONDS:
            self._told_at = now
            self._log.warning(
                "too_many_connections",
                open=self.most,
                turned_away=self.turned_away,
                remedy="let senders keep their connections and use them again; see who holds them",
            )
        return _TurnedAway()


class _TurnedAway(asyncio.Protocol):
    """A connection that is answered unasked, and closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        problem = Problem(503, "too many connections are open; close some, and try again shortly")
        body = cast("bytes", problem.response().body)
        head = (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
            f"Content-Length: {len(body)}\r\nRetry-After: {_LATER}\r\nConnection: close\r\n\r\n"
        )
        stream = cast("asyncio.Transport", transport)
        stream.write(head.encode() + body)
        stream.close()


def room_for_connections() -> int:
    """How many connections the process may have: what its file limit leaves, up to a bound."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, files - RESERVED_FILES))


async def listen(
    server: web.Server,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    crowd: Crowd | None = None,
) -> asyncio.Server:
    """Accept connections for ``server``, that of an ``AppRunner``. Close what is returned before the
    runner is cleaned up. Raises ``OSError`` when the address cannot be had."""
    loop = asyncio.get_running_loop()
    crowd = crowd or Crowd(room_for_connections())

    def connection() -> asyncio.Protocol:
        if len(server.connections) >= crowd.most:
            return crowd.turn_away()
        return Connection(server, loop=loop, **CONNECTION_ARGS)

    handshake = HANDSHAKE_SECONDS if tls else None
    return await loop.create_server(
        connection, host, port, ssl=tls, ssl_handshake_timeout=handshake
    )
