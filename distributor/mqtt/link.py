"""The MQTT link: one long-lived task that keeps us connected, and what others call on it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import structlog

from distributor.errors import Unavailable
from distributor.mqtt import remedies
from distributor.mqtt.backoff import Backoff
from distributor.mqtt.connection import Connection
from distributor.mqtt.values import (
    AckToken,
    ConnectionLost,
    ConnectRefused,
    Inbound,
    LastWill,
    LinkCounters,
    MqttSettings,
    OnMessage,
    OnResult,
    PublishResult,
    TlsFiles,
)

_LOG = structlog.get_logger("distributor.mqtt")

_T = TypeVar("_T")


class MqttLink:
    """A session with the broker that outlives its connections.

    Say what to ``listen`` to, then keep ``run`` running. Every inbound message goes to the
    handler with a token; give the token to ``ack`` once what it carried is committed. The handler
    is called in the middle of reading: it must be quick. One that raises ends the connection: the
    message would never be acknowledged, and comes again on the next one.

    ``will`` makes the last will of each connection. ``jitter`` gives numbers from 0 to 1 that spread reconnects. ``expect_session``: an earlier
    process had a session under this client id, so its absence is a loss. ``hold_unacked`` stops
    reading by itself at twice the receive maximum, against brokers that send more than they may;
    switch it off where acknowledging waits for a publish, whose answer would not be read.

    ``on_connected`` are called with session_present after each subscription, ``on_disconnected``
    with the reason; both on the loop. ``connected`` is set in between. Messages of the session come
    before ``on_connected``, so what belongs to a connection is forgotten in ``on_disconnected``. ``problem`` is None while
    all is well, else one line for people.
    """

    def __init__(
        self,
        settings: MqttSettings,
        *,
        jitter: Callable[[], float],
        will: Callable[[], LastWill] | None = None,
        expect_session: bool = False,
        hold_unacked: bool = True,
    ) -> None:
        self.settings = settings
        self.counters = LinkCounters()
        self.connected = asyncio.Event()
        self.on_connected: list[Callable[[bool], None]] = []
        self.on_disconnected: list[Callable[[str], None]] = []
        self.problem: str | None = (
            f"broker {settings.host}:{settings.port} has not answered yet: not connected"
        )
        self._backoff = Backoff(settings, jitter)
        self._will = will
        self._expect_session = expect_session
        self._hold_unacked = hold_unacked
        self._filters: tuple[str, ...] = ()
        self._handler: OnMessage = _drop_message
        self._connection: Connection | None = None
        self._epoch = 0
        self._mqtt5 = settings.protocol != "3.1.1"
        self._version_known = settings.protocol != "auto"
        self._retry_now = False
        self._paused = False
        self._closing = False
        self._slots = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    def listen(self, filters: Sequence[str], handler: OnMessage) -> None:
        """Subscribe to topic filters from the next connection on; one handler takes all."""
        self._filters = tuple(filters)
        self._handler = handler

    # --- the task

    async def run(self) -> None:
        """Stay connected until ``close``. Cancelling hangs up without a goodbye: the will is
        published."""
        self._serving = asyncio.create_task(self._serve(), name="mqtt-link")
        try:
            await self._serving
        except asyncio.CancelledError:
            self._serving.cancel()
            if not self._closing:
                raise

    async def close(self, *, with_will: bool = False) -> None:
        """Stop reading, say goodbye, fail what is in flight with ConnectionLost, end ``run``.

        ``with_will``: have the broker publish the last will all the same.
        """
        self._closing = True
        if self._connection is not None:
            await self._connection.close(with_will=with_will)
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait({self._serving})

    async def _serve(self) -> None:
        while True:
            connection = await self._connect()
            _heed_cancellation(connection)
            if connection is not None:
                await self._until_lost(connection)
                lived = connection.lived_seconds
                seconds = self._backoff.lost(lived, taken_over=connection.taken_over)
            elif self._retry_now:
                self._retry_now = False
                continue
            else:
                seconds = self._backoff.failed()
            await asyncio.sleep(seconds)

    async def _until_lost(self, connection: Connection) -> None:
        try:
            await asyncio.wait({connection.lost})
        finally:
            connection.drop("cancelled")

    async def _connect(self) -> Connection | None:
        """A connection that is subscribed and started; None, after logging, when that failed."""
        connection: Connection | None = None
        try:
            connection = await self._new_connection()
            await connection.open()
            await connection.subscribe(self._filters)
            self._welcome(connection)
        except Unavailable as error:
            self._note_failure(connection, error)
            if connection is not None:
                await connection.close(with_will=False)
            return None
        except BaseException:
            if connection is not None:
                connection.drop("cancelled")
            raise
        return connection

    async def _new_connection(self) -> Connection:
        tls = None
        if self.settings.tls is not None:
            tls = await asyncio.to_thread(_tls_context, self.settings.tls)
        self._epoch += 1
        # Messages of the session arrive before SUBACK, so acknowledging must work at once.
        self._connection = Connection(
            self._epoch,
            self.settings,
            mqtt5=self._mqtt5,
            version_known=self._version_known,
            will=None if self._will is None else self._will(),
            tls=tls,
            counters=self.counters,
            on_message=self._handler,
            on_lost=self._note_loss,
            slots=self._slots,
            hold_unacked=self._hold_unacked,
        )
        return self._connection

    def _welcome(self, connection: Connection) -> None:
        if connection.lost.done():
            raise ConnectionLost(connection.lost.result())
        counters = self.counters
        counters.connects += 1
        counters.reconnects += counters.connects > 1
        self._version_known = True
        self.problem = None
        present = connection.session_present
        _LOG.info(
            "mqtt_connected",
            epoch=connection.epoch,
            mqtt="5" if connection.mqtt5 else "3.1.1",
            session_present=present,
            window=connection.window,
        )
        if not present and self._expect_session:
            counters.lost_sessions += 1
            _LOG.error("mqtt_session_lost", remedy="messages sent meanwhile are gone: ask senders")
        self._expect_session = True
        connection.start(paused=self._paused)
        self.connected.set()
        _call_all(self.on_connected, present)

    def _note_failure(self, connection: Connection | None, error: Unavailable) -> None:
        self.counters.failed_attempts += 1
        self.problem = str(error)
        _LOG.warning("mqtt_connect_failed", error=str(error))
        if self.settings.protocol != "auto" or connection is None:
            return
        if isinstance(error, ConnectRefused):
            if error.version:
                self._version_known = False
                self._other_version()
        elif not self._version_known and connection.unanswered:
            # Some brokers hang up or choke on a version they do not know: take turns.
            self._other_version()

    def _other_version(self) -> None:
        self._retry_now = self._mqtt5  # going down: no reason to wait with 3.1.1
        self._mqtt5 = not self._mqtt5

    def _note_loss(self, connection: Connection, reason: str) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        if not self.connected.is_set():
            return
        self.connected.clear()
        self._backoff.ended(connection.lived_seconds)
        self.counters.taken_over += connection.taken_over
        if connection.cut:
            reason += remedies.of_short_lives(self._backoff.short_lived, self.settings)
        self.problem = f"connection to the broker lost: {reason}"
        if not self._closing:
            _LOG.warning("mqtt_connection_lost", epoch=connection.epoch, reason=reason)
        _call_all(self.on_disconnected, reason)

    # --- what others call

    def ack(self, tokens: Iterable[AckToken]) -> None:
        """Acknowledge messages. Tokens of an earlier connection are counted and dropped: the
        broker sends those messages again, and that delivery is the one to acknowledge."""
        if self._connection is not None:
            self._connection.ack(tokens)
        else:
            self.counters.stale_acks += sum(1 for token in tokens if token.mid)

    def pause(self) -> None:
        """Stop reading from the broker, also across reconnects. The answers to our publishes are
        not read either, so do not wait for one while paused."""
        self._paused = True
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        if self._connection is not None:
            self._connection.resume()

    def send(
        self,
        topic: str,
        payload: bytes,
        on_result: OnResult,
        *,
        retain: bool = False,
        response_topic: str | None = None,
        correlation: bytes = b"",
    ) -> None:
        """Publish at QoS 1; ``on_result`` is called once, never from within this call.

        Raises NoFreeSlot when ``free_slots`` is 0 on a live connection, ValueError when ``topic``
        is empty or has wildcards. Not connected: the result is ConnectionLost.
        """
        connection = self._connection
        if connection is None or not self.connected.is_set():
            lost = ConnectionLost(self.problem or "not connected")
            asyncio.get_running_loop().call_soon(on_result, lost)
            return
        connection.send(
            topic,
            payload,
            on_result,
            retain=retain,
            response_topic=response_topic,
            correlation=correlation,
        )

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        response_topic: str | None = None,
        correlation: bytes = b"",
    ) -> asyncio.Future[PublishResult]:
        """As ``send``, for who wants to await: the future fails with ConnectionLost."""
        future: asyncio.Future[PublishResult] = asyncio.get_running_loop().create_future()

        def settle(result: PublishResult | ConnectionLost) -> None:
            if future.done():
                return
            if isinstance(result, ConnectionLost):
                future.set_exception(result)
                future.exception()  # who does not wait for it needs no warning about it
            else:
                future.set_result(result)

        self.send(
            topic,
            payload,
            settle,
            retain=retain,
            response_topic=response_topic,
            correlation=correlation,
        )
        return future

    async def wait_for_slots(self) -> None:
        """Return when connected with at least one free slot."""
        await self._slots.wait()

    @property
    def free_slots(self) -> int:
        """Publishes that may be sent now, 0 while not connected."""
        return 0 if self._connection is None else self._connection.free_slots

    @property
    def in_flight(self) -> int:
        """Publishes that the broker has not answered yet."""
        return 0 if self._connection is None else self._connection.in_flight

    @property
    def unacked(self) -> int:
        """Messages that were handed over and not acknowledged yet."""
        return 0 if self._connection is None else self._connection.unacked

    def oldest_unacked_seconds(self) -> float:
        """Age of the oldest message that is not acknowledged, 0 when there is none."""
        since = None if self._connection is None else self._connection.oldest_unacked
        return 0.0 if since is None else asyncio.get_running_loop().time() - since


def _heed_cancellation(connection: Connection | None) -> None:
    """End the task if it was asked to end. ``asyncio.wait_for`` of Python 3.11, which aiomqtt uses,
    forgets a cancellation that comes together with the answer."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        if connection is not None:
            connection.drop("cancelled")
        raise asyncio.CancelledError


def _tls_context(files: TlsFiles) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=files.ca_file)
        if files.cert_file is not None:
            context.load_cert_chain(files.cert_file, files.key_file)
    except OSError as error:
        raise Unavailable(f"[mqtt] tls: {error}; check ca_file, cert_file, key_file") from error
    return context


def _call_all(callbacks: Iterable[Callable[[_T], None]], value: _T) -> None:
    for callback in callbacks:
        try:
            callback(value)
        except Exception:  # noqa: BLE001
            _LOG.exception("mqtt_callback_failed")


def _drop_message(topic: str, _payload: bytes, _token: AckToken, _inbound: Inbound) -> None:
    _LOG.error("mqtt_message_unexpected", topic=topic)
