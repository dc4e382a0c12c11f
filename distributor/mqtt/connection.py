"""One connection to the broker. With ``pump`` and ``shortcuts``: all that reaches into aiomqtt
and paho.

A connection is used once and thrown away with its queues: packet ids restart with every
connection, and a client that is entered again re-sends and re-delivers what it remembers.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

import structlog
from aiomqtt.exceptions import MqttCodeError, MqttConnectError, MqttError
from paho.mqtt.reasoncodes import ReasonCode

from distributor.errors import Unavailable
from distributor.mqtt import remedies, shortcuts
from distributor.mqtt.in_flight import InFlight, settle
from distributor.mqtt.options import (
    filter_options,
    make_client,
    publish_bytes,
    publish_properties,
    with_will_code,
)
from distributor.mqtt.pump import Pump
from distributor.mqtt.values import (
    PACKET_TOO_LARGE,
    AckToken,
    ConnectionLost,
    ConnectRefused,
    Inbound,
    LastWill,
    LinkCounters,
    MqttSettings,
    NoFreeSlot,
    OnMessage,
    OnResult,
    SubscriptionRefused,
)

MAX_IN_FLIGHT = 1000
_GOODBYE_SECONDS = 2.0
_FAILED_SECONDS = 0.5
_ANSWER_SECONDS = 10.0
_PROBE_SECONDS = 3.0
_VERSION_REFUSED = {0x01, 0x84}
_KEEPALIVE_OVER = 0x8D
_NOTHING_SPECIAL = Inbound()

_LOG = structlog.get_logger("distributor.mqtt")

_T = TypeVar("_T")


class Connection:
    """One attempt to be connected, with the number ``epoch``.

    Make it, ``open`` it, ``subscribe``, then ``start``; ``lost`` is done, with the reason in
    words, when it is over, for whatever cause; ``taken_over``: the broker ended it for somebody else with our
    client id; ``cut``: the other side hung up without a word. All methods belong to the loop's thread.
    """

    def __init__(
        self,
        epoch: int,
        settings: MqttSettings,
        *,
        mqtt5: bool,
        version_known: bool,
        will: LastWill | None,
        tls: ssl.SSLContext | None,
        counters: LinkCounters,
        on_message: OnMessage,
        on_lost: Callable[[Connection, str], None],
        slots: asyncio.Event,
        hold_unacked: bool,
    ) -> None:
        self.epoch = epoch
        self.mqtt5 = mqtt5
        self.session_present = False
        self.window = MAX_IN_FLIGHT
        self.taken_over = False
        self.cut = False
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._settings = settings
        self._counters = counters
        self._handle = on_message
        self._on_lost = on_lost
        self._slots = slots
        self._loop = asyncio.get_running_loop()
        self._unacked: dict[int, float] = {}
        self._results = InFlight(counters)
        self._refusal: ReasonCode | None = None
        self._started = False
        self._since = self._loop.time()
        self._paused = False
        self._held = False
        self._failed = False
        # Twice the window: a broker that keeps to Receive Maximum never gets there.
        self._hold_at = 2 * settings.receive_maximum if hold_unacked else 0
        self._client = make_client(
            settings,
            mqtt5=mqtt5,
            will=will,
            tls=tls,
            timeout_seconds=_ANSWER_SECONDS if version_known else _PROBE_SECONDS,
        )
        self._paho: Any = self._client._client
        self._pump = Pump(self._paho, settings.keepalive_seconds, self._broke)
        self._take_over()

    # --- making

    def _take_over(self) -> None:
        """Put our own callbacks where the library's lose what we need."""
        client = self._paho
        client.manual_ack_set(True)
        client.disable_logger()
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        shortcuts.install(client, mqtt5=self.mqtt5, deliver=self._deliver, answered=self._answered)

    # --- opening

    async def open(self) -> None:
        """Connect. Raises ConnectRefused when the broker says no, Unavailable when it does not
        answer."""
        try:
            await self._client.__aenter__()
        except MqttCodeError as error:
            raise self._refused(error) from error
        except MqttError as error:
            cause = error.__context__  # of an OSError aiomqtt keeps the text alone
            what = "cannot be reached"
            if not isinstance(cause, OSError) or isinstance(cause, TimeoutError):
                what = "does not answer"
            remedy = remedies.of_no_connection(cause, self._settings)
            raise Unavailable(f"{self._where()} {what}: {error}{remedy}") from error
        except (OSError, ValueError) as error:
            raise Unavailable(f"{self._where()} cannot be reached: {error}") from error

    def _refused(self, error: MqttCodeError) -> Unavailable:
        code = self._refusal
        if code is None:
            remedy = remedies.of_hang_up(self._settings)
            return Unavailable(f"{self._where()} hung up instead of answering: {remedy}")
        remedy = remedies.of_refusal(code.value)
        text = f"{self._where()} refused us: {code} (0x{code.value:02x}); {remedy}"
        return ConnectRefused(text, version=code.value in _VERSION_REFUSED)

    def _where(self) -> str:
        version = "5" if self.mqtt5 else "3.1.1"
        return f"broker {self._settings.host}:{self._settings.port} (MQTT {version})"

    async def subscribe(self, filters: Sequence[str]) -> None:
        """Listen at QoS 1. Raises SubscriptionRefused with the filters that were refused."""
        if not filters:
            return
        topics: Any = filter_options(filters, mqtt5=self.mqtt5)
        try:
            codes: Any = await self._unless_lost(self._client.subscribe(topics))
        except MqttError as error:
            raise Unavailable(f"{self._where()} did not answer SUBSCRIBE: {error}") from error
        answers = zip(filters, codes, strict=True)
        bad = [f"{name} ({code})" for name, code in answers if _value(code) >= 0x80]
        if bad:
            raise SubscriptionRefused(
                f"{self._where()} refused the subscription to {', '.join(bad)}; "
                f"allow it to {self._settings.client_id} in the broker's access list"
            )

    async def _unless_lost(self, answer: Awaitable[_T]) -> _T:
        task = asyncio.ensure_future(answer)
        try:
            both: set[asyncio.Future[Any]] = {task, self.lost}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ConnectionLost(f"{self._where()}: {self.lost.result()}")
            return task.result()
        finally:
            task.cancel()

    def start(self, *, paused: bool) -> None:
        """From now on publishing is possible and reading can be stopped."""
        self._started = True
        self._since = self._loop.time()
        self._paused = paused
        self._hold_or_read()
        self._slots.set()

    @property
    def lived_seconds(self) -> float:
        """How long ago it was started; ask when it ends."""
        return self._loop.time() - self._since

    # --- reading

    def pause(self) -> None:
        """Stop reading the socket. Answers to our publishes are not read either."""
        self._paused = True
        self._hold_or_read()

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        self._hold_or_read()

    def _hold_or_read(self) -> None:
        if self._started:
            self._pump.block(self._paused or self._held)

    def _on_message(self, _client: Any, _userdata: Any, message: Any) -> None:
        # ``message.topic`` would raise on bytes that are not UTF-8.
        self._deliver(
            message._topic,
            message.payload,
            message.mid,
            bool(message.retain),
            bool(message.dup),
            message.properties,
        )

    def _deliver(
        self, raw: bytes, payload: bytes, mid: int, retain: bool, dup: bool, properties: Any
    ) -> None:
        unacked = self._unacked
        if mid:
            if dup and mid in unacked:
                # Some brokers repeat on the same connection; the first copy is still at work.
                self._counters.repeated += 1
                return
            unacked[mid] = self._loop.time()
            if self._hold_at and len(unacked) >= self._hold_at and not self._held:
                self._held = True
                self._hold_or_read()
        self._counters.received += 1
        topic = str(raw, "utf-8", "backslashreplace")
        inbound = self._inbound(len(payload), retain, dup, properties)
        try:
            self._handle(topic, payload, AckToken(self.epoch, mid), inbound)
        except Exception:  # noqa: BLE001
            # Not acknowledged, and nobody has its token: on this connection it would take a place of
            # the receive maximum for ever. It comes again on the next one; what came beside it has
            # a moment to be acknowledged, or a message that always fails would hold all others up.
            self._counters.handler_errors += 1
            _LOG.exception("mqtt_handler_failed", topic=topic, mid=mid)
            if mid and not self._failed:
                self._failed = True
                self._loop.call_later(_FAILED_SECONDS, self.drop, "our handler failed on a message")

    def _inbound(self, size: int, retain: bool, dup: bool, properties: Any) -> Inbound:
        oversize = size > self._settings.max_payload_bytes
        if not (properties or retain or dup or oversize):
            return _NOTHING_SPECIAL
        response = getattr(properties, "ResponseTopic", None)
        correlation = getattr(properties, "CorrelationData", b"")
        return Inbound(response, correlation, retain, dup, oversize)

    def ack(self, tokens: Iterable[AckToken]) -> None:
        """Acknowledge messages of this connection; others are counted and forgotten."""
        unacked, epoch, send = self._unacked, self.epoch, self._paho.ack
        for token in tokens:
            if not token.mid:
                continue
            if token.epoch != epoch or unacked.pop(token.mid, None) is None:
                self._counters.stale_acks += 1
                continue
            send(token.mid, 1)
            self._counters.acknowledged += 1
        if self._held and len(unacked) <= self._settings.receive_maximum:
            self._held = False
            self._hold_or_read()

    @property
    def unacked(self) -> int:
        """Messages handed over and not acknowledged."""
        return len(self._unacked)

    @property
    def oldest_unacked(self) -> float | None:
        """Loop time at which the oldest unacknowledged message came."""
        return next(iter(self._unacked.values()), None)

    @property
    def unanswered(self) -> bool:
        """The broker was reached, and hung up or kept silent instead of answering CONNECT."""
        return self._pump.socket is not None and not self._pump.answered

    # --- publishing

    @property
    def in_flight(self) -> int:
        """Publishes that the broker has not answered."""
        return len(self._results)

    @property
    def free_slots(self) -> int:
        """Publishes that may be sent now."""
        if not self._started or self.lost.done():
            return 0
        return self.window - len(self._results)

    def send(
        self,
        topic: str,
        payload: bytes,
        on_result: OnResult,
        *,
        retain: bool,
        response_topic: str | None,
        correlation: bytes,
    ) -> None:
        """Publish at QoS 1. Raises NoFreeSlot, and ValueError for an impossible topic."""
        if len(self._results) >= self.window:
            raise NoFreeSlot(f"{self.window} messages wait for {self._where()} already")
        properties = None
        if self.mqtt5 and (response_topic or correlation):
            properties = publish_properties(response_topic, correlation)
        raw = topic.encode()
        size = publish_bytes(raw, payload, properties, mqtt5=self.mqtt5)
        if self._results.too_large(size):
            self._loop.call_soon(self._results.refuse, on_result, size)
            return
        mid = self._free_id()
        if not shortcuts.publish(
            self._paho, mid, raw, payload, retain=retain, properties=properties
        ):
            self._counters.lost_publishes += 1
            lost = ConnectionLost(f"{self._where()}: not connected")
            self._loop.call_soon(settle, on_result, lost)
            return
        self._results.add(mid, on_result, size)
        if len(self._results) >= self.window:
            self._slots.clear()

    def _free_id(self) -> int:
        """The next packet id that is not in flight; the window is far smaller than their number."""
        mid: int = self._paho._mid_generate()
        while mid in self._results:
            mid = self._paho._mid_generate()
        return mid

    def _answered(self, mid: int, code: int) -> None:
        if self._results.answered(mid, code) and not self._slots.is_set() and self._started:
            self._slots.set()

    # --- the library's callbacks

    def _on_connect(
        self, client: Any, userdata: Any, flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        self._pump.answered = True
        if reason.is_failure:
            self._refusal = reason
        else:
            self.session_present = bool(flags.session_present)
            self.window = min(MAX_IN_FLIGHT, getattr(properties, "ReceiveMaximum", 0xFFFF))
            self._results.limit_bytes = getattr(properties, "MaximumPacketSize", 0)
        self._client._on_connect(client, userdata, flags, reason, properties)

    def _on_disconnect(
        self, _client: Any, _userdata: Any, flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        # Not aiomqtt's own: it leaves who waits for CONNACK to the timeout, and breaks when nobody
        # waits any more. What else it does is for its iterator, which nobody uses.
        connected = self._client._connected
        if not connected.done():
            connected.set_exception(MqttConnectError(reason))
            connected.exception()
        code = reason.value
        if flags.is_disconnect_packet_from_server:
            self._ended(code, str(reason))
        elif code == _KEEPALIVE_OVER:
            self._lose(f"no word from the broker in {self._settings.keepalive_seconds} s")
        elif reason.is_failure:
            self._lose("the connection broke", cut=True)
        else:
            self._lose("closed")

    def _ended(self, code: int, reason: str) -> None:
        """The broker says goodbye."""
        if code == PACKET_TOO_LARGE:
            self._results.refuse_largest()
        self.taken_over = code == remedies.TAKEN_OVER
        more = f"; {remedies.of_takeover(self._settings)}" if self.taken_over else ""
        self._lose(f"the broker ended it: {reason}{more}")

    # --- ending

    async def close(self, *, with_will: bool) -> None:
        """Say goodbye and close: reading stops, acknowledgements already given still leave.

        ``with_will``: ask the broker to publish the last will (MQTT 5 only).
        """
        sock = self._pump.socket
        if sock is None or self.lost.done() or self.unanswered:
            self.drop("closed")
            return
        self._started = False
        self._pump.block(True)
        sock.orderly = True
        if with_will and not self.mqtt5:
            self._pump.write()
            self.drop("closed")
            return
        self._paho.disconnect(with_will_code() if with_will else None)
        await asyncio.wait({self.lost}, timeout=_GOODBYE_SECONDS)
        self.drop("closed")

    def drop(self, reason: str) -> None:
        """Hang up without a goodbye."""
        self._lose(reason)
        self._paho._sock_close()

    def _broke(self, reason: str) -> None:
        """The socket failed."""
        self._lose(reason, cut=True)
        self._paho._sock_close()

    def _lose(self, reason: str, *, cut: bool = False) -> None:
        if self.lost.done():
            return
        self.cut = cut
        self.lost.set_result(reason)
        self._started = False
        self._slots.clear()
        self._pump.detach()
        self._unacked.clear()
        self._on_lost(self, reason)
        self._results.fail(f"{self._where()}: {reason}", cut=cut)


def _value(code: Any) -> int:
    return int(getattr(code, "value", code))
