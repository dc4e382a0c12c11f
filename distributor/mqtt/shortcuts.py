"""The two packets that make up nearly all traffic, without paho's detours.

paho builds tables of all MQTT 5 properties and reason codes anew for every PUBLISH and PUBACK that
comes, which is half of the CPU time of a busy link, and keeps a book of its own, with locks, of
every publish that leaves, which we keep already. Here the two are taken apart directly when they
have their usual form (a PUBLISH without properties); anything else goes the library's way. The
library still reads, frames and writes every packet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from paho.mqtt.client import MQTT_ERR_AGAIN, MQTT_ERR_SUCCESS

Deliver = Callable[[bytes, bytes, int, bool, bool, Any], None]
"""topic, payload, packet id, retain, dup, properties (None without)"""

LARGEST_PAYLOAD_BYTES = 268_435_455
_QOS_2 = 0x04
_NO_PROPERTIES = 0


def install(
    client: Any, *, mqtt5: bool, deliver: Deliver, answered: Callable[[int, int], None]
) -> None:
    """Have ``client`` (a paho client with manual acknowledgement) call ``deliver`` for messages and
    ``answered(packet id, reason code)`` for PUBACK."""
    whole_publish: Callable[[], Any] = client._handle_publish
    whole_puback: Callable[[str], Any] = client._handle_pubackcomp

    def handle_publish() -> Any:
        command: int = client._in_packet["command"]
        if command & _QOS_2:
            return whole_publish()
        parts = split_publish(command, client._in_packet["packet"], mqtt5=mqtt5)
        if parts is None:
            return whole_publish()
        topic, mid, payload = parts
        deliver(topic, payload, mid, bool(command & 0x01), bool(command & 0x08), None)
        return MQTT_ERR_SUCCESS

    def handle_puback(kind: str) -> Any:
        packet: bytearray = client._in_packet["packet"]
        if kind != "PUBACK" or len(packet) < 2:
            return whole_puback(kind)
        # Properties may follow: words for people, which the code says as well.
        answered(packet[0] << 8 | packet[1], packet[2] if len(packet) > 2 else 0)
        return MQTT_ERR_SUCCESS

    client._handle_publish = handle_publish
    client._handle_pubackcomp = handle_puback


def read(client: Any) -> None:
    """Have ``client`` handle every packet that has come. (paho's own ``loop_read`` ends after as many as
    it believes to be in flight, which is none.)"""
    while client._sock is not None:
        code = client._packet_read()
        if code == MQTT_ERR_AGAIN:
            return
        if code != MQTT_ERR_SUCCESS:
            client._loop_rc_handle(code)
            return


def publish(
    client: Any, mid: int, topic: bytes, payload: bytes, *, retain: bool, properties: Any
) -> bool:
    """Have ``client`` publish at QoS 1 as packet ``mid``; False when it is not connected. What is in flight
    is the caller's to know. Raises ValueError for an impossible topic or payload."""
    client._raise_for_invalid_topic(topic)
    if not topic:
        raise ValueError("a topic has at least one letter")
    if len(payload) > LARGEST_PAYLOAD_BYTES:
        raise ValueError(f"MQTT has no packets for payloads of {len(payload)} bytes")
    code = client._send_publish(mid, topic, payload, 1, retain, False, None, properties)
    return bool(code == MQTT_ERR_SUCCESS)


def split_publish(
    command: int, packet: bytearray, *, mqtt5: bool
) -> tuple[bytes, int, bytes] | None:
    """Topic, packet id (0 at QoS 0) and payload of a PUBLISH of at most QoS 1; None when it has
    properties or is malformed."""
    if len(packet) < 3:
        return None
    end = 2 + (packet[0] << 8 | packet[1])
    topic = bytes(packet[2:end])
    mid = 0
    if command & 0x06:
        if len(packet) < end + 2:
            return None
        mid = packet[end] << 8 | packet[end + 1]
        end += 2
    if mqtt5:
        if len(packet) <= end or packet[end] != _NO_PROPERTIES:
            return None
        end += 1
    if len(packet) < end or not topic:
        return None
    return topic, mid, bytes(packet[end:])
