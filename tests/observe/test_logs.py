"""Logs hold no personal data, and nobody waits for them."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from distributor.domain import decisions as d
from distributor.domain.events import Ticked
from distributor.domain.journal import Entry
from distributor.observe.log_writer import LogWriter
from distributor.observe.logs import PERSONAL, REMOVED, clean, lead_lines, setup

NOW_NS = 1_800_000_000_250_000_000
Start = Callable[..., tuple[io.BytesIO, LogWriter]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Sets logging up on a stream in memory, and puts everything back."""
    handlers = logging.getLogger().handlers[:]
    writers: list[LogWriter] = []

    def begin(**options: Any) -> tuple[io.BytesIO, LogWriter]:
        stream = io.BytesIO()
        writers.append(setup(lambda: NOW_NS, stream=stream, **options))
        return stream, writers[-1]

    yield begin
    for writer in writers:
        writer.close()
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers


def lines(stream: io.BytesIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_level_and_event(start: Start) -> None:
    stream, writer = start()
    structlog.get_logger().info("store_opened", rows=3)
    writer.close()
    assert lines(stream) == [
        {"at": "2027-01-15T08:00:00.250Z", "rows": 3, "event": "store_opened", "level": "info"}
    ]


def test_lines_below_the_level_are_not_written(start: Start) -> None:
    stream, writer = start(level="warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    writer.close()
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_console_style_is_text(start: Start) -> None:
    stream, writer = start(style="console")
    structlog.get_logger().info("store_opened", rows=3)
    writer.close()
    text = stream.getvalue().decode()
    assert "store_opened" in text
    assert "rows=3" in text


def test_an_exception_is_told_with_its_trace_and_without_the_number_in_it(start: Start) -> None:
    stream, writer = start()
    try:
        raise ValueError("no such phone: +1 (555) 123-4567")
    except ValueError:
        structlog.get_logger().exception("failed")
    writer.close()
    (line,) = lines(stream)
    assert "Traceback" in line["exception"]
    assert "4567" not in line["exception"]


def test_libraries_are_heard_from_warning_on_in_the_same_form(start: Start) -> None:
    stream, writer = start()
    logging.getLogger("some.package").info("chatter")
    logging.getLogger("some.package").error("broken %s", "pipe")
    writer.close()
    (line,) = lines(stream)
    assert line["logger"] == "some.package"
    assert line["text"] == "broken pipe"
    assert line["level"] == "error"


def test_a_value_that_json_does_not_know_loses_no_line(start: Start) -> None:
    stream, writer = start()
    structlog.get_logger().info("odd", huge=2**80, broken="\ud800", thing=object)
    writer.close()
    assert lines(stream)[0]["huge"] == 2**80


def test_an_assignment_is_one_line_with_no_personal_data() -> None:
    assigned = d.Assigned(
        "K1", "K1-1", "ana", "north", "default", "lease", 1, 0, 0, 0, 0, "best", "best"
    )
    entry = Entry(9, 0, Ticked(), (assigned, d.LeadDeferred("K2", "default", "x", "x"), assigned))
    told = list(lead_lines(entry))
    assert len(told) == 2
    assert told[0]["lead_key"] == "K1"
    assert not PERSONAL & told[0].keys()


phones = st.builds(
    lambda plus, digits, separator: plus + separator.join([digits[:3], digits[3:6], digits[6:]]),
    st.sampled_from(["", "+1", "+44", "+1 "]),
    st.text("0123456789", min_size=10, max_size=10).filter(lambda text: text[0] in "23456789"),
    st.sampled_from(["", " ", "-", ".", "/", ") "]),
)
texts = st.text("abc xyz:,=[]'\"", max_size=12).map(lambda text: text + " ")


@given(
    phone=phones, before=texts, after=texts.map(lambda text: " " + text), depth=st.integers(0, 4)
)
def test_a_phone_never_reaches_a_log(phone: str, before: str, after: str, depth: int) -> None:
    """Whatever the key, in whatever text, at whatever depth."""
    value: Any = before + phone + after
    for level in range(depth):
        value = {"inner": value} if level % 2 else [value, 1]
    text = json.dumps(clean({"event": "x", "because": value}))
    assert phone not in text
    assert phone[-4:] not in text


@given(st.sampled_from(sorted(PERSONAL)), st.text(min_size=1), st.integers(0, 2))
def test_a_personal_key_never_reaches_a_log(key: str, secret: str, depth: int) -> None:
    value: Any = {key: secret, key.upper(): secret, "kept": 1}
    for _ in range(depth):
        value = {"inner": [value]}
    cleaned = clean(value)
    for _ in range(depth):
        cleaned = cleaned["inner"][0]
    assert cleaned == {"kept": 1}


def test_a_mail_address_in_a_text_is_masked() -> None:
    assert clean("sent to ana.alvarez@example.com today") == f"sent to {REMOVED} today"


@pytest.mark.parametrize(
    "text",
    [
        "192.168.100.200 refused",
        "http://127.0.0.1:8080/metrics",
        "lead DEMO0000000042 waits",
        "2026-11-21T09:00:59.250Z",
        "took 0.123 s of 600 s",
    ],
)
def test_what_operators_need_is_left_alone(text: str) -> None:
    assert clean(text) == text


def test_our_own_keys_are_never_masked() -> None:
    assert clean({"lead_key": "000000000042"}) == {"lead_key": "000000000042"}


def test_raw_bytes_are_never_told() -> None:
    assert clean({"what": b"+15551234567"}) == {"what": REMOVED}


class BlockedPipe:
    """A pipe that nobody reads: its buffer is full at once."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"x" * 65536)
        except BlockingIOError:
            os.set_blocking(writer, True)
        self.stream = os.fdopen(writer, "wb", buffering=0)

    def read_all(self) -> bytes:
        """Free the writer and give what came after the filling, until the writing end is closed."""
        found = bytearray()
        while chunk := os.read(self.reader, 1 << 20):
            found += chunk
        os.close(self.reader)
        return bytes(found.lstrip(b"x"))


def test_a_blocked_standard_output_holds_up_nobody_and_what_is_lost_is_told() -> None:
    """Nobody may wait for a reader of logs: the loop would stand still with all leads in it.
    Whoever waited would wait for ever here: the reader begins after the last line."""
    pipe = BlockedPipe()
    writer = LogWriter(pipe.stream, limit=100)
    for number in range(20_000):
        writer.write(b'{"event":"%d"}' % number, urgent=True)
    assert writer.dropped >= 19_000 - 100
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_all()))
    reader.start()
    writer.close()
    pipe.stream.close()
    reader.join()
    told = [json.loads(line) for line in found[0].splitlines()]
    assert told[-1] == {"event": "19999"}
    assert sum(line.get("lines", 0) for line in told) == writer.dropped


def test_a_process_ends_although_its_standard_output_stays_blocked() -> None:
    pipe = BlockedPipe()
    program = (
        "import structlog, sys\n"
        "from distributor.observe.logs import setup\n"
        "setup(lambda: 0)\n"
        "structlog.get_logger().error('nobody listens')\n"
        "sys.exit(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        stdout=pipe.stream,
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    pipe.stream.close()
    os.close(pipe.reader)
    assert (done.returncode, done.stderr) == (7, b"")


def test_an_error_is_written_at_once() -> None:
    written = threading.Event()

    class Stream(io.BytesIO):
        def flush(self) -> None:
            written.set()

    writer = LogWriter(Stream())
    writer.write(b"error", urgent=True)
    assert written.wait(5.0)
    writer.close()


def test_a_closed_stream_ends_nothing() -> None:
    stream = io.BytesIO()
    writer = LogWriter(stream)
    stream.close()
    writer.write(b"lost")
    writer.close()
    assert writer.dropped == 0
