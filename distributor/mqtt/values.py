"""What goes in and out of the link: settings, tokens, results, counters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from distributor.errors import Unavailable

NO_MATCHING_SUBSCRIBERS = 0x10
PACKET_TOO_LARGE = 0x95
_FIRST_REFUSAL = 0x80
_DAY_SECONDS = 86_400


class TlsFiles(Struct, frozen=True, forbid_unknown_fields=True):
    """Files in PEM form. Without ``ca_file`` the system's authorities are trusted."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class MqttSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach the broker. The broker keeps our session under ``client_id``.

    ``receive_maximum``: messages the broker may send us ahead of our acknowledgements.
    ``max_payload_bytes``: larger payloads are handed over with ``Inbound.oversize`` set.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 1883
    client_id: Annotated[str, Meta(min_length=1)] = "distributor"
    username: str | None = None
    password: str | None = None
    tls: TlsFiles | None = None
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    keepalive_seconds: Annotated[int, Meta(ge=1, le=65_535)] = 30
    receive_maximum: Annotated[int, Meta(ge=1, le=65_535)] = 512
    max_payload_bytes: Annotated[int, Meta(ge=1)] = 1 << 20
    session_expiry_seconds: Annotated[int, Meta(ge=_DAY_SECONDS, le=0xFFFFFFFF)] = 7 * _DAY_SECONDS
    reconnect_first_seconds: Annotated[float, Meta(gt=0)] = 0.5
    reconnect_max_seconds: Annotated[float, Meta(gt=0)] = 30.0


class LastWill(Struct, frozen=True):
    """What the broker publishes for us, at QoS 1, when we vanish without a goodbye."""

    topic: str
    payload: bytes
    retain: bool = False


class AckToken(NamedTuple):
    """What acknowledges one inbound message, on the connection it came on and on no other.

    ``mid`` 0 stands for a message at QoS 0, which needs no acknowledgement.
    """

    epoch: int
    mid: int


class Inbound(Struct, frozen=True, gc=False):
    """What came with a message besides topic and payload."""

    response_topic: str | None = None
    correlation_data: bytes = b""
    retain: bool = False
    dup: bool = False
    oversize: bool = False


class PublishResult(Struct, frozen=True, gc=False):
    """The broker's answer to one publish: an MQTT 5 reason code (always 0 with MQTT 3.1.1).

    Where it is ``PACKET_TOO_LARGE``: ``packet_bytes`` is how large the packet is, and ``limit_bytes`` what
    the broker said that it takes, 0 where it did not say.
    """

    reason_code: int
    packet_bytes: int = 0
    limit_bytes: int = 0

    @property
    def refused(self) -> bool:
        """The broker did not take the message: it counts as not sent."""
        return self.reason_code >= _FIRST_REFUSAL

    @property
    def no_subscribers(self) -> bool:
        """The broker took the message, but nobody listens to its topic."""
        return self.reason_code == NO_MATCHING_SUBSCRIBERS


class ConnectionLost(Unavailable):
    """The connection ended before the broker answered: the message may or may not be there.

    ``cut``: the other side hung up without a word, for all we know because of this message.
    """

    def __init__(self, text: str, *, cut: bool = False) -> None:
        super().__init__(text)
        self.cut = cut


class NoFreeSlot(Unavailable):
    """All publishes that may be in flight are; ``wait_for_slots`` says when to go on."""


class SubscriptionRefused(Unavailable):
    """The broker does not let us listen to a topic."""


class ConnectRefused(Unavailable):
    """The broker answered, but does not let us in. ``version``: it dislikes the MQTT version."""

    def __init__(self, text: str, *, version: bool) -> None:
        super().__init__(text)
        self.version = version


class LinkCounters(Struct):
    """Totals since the link was made; ``observe`` exports them."""

    received: int = 0
    acknowledged: int = 0
    published: int = 0
    connects: int = 0
    reconnects: int = 0
    failed_attempts: int = 0
    lost_sessions: int = 0
    stale_acks: int = 0
    refused_publishes: int = 0
    too_large_publishes: int = 0
    unheard_publishes: int = 0
    lost_publishes: int = 0
    repeated: int = 0
    handler_errors: int = 0
    taken_over: int = 0


OnMessage = Callable[[str, bytes, AckToken, Inbound], None]
OnResult = Callable[[PublishResult | ConnectionLost], None]
