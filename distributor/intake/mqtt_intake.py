"""MQTT in: topics to events, and the acknowledgement once they are on disk."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from distributor.domain.decisions import EventRecorded, LeadAccepted, LeadDuplicate
from distributor.domain.events import Event, Undecodable
from distributor.domain.ids import NANOSECONDS, is_name
from distributor.domain.messages import Outgoing
from distributor.intake.decode import decode_leads
from distributor.intake.decode_events import Invalid, decode_events, decode_presence
from distributor.intake.directory import Directory, unknown
from distributor.intake.frame import (
    DEAD_PAYLOAD_BYTES,
    Unreadable,
    dead_letter,
    is_array,
    split_items,
)
from distributor.intake.replies import encode_replies
from distributor.runtime.inbox import Answers, Inbox, Submission

_RECHECK_SECONDS = 0.02
_LONGEST_TOPIC = 65_535

Reply = Callable[[Answers], list[Outgoing]]


class Link(Protocol):
    """What intake needs of the MQTT link. Tokens are the link's own and mean nothing to us."""

    def ack(self, tokens: Sequence[Any]) -> None:
        """Acknowledge messages to the broker; tokens of an earlier connection are dropped."""

    def pause(self) -> None:
        """Stop reading from the broker."""

    def resume(self) -> None:
        """Read again."""


class Properties(Protocol):
    """What may come with a message besides topic and payload.

    ``oversize``: the payload is over the link's limit and may be cut off.
    """

    @property
    def response_topic(self) -> str | None: ...
    @property
    def correlation_data(self) -> bytes: ...
    @property
    def oversize(self) -> bool: ...
    @property
    def retain(self) -> bool: ...


class MqttIntake:
    """Turns inbound messages into submissions. Every message is acknowledged exactly once, after
    the commit, or not at all (then the broker delivers it again).

    ``ignored_response_topics`` counts MQTT 5 response topics that may not be answered to.
    """

    def __init__(
        self,
        link: Link,
        inbox: Inbox,
        directory: Callable[[], Directory],
        now_ns: Callable[[], int],
        *,
        prefix: str = "leads",
        max_payload_bytes: int = 1_048_576,
        results: bool = True,
        high_water: int = 10_000,
        low_water: int = 5_000,
    ) -> None:
        """``high_water``, ``low_water``: queued events at which reading stops and goes on."""
        self._link = link
        self._inbox = inbox
        self._directory = directory
        self._now_ns = now_ns
        self._prefix = prefix
        self._max_payload = max_payload_bytes
        self._results = results
        self._high = high_water
        self._low = low_water
        self._acks: list[Any] = []
        self._flush: asyncio.Handle | None = None
        self._recheck: asyncio.TimerHandle | None = None
        self.ignored_response_topics = 0

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The topic filters to subscribe to at QoS 1."""
        return (
            f"{self._prefix}/in/+",
            f"{self._prefix}/rep/+/presence",
            f"{self._prefix}/rep/+/event",
            f"{self._prefix}/dialer/event",
        )

    @property
    def paused(self) -> bool:
        """Whether reading from the broker is stopped because the inbox is full."""
        return self._recheck is not None

    def on_message(
        self, topic: str, payload: bytes, token: Any, properties: Properties | None = None
    ) -> None:
        """Take one message; never raises for what is in it."""
        if not self._inbox.open:
            # Stopping: without an acknowledgement the broker keeps it for our next start.
            return
        events, reply = self._read(topic, payload, properties)
        if not events and reply is None:
            self._ack(token)
            return
        self._inbox.push(
            Submission(events, reply=reply, done=lambda _: self._ack(token), channel="mqtt")
        )
        if self._inbox.events >= self._high and self._recheck is None:
            self._link.pause()
            self._watch()

    def close(self) -> None:
        """Send the acknowledgements that are collected and stop watching the inbox."""
        if self._recheck is not None:
            self._recheck.cancel()
            self._recheck = None
        if self._flush is not None:
            self._flush.cancel()
            self._send_acks()

    # -- acknowledgement and back-pressure --------------------------------------------------------

    def _ack(self, token: Any) -> None:
        """Acknowledge together with the others of the same turn of the loop."""
        self._acks.append(token)
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_soon(self._send_acks)

    def _send_acks(self) -> None:
        tokens, self._acks = self._acks, []
        self._flush = None
        self._link.ack(tokens)

    def _watch(self) -> None:
        # A timer, not our own "done": HTTP may hold the inbox up after our last message is through.
        loop = asyncio.get_running_loop()
        self._recheck = loop.call_later(_RECHECK_SECONDS, self._check_low)

    def _check_low(self) -> None:
        self._recheck = None
        if self._inbox.events <= self._low:
            self._link.resume()
        else:
            self._watch()

    # -- routing ----------------------------------------------------------------------------------

    def _read(
        self, topic: str, payload: bytes, properties: Properties | None
    ) -> tuple[Sequence[Event], Reply | None]:
        if len(payload) > self._max_payload or (properties and properties.oversize):
            reason = f"payload: too large; send at most {self._max_payload} bytes"
            return [dead_letter(topic, reason, payload)], None
        start = f"{self._prefix}/"
        levels = topic[len(start) :].split("/") if topic.startswith(start) else []
        match levels:
            case ["in", vendor]:
                return self._leads(topic, vendor, payload, properties)
            case ["rep", rep, "presence"]:
                retained = properties is not None and properties.retain
                return self._presence(topic, rep, payload, retained=retained)
            case ["rep", rep, "event"]:
                if not self._directory().knows_rep(rep):
                    return [_unknown_rep(topic, rep, payload)], None
                return self._events(topic, payload, f"rep:{rep}", rep)
            case ["dialer", "event"]:
                return self._events(topic, payload, "dialer", "")
        reason = "topic: none that is read here; see the list of topics"
        return [dead_letter(topic, reason, payload)], None

    def _leads(
        self, topic: str, vendor: str, payload: bytes, properties: Properties | None
    ) -> tuple[Sequence[Event], Reply | None]:
        defaults = self._directory().vendor(vendor) if is_name(vendor) else None
        if defaults is None:
            return [dead_letter(topic, unknown("vendor", vendor), payload)], None
        leads = decode_leads(vendor, payload, "mqtt", self._now_ns(), defaults)
        if isinstance(leads, Unreadable):
            return [dead_letter(topic, leads.reason, payload)], None
        addresses = self._reply_addresses(vendor, properties)
        if not addresses:
            return leads, None
        array = is_array(payload)
        return leads, lambda answers: self._result(answers, array, addresses)

    def _presence(
        self, topic: str, rep: str, payload: bytes, *, retained: bool
    ) -> tuple[Sequence[Event], Reply | None]:
        if not payload:
            return [], None  # how a retained presence is cleared; it says nothing about the rep
        if not self._directory().knows_rep(rep):
            return [_unknown_rep(topic, rep, payload)], None
        presence = decode_presence(payload, rep, f"rep:{rep}", self._now_ns())
        if isinstance(presence, Unreadable | Invalid):
            return [dead_letter(topic, presence.reason, payload)], None
        if retained:
            presence = replace(presence, retained=True)
        return [presence], lambda answers: self._dead_items(answers, topic, payload)

    def _events(
        self, topic: str, payload: bytes, source: str, speaker: str
    ) -> tuple[Sequence[Event], Reply | None]:
        found = decode_events(
            payload, source, self._now_ns(), may_claim_dialer=not speaker, speaker=speaker
        )
        if isinstance(found, Unreadable):
            return [dead_letter(topic, found.reason, payload)], None
        events: list[Event] = [
            dead_letter(topic, event.reason, event.item) if isinstance(event, Invalid) else event
            for event in found
        ]
        if not events:
            return [], None
        return events, lambda answers: self._dead_items(answers, topic, payload)

    # -- what leaves ------------------------------------------------------------------------------

    def _reply_addresses(
        self, vendor: str, properties: Properties | None
    ) -> list[tuple[str, bytes]]:
        """(topic, correlation data) of each reply."""
        own = f"{self._prefix}/in/{vendor}/result"
        wanted = (properties and properties.response_topic) or ""
        correlation = properties.correlation_data if properties else b""
        if wanted == own:
            return [(own, correlation)] if self._results else []
        addresses = [(own, b"")] if self._results else []
        if wanted and self._may_answer_to(wanted):
            addresses.append((wanted, correlation))
        elif wanted:
            self.ignored_response_topics += 1
        return addresses

    def _may_answer_to(self, topic: str) -> bool:
        """Whether a response topic is a plain topic outside our own ones and the broker's."""
        ours = topic == self._prefix or topic.startswith((f"{self._prefix}/", "$"))
        plain = len(topic.encode("utf-8", "replace")) <= _LONGEST_TOPIC
        return plain and not ours and not any(char in topic for char in "+#\0")

    def _result(
        self, answers: Answers, array: bool, addresses: list[tuple[str, bytes]]
    ) -> list[Outgoing]:
        payload = encode_replies(answers, array=array)
        at_ns = self._now_ns()
        name = _key_of(answers[0]) if answers else ""
        return [
            Outgoing("mqtt", "result", address, "", name, payload, at_ns, correlation)
            for address, correlation in addresses
        ]

    def _dead_items(self, answers: Answers, topic: str, payload: bytes) -> list[Outgoing]:
        """A dead letter for each event that the core knows no lead or rep for."""
        refused = [
            (index, answer)
            for index, answer in enumerate(answers)
            if isinstance(answer, EventRecorded) and answer.outcome == "rejected"
        ]
        if not refused:
            return []
        items = split_items(payload)
        assert not isinstance(items, Unreadable)
        return [self._dead_message(topic, answer.reason, items[index]) for index, answer in refused]

    def _dead_message(self, topic: str, reason: str, item: bytes) -> Outgoing:
        at_ns = self._now_ns()
        seconds, rest = divmod(at_ns, NANOSECONDS)
        second = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        letter = {
            "topic": topic,
            "reason": reason,
            "payload_base64": b64encode(item[:DEAD_PAYLOAD_BYTES]).decode("ascii"),
            "truncated": len(item) > DEAD_PAYLOAD_BYTES,
            "at": f"{second}.{rest // 1_000_000:03d}Z",
        }
        body = msgspec.json.encode(letter)
        return Outgoing("mqtt", "dead", f"{self._prefix}/dead", "", "", body, at_ns)


def _unknown_rep(topic: str, rep: str, payload: bytes) -> Undecodable:
    return dead_letter(topic, unknown("rep", rep), payload)


def _key_of(answer: object) -> str:
    if isinstance(answer, LeadAccepted):
        return answer.lead.key
    return answer.lead_key if isinstance(answer, LeadDuplicate) else ""
