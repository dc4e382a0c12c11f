import csv
import gzip
import io
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.demo.trace import COLUMNS, parse_trace, read_trace
from distributor.errors import RejectedInput

HEAD = "ts,event,lead,rep,detail\n"
# The machine may be busy with others: time says nothing here.
names = st.from_regex(r"[A-Za-z0-9]{1,8}", fullmatch=True)
EVENTS = ("lead_in", "assigned", "contact", "status", "rep_online", "rep_offline")


def parse(text):
    return parse_trace(io.StringIO(HEAD + text, newline=""))


@st.composite
def recordings(draw):
    """Rows of a trace in order of time, and nothing wrong with them."""
    moment = datetime(2024, 3, 1, 8)
    rows = []
    for _ in range(draw(st.integers(0, 30))):
        moment += timedelta(seconds=draw(st.integers(0, 600)))
        event = draw(st.sampled_from(EVENTS))
        person = "" if event == "lead_in" else draw(names)
        lead = "" if event.startswith("rep_") else draw(names)
        detail = draw(st.sampled_from(("", "type=NW|prio=0", "done|handle_s=12", "abandoned")))
        rows.append((moment.isoformat(), event, lead, person, detail))
    return rows


def as_text(rows):
    out = io.StringIO(newline="")
    csv.writer(out).writerows([COLUMNS, *rows])
    return out.getvalue()


@given(recordings())
def test_every_arrival_and_every_shift_is_replayed_at_its_distance_from_the_first(rows):
    trace = parse_trace(io.StringIO(as_text(rows), newline=""))
    exogenous = [row for row in rows if row[1] in {"lead_in", "rep_online", "rep_offline"}]
    start = datetime.fromisoformat(exogenous[0][0]) if exogenous else None

    def seconds(row):
        return (datetime.fromisoformat(row[0]) - start).total_seconds()

    assert [(one.at_seconds, one.lead) for one in trace.arrivals] == [
        (seconds(row), row[2]) for row in rows if row[1] == "lead_in"
    ]
    assert [(one.at_seconds, one.rep, one.online) for one in trace.shifts] == [
        (seconds(row), row[3], row[1] == "rep_online")
        for row in rows
        if row[1] in {"rep_online", "rep_offline"}
    ]
    assert set(trace.reps) == {row[3] for row in rows if row[3]}
    assert "unreadable" not in trace.defects
    assert "out of order" not in trace.defects


@given(st.text(alphabet=st.sampled_from('ab,"\n\r\0:-T0129|=. '), max_size=200))
def test_no_text_can_break_the_reader(text):
    trace = parse(text)
    assert not trace.arrivals or trace.length_seconds >= 0


@given(st.lists(st.lists(st.text(max_size=12), max_size=7), max_size=10))
def test_rows_of_anything_are_counted_and_passed_over(rows):
    good = ("2024-03-01T08:00:00", "lead_in", "a", "", "")
    out = io.StringIO(newline="")
    csv.writer(out).writerows([good, *rows])
    trace = parse_trace(io.StringIO(out.getvalue(), newline=""))
    assert "a" in [arrival.lead for arrival in trace.arrivals]
    assert trace.defects.get("unreadable", 0) <= len(rows)


def test_a_contact_before_its_lead_is_counted_and_the_lead_is_still_replayed():
    trace = parse(
        "2024-03-01T00:00:00,contact,x,R1,wait_s=9\n"
        "2024-03-01T00:00:00,status,x,R1,done|handle_s=0\n"
        "2024-03-01T09:00:00,lead_in,x,,type=NW\n"
    )
    assert trace.defects == {"worked before lead_in": 1}
    assert [arrival.lead for arrival in trace.arrivals] == ["x"]
    assert trace.handling == {}, "a handling time of 0 is none"


def test_repeats_disorder_and_rubbish_are_counted():
    trace = parse(
        "2024-03-01T00:00:10,lead_in,x,,\n"
        "2024-03-01T00:00:05,lead_in,x,,\n"
        "yesterday,lead_in,y,,\n"
        "2024-03-01T00:00:11+01:00,lead_in,y,,\n"
        "2024-03-01T00:00:11,lead_in,,,\n"
        "2024-03-01T00:00:11,rep_online,,no name,\n"
        "2024-03-01T00:00:11,lead_in,y\n"
        "2024-03-01T00:00:12,sneeze,y,,\n"
    )
    assert trace.defects == {"lead_in repeated": 1, "out of order": 1, "unreadable": 6}
    assert [arrival.at_seconds for arrival in trace.arrivals] == [0.0, 5.0]


@pytest.mark.parametrize(
    "detail, seconds",
    [
        ("done|handle_s=42", 42.0),
        ("handle_s=1.5|x", 1.5),
        ("done|handle_s=nan", None),
        ("done|handle_s=-3", None),
        ("done|handle_s=soon", None),
        ("done", None),
    ],
)
def test_handling_times_are_taken_where_there_are_any(detail, seconds):
    trace = parse(f"2024-03-01T00:00:00,status,x,R1,{detail}\n")
    assert trace.handling.get("x") == seconds


def test_a_compressed_file_reads_like_a_plain_one(tmp_path):
    text = HEAD + "2024-03-01T00:00:00,rep_online,,R1,\n2024-03-01T00:00:09,lead_in,x,,\n"
    plain, packed = tmp_path / "t.csv", tmp_path / "t.csv.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    assert read_trace(plain) == read_trace(packed)
    assert read_trace(plain).length_seconds == 9.0


@pytest.mark.parametrize(
    "content, word",
    [
        (None, "No such file"),
        (b"\x1f\x8b broken", "CSV"),
        (gzip.compress(b"x" * 999, mtime=0)[:20] + bytes(40), "CSV"),
        (b"\xff\xfe", "CSV"),
        (HEAD.encode(), "no lead_in"),
        (HEAD.encode() + b"2024-03-01T00:00:00,lead_in,x,,\n", "no rep"),
    ],
)
def test_a_file_with_nothing_to_replay_is_refused_in_one_line(tmp_path, content, word):
    path = tmp_path / "trace.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RejectedInput) as caught:
        read_trace(path)
    assert word in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
