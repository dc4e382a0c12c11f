"""What we rely on inside aiomqtt and paho: a release that changes it must fail here."""

from __future__ import annotations

import inspect
import socket
from typing import Any

import aiomqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import _packet
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from distributor.mqtt.buffered import BufferedSocket
from distributor.mqtt.options import publish_bytes, publish_properties
from distributor.mqtt.shortcuts import install, publish, split_publish

_MQTT5 = MQTTProtocolVersion.MQTTv5
_MQTT311 = MQTTProtocolVersion.MQTTv311


async def test_the_private_names_of_aiomqtt_are_there() -> None:
    client = aiomqtt.Client("127.0.0.1", protocol=aiomqtt.ProtocolVersion.V5)
    for name in ("_client", "_connected"):
        assert hasattr(client, name), name
    callback = ["client", "userdata", "flags", "reason_code", "properties"]
    assert list(inspect.signature(client._on_connect).parameters) == callback
    assert not client._connected.done()


async def test_the_private_names_of_paho_are_there() -> None:
    client = aiomqtt.Client("127.0.0.1", protocol=aiomqtt.ProtocolVersion.V5)._client
    names = (
        *("_sock", "_in_packet", "_mid_generate", "_packet_read", "_send_publish", "_ping_t"),
        *("_last_bytes_received", "_create_socket", "_sock_close", "_handle_publish"),
        *("_handle_pubackcomp", "_loop_rc_handle", "_raise_for_invalid_topic"),
        *("_ssl_context", "_host", "_connect_timeout"),
    )
    for name in names:
        assert hasattr(client, name), name
    assert hasattr(paho.MQTTMessage(1, b"t"), "_topic")


def _inside(client: paho.Client, name: str) -> str:
    return inspect.getsource(getattr(type(client), name))


async def test_paho_still_uses_them_as_we_think() -> None:
    client = aiomqtt.Client("127.0.0.1")._client
    assert "self._create_socket()" in _inside(client, "reconnect")
    assert "self._ssl_wrap_socket(sock)" in _inside(client, "_create_socket")
    assert "self._handle_publish()" in _inside(client, "_packet_handle")
    assert "self._handle_pubackcomp(" in _inside(client, "_packet_handle")
    assert "self._ping_t" in _inside(client, "loop_misc")
    assert "self._last_bytes_received" in _inside(client, "_check_keepalive")
    assert "self._loop_rc_handle(rc)" in _inside(client, "loop_read")
    assert "self._raise_for_invalid_topic(" in _inside(client, "publish")
    assert "self._send_publish(" in _inside(client, "publish")
    for bookkeeping in ("_out_messages", "_inflight_messages"):
        assert bookkeeping not in _inside(client, "_send_publish")
    assert "packet['info']" not in _inside(client, "_packet_write").split("packet['qos'] == 0")[0]


class _Installed:
    """A paho client with the shortcuts, fed packet by packet."""

    def __init__(self, version: MQTTProtocolVersion) -> None:
        self.messages: list[tuple[Any, ...]] = []
        self.answers: list[tuple[int, int]] = []
        self.whole: list[Any] = []
        self.client: Any = paho.Client(CallbackAPIVersion.VERSION2, protocol=version)
        self.client.manual_ack_set(True)
        self.client.on_message = lambda _c, _u, message: self.whole.append(message)
        install(
            self.client,
            mqtt5=version == _MQTT5,
            deliver=lambda *parts: self.messages.append(parts),
            answered=lambda mid, code: self.answers.append((mid, code)),
        )

    def feed(self, command: int, packet: bytes) -> Any:
        self.client._in_packet.update(command=command, packet=bytearray(packet))
        return self.client._packet_handle()


_PARTS = st.tuples(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
    st.binary(max_size=50),
    st.integers(1, 65_535),
    st.sampled_from([0x30, 0x31, 0x32, 0x33, 0x3A, 0x3B]),
)


@given(_PARTS, st.sampled_from([_MQTT5, _MQTT311]))
def test_a_message_reads_as_paho_reads_it(
    parts: tuple[str, bytes, int, int], version: MQTTProtocolVersion
) -> None:
    topic, payload, mid, command = parts
    raw = topic.encode()
    packet = len(raw).to_bytes(2) + raw
    packet += mid.to_bytes(2) if command & 0x06 else b""
    packet += b"\0" if version == _MQTT5 else b""
    packet += payload
    expected = _packet.decode_publish(command, bytearray(packet), version)
    installed = _Installed(version)
    assert installed.feed(command, packet) == paho.MQTT_ERR_SUCCESS
    assert installed.messages == [
        (expected.topic, expected.payload, expected.mid, expected.retain, expected.dup, None)
    ]


@given(st.binary(max_size=40), st.integers(0x30, 0x3D), st.booleans())
def test_whatever_comes_is_split_as_paho_does_or_left_to_it(
    packet: bytes, command: int, mqtt5: bool
) -> None:
    if command & 0x04:
        return
    parts = split_publish(command, bytearray(packet), mqtt5=mqtt5)
    if parts is None:
        return
    version = _MQTT5 if mqtt5 else _MQTT311
    expected = _packet.decode_publish(command, bytearray(packet), version)
    assert parts == (expected.topic, expected.mid, expected.payload)


def test_a_message_with_properties_goes_the_librarys_way() -> None:
    properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ResponseTopic = "reply"
    installed = _Installed(_MQTT5)
    installed.feed(0x32, b"\0\1t\0\7" + properties.pack() + b"body")
    assert installed.messages == []
    (message,) = installed.whole
    assert (message._topic, message.mid, message.payload) == (b"t", 7, b"body")
    assert message.properties.ResponseTopic == "reply"


@given(
    st.sampled_from([0x00, 0x10, 0x80, 0x87, 0x97]),
    st.sampled_from(["short", "code", "props"]),
    st.integers(1, 65_535),
)
def test_an_answer_is_told_in_every_form(code: int, form: str, mid: int) -> None:
    installed = _Installed(_MQTT5)
    packet = mid.to_bytes(2)
    if form == "short":
        code = 0
    else:
        assert ReasonCode(PacketTypes.PUBACK, identifier=code).value == code
        packet += bytes([code])
    if form == "props":
        properties: Any = Properties(PacketTypes.PUBACK)  # type: ignore[no-untyped-call]
        properties.ReasonString = "because"
        packet += properties.pack()
    assert installed.feed(0x40, packet) == paho.MQTT_ERR_SUCCESS
    assert installed.answers == [(mid, code)]


def test_an_answer_that_is_none_is_the_librarys_to_complain_of() -> None:
    installed = _Installed(_MQTT5)
    with pytest.raises(_packet.MalformedPacket):
        installed.feed(0x40, b"\0")
    assert installed.answers == []


class _Connected:
    """What paho needs to believe that it has a socket."""

    def fileno(self) -> int:
        return 1


@given(_PARTS, st.sampled_from([_MQTT5, _MQTT311]), st.binary(max_size=9))
def test_a_publish_leaves_as_paho_would_send_it(
    parts: tuple[str, bytes, int, int], version: MQTTProtocolVersion, correlation: bytes
) -> None:
    topic, payload, _, command = parts
    retain = bool(command & 0x01)
    properties: Any = None
    if correlation and version == _MQTT5:
        properties = publish_properties("reply", correlation)
    sent = []
    for ours in (True, False):
        client: Any = paho.Client(CallbackAPIVersion.VERSION2, protocol=version)
        client._sock = _Connected()
        client._registered_write = True
        client.on_socket_register_write = lambda *_: None
        try:
            if ours:
                mid = client._mid_generate()
                assert publish(
                    client, mid, topic.encode(), payload, retain=retain, properties=properties
                )
                assert not client._out_messages
            else:
                client.publish(topic, payload, 1, retain, properties)
            sent.append([packet["packet"] for packet in client._out_packet])
        except ValueError:
            sent.append([])
        client._sock = None
    assert sent[0] == sent[1]
    if sent[0]:
        size = publish_bytes(topic.encode(), payload, properties, mqtt5=version == _MQTT5)
        assert [len(packet) for packet in sent[0]] == [size]


def test_an_impossible_publish_is_refused_and_one_without_a_connection_is_not_sent() -> None:
    client: Any = paho.Client(CallbackAPIVersion.VERSION2, protocol=_MQTT5)
    for topic in (b"", b"a/+", b"#", b"x" * 65_536):
        with pytest.raises(ValueError, match="topic"):
            publish(client, 1, topic, b"", retain=False, properties=None)
    assert not publish(client, 1, b"t", b"", retain=False, properties=None)
    assert not client._out_packet


@given(st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=10), st.data())
def test_the_buffered_socket_gives_every_byte_in_order(
    chunks: list[bytes], data: st.DataObject
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        buffered = BufferedSocket(ours)
        came = b""
        for chunk in chunks:
            theirs.sendall(chunk)
            buffered.ready()
            if data.draw(st.booleans()):
                buffered.blocked = True
                with pytest.raises(BlockingIOError):
                    buffered.recv(1)
                assert buffered.pending() == 0
                buffered.blocked = False
            while True:
                try:
                    came += buffered.recv(data.draw(st.integers(1, 7)))
                except BlockingIOError:
                    break
            assert buffered.pending() == 0
        assert came == b"".join(chunks)
        theirs.close()
        buffered.ready()
        assert buffered.recv(1) == b""
        buffered.close()


def test_the_buffered_socket_keeps_what_the_real_one_does_not_take() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        buffered = BufferedSocket(ours)
        size = 4_000_000
        assert buffered.send(b"x" * size) == size
        assert not buffered.flush()
        came = 0
        while not buffered.flush():
            came += len(theirs.recv(1 << 20))
        buffered.close()
        while data := theirs.recv(1 << 20):
            came += len(data)
        assert came == size
