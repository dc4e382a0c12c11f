import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.demo.eyes import Metrics
from distributor.demo.stream import AssignmentStream
from distributor.demo.summary import floor_time, lines, summarise
from distributor.demo.vendor import Book
from distributor.domain.ids import NANOSECONDS

NOON_NS = 1_709_294_400_000_000_000  # 2024-03-01T12:00:00Z
EIGHT_NS = NOON_NS - 4 * 3600 * NANOSECONDS


def book_of(*numbers):
    book = Book()
    for number in numbers:
        book.send(("acme", f"v{number}"))
        book.answer("acme", reply(number))
    return book


def reply(number, outcome="accepted", **more):
    return {"outcome": outcome, "lead_id": f"v{number}", "lead_key": f"K{number}"} | more


def lead(number, state="closed", contacted="2024-03-01T08:00:05.000Z", **more):
    return {
        "vendor": "acme",
        "lead_id": f"v{number}",
        "lead_key": f"K{number}",
        "state": state,
        "received_at": "2024-03-01T08:00:00.000Z",
        "contacted_at": contacted,
    } | more


def account(
    book,
    leads,
    stream=None,
    *,
    time_scale=1.0,
    difference=0.0,
    now_ns=NOON_NS,
    held_back=("ben",),
    arrivals=None,
):
    return summarise(
        book,
        leads,
        stream or AssignmentStream(),
        time_scale=time_scale,
        held_back=held_back,
        arrivals=arrivals,
        difference=difference,
        now_ns=now_ns,
    )


def test_what_is_acknowledged_and_there_balances():
    summary = account(book_of(1, 2, 3), [lead(1), lead(2, "waiting", None), lead(3, "parked")])
    assert summary.problems == []
    assert (summary.leads_in, summary.closed, summary.lost) == (3, 1, 0)
    assert summary.open == {"waiting": 1, "parked": 1}
    assert summary.contacted == summary.on_time == 2
    text = "\n".join(lines(summary))
    assert "every lead is accounted for" in text
    assert "ben" in text


def test_an_acknowledged_lead_that_is_not_there_is_lost():
    summary = account(book_of(1, 2), [lead(1)])
    assert summary.lost == 1
    assert summary.problems == ["DOES NOT BALANCE: acknowledged leads that are lost: 1"]
    assert summary.problems[0] in "\n".join(lines(summary))


@pytest.mark.parametrize(
    "leads, difference",
    [
        pytest.param([lead(1, lead_key="K9")], 0, id="under another key"),
        pytest.param([lead(1), lead(2)], 0, id="a lead nobody sent"),
        pytest.param([lead(1), lead(1)], 0, id="one lead listed twice"),
        pytest.param([lead(1)], 1, id="the daemon's own ledger is off"),
    ],
)
def test_other_differences_are_problems_too(leads, difference):
    assert account(book_of(1), leads, difference=difference).problems


def test_a_lead_with_two_live_assignments_is_a_problem():
    stream = AssignmentStream()
    stream.assigned("K1", "K1-1")
    stream.assigned("K1", "K1-2")
    assert account(book_of(1), [lead(1)], stream).assigned_twice == 1
    assert account(book_of(1), [lead(1)], stream).problems


def test_a_lead_without_an_answer_is_neither_in_nor_lost_and_still_a_problem():
    book = book_of(1)
    book.send(("acme", "v2"))
    for leads in ([lead(1)], [lead(1), lead(2)]):
        summary = account(book, leads)
        assert (summary.leads_in, summary.unanswered, summary.lost) == (1, 1, 0)
        assert summary.problems == ["NOT COMPLETE: leads without an answer: 1"]


@pytest.mark.parametrize("arrivals, unsent", [(None, 0), (3, 0), (5, 2)])
def test_arrivals_of_a_trace_that_were_not_sent_are_a_problem(arrivals, unsent):
    """A vendor's repeat is an arrival too."""
    book = book_of(1, 2)
    book.send(("acme", "v1"))
    summary = account(book, [lead(1), lead(2)], arrivals=arrivals)
    assert summary.unsent == unsent
    assert ("every lead is accounted for" in "\n".join(lines(summary))) is not bool(unsent)


def test_the_summary_names_a_few_reps_and_counts_the_rest():
    names = [f"r{number}" for number in range(8)]
    assert "1 rep for a while (ben)" in "\n".join(lines(account(book_of(1), [lead(1)])))
    many = account(book_of(1), [lead(1)], held_back=names)
    assert "8 reps for a while (r0, r1, r2, r3, r4 and 3 more)" in "\n".join(lines(many))


@pytest.mark.parametrize("late, told", [(0.4, False), (7.2, True)])
def test_vendors_that_fell_behind_are_told(late, told):
    book = book_of(1)
    book.late_seconds = late
    assert ("sent late" in "\n".join(lines(account(book, [lead(1)])))) is told


@pytest.mark.parametrize("seconds, text", [(280, "04:40"), (3880.9, "1:04:40"), (0, "00:00")])
def test_the_floors_clock(seconds, text):
    assert floor_time(seconds) == text


def test_the_first_minute_is_one_of_the_floors_time():
    """At 10 times the speed 6 seconds of the wall clock are the first minute."""
    leads = [lead(1, contacted="2024-03-01T08:00:05.900Z")]
    leads += [lead(2, contacted="2024-03-01T08:00:06.100Z")]
    assert account(book_of(1, 2), leads, time_scale=10).on_time == 1


@pytest.mark.parametrize("age_seconds, judged", [(59, 1), (61, 2)])
def test_a_lead_that_nobody_called_counts_against_the_share_once_its_minute_is_over(
    age_seconds, judged
):
    now_ns = EIGHT_NS + age_seconds * NANOSECONDS
    summary = account(book_of(1, 2), [lead(1), lead(2, "waiting", None)], now_ns=now_ns)
    assert (summary.on_time, summary.judged) == (1, judged)


def test_a_repeat_keeps_its_first_key_or_is_a_problem():
    book = book_of(1)
    book.send(("acme", "v1"))
    assert book.answer("acme", reply(1, "duplicate"))
    assert book.repeats == 1
    assert not account(book, [lead(1)]).problems
    book.answer("acme", reply(1, "duplicate", lead_key="K2"))
    assert account(book, [lead(1)]).problems


def test_a_retryable_error_asks_for_a_repeat_and_a_rejection_does_not():
    book = Book()
    book.send(("acme", "v1"))
    error = {"outcome": "error", "retryable": True, "lead_id": "v1", "lead_key": None}
    assert not book.answer("acme", error)
    assert book.unanswered == 1
    assert book.answer("acme", error | {"outcome": "rejected", "retryable": False})
    assert (book.unanswered, len(book.refused)) == (0, 1)


@given(st.lists(st.tuples(st.sampled_from(("assign", "revoke")), st.integers(1, 4)), max_size=30))
def test_only_two_assignments_without_an_end_in_between_count_as_twice(messages):
    """Against a model that forgets repeats and keeps a set of live assignments."""
    stream = AssignmentStream()
    live, over, seen, twice = set(), set(), set(), 0
    for kind, number in messages:
        name = f"K-{number}"
        if kind == "assign":
            news = stream.assigned("K", name)
            fresh = name not in seen and name not in over
            assert news == fresh
            if fresh:
                twice += bool(live)
                live = {name}
            seen.add(name)
        else:
            stream.revoked("K", name)
            over.add(name)
            live.discard(name)
    assert len(stream.twice) == twice


def test_an_assignment_that_its_receiver_ended_may_be_followed_by_another():
    stream = AssignmentStream()
    assert stream.assigned("K", "K-1")
    stream.ended("K", "K-1")
    assert stream.assigned("K", "K-2")
    assert stream.twice == []


def test_a_move_is_told_once_by_the_end_of_its_key():
    stream = AssignmentStream()
    for _ in range(2):  # the revocation and the assignment say the same
        stream.say("7Q2M0000000012XHD", "Moved Ana to Ben.")
    stream.say("7Q2M0000000013XHD", "Moved Ana to Ben.")
    assert list(stream.sentences) == ["012XHD  Moved Ana to Ben.", "013XHD  Moved Ana to Ben."]


def test_metrics_are_summed_over_labels_and_have_a_median():
    metrics = Metrics.parse(
        "# HELP x nothing\n"
        'leads{queue="a",state="waiting"} 2\nleads{queue="b",state="waiting"} 3\n'
        'wait_bucket{queue="a",le="1.0"} 0\nwait_bucket{queue="a",le="3.0"} 4\n'
        'wait_bucket{queue="a",le="+Inf"} 4\nplain 7\nnonsense\n'
    )
    assert metrics.total("leads", state="waiting") == 5
    assert metrics.total("leads", queue="b") == 3
    assert metrics.total("plain") == 7
    assert metrics.median("wait") == 2.0
    assert metrics.median("leads") is None


def test_the_median_beyond_the_last_edge_is_the_last_edge():
    metrics = Metrics.parse('w_bucket{le="1.0"} 0\nw_bucket{le="+Inf"} 4\n')
    assert metrics.median("w") == 1.0
