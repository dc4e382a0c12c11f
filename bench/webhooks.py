"""A dialer behind HTTP that can be slow, silent, broken or gone."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from bench.broker import free_port

HANGING_SECONDS = 300.0
"""Longer than any test waits for what must not wait for this."""


class Request(NamedTuple):
    """What the dialer was asked."""

    path: str
    key: str
    body: Any


class WebhookDialer:
    """``hang``: takes requests and does not answer. ``status``: of the answers. Every request is kept
    in ``requests``, those that were answered with 200 in ``taken``."""

    def __init__(self) -> None:
        self.port = free_port()
        self.hang = False
        self.status = 200
        self.requests: list[Request] = []
        self.taken: list[Request] = []
        self._released = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def plan(self, name: str, **more: Any) -> str:
        """The configuration of this dialer, quick in everything."""
        options = {
            "timeout_seconds": HANGING_SECONDS,
            "retry_first_seconds": 0.05,
            "retry_max_seconds": 0.2,
            "breaker_failures": 2,
            "breaker_seconds": 0.3,
            **more,
        }
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in options.items())
        urls = "".join(
            f'[dialers.{call}]\nurl = "http://127.0.0.1:{self.port}/{call}"\n'
            for call in ("assign", "revoke")
        )
        return f'[[dialers]]\nid = "{name}"\n{lines}{urls}'

    def start(self) -> None:
        """Listen; nothing where it does."""
        if self._server is not None:
            return
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        """Nobody listens any more."""
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            self._released.set()
            server.shutdown()
            server.server_close()
            self._thread.join()
            self._released.clear()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        dialer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                request = Request(self.path, self.headers.get("Idempotency-Key", ""), body)
                dialer.requests.append(request)
                if dialer.hang:
                    dialer._released.wait(HANGING_SECONDS)
                    return
                if dialer.status == 200:
                    dialer.taken.append(request)
                self.send_response(dialer.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
