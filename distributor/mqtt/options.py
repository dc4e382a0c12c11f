"""What we ask the library for: the client with its arguments, options and properties."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from distributor.mqtt.values import LastWill, MqttSettings

# What the library would say is either ours to say (a lost connection) or of no use.
_QUIET = logging.getLogger("distributor.mqtt.paho")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


def make_client(
    settings: MqttSettings,
    *,
    mqtt5: bool,
    will: LastWill | None,
    tls: ssl.SSLContext | None,
    timeout_seconds: float,
) -> aiomqtt.Client:
    """A client for one connection to our persistent session, which waits ``timeout_seconds`` for
    the answer to CONNECT and SUBSCRIBE."""
    common: dict[str, Any] = {
        "hostname": settings.host,
        "port": settings.port,
        "identifier": settings.client_id,
        "username": settings.username,
        "password": settings.password,
        "keepalive": settings.keepalive_seconds,
        "tls_context": tls,
        "timeout": timeout_seconds,
        "logger": _QUIET,
    }
    if will is not None:
        common["will"] = aiomqtt.Will(will.topic, will.payload, 1, will.retain)
    if not mqtt5:
        return aiomqtt.Client(protocol=aiomqtt.ProtocolVersion.V311, clean_session=False, **common)
    properties = _properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = settings.session_expiry_seconds
    properties.ReceiveMaximum = settings.receive_maximum
    return aiomqtt.Client(
        # The library's default wipes the session at the first connection of a process.
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=False,
        properties=properties,
        **common,
    )


def filter_options(filters: Sequence[str], *, mqtt5: bool) -> list[tuple[str, Any]]:
    """The filters at QoS 1, as ``subscribe`` takes them."""
    return [(name, SubscribeOptions(qos=1) if mqtt5 else 1) for name in filters]


def publish_properties(response_topic: str | None, correlation: bytes) -> Properties:
    """Properties of an MQTT 5 publish."""
    properties = _properties(PacketTypes.PUBLISH)
    if response_topic:
        properties.ResponseTopic = response_topic
    if correlation:
        properties.CorrelationData = correlation
    return properties  # type: ignore[no-any-return]


def publish_bytes(
    topic: bytes, payload: bytes, properties: Properties | None, *, mqtt5: bool
) -> int:
    """How large the packet of a publish at QoS 1 is, as the broker counts."""
    packed: Any = properties
    more = int(mqtt5) if packed is None else len(packed.pack())
    rest = 2 + len(topic) + 2 + more + len(payload)
    return 2 + rest + (rest > 0x7F) + (rest > 0x3FFF) + (rest > 0x1F_FFFF)


def with_will_code() -> ReasonCode:
    """The MQTT 5 goodbye that has the broker publish the last will."""
    return ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message")


def _properties(packet: int) -> Any:
    make: Any = Properties
    return make(packet)
