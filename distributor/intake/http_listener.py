"""The listener: accepts connections, bounds their number, and comes through a lack of files.

Every connection costs a file of the process, and the store and the broker need files as well. Where
there is room for no more, the connection that has waited longest for a request makes room: silent
ones, however many, keep nobody out.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import ssl
from contextlib import suppress
from itertools import count
from typing import Final, cast

import structlog
from aiohttp import web

from distributor.intake.http_server import Connection, note_work
from distributor.intake.problems import Problem

MAX_CONNECTIONS: Final = 1_000
RESERVED_FILES: Final = 64
"""Files that are not for connections: the store's, the broker's, the webhooks', the log."""

HANDSHAKE_SECONDS: Final = 10.0
ACCEPT_AGAIN_SECONDS: Final = 1.0
_TELL_SECONDS: Final = 60.0
_BACKLOG: Final = 1_024
_AT_ONCE: Final = 32
"""Connections accepted in one turn of the loop: many hold up neither the rest nor each other."""
_NO_FILES: Final = (errno.EMFILE, errno.ENFILE)

_log = structlog.get_logger(__name__)


class Crowd:
    """The connections that are open, ``most`` at a time. ``displaced``: those that waited for a request
    and made room; ``turned_away``: those for which there was none."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.displaced = 0
        self.turned_away = 0
        self._open: dict[Connection, asyncio.Task[None]] = {}
        self._told = _Seldom()

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, connection: Connection, opening: asyncio.Task[None]) -> None:
        """One more. ``opening`` makes its transport."""
        self._open[connection] = opening

    def leave(self, connection: Connection) -> None:
        """One less, if it was still counted."""
        self._open.pop(connection, None)

    def has_room(self) -> bool:
        """Whether one more may come in, after one that waits was closed for it where that was needed."""
        if len(self._open) < self.most:
            return True
        waiting = [one for one in self._open if one.waits_since is not None]
        if waiting:
            self._hang_up(min(waiting, key=lambda one: one.waits_since or 0.0))
            self.displaced += 1
        else:
            self.turned_away += 1
        if self._told.due():
            _log.warning(
                "too_many_connections",
                open=self.most,
                displaced=self.displaced,
                turned_away=self.turned_away,
                remedy="let senders keep their connections and use them again; see who holds them",
            )
        return bool(waiting)

    def _hang_up(self, connection: Connection) -> None:
        opening = self._open.pop(connection)
        if not connection.hang_up():
            opening.cancel()


class Listener:
    """Connections of ``server`` are taken from ``sockets`` until ``close``."""

    def __init__(
        self,
        server: web.Server,
        sockets: list[socket.socket],
        tls: ssl.SSLContext | None,
        crowd: Crowd,
    ) -> None:
        self.crowd = crowd
        self.port: int = sockets[0].getsockname()[1]
        self._server = server
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._told = _Seldom()
        # They end with ``close``; what is opening by then, by itself or with the loop.
        self._accepting = {one: self._loop.create_task(self._accept(one)) for one in sockets}

    def close(self) -> None:
        """Take no more. The connections that are open stay: they are the server's to end."""
        for listening, task in self._accepting.items():
            task.cancel()
            self._loop.remove_reader(listening)
            listening.close()
        self._accepting.clear()

    async def _accept(self, listening: socket.socket) -> None:
        # Not ``loop.create_server``: it counts nothing before a TLS handshake has ended, and without
        # files it tries, fails and complains a hundred times a second.
        for number in count(1):
            try:
                taken, _ = await self._loop.sock_accept(listening)
            except OSError as error:
                self._tell(error)
                await asyncio.sleep(ACCEPT_AGAIN_SECONDS)
                continue
            if self.crowd.has_room():
                self._open(taken)
            else:
                self._turn_away(taken)
            if not number % _AT_ONCE:
                await asyncio.sleep(0)

    def _tell(self, error: OSError) -> None:
        if isinstance(error, ConnectionAbortedError) or not self._told.due():
            return
        remedy = "tried again every second"
        if error.errno in _NO_FILES:
            remedy = "raise LimitNOFILE in the unit (ulimit -n), and see what holds the files"
        _log.error("accept_failed", error=error.strerror or repr(error), remedy=remedy)

    def _open(self, taken: socket.socket) -> None:
        taken.setblocking(False)
        connection = Connection(self._server, self.crowd.leave, loop=self._loop)
        handshake = HANDSHAKE_SECONDS if self._tls else None
        opening = self._loop.create_task(self._opened(connection, taken, handshake))
        self.crowd.enter(connection, opening)

        def opened(task: asyncio.Task[None]) -> None:
            if task.cancelled() or task.exception() is not None:
                self.crowd.leave(connection)
                taken.close()

        opening.add_done_callback(opened)

    async def _opened(
        self, connection: Connection, taken: socket.socket, handshake: float | None
    ) -> None:
        await self._loop.connect_accepted_socket(
            lambda: connection, taken, ssl=self._tls, ssl_handshake_timeout=handshake
        )

    def _turn_away(self, taken: socket.socket) -> None:
        with taken:
            taken.setblocking(False)
            if self._tls is not None:
                return
            # What is unread when a socket closes takes the answer with it.
            with suppress(OSError):
                taken.recv(65_536)
            with suppress(OSError):
                taken.send(_turned_away())


def _turned_away() -> bytes:
    problem = Problem(503, "too many requests are under way; try again shortly")
    body = cast("bytes", problem.response().body)
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\nRetry-After: 2\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


class _Seldom:
    """Says when a line that could come a thousand times a second is due: once a minute."""

    def __init__(self) -> None:
        self._told_at = float("-inf")

    def due(self) -> bool:
        """Whether to tell now."""
        now = asyncio.get_running_loop().time()
        if now - self._told_at < _TELL_SECONDS:
            return False
        self._told_at = now
        return True


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
) -> Listener:
    """Accept connections for ``server``, that of an ``AppRunner``. Close what is returned before the
    runner is cleaned up. Raises ``OSError`` when the address cannot be had."""
    note_work(server)
    bound = await asyncio.get_running_loop().create_server(
        asyncio.Protocol, host, port, start_serving=False
    )
    sockets = [one.dup() for one in bound.sockets]
    bound.close()
    try:
        for one in sockets:
            one.setblocking(False)
            one.listen(_BACKLOG)
    except OSError:
        for one in sockets:
            one.close()
        raise
    if crowd is None:  # an empty one is no true value
        crowd = Crowd(room_for_connections())
    return Listener(server, sockets, tls, crowd)
