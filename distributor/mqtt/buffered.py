"""A socket with a buffer each way, for a library that reads byte by byte.

paho reads a packet in three or more ``recv`` calls and writes each packet by itself: 17 system
calls for a bridged message. Through this socket a wake-up of the loop costs one of each. It has
the shape of paho's own websocket wrapper, so paho does not notice.
"""

from __future__ import annotations

import contextlib
import socket
import ssl

_CHUNK_BYTES = 32_768
_LAST_WORDS_SECONDS = 1.0
_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class BufferedSocket:
    """Wraps a connected TCP or TLS socket. One ``recv`` of the real one per ``ready``.

    While ``blocked``, reading answers "nothing there" and touches neither buffer nor socket.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.blocked = False
        self.orderly = False
        self._sock = sock
        self._tls = isinstance(sock, ssl.SSLSocket)
        self._in = b""
        self._position = 0
        self._taken = False
        self._out = bytearray()
        self._closed = False

    def ready(self) -> None:
        """The event loop says that the socket can be read."""
        self._taken = False

    def recv(self, size: int) -> bytes:
        """Up to ``size`` bytes, ``b""`` at the end. Raises BlockingIOError when there is none."""
        if self.blocked:
            raise BlockingIOError
        start = self._position
        if start == len(self._in):
            if self._taken:
                raise BlockingIOError
            self._taken = True
            self._in = self._sock.recv(_CHUNK_BYTES)
            start = 0
        data = self._in[start : start + size]
        self._position = start + len(data)
        return data

    def pending(self) -> int:
        """Bytes that can be read without waiting for the loop (it will not tell us of them)."""
        if self.blocked or self._closed:
            return 0
        left = len(self._in) - self._position
        if not left and isinstance(self._sock, ssl.SSLSocket):
            left = self._sock.pending()
            if left:
                self._taken = False
        return left

    def send(self, data: bytes | bytearray) -> int:
        """Take all of ``data``; ``flush`` hands it to the real socket."""
        self._out += data
        return len(data)

    def flush(self) -> bool:
        """Write what was taken. False when some is left: call again once writing is possible."""
        while self._out and not self._closed:
            try:
                sent = self._sock.send(self._out)
            except _NOT_NOW:
                return False
            del self._out[:sent]
        return True

    def close(self) -> None:
        """Close; after an orderly goodbye the last bytes get up to a second to leave."""
        if self._closed:
            return
        self._closed = True
        if self.orderly and self._out:
            with contextlib.suppress(OSError):
                self._sock.settimeout(_LAST_WORDS_SECONDS)
                self._sock.sendall(self._out)
        self._sock.close()

    def fileno(self) -> int:
        """The real socket's descriptor, -1 once closed."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """As of the real socket."""
        self._sock.setblocking(flag)
