"""Vendors and a dialer that remember everything they were promised, to judge the daemon by.

They follow the contract: a message is repeated until it is acknowledged, and of what arrives twice
(by type and assignment id) the second is dropped.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import Any

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from distributor.errors import Unavailable

VENDOR = "bench"
_RETRY_SECONDS = 0.05


def lead_fields(lead_id: str) -> dict[str, object]:
    """A small lead."""
    return {
        "id": lead_id,
        "first_name": "Maria",
        "last_name": "Santos",
        "phone": "+12125550123",
        "product": "auto",
    }


class Client:
    """A paho connection with a thread of its own; what is published is remembered until PUBACK."""

    def __init__(self, port: int, name: str, topics: tuple[str, ...] = ()) -> None:
        self.acknowledged: set[str] = set()
        self.waiting: dict[int, str] = {}
        self._early: set[int] = set()
        self._lock = threading.Lock()
        self._topics = topics
        self._up = threading.Event()
        self._mqtt = paho.Client(CallbackAPIVersion.VERSION2, name, clean_session=False)
        self._mqtt.max_inflight_messages_set(500)
        self._mqtt.reconnect_delay_set(1, 1)
        self._mqtt.on_connect = self._connected
        self._mqtt.on_publish = lambda _c, _u, mid, _r, _p: self._acknowledged(mid)
        self._mqtt.on_message = lambda _c, _u, m: self.received(m.topic, bytes(m.payload))
        self._mqtt.connect_async("127.0.0.1", port, keepalive=60)
        self._mqtt.loop_start()
        if not self._up.wait(10):
            raise Unavailable("no connection to the broker")

    def _connected(self, client: paho.Client, *_more: Any) -> None:
        if self._topics:
            client.subscribe([(topic, 1) for topic in self._topics])
        self._up.set()

    def received(self, topic: str, payload: bytes) -> None:
        """Take a message."""

    def publish(self, topic: str, payload: bytes, mark: str) -> None:
        """Publish at QoS 1; ``mark`` is in ``acknowledged`` once the broker has it."""
        info = self._mqtt.publish(topic, payload, qos=1)
        with self._lock:
            if info.mid in self._early:
                self._early.discard(info.mid)
                self.acknowledged.add(mark)
            else:
                self.waiting[info.mid] = mark

    def _acknowledged(self, mid: int) -> None:
        with self._lock:
            mark = self.waiting.pop(mid, None)
            if mark is None:
                self._early.add(mid)
            else:
                self.acknowledged.add(mark)

    def close(self) -> None:
        """End the connection and its thread."""
        self._mqtt.disconnect()
        self._mqtt.loop_stop()


class MqttVendor:
    """Sends leads at a rate until told to stop."""

    def __init__(self, port: int, rate: float) -> None:
        self.client = Client(port, "bench-vendor")
        self.sent = 0
        self._loop = _Loop(1.0 / rate, self._send)

    def _send(self) -> None:
        self.sent += 1
        lead_id = f"m{self.sent}"
        body = msgspec.json.encode(lead_fields(lead_id))
        self.client.publish(f"leads/in/{VENDOR}", body, lead_id)

    @property
    def acknowledged(self) -> set[str]:
        """Lead ids that the broker has taken over."""
        return self.client.acknowledged

    def stop(self) -> None:
        """Send no more, and wait until all of it is acknowledged."""
        self._loop.stop()
        _wait(lambda: not self.client.waiting, 30)
        self.client.close()


class HttpVendor:
    """Posts small arrays; what was not answered is posted again, with the same ids.

    ``keys``: lead id -> lead key as first told. ``changed``: repeats that got another key.
    """

    def __init__(self, port: int, rate: float, size: int = 5) -> None:
        self.port = port
        self.keys: dict[str, str] = {}
        self.changed = 0
        self.refusals = 0
        self.failures = 0
        self._size = size
        self._sent = 0
        self._pending: list[dict[str, object]] = []
        self._loop = _Loop(size / rate, self._send)

    def _send(self) -> None:
        if not self._pending:
            self._pending = [lead_fields(f"h{self._sent + i}") for i in range(self._size)]
            self._sent += self._size
        try:
            status, body = self._post(msgspec.json.encode(self._pending))
        except (OSError, HTTPException):
            self.failures += 1
            time.sleep(_RETRY_SECONDS)
            return
        if status != 200:
            self.refusals += 1
            time.sleep(_RETRY_SECONDS)
            return
        replies = msgspec.json.decode(body)
        for reply in replies:
            if reply["outcome"] in {"accepted", "duplicate"}:
                first = self.keys.setdefault(reply["lead_id"], reply["lead_key"])
                self.changed += first != reply["lead_key"]
        again = {reply["lead_id"] for reply in replies if reply["outcome"] == "error"}
        self._pending = [lead for lead in self._pending if lead["id"] in again]

    def _post(self, body: bytes) -> tuple[int, bytes]:
        link = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            head = {"Content-Type": "application/json"}
            link.request("POST", f"/v1/leads/{VENDOR}", body, head)
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    def stop(self) -> None:
        """Send no more, but what is pending until it is answered."""
        self._loop.stop()
        _wait(self._drained, 30)

    def _drained(self) -> bool:
        if self._pending:
            self._send()
        return not self._pending


class Dialer(Client):
    """Takes assignments, answers with events, and watches that no lead is given out twice.

    One in ten assignments is refused, one in ten let lie, the rest are contacted and closed.
    """

    def __init__(self, port: int, seed: int = 1) -> None:
        self.assignments = 0
        self.revocations = 0
        self.repeats = 0
        self.assigned_twice: list[tuple[str, str, str]] = []
        self.contacted: set[str] = set()
        self._live: dict[str, str] = {}
        self._heard: set[tuple[str, str]] = set()
        self._random = random.Random(seed)
        self._events = itertools.count(1)
        super().__init__(port, "bench-dialer", ("leads/dialer/assign", "leads/dialer/revoke"))

    def received(self, topic: str, payload: bytes) -> None:
        found = msgspec.json.decode(payload)
        for message in found if isinstance(found, list) else [found]:
            mark = (message["type"], message["assignment_id"])
            if mark in self._heard:
                self.repeats += 1
                continue
            self._heard.add(mark)
            if message["type"] == "assign":
                self._assigned(message)
            else:
                self.revocations += 1
                self._end(message["lead_key"], message["assignment_id"])

    def _assigned(self, message: dict[str, Any]) -> None:
        self.assignments += 1
        key, assignment = message["lead_key"], message["assignment_id"]
        earlier = self._live.get(key)
        if earlier is not None:
            self.assigned_twice.append((key, earlier, assignment))
        self._live[key] = assignment
        chance = self._random.random()
        if chance < 0.1:
            self.say("rejected", message, reason="busy")
            self._end(key, assignment)
        elif chance < 0.9:
            self.say("contacted", message, evidence="dialer")
            self.say("call_ended", message, talk_seconds=30)
            self.say("status", message, status=self._random.choice(("converted", "lost")))
            self._end(key, assignment)

    def _end(self, key: str, assignment: str) -> None:
        if self._live.get(key) == assignment:
            del self._live[key]

    def say(self, kind: str, message: dict[str, Any], **more: object) -> None:
        """Report an event about an assignment."""
        event_id = f"d{next(self._events)}"
        event = {
            "event_id": event_id,
            "type": kind,
            "assignment_id": message["assignment_id"],
            "rep": message["rep"],
            **more,
        }
        self.publish("leads/dialer/event", msgspec.json.encode(event), event_id)

    def sign_on(self, reps: list[str]) -> None:
        """All reps are ready."""
        for rep in reps:
            self.publish(f"leads/rep/{rep}/presence", b'{"state":"ready"}', f"presence:{rep}")


class _Loop:
    """Calls a function again and again, in a thread, at a pace."""

    def __init__(self, period: float, function: Callable[[], None]) -> None:
        self._stopping = threading.Event()
        self._period = period
        self._function = function
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            self._function()
            due = max(due + self._period, time.monotonic() - 1.0)
            self._stopping.wait(max(0.0, due - time.monotonic()))

    def stop(self) -> None:
        """End the thread after its present call."""
        self._stopping.set()
        self._thread.join(30)


def _wait(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
