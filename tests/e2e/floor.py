"""A whole floor from the outside: the daemon as a process, a broker, and peers that talk to them."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.brokers import free_port

WAIT_SECONDS = 60.0
OPEN_STATES = ("waiting", "assigned", "working", "parked", "exception")
_numbers = itertools.count(1)


def fresh(prefix: str = "id") -> str:
    """A name that no other test used."""
    return f"{prefix}-{next(_numbers)}"


def phone() -> str:
    """A valid number that no other lead has."""
    return f"+1312555{1000 + next(_numbers) % 9000:04d}"


def lead(**more: Any) -> dict[str, Any]:
    """A valid lead with an id of its own."""
    return {"id": fresh("lead"), "phone": phone(), **more}


def until(condition: Callable[[], Any], what: str = "", seconds: float = WAIT_SECONDS) -> Any:
    """The first true value of ``condition``, polled; for what no event announces."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {seconds} s: {what or condition}")
        time.sleep(0.01)


class Answer(NamedTuple):
    """An HTTP answer: status, decoded JSON (or text), headers."""

    status: int
    body: Any
    headers: dict[str, str]


class Api:
    """The daemon's HTTP side."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self.port = port
        self.token = token

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        kind: str | None = "application/json",
        timeout: float = WAIT_SECONDS,
        **headers: str,
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            data = raw if raw is not None else None if body is None else json.dumps(body).encode()
            if data is not None and kind is not None:
                headers["Content-Type"] = kind
            if self.token is not None:
                headers["Authorization"] = f"Bearer {self.token}"
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            named = {name.lower(): value for name, value in answer.getheaders()}
            is_json = "json" in named.get("content-type", "")
            return Answer(answer.status, json.loads(text) if is_json else text, named)
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The body of a GET that must succeed."""
        answer = self.call("GET", path)
        assert answer.status == 200, answer
        return answer.body

    def post(self, path: str, body: Any, **more: Any) -> Any:
        """The body of a POST that must succeed."""
        answer = self.call("POST", path, body, **more)
        assert answer.status == 200, answer
        return answer.body

    def be(self, rep: str, state: str, **more: Any) -> Any:
        """Report a rep's presence."""
        answer = self.call("PUT", f"/v1/reps/{rep}/presence", {"state": state, **more})
        assert answer.status == 200, answer
        return answer.body

    def event(self, kind: str, **more: Any) -> Any:
        """Report one event."""
        return self.post("/v1/events", {"event_id": fresh("e"), "type": kind, **more})

    def lead(self, key: str) -> Any:
        """One lead with its history."""
        return self.get(f"/v1/leads/{key}")

    def leads(self, state: str = "") -> list[dict[str, Any]]:
        """All leads (of a state)."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self.get(f"/v1/leads?limit=1000&state={state}&after={after}")
            found += page["items"]
            if page["next"] is None:
                return found
            after = page["next"]

    def metric(self, line: str) -> float:
        """The value of a series, 0 where it has none yet."""
        for text in self.call("GET", "/metrics").body.splitlines():
            name, _, value = text.rpartition(" ")
            if name == line:
                return float(value)
        return 0.0


def calm(api: Api, reps: Iterable[str]) -> None:
    """Everybody offline and not paused, every lead closed."""
    for rep in reps:
        api.post(f"/v1/reps/{rep}/resume", {})
        api.be(rep, "offline")
    for state in OPEN_STATES:
        for one in api.leads(state):
            api.post(f"/v1/leads/{one['lead_key']}/close", {"status": "invalid"})


class Message(NamedTuple):
    """What a peer received."""

    topic: str
    payload: bytes
    retain: bool
    correlation: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.payload)


class Peer:
    """An MQTT 5 client of another make than the daemon's, with all that it received."""

    def __init__(
        self,
        port: int,
        *topics: str,
        name: str = "",
        keep: bool = False,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.came: list[Message] = []
        self._news = threading.Condition()
        self._topics = topics
        self._ready = threading.Event()
        client_id = name or fresh(f"peer-{os.getpid()}")
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5, reconnect_on_failure=keep
        )
        self.client.on_connect = self._connected
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = self._on_message
        self.client.reconnect_delay_set(1, 1)
        self.client.max_inflight_messages_set(100)
        if will is not None:
            self.client.will_set(*will, qos=1)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600 if keep else 0
        self.client.connect("127.0.0.1", port, clean_start=not keep, properties=properties)
        self.client.loop_start()
        assert self._ready.wait(WAIT_SECONDS), "the broker did not answer"

    def _connected(self, client: Any, *_: Any) -> None:
        if self._topics:
            client.subscribe([(topic, paho.SubscribeOptions(qos=1)) for topic in self._topics])
        else:
            self._ready.set()

    def _on_message(self, _client: Any, _userdata: Any, message: Any) -> None:
        correlation = getattr(message.properties, "CorrelationData", b"")
        with self._news:
            self.came.append(Message(message.topic, message.payload, message.retain, correlation))
            self._news.notify_all()

    def say(
        self,
        topic: str,
        value: Any,
        *,
        retain: bool = False,
        response: str | None = None,
        correlation: bytes | None = None,
    ) -> paho.MQTTMessageInfo:
        """Publish at QoS 1 (bytes as they are, anything else as JSON)."""
        payload = value if isinstance(value, bytes) else json.dumps(value).encode()
        properties = Properties(PacketTypes.PUBLISH)
        if response is not None:
            properties.ResponseTopic = response
        if correlation is not None:
            properties.CorrelationData = correlation
        return self.client.publish(topic, payload, 1, retain, properties)

    def wait(
        self,
        topic: str,
        fits: Callable[[Any], bool] = lambda _: True,
        seconds: float = WAIT_SECONDS,
    ) -> Any:
        """The first message of a topic whose JSON fits, awaited."""
        return self.wait_message(topic, lambda message: fits(message.json), seconds).json

    def wait_message(
        self,
        topic: str,
        fits: Callable[[Message], bool] = lambda _: True,
        seconds: float = WAIT_SECONDS,
    ) -> Message:
        """As ``wait``, with everything that came along."""
        seen = 0
        end = time.monotonic() + seconds
        with self._news:
            while True:
                for message in self.came[seen:]:
                    if message.topic == topic and fits(message):
                        return message
                seen = len(self.came)
                left = end - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    tail = "\n".join(map(str, self.came[-12:]))
                    raise AssertionError(f"nothing on {topic} within {seconds} s; came:\n{tail}")

    def all(self, topic: str, fits: Callable[[Any], bool] = lambda _: True) -> list[Any]:
        """What came on a topic so far."""
        with self._news:
            return [m.json for m in self.came if m.topic == topic and fits(m.json)]

    def vanish(self) -> None:
        """Break the connection without a goodbye: the broker publishes the last will."""
        sock = self.client.socket()
        self.client.loop_stop()
        if sock is not None:
            sock.close()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


CONFIG = """\
[store]
path = "data/distributor.db"

{mqtt}
[http]
port = {http_port}
{http}
[flow]
# A slow machine must not make a rep look silent: the floor's own time goes by slowly.
time_scale = 0.1
{flow}

{reps}
[[pools]]
id = "default"
{pool}

{more}
"""


class DaemonProcess:
    """One ``distributor run`` and its configuration. ``end`` says what it must end with."""

    def __init__(
        self,
        folder: Path,
        *,
        broker: int | None = None,
        mqtt: str = "",
        reps: tuple[str, ...] = ("ana", "ben", "cleo"),
        flow: str = "",
        http: str = "",
        pool: str = "",
        more: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.config = folder / "distributor.toml"
        self.store = folder / "data/distributor.db"
        self.broker = broker
        self.parts = {
            "mqtt": mqtt,
            "reps": reps,
            "flow": flow,
            "http": http,
            "pool": pool,
            "more": more,
        }
        self.api = Api(free_port())
        self.process: subprocess.Popen[bytes] | None = None
        self.write()

    def write(self, **changes: Any) -> None:
        """Write the configuration anew, by renaming, with some parts changed."""
        self.parts.update(changes)
        parts = dict(self.parts)
        if self.broker is not None:
            parts["mqtt"] = f"[mqtt]\nport = {self.broker}\n{parts['mqtt']}\n"
        else:
            parts["mqtt"] = ""
        parts["reps"] = "".join(f'[[reps]]\nid = "{rep}"\n' for rep in parts["reps"])
        new = self.config.with_suffix(".new")
        new.write_text(CONFIG.format(http_port=self.api.port, **parts))
        new.replace(self.config)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command on this store."""
        return subprocess.run(
            [sys.executable, "-m", "distributor", *arguments, "--store", str(self.store)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def spawn(self, preexec: Callable[[], None] | None = None) -> None:
        """Begin, without waiting for anything."""
        with (self.folder / "out.log").open("ab") as out, (self.folder / "err.log").open("ab") as e:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "distributor", "run", "--config", str(self.config)],
                stdout=out,
                stderr=e,
                preexec_fn=preexec,  # noqa: PLW1509 - it sets a limit and nothing else
            )

    def start(self, preexec: Callable[[], None] | None = None) -> Self:
        """Begin and return when the daemon is ready."""
        self.spawn(preexec)
        self.wait_ready()
        return self

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def answers(self) -> bool:
        """Whether HTTP is open."""
        assert self.alive(), self.log()
        try:
            self.api.call("GET", "/healthz")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def is_ready(self) -> bool:
        return self.answers() and self.api.call("GET", "/readyz").status == 200

    def wait_ready(self) -> None:
        until(self.is_ready, "ready")

    def log(self) -> str:
        """All that the process wrote."""
        return (self.folder / "out.log").read_text() + self.errors()

    def errors(self) -> str:
        return (self.folder / "err.log").read_text()

    def wait(self, seconds: float = WAIT_SECONDS) -> int:
        """The exit code of a process that ends by itself."""
        assert self.process is not None
        code = self.process.wait(timeout=seconds)
        self.process = None
        return code

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """An orderly stop, which must be silent and successful."""
        if self.process is None:
            return
        self.signal(signal.SIGTERM)
        assert self.wait() == 0, self.log()
        assert "Traceback" not in self.log(), self.log()
        assert self.errors() == ""

    def end(self) -> None:
        """Whatever it does: gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def running(folder: Path, **parts: Any) -> Iterator[DaemonProcess]:
    """A daemon that is ready, and is stopped in order where the test did not end it."""
    daemon = DaemonProcess(folder, **parts)
    try:
        daemon.start()
        yield daemon
        daemon.stop()
    finally:
        daemon.end()
