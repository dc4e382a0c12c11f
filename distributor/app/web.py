"""The HTTP listener and what it is handed."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from typing import TYPE_CHECKING, Any

from aiohttp import web

from distributor.errors import Unavailable
from distributor.intake.http_api import make_http_app
from distributor.intake.http_auth import Token, Tokens
from distributor.intake.http_listener import Listener, listen
from distributor.intake.http_parts import Parts
from distributor.observe.exposition import CONTENT_TYPE
from distributor.store.reader import StoreReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from distributor.app.daemon import Daemon
    from distributor.settings import HttpSettings, Settings

STOP_SECONDS = 1.0
"""How long requests under way may take at the end; as long again until they are cancelled."""
NO_ANSWER_SECONDS = 0.05
"""The same where no commit will come any more."""


class WebSide:
    """The listener of one daemon."""

    def __init__(self, settings: HttpSettings, daemon: Daemon) -> None:
        self._settings = settings
        self._daemon = daemon
        self._reader = StoreViews(StoreReader(daemon.store.path), daemon.clock.now_ns)
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None
        self._made_for: object = None
        self._made = Tokens(())
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises ``Unavailable`` when the address cannot be had."""
        daemon, settings = self._daemon, self._settings
        parts = Parts(
            inbox=daemon.inbox,
            directory=daemon.directory,
            reader=self._reader,
            reps=daemon.reps,
            rep=daemon.rep,
            metrics=self._metrics,
            health=daemon.health,
            ready=daemon.ready,
            now_ns=daemon.clock.wall_ns,
        )
        app = make_http_app(parts, self._tokens, max_body_bytes=settings.max_body_bytes)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_SECONDS)
        await self._runner.setup()
        assert self._runner.server is not None
        context = None
        if settings.tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(settings.tls.cert_file, settings.tls.key_file)
        try:
            self._listener = await listen(
                self._runner.server, settings.host, settings.port, context
            )
        except OSError as error:
            await self.stop()
            where = f"{settings.host}:{settings.port}"
            foreign = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
            key, remedy = (
                ("host", "write a name or address of this machine")
                if foreign
                else ("port", "free it or choose another")
            )
            problem = f"http.{key}: cannot listen on {where} ({error.strerror})"
            raise Unavailable(f"{problem}; {remedy}") from error
        self.port = self._listener.port

    def _tokens(self) -> Tokens:
        settings = self._daemon.settings
        if settings is not self._made_for:
            self._made_for = settings
            self._made = _tokens(settings)
        return self._made

    async def _metrics(self, compressed: bool) -> tuple[Sequence[bytes], str]:
        return await self._daemon.scrape(compressed=compressed), CONTENT_TYPE

    def totals(self) -> dict[str, int]:
        """What the listener has counted (event -> total)."""
        if self._listener is None:
            return {}
        crowd = self._listener.crowd
        return {
            "displaced_connections": crowd.displaced,
            "turned_away_connections": crowd.turned_away,
        }

    async def stop(self, *, answering: bool = True) -> None:
        """Answer what was asked, then close. ``answering``: False where nothing is committed any
        more, so that nobody can be answered."""
        if self._listener is not None:
            self._listener.close()
        if self._runner is not None:
            if not answering and self._runner.server is not None:
                await self._runner.server.shutdown(NO_ANSWER_SECONDS)
            await self._runner.cleanup()
        await self._reader.close()


def _tokens(settings: Settings) -> Tokens:
    return Tokens(
        Token(
            name=token.name,
            role=token.role,
            secret=token.token or "",
            vendor=token.vendor or "",
            rep=token.rep or "",
        )
        for token in settings.tokens
    )


class StoreViews:
    """The store's reader as requests want it: every question is asked off the loop."""

    def __init__(self, reader: StoreReader, now_ns: Callable[[], int]) -> None:
        self._reader = reader
        self._now_ns = now_ns

    async def lead(self, lead_key: str) -> dict[str, Any] | None:
        """One lead."""
        return await self._reader.ask(self._reader.lead, lead_key)

    async def history(self, lead_key: str) -> Sequence[dict[str, Any]]:
        """What happened to a lead."""
        return await self._reader.ask(self._reader.history, lead_key)

    async def leads(self, **filters: Any) -> tuple[Sequence[dict[str, Any]], str | None]:
        """A page of leads, and where the next one begins."""
        page = await self._reader.ask(self._reader.leads, **filters)
        return page["items"], page["next"]

    async def why(self, lead_key: str, rep: str | None) -> dict[str, Any] | None:
        """The decision record."""
        return await self._reader.ask(self._reader.why, lead_key, rep, self._now_ns())

    async def knows_rep(self, rep: str) -> bool:
        """Whether a rep is or was on the floor."""
        return await self._reader.ask(self._reader.knows_rep, rep)

    async def exceptions(self) -> Sequence[dict[str, Any]]:
        """The open cases."""
        return await self._reader.ask(self._reader.exceptions)

    async def close(self) -> None:
        """Break off what is under way, and give the store free."""
        await asyncio.to_thread(self._reader.close)
