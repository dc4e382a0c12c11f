"""The MQTT link: the only place in the product that names the MQTT libraries.

``link`` is what the rest of the house uses. Under it, ``connection`` (one connection), ``pump``
(event loop to library) and ``shortcuts`` (the two common packets) reach into aiomqtt and paho, and
tests/mqtt/test_library.py notices when a release changes what they find; ``options`` says what we
ask the library for, ``buffered`` is the socket it talks through. ``in_flight`` are the publishes under
way, ``backoff`` the waits between connections, ``remedies`` what people are told when one fails.
"""

from __future__ import annotations

from distributor.mqtt.link import MqttLink
from distributor.mqtt.values import (
    AckToken,
    ConnectionLost,
    Inbound,
    LastWill,
    LinkCounters,
    MqttSettings,
    NoFreeSlot,
    OnMessage,
    OnResult,
    PublishResult,
    TlsFiles,
)

__all__ = [
    "AckToken",
    "ConnectionLost",
    "Inbound",
    "LastWill",
    "LinkCounters",
    "MqttLink",
    "MqttSettings",
    "NoFreeSlot",
    "OnMessage",
    "OnResult",
    "PublishResult",
    "TlsFiles",
]
