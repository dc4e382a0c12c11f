"""The listener: connections whose bytes are no HTTP are answered with problem details as well."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from distributor.intake.problems import Problem, library_log

CONNECTION_ARGS: Final[dict[str, Any]] = {
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


async def listen(
    server: web.Server, host: str, port: int, tls: ssl.SSLContext | None = None
) -> asyncio.Server:
    """Accept connections for ``server``, that of an ``AppRunner``. Close what is returned before the
    runner is cleaned up. Raises ``OSError`` when the address cannot be had."""
    loop = asyncio.get_running_loop()

    def connection() -> Connection:
        return Connection(server, loop=loop, **CONNECTION_ARGS)

    return await loop.create_server(connection, host, port, ssl=tls)
