"""MQTT in: topics, dead letters, results, acknowledgements and back-pressure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from distributor.domain.decisions import (
    DeadLettered,
    Decision,
    EventRecorded,
    LeadAccepted,
    LeadDuplicate,
    LeadRejected,
)
from distributor.domain.events import (
    Event,
    LeadEvent,
    LeadReceived,
    LeadRefused,
    PresenceReported,
    Undecodable,
)
from distributor.domain.lead import Lead
from distributor.domain.messages import Outgoing
from distributor.intake.directory import Directory
from distributor.intake.mqtt_intake import MqttIntake
from distributor.runtime.inbox import Inbox, Submission

NOW = 1_795_251_660_000_000_000
GOOD = b'{"id": "L-1", "phone": "+13125550142"}'
EVENT = b'{"event_id": "e1", "type": "contacted", "lead_key": "K1"}'


@dataclass
class FakeLink:
    acked: list[list[Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    resumed: asyncio.Event = field(default_factory=asyncio.Event)

    def ack(self, tokens: Any) -> None:
        self.acked.append(list(tokens))

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")
        self.resumed.set()


@dataclass
class Properties:
    response_topic: str = ""
    correlation_data: bytes = b""
    oversize: bool = False


def answer(event: Event) -> Decision:
    """What an engine without any memory would say."""
    if isinstance(event, LeadReceived):
        lead = Lead("K1", event.vendor, event.vendor_id, "default", "waiting", NOW, NOW)
        return LeadAccepted(lead, 1, event.channel, note=event.note)
    if isinstance(event, LeadRefused):
        return LeadRejected(event.vendor, event.vendor_id, event.reason, event.channel)
    if isinstance(event, LeadEvent):
        outcome: Any = "rejected" if event.lead_key == "NONE" else "accepted"
        return EventRecorded(
            event.event_id, event.source, event.type, event.lead_key, "", "", 0, outcome, "no lead"
        )
    assert isinstance(event, Undecodable)
    return DeadLettered(event.topic, event.reason, event.payload, event.truncated)


class Bench:
    """An intake with a fake link; ``commit`` plays the runtime."""

    def __init__(self, **options: Any) -> None:
        self.link = FakeLink()
        self.inbox = Inbox()
        self.directory = Directory(["ana", "ben"], {"acme": "US"})
        self.intake = MqttIntake(
            self.link, self.inbox, lambda: self.directory, lambda: NOW, lambda: NOW, **options
        )

    def send(self, topic: str, payload: bytes, properties: Properties | None = None) -> Submission:
        self.intake.on_message(topic, payload, f"token {topic}", properties)
        (submission,) = self.inbox.take(100_000)
        return submission

    def dead(self, topic: str, payload: bytes) -> Undecodable:
        (event,) = self.send(topic, payload).events
        assert isinstance(event, Undecodable)
        assert event.topic == topic
        return event

    def replies(self, submission: Submission, *answers: Decision) -> list[Outgoing]:
        if submission.reply is None:
            return []
        return submission.reply(list(answers) or [answer(e) for e in submission.events])


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    bench.intake.close()


def test_the_topics_to_subscribe_to_are_the_inbound_ones_and_no_results() -> None:
    assert Bench(prefix="x/y").intake.subscriptions == (
        "x/y/in/+",
        "x/y/rep/+/presence",
        "x/y/rep/+/event",
        "x/y/dialer/event",
    )


async def test_an_empty_array_of_leads_is_answered_with_an_empty_array(bench: Bench) -> None:
    """As over HTTP; a vendor who waits for a reply must get one."""
    submission = bench.send("leads/in/acme", b" [] ", Properties("their/topic", b"c"))
    assert list(submission.events) == []
    own, theirs = bench.replies(submission)
    assert (own.kind, own.address, own.payload) == ("result", "leads/in/acme/result", b"[]")
    assert (theirs.address, theirs.payload, theirs.correlation) == ("their/topic", b"[]", b"c")
    assert bench.link.acked == []  # not before the reply is on disk
    assert submission.done is not None
    submission.done([])
    await asyncio.sleep(0)
    assert bench.link.acked == [["token leads/in/acme"]]


async def test_an_empty_array_that_has_no_reply_is_acknowledged_at_once() -> None:
    bench = Bench(results=False)
    for topic in ("leads/in/acme", "leads/rep/ana/event", "leads/dialer/event"):
        bench.intake.on_message(topic, b"[]", topic)
    await asyncio.sleep(0)
    assert bench.inbox.take(100) == []
    assert len(bench.link.acked[0]) == 3
    bench.intake.close()


async def test_each_topic_has_its_event(bench: Bench) -> None:
    (lead,) = bench.send("leads/in/acme", GOOD).events
    assert isinstance(lead, LeadReceived)
    assert (lead.vendor, lead.channel) == ("acme", "mqtt")
    (presence,) = bench.send("leads/rep/ana/presence", b'{"state": "ready"}').events
    assert presence == PresenceReported("ana", "ready", "rep:ana")
    (own,) = bench.send("leads/rep/ana/event", EVENT).events
    assert isinstance(own, LeadEvent)
    assert (own.source, own.rep) == ("rep:ana", "ana")
    (dialer,) = bench.send("leads/dialer/event", EVENT).events
    assert isinstance(dialer, LeadEvent)
    assert (dialer.source, dialer.rep) == ("dialer", "")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "leads",
        "leads/",
        "leads/in",
        "leads/in/acme/result",
        "leads/in/acme/more",
        "leads/rep/ana/sings",
        "leads/rep/ana/event/more",
        "leads/dialer/event/more",
        "leads/dialer/assign",
        "other/in/acme",
        "leadsin/acme",
    ],
)
async def test_a_topic_of_the_wrong_depth_is_a_dead_letter(bench: Bench, topic: str) -> None:
    assert bench.dead(topic, GOOD).reason.startswith("topic:")


@pytest.mark.parametrize("vendor", ["zed", "+", "#", "a b", "", "é", "a\n"])
async def test_an_unknown_vendor_or_a_wildcard_is_a_dead_letter(bench: Bench, vendor: str) -> None:
    bench.directory = Directory([], {"acme": "US"})
    assert bench.dead(f"leads/in/{vendor}", GOOD).reason.startswith("vendor:")


@pytest.mark.parametrize("vendors", [{}, {"acme": "US"}])
async def test_a_vendor_or_rep_that_is_no_name_is_told_what_one_is(
    bench: Bench, vendors: dict[str, str]
) -> None:
    """No entry in the configuration could make it known."""
    bench.directory = Directory(["ana"], vendors)
    remedy = "is no name; use 1 to 64 characters from A-Z a-z 0-9 . _ : -"
    assert bench.dead(f"leads/in/{'x' * 65}", GOOD).reason == f'vendor: "{"x" * 64}..." {remedy}'
    assert bench.dead("leads/in/a b", GOOD).reason == f'vendor: "a b" {remedy}'
    assert bench.dead("leads/rep/a b/event", EVENT).reason == f'rep: "a b" {remedy}'


async def test_without_configured_vendors_any_name_is_taken(bench: Bench) -> None:
    bench.directory = Directory([], {})
    assert isinstance(bench.send("leads/in/zed", GOOD).events[0], LeadReceived)
    assert bench.dead("leads/in/#", GOOD).reason.startswith("vendor:")


@pytest.mark.parametrize("rep", ["ana", "gone"])
async def test_clearing_a_retained_presence_says_nothing(bench: Bench, rep: str) -> None:
    """The broker passes the empty payload on; for a rep who is gone it is the way to tidy up."""
    topic = f"leads/rep/{rep}/presence"
    bench.intake.on_message(topic, b"", "token")
    await asyncio.sleep(0)
    assert bench.inbox.events == 0
    assert bench.link.acked == [["token"]]


@pytest.mark.parametrize("kind", ["presence", "event"])
async def test_an_unknown_rep_is_a_dead_letter(bench: Bench, kind: str) -> None:
    assert bench.dead(f"leads/rep/zed/{kind}", EVENT).reason.startswith("rep: zed")


async def test_the_desktop_of_a_rep_who_left_the_floor_may_report(bench: Bench) -> None:
    bench.directory = Directory(["ana"], {}, former=["ana", "gone"])
    (event,) = bench.send("leads/rep/gone/event", EVENT.replace(b'"ana"', b'"gone"')).events
    assert isinstance(event, LeadEvent)
    assert event.rep == "gone"
    assert bench.dead("leads/rep/gone/presence", b'{"state": "ready"}').reason.startswith("rep:")


async def test_a_rep_who_speaks_for_another_is_a_dead_letter(bench: Bench) -> None:
    spoken = json.dumps({**json.loads(EVENT), "rep": "ben"}).encode()
    assert "ana speaks for ben" in bench.dead("leads/rep/ana/event", spoken).reason
    presence = b'{"state": "ready", "rep": "ben"}'
    assert "ana speaks for ben" in bench.dead("leads/rep/ana/presence", presence).reason


async def test_a_dialer_s_evidence_is_believed_on_the_dialer_s_topic_alone(bench: Bench) -> None:
    record = json.dumps({**json.loads(EVENT), "evidence": "dialer"}).encode()
    (dialer,) = bench.send("leads/dialer/event", record).events
    (rep,) = bench.send("leads/rep/ana/event", record).events
    assert isinstance(dialer, LeadEvent)
    assert isinstance(rep, LeadEvent)
    assert (dialer.evidence, rep.evidence) == ("dialer", "claimed")


@pytest.mark.parametrize("topic", ["leads/in/acme", "leads/dialer/event", "leads/rep/ana/event"])
@pytest.mark.parametrize("payload", [b"", b"nope", b"\xff", b'{"a": NaN}', b"[" * 99])
async def test_what_cannot_be_decoded_is_one_dead_letter_and_no_result(
    bench: Bench, topic: str, payload: bytes
) -> None:
    submission = bench.send(topic, payload)
    (event,) = submission.events
    assert isinstance(event, Undecodable)
    assert (event.payload, event.truncated) == (payload, False)
    assert bench.replies(submission) == []


async def test_a_payload_over_the_limit_is_a_dead_letter_of_its_first_64_kib(bench: Bench) -> None:
    payload = b'{"id": 1, "comments": "' + b"x" * 10_485_760 + b'"}'
    letter = bench.dead("leads/in/acme", payload)
    assert letter.payload == payload[:65_536]
    assert letter.truncated
    assert letter.reason == "payload: too large; send at most 1048576 bytes"


async def test_a_payload_that_the_link_found_too_large_is_a_dead_letter(bench: Bench) -> None:
    (event,) = bench.send("leads/in/acme", GOOD, Properties(oversize=True)).events
    assert isinstance(event, Undecodable)
    assert "too large" in event.reason


async def test_the_result_is_an_array_in_the_order_of_the_leads(bench: Bench) -> None:
    items = b'[{"id": 1, "phone": "+13125550142"}, {"id": 2}, {"id": 3, "phone": "+13125550142"}]'
    submission = bench.send("leads/in/acme", items)
    lead = Lead("K1", "acme", "1", "default", "waiting", NOW, NOW)
    (result,) = bench.replies(
        submission,
        LeadAccepted(lead, 1, "mqtt", note="email: no usable address"),
        LeadRejected("acme", "2", "phone, email: both missing", "mqtt"),
        LeadDuplicate("acme", "3", "K0", "mqtt"),
    )
    assert (result.target, result.kind, result.address) == (
        "mqtt",
        "result",
        "leads/in/acme/result",
    )
    assert json.loads(result.payload) == [
        {
            "outcome": "accepted",
            "reason": "email: no usable address",
            "lead_id": "1",
            "lead_key": "K1",
            "retryable": False,
        },
        {
            "outcome": "rejected",
            "reason": "phone, email: both missing",
            "lead_id": "2",
            "lead_key": None,
            "retryable": False,
        },
        {
            "outcome": "duplicate",
            "reason": None,
            "lead_id": "3",
            "lead_key": "K0",
            "retryable": False,
        },
    ]


async def test_an_invalid_lead_is_rejected_and_no_dead_letter(bench: Bench) -> None:
    submission = bench.send("leads/in/acme", b'{"phone": "+13125550142"}')
    (result,) = bench.replies(submission)
    reply = json.loads(result.payload)
    assert (reply["outcome"], reply["lead_id"]) == ("rejected", None)
    assert reply["reason"].startswith("id:")


async def test_nothing_kept_is_an_error_to_be_tried_again(bench: Bench) -> None:
    submission = bench.send("leads/in/acme", GOOD)
    (result,) = bench.replies(
        submission, LeadRejected("acme", "L-1", "pool full", "mqtt", retryable=True)
    )
    reply = json.loads(result.payload)
    assert (reply["outcome"], reply["retryable"], reply["lead_key"]) == ("error", True, None)


async def test_a_response_topic_gets_the_reply_with_its_correlation_data(bench: Bench) -> None:
    asked = Properties("acme/replies", b"42")
    own, wanted = bench.replies(bench.send("leads/in/acme", GOOD, asked))
    assert (own.address, own.correlation) == ("leads/in/acme/result", b"")
    assert (wanted.address, wanted.correlation) == ("acme/replies", b"42")
    assert own.payload == wanted.payload


@pytest.mark.parametrize(
    "topic",
    [
        "leads/in/other/result",
        "leads/dialer/event",
        "leads",
        "$SYS/x",
        "a/+",
        "#",
        "a\0",
        "x" * 70_000,
    ],
)
async def test_a_response_topic_that_may_not_be_answered_to_is_ignored_and_counted(
    bench: Bench, topic: str
) -> None:
    replies = bench.replies(bench.send("leads/in/acme", GOOD, Properties(topic, b"1")))
    assert [reply.address for reply in replies] == ["leads/in/acme/result"]
    assert bench.intake.ignored_response_topics == 1


async def test_the_vendor_s_own_result_topic_as_response_topic_gets_one_reply(bench: Bench) -> None:
    asked = Properties("leads/in/acme/result", b"42")
    (reply,) = bench.replies(bench.send("leads/in/acme", GOOD, asked))
    assert (reply.address, reply.correlation) == ("leads/in/acme/result", b"42")
    assert bench.intake.ignored_response_topics == 0


async def test_without_results_nothing_goes_to_the_result_topic() -> None:
    bench = Bench(results=False)
    assert bench.replies(bench.send("leads/in/acme", GOOD)) == []
    own = Properties("leads/in/acme/result", b"1")
    assert bench.replies(bench.send("leads/in/acme", GOOD, own)) == []


async def test_an_invalid_item_of_an_array_of_events_is_a_dead_letter_of_that_item(
    bench: Bench,
) -> None:
    submission = bench.send("leads/dialer/event", b"[" + EVENT + b', {"event_id": "e2"}]')
    good, bad = submission.events
    assert isinstance(good, LeadEvent)
    assert isinstance(bad, Undecodable)
    assert bad.payload == b'{"event_id": "e2"}'


async def test_an_event_that_the_core_knows_no_lead_for_is_a_dead_letter_of_that_item(
    bench: Bench,
) -> None:
    stranger = b'{"event_id": "e2", "type": "contacted", "lead_key": "NONE"}'
    submission = bench.send("leads/dialer/event", b"[" + EVENT + b", " + stranger + b"]")
    assert bench.replies(submission) == []
    assert submission.letters is not None
    answers = [answer(event) for event in submission.events]
    assert submission.letters(answers) == [
        Undecodable("leads/dialer/event", "no lead", stranger, truncated=False)
    ]
    assert submission.letters(answers[:1]) == []


async def test_messages_are_acknowledged_together_and_only_after_the_commit(bench: Bench) -> None:
    for topic in ("leads/in/acme", "leads/dialer/event", "nowhere"):
        bench.intake.on_message(topic, GOOD, topic)
    await asyncio.sleep(0)
    assert bench.link.acked == []
    for submission in bench.inbox.take(100):
        assert submission.done is not None
        submission.done([])
    await asyncio.sleep(0)
    assert bench.link.acked == [["leads/in/acme", "leads/dialer/event", "nowhere"]]


async def test_while_stopping_nothing_is_taken_nor_acknowledged(bench: Bench) -> None:
    """The broker keeps what is not acknowledged for the next start."""
    bench.inbox.open = False
    bench.intake.on_message("leads/in/acme", GOOD, "token")
    await asyncio.sleep(0)
    assert bench.link.acked == []
    assert bench.inbox.events == 0


async def test_close_sends_the_acknowledgements_that_are_collected(bench: Bench) -> None:
    submission = bench.send("leads/in/acme", GOOD)
    assert submission.done is not None
    submission.done([])
    bench.intake.close()
    assert bench.link.acked == [["token leads/in/acme"]]


async def test_reading_stops_above_the_high_mark_and_goes_on_below_the_low_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when others fill the inbox, after our last message is through."""
    bench = Bench(high_water=3, low_water=1)
    looked = asyncio.Event()
    look = bench.intake._check_low

    def look_and_say_so() -> None:
        look()
        looked.set()

    monkeypatch.setattr(bench.intake, "_check_low", look_and_say_so)
    for number in range(4):
        bench.intake.on_message("leads/in/acme", GOOD, number)
    assert bench.link.calls == ["pause"]
    bench.inbox.push(Submission([bench.inbox.take(100)[0].events[0]] * 2))
    await looked.wait()
    assert bench.intake.paused
    assert bench.link.calls == ["pause"]
    bench.inbox.take(100)
    await bench.link.resumed.wait()
    assert bench.link.calls == ["pause", "resume"]


@given(
    st.text(max_size=40) | st.sampled_from(["leads/in/acme", "leads/rep/ana/event"]), st.binary()
)
@example("leads/in/acme", b"[]")  # no events, and answered all the same
def test_any_message_is_a_submission_or_nothing_at_all(topic: str, payload: bytes) -> None:
    bench = Bench()
    bench.intake._ack = lambda token: None  # type: ignore[method-assign]
    bench.intake.on_message(topic, payload, "token", Properties(topic, payload))
    for submission in bench.inbox.take(10):
        assert submission.events or submission.reply is not None
        bench.replies(submission)
