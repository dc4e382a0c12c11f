"""The scrape text: valid, complete from the start, in the library's form, and made beside the loop."""

from __future__ import annotations

import asyncio
import gzip
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from distributor.domain.events import Ticked
from distributor.domain.floor import Floor
from distributor.domain.journal import Entry
from distributor.domain.rep import Flow, Rep
from distributor.observe.exposition import Exposition
from distributor.observe.metrics import SHOWN_STATES, Metrics, PerRep
from distributor.observe.projection import Projection
from distributor.observe.rep_lines import escaped
from distributor.observe.table import TABLE
from tests.real import need_program

if TYPE_CHECKING:
    from tests.observe.conftest import FakeCensus
else:
    FakeCensus = Any

STILL_EMPTY = {"link_events_total"}
"""Families that have no series before something happens."""


def parsed(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels; a repeated one fails."""
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in samples, key
            samples[key] = sample.value
    return samples


def value(text: bytes, name: str, **labels: str) -> float | None:
    return parsed(text).get((f"distributor_{name}", tuple(sorted(labels.items()))))


SINCE_NS = 1_700_000_000_500_000_000


def some_reps() -> list[Rep]:
    return [
        Rep("ana", "north", state="ready", window=3, open={"K1": True}, assignments=7, contacts=4,
            contacts_on_time=3, response_seconds=2.5),
        Rep("bob", "north", state="ready", flow=Flow(0.5, "slow_contact", since_ns=SINCE_NS)),
        Rep("cid", "south", state="busy", paused_until_ns=2**62, paused_since_ns=SINCE_NS + 10**9),
        Rep("dee", "south", state="offline"),
        Rep("eve", "south", state="ready", override=0.25),
    ]  # fmt: skip


@pytest.mark.parametrize("with_reps", [False, True])
async def test_every_family_has_one_help_and_one_type(
    metrics: Metrics, census: FakeCensus, with_reps: bool
) -> None:
    census.people = some_reps() if with_reps else []
    text = (b"".join(await Exposition(metrics, census).render())).decode()
    for row in TABLE:
        assert text.count(f"# HELP {row.full_name} ") == 1, row.name
        assert text.count(f"# TYPE {row.full_name} {row.type}\n") == 1, row.name


async def test_every_family_but_the_empty_ones_has_samples_once_things_happened(
    metrics: Metrics, census: FakeCensus
) -> None:
    census.people = some_reps()
    metrics.connected("mqtt", True)
    metrics.targets(["mqtt"])
    metrics.take_standard_targets({"speed_to_contact": 0.9})
    text = b"".join(await Exposition(metrics, census).render())
    names = {name for name, _ in parsed(text)}
    for row in TABLE:
        sample = row.full_name + ("_count" if row.type == "histogram" else "")
        assert (sample in names) == (row.name not in STILL_EMPTY), row.name


async def test_nothing_is_emitted_that_the_table_does_not_know(
    metrics: Metrics, census: FakeCensus
) -> None:
    census.people = some_reps()
    text = (b"".join(await Exposition(metrics, census).render())).decode()
    known = {row.full_name for row in TABLE}
    emitted = re.findall(r"^# TYPE (distributor_\S+)", text, re.MULTILINE)
    assert set(emitted) == known
    assert "_created" not in text
    assert "process_start_time_seconds" in text


async def test_labels_are_those_of_the_table(metrics: Metrics, census: FakeCensus) -> None:
    census.people = some_reps()
    rows = {row.full_name: row for row in TABLE}
    for name, labels in parsed(b"".join(await Exposition(metrics, census).render())):
        if name.startswith("distributor_"):
            row = rows.get(name) or rows[re.sub(r"_(bucket|sum|count)$", "", name)]
            assert {key for key, _ in labels} - {"le"} == set(row.labels), name


async def test_edges_are_written_in_the_librarys_form(metrics: Metrics, census: FakeCensus) -> None:
    """le="60" and le="60.0" are different series: a query for the wrong one silently finds nothing."""
    text = (b"".join(await Exposition(metrics, census).render())).decode()
    assert 'distributor_speed_to_contact_seconds_bucket{le="60.0",queue="default"} 0.0\n' in text
    assert 'distributor_speed_to_contact_seconds_bucket{le="75.0",queue="default"} 0.0\n' in text
    assert 'le="60"' not in text


@pytest.mark.real
async def test_promtool_finds_nothing_to_complain_about(
    metrics: Metrics, census: FakeCensus
) -> None:
    promtool = need_program("promtool", "prometheus")
    census.people = some_reps()
    metrics.connected("mqtt", True)
    text = b"".join(await Exposition(metrics, census).render())
    done = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=text, capture_output=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


async def test_gauges_say_what_the_census_says(metrics: Metrics, census: FakeCensus) -> None:
    census.difference = 1
    text = b"".join(await Exposition(metrics, census).render())
    assert value(text, "leads_in_state", state="waiting") == 3
    assert value(text, "leads_in_state", state="parked") == 0
    assert value(text, "lead_conservation_difference") == 1
    assert value(text, "queue_leads", queue="default") == 3
    assert value(text, "queue_oldest_lead_age_seconds", queue="default") == 12.5
    assert value(text, "queue_leads", queue="spanish") == 0
    assert value(text, "exceptions_open", kind="all_refused") == 1
    assert value(text, "exceptions_oldest_age_seconds", kind="no_pool") == 0
    assert value(text, "outbox_messages", target="mqtt") == 4
    assert value(text, "outbox_oldest_message_age_seconds", target="mqtt") == 0.5
    assert value(text, "store_bytes") == 4096


async def test_what_the_census_no_longer_names_is_zero_not_gone(
    metrics: Metrics, census: FakeCensus
) -> None:
    await scrape(exposition := Exposition(metrics, census))
    census.cases = []
    text = await scrape(exposition)
    assert value(text, "exceptions_open", kind="all_refused") == 0


async def scrape(exposition: Exposition) -> bytes:
    """A text that is made anew."""
    exposition.forget()
    return b"".join(await exposition.render())


async def test_reps_are_counted_by_team(metrics: Metrics, census: FakeCensus) -> None:
    census.people = some_reps()
    text = b"".join(await Exposition(metrics, census).render())
    assert value(text, "reps", team="north", state="ready") == 2
    assert value(text, "reps", team="south", state="paused") == 1
    assert value(text, "reps", team="south", state="offline") == 1
    assert value(text, "reps", team="south", state="busy") == 0
    assert value(text, "reps_available", team="north") == 2
    assert value(text, "reps_throttled", team="north") == 1
    assert value(text, "reps_available", team="south") == 1


async def test_reps_whose_states_nobody_reports_are_counted_with_what_that_costs(
    metrics: Metrics, census: FakeCensus
) -> None:
    census.people = some_reps()
    exposition = Exposition(metrics, census)
    text = await scrape(exposition)
    at_work = sum(rep.state in ("ready", "busy", "wrap_up") for rep in census.people)
    paused = 1
    unreported = [value(text, "reps_without_state_reports", team=t) for t in ("north", "south")]
    assert sum(n or 0 for n in unreported) == at_work - paused
    assert value(text, "unreported_state_cost_ratio") == pytest.approx(0.04)
    for rep in census.people[1:]:
        rep.sends_states = True
    text = await scrape(exposition)
    assert value(text, "reps_without_state_reports", team="north") == 1
    assert value(text, "unreported_state_cost_ratio") == pytest.approx(0.04 / (at_work - paused))
    census.people = []
    assert value(await scrape(exposition), "unreported_state_cost_ratio") == 0


async def test_a_reps_series_say_what_the_rep_is_at(metrics: Metrics, census: FakeCensus) -> None:
    census.people = some_reps()
    text = b"".join(await Exposition(metrics, census).render())
    north = {"team": "north"}
    assert value(text, "rep_inflight_leads", rep="ana", **north) == 1
    assert value(text, "rep_window_leads", rep="ana", **north) == 3
    assert value(text, "rep_throttle_ratio", rep="ana", **north) == 1
    assert value(text, "rep_throttle_ratio", rep="bob", **north) == 0.5
    assert value(text, "rep_throttle_ratio", rep="cid", team="south") == 0
    assert value(text, "rep_throttle_ratio", rep="eve", team="south") == 0.25
    assert value(text, "rep_assignments_total", rep="ana") == 7
    assert value(text, "rep_contacts_total", rep="ana", on_time="true") == 3
    assert value(text, "rep_contacts_total", rep="ana", on_time="false") == 1
    assert value(text, "rep_speed_to_contact_smoothed_seconds", rep="ana") == 2.5
    assert value(text, "rep_speed_to_contact_smoothed_seconds", rep="bob") is None
    states = [value(text, "rep_state", rep="cid", state=state) for state in SHOWN_STATES]
    assert sum(state or 0 for state in states) == 1
    assert value(text, "rep_state", rep="cid", state="paused") == 1


async def test_only_held_back_reps_have_a_reason(metrics: Metrics, census: FakeCensus) -> None:
    census.people = some_reps()
    samples = parsed(b"".join(await Exposition(metrics, census).render()))
    reasons = {
        dict(labels)["rep"]: dict(labels)["reason"]
        for name, labels in samples
        if name == "distributor_rep_throttle_reason_info"
    }
    assert reasons == {"bob": "slow_contact", "cid": "paused", "eve": "manual"}
    since = {
        dict(labels)["rep"]: moment
        for (name, labels), moment in samples.items()
        if name == "distributor_rep_throttle_since_timestamp_seconds"
    }
    assert since == {"bob": 1_700_000_000.5, "cid": 1_700_000_001.5}


@pytest.mark.parametrize(
    ("per_rep", "expected"),
    [
        ("all", {"ana", "bob", "cid", "dee", "eve"}),
        ("held_back", {"bob", "cid", "eve"}),
        ("off", set()),
    ],
)
async def test_per_rep_series_are_written_for_whom_the_setting_says(
    floor: Floor, census: FakeCensus, per_rep: PerRep, expected: set[str]
) -> None:
    """Twenty series for each of 10,000 reps are not for everybody; the team's totals always are."""
    census.people = some_reps()
    text = b"".join(await Exposition(Metrics(floor, [], per_rep), census).render())
    reps = {dict(labels)["rep"] for _, labels in parsed(text) if "rep" in dict(labels)}
    assert reps == expected
    assert value(text, "reps_throttled", team="north") == 1


async def test_lines_follow_every_change_of_the_reps(metrics: Metrics, census: FakeCensus) -> None:
    """Lines are kept between scrapes: what changed, came or went must show, also when reps move."""
    exposition = Exposition(metrics, census)
    people = some_reps()
    census.people = people
    await scrape(exposition)
    people[0].open["K2"] = True
    people[1].flow = Flow()
    census.now = 2**62 + 1
    census.people = [people[2], Rep("fay", "west", state="ready"), people[0], people[1]]
    text = await scrape(exposition)
    fresh = b"".join(await Exposition(Metrics(Floor("d"), []), census).render())
    marks = (b"distributor_rep_", b"distributor_reps")
    kept = {line for line in text.splitlines() if line.startswith(marks)}
    new = {line for line in fresh.splitlines() if line.startswith(marks)}
    assert new <= kept
    assert all(line.endswith(b" 0.0") for line in kept - new if b"_reps" in line)
    assert not [line for line in kept - new if b"_rep_" in line and b"_rep_response" not in line]


async def test_a_text_is_given_again_for_a_second_and_scrapers_share_it(
    metrics: Metrics, census: FakeCensus
) -> None:
    exposition = Exposition(metrics, census)
    first, second = await asyncio.gather(exposition.render(), exposition.render())
    assert first is second
    assert census.scrapes == 1
    await scrape(exposition)
    assert census.scrapes == 2


async def test_gzip_carries_the_same_text(metrics: Metrics, census: FakeCensus) -> None:
    exposition = Exposition(metrics, census)
    packed = b"".join(await exposition.render(compressed=True))
    assert gzip.decompress(packed) == b"".join(await exposition.render())
    assert b"".join(await exposition.render(compressed=True)) == packed


async def test_a_large_family_comes_with_one_header(metrics: Metrics, census: FakeCensus) -> None:
    census.waiting = [(f"pool{number}", number, 0.0) for number in range(600)]
    text = b"".join(await Exposition(metrics, census).render())
    assert text.count(b"# TYPE distributor_queue_leads gauge\n") == 1
    assert value(text, "queue_leads", queue=f"pool{600 - 1}") == 600 - 1


async def test_the_loop_runs_while_many_reps_are_written(
    metrics: Metrics, census: FakeCensus
) -> None:
    """Bounded by turns, not by the clock of a busy machine: the loop gets its turn again and again."""
    census.people = [Rep(f"rep{number}", "north", state="ready") for number in range(5_000)]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await Exposition(metrics, census).render()
    task.cancel()
    assert turns >= 10


async def test_decisions_made_during_a_scrape_do_no_harm(
    metrics: Metrics, projection: Projection, census: FakeCensus
) -> None:
    census.people = [Rep(f"rep{number}", "north", state="ready") for number in range(3_000)]
    exposition = Exposition(metrics, census)
    task = asyncio.create_task(exposition.render())
    number = 0
    while not task.done():
        await asyncio.sleep(0)
        number += 1
        metrics.connected(f"dialer{number}", True)
        projection.project(Entry(number, 0, Ticked(), ()), lambda _: None)
        census.people.append(Rep(f"new{number}", "north"))
    assert parsed(b"".join(task.result()))


@given(st.text(max_size=30))
def test_a_label_survives_the_way_to_prometheus(label: str) -> None:
    """Escaping must be what a parser undoes, whatever the text."""
    label = label.replace("\r", "")
    text = f'# TYPE a gauge\na{{b="{escaped(label)}"}} 1.0\n'
    if len(text.splitlines()) > 2:
        return  # exotic line ends, on which this parser (not the format) splits
    (family,) = text_string_to_metric_families(text)
    assert family.samples[0].labels == {"b": label}
