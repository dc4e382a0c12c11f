"""Load at the price of microseconds: a publisher and a watcher, each in a process of its own.

paho makes the connection; from there on the bytes of many messages are written and read at once by
hand, because a library call for each message would cost more than what is measured.
"""

from __future__ import annotations

import re
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from http.client import HTTPConnection
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Lock, Thread
from time import perf_counter
from typing import Any, Self

import paho.mqtt.client as paho
from msgspec import Struct
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

WINDOW = 400
_ANSWER_SECONDS = 10.0
_BUFFER = 1 << 20
_NUMBER = re.compile(rb'"#(\d{9})"')
_PUBLISH, _PUBACK = 0x30, 0x40
_PAHO_FAILED = "no connection to the broker"


def marked(number: int) -> str:
    """The text that carries a lead's number through the daemon (nine digits)."""
    return f"#{number:09d}"


def connect(port: int, client_id: str, topics: Sequence[str] = ()) -> socket.socket:
    """A clean MQTT 3.1.1 connection without keepalive, subscribed at QoS 0; its bare socket."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=True)
    answers: list[str] = []
    client.on_connect = lambda *_: answers.append("connected")
    client.on_subscribe = lambda *_: answers.append("subscribed")
    client.connect("127.0.0.1", port, keepalive=0)
    _until(client, lambda: "connected" in answers)
    if topics:
        client.subscribe([(topic, 0) for topic in topics])
        _until(client, lambda: "subscribed" in answers)
    mine: Any = client.socket()
    own = socket.socket(fileno=socket.dup(mine.fileno()))
    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    own.setblocking(True)
    _KEPT.append(client)  # closing it would end the connection for us, too
    return own


_KEPT: list[paho.Client] = []


def _until(client: paho.Client, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _ANSWER_SECONDS
    while not done():
        if client.loop(0.1) != MQTTErrorCode.MQTT_ERR_SUCCESS or time.monotonic() > deadline:
            raise RuntimeError(_PAHO_FAILED)


def publish_frame(topic: str, payload: bytes, mid: int) -> bytes:
    """One PUBLISH at QoS 1."""
    name = topic.encode()
    body = struct.pack(">H", len(name)) + name + struct.pack(">H", mid) + payload
    length, head = len(body), bytearray([_PUBLISH | 2])
    while True:
        length, digit = length >> 7, length & 0x7F
        head.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(head) + body


class Frames:
    """Cuts a stream of bytes into MQTT packets."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """(first byte, body) of each packet that is complete."""
        data = self._rest + data
        found: list[tuple[int, bytes]] = []
        at, end = 0, len(data)
        while at + 1 < end:
            length, shift, begin = 0, 0, at + 1
            while begin < end:
                digit = data[begin]
                begin += 1
                length |= (digit & 0x7F) << shift
                shift += 7
                if digit < 0x80:
                    break
            else:
                break
            if begin + length > end:
                break
            found.append((data[at], data[begin : begin + length]))
            at = begin + length
        self._rest = data[at:]
        return found


# -- sending ------------------------------------------------------------------------------------


class Load(Struct):
    """What a sender sends: ``count`` messages, ``per_message`` leads in each (an array above 1).

    ``rate``: leads a second, 0 for as fast as they are taken. ``first``: the first lead's number.
    """

    port: int
    topic: str
    count: int
    per_message: int
    rate: float = 0.0
    first: int = 0
    http: bool = False
    connections: int = 8


class Sent(Struct):
    """When each message left, and when it was acknowledged by the last (``perf_counter``)."""

    at: list[float]
    begun: float
    ended: float
    refused: int = 0


def lead_json(number: int) -> bytes:
    """A lead of about 350 bytes."""
    return (
        b'{"id":"bench-%d","first_name":"Maria","last_name":"Santos","phone":"+1212555%04d",'
        b'"email":"maria.santos@example.com","postal_code":"10001","state":"NY","country":"US",'
        b'"language":"en","product":"auto","segment":"new","source":"search",'
        b'"campaign":"spring-2026","score":0.5,"price":12.5,"comments":"%s"}'
    ) % (number, number % 10_000, marked(number).encode())


def payloads(load: Load) -> list[bytes]:
    """The bodies of a load, in order."""
    if load.per_message <= 1:
        return [lead_json(load.first + i) for i in range(load.count)]
    each = load.per_message
    return [
        b"[" + b",".join(lead_json(load.first + i * each + k) for k in range(each)) + b"]"
        for i in range(load.count)
    ]


def send_mqtt(load: Load, ready: Callable[[], None]) -> Sent:
    """Publish at QoS 1, at most ``WINDOW`` unanswered."""
    link = connect(load.port, f"bench-sender-{load.first}")
    frames = [
        publish_frame(load.topic, body, i % 65_000 + 1) for i, body in enumerate(payloads(load))
    ]
    parser, answered, at = Frames(), 0, 0
    times: list[float] = []
    ready()
    begun = perf_counter()
    while answered < len(frames):
        allowed = min(len(frames), answered + WINDOW)
        wait = 1.0
        if load.rate:
            passed = perf_counter() - begun
            allowed = min(allowed, int(passed * load.rate / load.per_message) + 1)
            wait = max(0.0, (at + 1) * load.per_message / load.rate - passed)
        if at < allowed:
            times += [perf_counter()] * (allowed - at)
            link.sendall(b"".join(frames[at:allowed]))
            at = allowed
            wait = 0.0
        if select.select([link], [], [], wait)[0]:
            data = link.recv(_BUFFER)
            if not data:
                raise RuntimeError(_PAHO_FAILED)
            answered += sum(1 for head, _ in parser.feed(data) if head == _PUBACK)
    ended = perf_counter()
    link.close()
    return Sent(times, begun, ended)


def send_http(load: Load, ready: Callable[[], None]) -> Sent:
    """POST over several kept connections; each waits for its answer."""
    bodies = payloads(load)
    times = [0.0] * len(bodies)
    taken, refused, lock = iter(range(len(bodies))), 0, Lock()
    ready()
    begun = perf_counter()

    def work() -> None:
        nonlocal refused
        link = HTTPConnection("127.0.0.1", load.port, timeout=30)
        head = {"Content-Type": "application/json"}
        while True:
            with lock:
                number = next(taken, None)
            if number is None:
                return
            if load.rate:
                due = begun + number * load.per_message / load.rate
                time.sleep(max(0.0, due - perf_counter()))
            times[number] = perf_counter()
            link.request("POST", load.topic, bodies[number], head)
            answer = link.getresponse()
            answer.read()
            if answer.status != 200:
                with lock:
                    refused += 1

    threads = [Thread(target=work) for _ in range(load.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Sent(times, begun, perf_counter(), refused)


def _sender(pipe: Connection, load: Load) -> None:
    def ready() -> None:
        pipe.send("ready")
        pipe.recv()

    pipe.send((send_http if load.http else send_mqtt)(load, ready))


# -- watching -----------------------------------------------------------------------------------


class Watch(Struct):
    """What a watcher waits for: ``want`` messages or leads on each topic, by its first level(s).

    ``topics``: filters. ``leads``: count leads (by their mark) on topics that begin with ``main``;
    elsewhere, or without marks, count messages.
    """

    port: int
    topics: list[str]
    main: str
    by_mark: bool
    want: int


class Seen(Struct):
    """``at``: lead number (by mark) or place in the order -> when it arrived on the main topic, with
    -1 for what did not. ``messages`` and ``octets`` by kind of topic. ``ended``: the last arrival."""

    at: list[float]
    messages: dict[str, int]
    octets: dict[str, int]
    ended: float
    repeats: int = 0


def kind_of(topic: str) -> str:
    """``leads/rep/ana/lead`` and ``leads/rep/ben/lead`` are of one kind."""
    levels = topic.split("/")
    if len(levels) == 4:
        levels[2] = "+"
    return "/".join(levels)


def watch(plan: Watch, pipe: Connection) -> None:
    """Collect until told to report; answers ``count`` (on the main topic) whenever asked."""
    link = connect(plan.port, "bench-watcher", plan.topics)
    parser = Frames()
    kinds: dict[bytes, str] = {}
    seen = Seen([-1.0] * plan.want, {}, {}, 0.0)
    main = 0
    both: list[Any] = [link, pipe]
    pipe.send("ready")
    while True:
        readable = select.select(both, [], [])[0]
        if link in readable:
            data = link.recv(_BUFFER)
            now = perf_counter()
            for head, body in parser.feed(data):
                if head & 0xF0 == _PUBLISH:
                    main += _note(plan, seen, kinds, body, now, main)
        if pipe in readable:
            if pipe.recv() == "report":
                pipe.send(seen)
                link.close()
                return
            pipe.send((main, sum(seen.messages.values()), seen.ended))


def _note(
    plan: Watch, seen: Seen, kinds: dict[bytes, str], body: bytes, now: float, main: int
) -> int:
    end = 2 + body[0] * 256 + body[1]
    name = body[2:end]
    kind = kinds.get(name)
    if kind is None:
        kind = kinds[name] = kind_of(name.decode())
    seen.messages[kind] = seen.messages.get(kind, 0) + 1
    seen.octets[kind] = seen.octets.get(kind, 0) + len(body) - end
    seen.ended = now
    if not kind.startswith(plan.main):
        return 0
    numbers = [int(text) for text in _NUMBER.findall(body)] if plan.by_mark else [main]
    fresh = 0
    for number in numbers:
        if 0 <= number < plan.want and seen.at[number] < 0:
            seen.at[number] = now
            fresh += 1
        else:
            seen.repeats += 1
    return fresh


def _watcher(pipe: Connection, plan: Watch) -> None:
    watch(plan, pipe)


# -- the processes ------------------------------------------------------------------------------


class Helper:
    """A function in a process of its own, with a pipe to talk over."""

    def __init__(self, function: Callable[[Connection, Any], None], argument: Any) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=function, args=(theirs, argument), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """The process's id."""
        number = self._process.pid
        assert number is not None
        return number

    def ask(self, word: str) -> Any:
        """Say a word, and what comes back."""
        self._pipe.send(word)
        return self._pipe.recv()

    def hear(self) -> Any:
        """The next thing it says."""
        return self._pipe.recv()

    def say(self, word: str) -> None:
        """Say a word that has no answer of its own."""
        self._pipe.send(word)

    def heard(self, seconds: float) -> bool:
        """Whether it has said something, waited for so long."""
        return self._pipe.poll(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._pipe.close()
        self._process.join(2)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(5)


def sender(load: Load) -> Helper:
    """A process that is about to send."""
    return Helper(_sender, load)


def watcher(plan: Watch) -> Helper:
    """A process that counts what arrives."""
    return Helper(_watcher, plan)
