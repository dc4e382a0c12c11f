"""MQTT in: topics to events, and the acknowledgement once they are on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec.structs import replace

from distributor.domain.decisions import EventRecorded, LeadAccepted, LeadDuplicate
from distributor.domain.events import Event, Undecodable
from distributor.domain.ids import is_name
from distributor.domain.messages import BROKER_TARGET, Outgoing
from distributor.intake.decode import decode_leads
from distributor.intake.decode_events import Invalid, decode_events, decode_presence
from distributor.intake.directory import Directory, unknown
from distributor.intake.frame import (
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
Letters = Callable[[Answers], list[Undecodable]]
Read = tuple[Sequence[Event], Reply | None, Letters | None]
"""What a message holds: events, how they are answered, and the dead letters of what is refused."""


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
        wall_ns: Callable[[], int],
        *,
        prefix: str = "leads",
        max_payload_bytes: int = 1_048_576,
        results: bool = True,
        high_water: int = 10_000,
        low_water: int = 5_000,
    ) -> None:
        """``now_ns``: our time. ``wall_ns``: the clock that the times in messages are told by.
        ``high_water``, ``low_water``: queued events at which reading stops and goes on."""
        self._link = link
        self._inbox = inbox
        self._directory = directory
        self._now_ns = now_ns
        self._wall_ns = wall_ns
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
        events, reply, letters = self._read(topic, payload, properties)
        if not events and reply is None:
            self._ack(token)
            return
        self._inbox.push(
            Submission(
                events,
                reply=reply,
                letters=letters,
                done=lambda _: self._ack(token),
                channel="mqtt",
            )
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

    def _read(self, topic: str, payload: bytes, properties: Properties | None) -> Read:
        if len(payload) > self._max_payload or (properties and properties.oversize):
            reason = f"payload: too large; send at most {self._max_payload} bytes"
            return [dead_letter(topic, reason, payload)], None, None
        start = f"{self._prefix}/"
        levels = topic[len(start) :].split("/") if topic.startswith(start) else []
        match levels:
            case ["in", vendor]:
                return self._leads(topic, vendor, payload, properties)
            case ["rep", rep, "presence"]:
                retained = properties is not None and properties.retain
                return self._presence(topic, rep, payload, retained=retained)
            case ["rep", rep, "event"]:
                if not self._directory().knew_rep(rep):
                    return [_unknown_rep(topic, rep, payload)], None, None
                return self._events(topic, payload, f"rep:{rep}", rep)
            case ["dialer", "event"]:
                return self._events(topic, payload, "dialer", "")
        reason = "topic: none that is read here; see docs/mqtt.md for the list of topics"
        return [dead_letter(topic, reason, payload)], None, None

    def _leads(
        self, topic: str, vendor: str, payload: bytes, properties: Properties | None
    ) -> Read:
        defaults = self._directory().vendor(vendor) if is_name(vendor) else None
        if defaults is None:
            return [dead_letter(topic, unknown("vendor", vendor), payload)], None, None
        leads = decode_leads(vendor, payload, "mqtt", self._wall_ns(), defaults)
        if isinstance(leads, Unreadable):
            return [dead_letter(topic, leads.reason, payload)], None, None
        addresses = self._reply_addresses(vendor, properties)
        if not addresses:
            return leads, None, None
        array = is_array(payload)
        return leads, lambda answers: self._result(answers, array, addresses), None

    def _presence(self, topic: str, rep: str, payload: bytes, *, retained: bool) -> Read:
        if not payload:
            return (
                [],
                None,
                None,
            )  # how a retained presence is cleared; it says nothing about the rep
        if not self._directory().knows_rep(rep):
            return [_unknown_rep(topic, rep, payload)], None, None
        presence = decode_presence(payload, rep, f"rep:{rep}", self._wall_ns())
        if isinstance(presence, Unreadable | Invalid):
            return [dead_letter(topic, presence.reason, payload)], None, None
        if retained:
            presence = replace(presence, retained=True)
        return [presence], None, lambda answers: _refused_items(answers, topic, payload)

    def _events(self, topic: str, payload: bytes, source: str, speaker: str) -> Read:
        found = decode_events(
            payload, source, self._wall_ns(), may_claim_dialer=not speaker, speaker=speaker
        )
        if isinstance(found, Unreadable):
            return [dead_letter(topic, found.reason, payload)], None, None
        events: list[Event] = [
            dead_letter(topic, event.reason, event.item) if isinstance(event, Invalid) else event
            for event in found
        ]
        if not events:
            return [], None, None
        return events, None, lambda answers: _refused_items(answers, topic, payload)

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
            Outgoing(BROKER_TARGET, "result", address, "", name, payload, at_ns, correlation)
            for address, correlation in addresses
        ]


def _refused_items(answers: Answers, topic: str, payload: bytes) -> list[Undecodable]:
    """A dead letter for each event that the core knows no lead or rep for."""
    refused = [
        (index, answer.reason)
        for index, answer in enumerate(answers)
        if isinstance(answer, EventRecorded) and answer.outcome == "rejected"
    ]
    if not refused:
        return []
    items = split_items(payload)
    assert not isinstance(items, Unreadable)
    return [dead_letter(topic, reason, items[index]) for index, reason in refused]


def _unknown_rep(topic: str, rep: str, payload: bytes) -> Undecodable:
    return dead_letter(topic, unknown("rep", rep), payload)


def _key_of(answer: object) -> str:
    if isinstance(answer, LeadAccepted):
        return answer.lead.key
    return answer.lead_key if isinstance(answer, LeadDuplicate) else ""
