"""Moves bytes between the event loop and paho: reading, writing, keeping alive."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from distributor.mqtt import shortcuts
from distributor.mqtt.buffered import BufferedSocket


class Pump:
    """Takes the place of aiomqtt's socket callbacks on one paho ``client``.

    Writes go out once per turn of the loop, whatever the number of packets, and reading can be
    ``block``ed. ``broken(reason)`` is called when the socket or the library fails; the owner then
    calls ``detach``.
    """

    def __init__(self, client: Any, keepalive_seconds: int, broken: Callable[[str], None]) -> None:
        self.socket: BufferedSocket | None = None
        self.answered = False
        """CONNACK came: from then on the loop's thread is the only one."""
        self._client = client
        self._check_seconds = min(1.0, keepalive_seconds / 4)
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._keeper: asyncio.Task[None] | None = None
        self._detached = False
        self._waiting_to_write = False
        self._plain_socket: Callable[[], socket.socket] = client._create_socket
        client._create_socket = self._create_socket
        client._ssl_wrap_socket = self._wrap
        client.on_socket_open = self._on_open
        client.on_socket_close = self._on_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = _ignore

    def _create_socket(self) -> BufferedSocket:
        """Runs in the connecting thread."""
        sock = self._plain_socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._detached:
            sock.close()
            raise ConnectionAbortedError("nobody waits for this connection any more")
        self.socket = BufferedSocket(sock)
        return self.socket

    def _wrap(self, plain: socket.socket) -> ssl.SSLSocket:
        """Runs in the connecting thread. The library's own leaves the socket of a failed handshake
        open until the garbage collector comes."""
        client = self._client
        sock: ssl.SSLSocket = client._ssl_context.wrap_socket(
            plain, server_hostname=client._host, do_handshake_on_connect=False
        )
        try:
            sock.settimeout(client._connect_timeout)
            sock.do_handshake()
        except BaseException:
            sock.close()
            raise
        return sock

    def _on_open(self, _client: Any, _userdata: Any, sock: BufferedSocket) -> None:
        """Runs in the connecting thread."""
        self._loop.call_soon_threadsafe(self._attach, sock)

    def _attach(self, sock: BufferedSocket) -> None:
        if self._detached:
            self._client._sock_close()
            return
        self._loop.add_reader(sock.fileno(), self._read)
        self._keeper = self._loop.create_task(self._keep_alive(sock))

    def _on_close(self, _client: Any, _userdata: Any, sock: BufferedSocket) -> None:
        if sock.fileno() > -1:
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())

    def detach(self) -> None:
        """Do nothing any more."""
        self._detached = True
        if self._keeper is not None:
            self._keeper.cancel()

    def block(self, blocked: bool) -> None:
        """Stop reading, or go on."""
        sock = self.socket
        if sock is None or self._detached or blocked == sock.blocked:
            return
        sock.blocked = blocked
        if blocked:
            self._loop.remove_reader(sock.fileno())
        else:
            self._loop.add_reader(sock.fileno(), self._read)
            # The loop does not know what lies in our buffer or in the TLS layer.
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        sock = self.socket
        if sock is None or self._detached:
            return
        sock.ready()
        try:
            while True:
                shortcuts.read(self._client)
                if not sock.pending():
                    return
        except Exception as error:  # noqa: BLE001
            self._broken(f"reading failed: {error!r}")

    def _on_register_write(self, _client: Any, _userdata: Any, _sock: Any) -> None:
        # Not add_writer: the socket nearly always takes it, and one write serves all packets
        # that this turn of the loop queues.
        if self.answered:
            self._loop.call_soon(self.write)
        else:
            self._loop.call_soon_threadsafe(self.write)

    def write(self) -> None:
        """Hand what is queued to the socket."""
        sock = self.socket
        if sock is None or self._detached:
            return
        try:
            self._client.loop_write()
            flushed = sock.flush()
        except OSError as error:
            # The broker may have said why before it hung up.
            sock.blocked = False
            self._read()
            self._broken(f"writing failed: {error!r}")
            return
        if sock.fileno() == -1 or flushed != self._waiting_to_write:
            return  # closed by a goodbye, or already as it should be
        self._waiting_to_write = not flushed
        if flushed:
            self._loop.remove_writer(sock.fileno())
        else:
            self._loop.add_writer(sock.fileno(), self.write)

    async def _keep_alive(self, sock: BufferedSocket) -> None:
        while not self._detached:
            if sock.blocked:
                # We do not read, so no PINGRESP can come: that is no sign of a dead broker. The
                # PINGREQ still goes out, so the broker does not take us for dead either.
                self._client._ping_t = 0.0
                self._client._last_bytes_received = time.monotonic()
            try:
                self._client.loop_misc()
            except Exception as error:  # noqa: BLE001
                self._broken(f"keeping alive failed: {error!r}")
            await asyncio.sleep(self._check_seconds)


def _ignore(*_args: Any) -> None:
    """For callbacks that have nothing to do."""
