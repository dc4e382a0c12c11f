"""What a scrape keeps from the one before is never wrong, and the loop does no more than copy."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from distributor.app.census import EngineCensus
from distributor.core.engine import Engine
from distributor.delivery.outbox import Outbox
from distributor.domain.events import (
    Event,
    FloorChanged,
    LeadEvent,
    LeadReceived,
    PresenceReported,
    SupervisorActed,
    Ticked,
)
from distributor.domain.floor import Floor, FlowPlan, PoolPlan, RepPlan
from distributor.domain.journal import Entry
from distributor.domain.messages import Outgoing
from distributor.domain.rep import REP_STATES, Rep
from distributor.observe import exposition as module
from distributor.observe.exposition import Exposition
from distributor.observe.metrics import Metrics, PerRep
from distributor.observe.projection import Projection
from distributor.observe.rep_lines import Copies, RepLines
from distributor.settings.policies import Policies

if TYPE_CHECKING:
    from tests.observe.conftest import FakeCensus
else:
    FakeCensus = Any

NOW_NS = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
NAMES = ("ana", "bob", "cid", "dee")
TEAMS = ("north", "south")


async def scraped(exposition: Exposition) -> bytes:
    exposition.forget()
    return b"".join(await exposition.render())


async def nothing(_target: str, _after: int, _limit: int) -> list[tuple[Outgoing, int, int]]:
    return []


class Hall:
    """A real engine that lives through what it is told, and its metrics."""

    def __init__(self, per_rep: PerRep) -> None:
        self.now_ns = NOW_NS
        self.engine = Engine(tag="TEST", seed=1, factories=Policies())
        self.metrics = Metrics(Floor("none"), ["acme"], per_rep)
        self.projection = Projection(self.metrics, Floor("none"))
        self.exposition = self.new()
        self.count = 0
        self.given: list[tuple[str, str, str]] = []
        self.floor(dict.fromkeys(NAMES, "north"))

    def new(self) -> Exposition:
        """One that has seen nothing."""
        outbox = Outbox(["mqtt"], nothing, lambda: self.now_ns)
        state, path = self.engine.state, Path("none.db")
        return Exposition(self.metrics, EngineCensus(state, outbox, path, lambda: self.now_ns))

    def do(self, event: Event) -> None:
        self.count += 1
        decisions = tuple(self.engine.handle(event, self.now_ns))
        self.exposition.changed(self.engine.take_touched()[1])
        entry = Entry(self.count, self.now_ns, event, decisions)
        self.projection.project(entry, self.engine.state.leads.get)
        self.given += [
            (made.lead_key, made.assignment_id, made.rep)
            for made in decisions
            if type(made).__name__ == "Assigned"
        ]

    def floor(self, teams: dict[str, str], window: int = 2) -> None:
        reps = tuple(RepPlan(name, team=team, window=window) for name, team in teams.items())
        flow = FlowPlan(policy="lease", first_contact_seconds=30.0)
        self.do(FloorChanged(Floor(f"d{self.count}", reps=reps, pools=(PoolPlan("p"),), flow=flow)))

    def lead(self) -> None:
        self.do(LeadReceived("acme", f"lead{self.count}", self.now_ns, "mqtt", b"{}", score=0.5))

    def told(self, which: int, kind: str) -> None:
        if self.given:
            key, assignment, rep = self.given[which % len(self.given)]
            status = "lost" if kind == "status" else None
            number = f"e{self.count}"
            self.do(
                LeadEvent(
                    number, "dialer", kind, lead_key=key, assignment_id=assignment, rep=rep,
                    at_ns=self.now_ns, evidence="dialer", status=status,
                )  # type: ignore[arg-type]
            )  # fmt: skip

    def supervised(self, action: str, rep: str, seconds: int, flow: float) -> None:
        until_ns = self.now_ns + seconds * SECOND if seconds else 0
        share = flow if action == "override" else None
        self.do(
            SupervisorActed(action, "mia", "why not", rep=rep, until_ns=until_ns, flow=share)  # type: ignore[arg-type]
        )

    def wait(self, seconds: int, tick: bool) -> None:
        """Time passes. Without a tick nobody decides anything: a pause ends by the clock alone."""
        self.now_ns += seconds * SECOND
        if tick:
            self.do(Ticked())


REPS = st.sampled_from(NAMES)
STEPS = st.one_of(
    st.tuples(st.just("lead")),
    st.tuples(
        st.just("told"),
        st.integers(0, 9),
        st.sampled_from(["contacted", "call_ended", "status", "accepted"]),
    ),
    st.tuples(
        st.just("supervised"),
        st.sampled_from(["pause", "resume", "override"]),
        REPS,
        st.sampled_from([0, 5, 60]),
        st.sampled_from([0.0, 0.5, 1.0]),
    ),
    st.tuples(st.just("wait"), st.sampled_from([1, 6, 90]), st.booleans()),
    st.tuples(
        st.just("floor"),
        st.dictionaries(REPS, st.sampled_from(TEAMS), min_size=1),
        st.integers(1, 3),
    ),
    st.tuples(st.just("presence"), REPS, st.sampled_from(REP_STATES)),
)


def own(text: bytes) -> list[bytes]:
    """The lines but those of the process itself, which never stand still."""
    return [line for line in text.splitlines() if b"process_" not in line]


PAUSED = ("supervised", "pause", "ana", 60, 1.0)
MOVED = ("floor", {"ana": "south", "cid": "north"}, 1)


@settings(max_examples=40)
@example("all", [[("lead",), PAUSED], [("wait", 90, False)], [("wait", 1, True)]])
@example("held_back", [[PAUSED], [("wait", 90, False)], [PAUSED, MOVED], [("wait", 90, False)]])
@example("all", [[("lead",), ("lead",)], [MOVED], [("floor", dict.fromkeys(NAMES, "south"), 2)]])
@given(
    st.sampled_from(["all", "held_back", "off"]),
    st.lists(st.lists(STEPS, max_size=6), min_size=1, max_size=6),
)
def test_a_kept_text_is_that_made_from_scratch_whatever_happened_in_between(
    per_rep: PerRep, rounds: list[list[tuple[Any, ...]]]
) -> None:
    async def live() -> None:
        hall = Hall(per_rep)
        for name in NAMES:
            hall.do(PresenceReported(name, "ready", "dialer"))
        for steps in rounds:
            for what, *how in steps:
                if what == "presence":
                    hall.do(PresenceReported(how[0], how[1], "dialer"))
                else:
                    getattr(hall, what)(*how)
            text = await scraped(hall.exposition)
            assert own(text) == own(await scraped(hall.new()))

    with patch.object(module, "SWEEP_REPS", 0):  # nothing is found by luck
        asyncio.run(live())


def lines_of(reps: list[Rep], now_ns: int) -> tuple[Copies, list[bytes]]:
    copies = Copies(len(reps), now_ns)
    copies.add(range(len(reps)), reps)
    return copies, RepLines("all").render(copies)


def test_a_pause_that_nobody_ends_shows_its_end() -> None:
    rep = Rep("ana", "north", state="ready", paused_until_ns=NOW_NS + 1)
    kept = RepLines("all")
    for now_ns in (NOW_NS, NOW_NS + 1, NOW_NS):  # and the clock goes back
        copies, fresh = lines_of([rep], now_ns)
        assert kept.render(copies) == fresh
        assert kept.tally.available["north",] == (now_ns > NOW_NS)


def test_a_wrap_up_after_a_call_shows_and_ends_by_the_clock() -> None:
    rep = Rep("ana", "north", state="ready", free_from_ns=NOW_NS + 1, wraps_up=True)
    kept = RepLines("all")
    for now_ns, shown in ((NOW_NS, "wrap_up"), (NOW_NS + 1, "ready")):
        copies, fresh = lines_of([rep], now_ns)
        assert kept.render(copies) == fresh
        line = f'distributor_rep_state{{rep="ana",state="{shown}"}} 1.0'
        assert line.encode() in b"".join(fresh)
        assert kept.tally.reps["north", shown] == 1


def test_a_lead_that_only_left_the_pipeline_shows() -> None:
    """The copies share the rep's dict of open leads: its size is compared by itself."""
    rep = Rep("ana", "north", state="ready", open={"K1": True, "K2": True})
    kept = RepLines("all")
    kept.render(lines_of([rep], NOW_NS)[0])
    del rep.open["K1"]
    copies, fresh = lines_of([rep], NOW_NS)
    rep.open.clear()  # after the copy: not in this text
    assert kept.render(copies) == fresh
    assert b'distributor_rep_inflight_leads{rep="ana",team="north"} 1.0\n' in b"".join(fresh)


@pytest.mark.parametrize("calls", [1, 2, 3])
async def test_a_scrape_that_failed_does_the_next_no_harm(
    metrics: Metrics, census: FakeCensus, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    monkeypatch.setattr(module, "SWEEP_REPS", 0)
    census.restless = False
    census.people = [Rep(name, "north", state="ready") for name in NAMES]
    exposition = Exposition(metrics, census)
    await scraped(exposition)
    write = RepLines._write

    def failing(*given: Any) -> None:
        nonlocal calls
        calls -= 1
        if not calls:
            raise RuntimeError("once")
        write(*given)

    monkeypatch.setattr(RepLines, "_write", failing)
    for rep in census.people[:3]:
        rep.team, rep.state = "south", "busy"
    exposition.changed(census.people[:3])
    with pytest.raises(RuntimeError, match="once"):
        await scraped(exposition)
    text = await scraped(exposition)
    assert own(text) == own(await scraped(Exposition(metrics, census)))
    assert b'reps{state="busy",team="south"} 3.0' in text


async def test_what_nobody_told_of_rights_itself(
    metrics: Metrics, census: FakeCensus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SWEEP_REPS", 3)
    census.restless = False
    census.people = [Rep(name, "north", state="ready") for name in NAMES]
    exposition = Exposition(metrics, census)
    await scraped(exposition)
    for _ in range(3):
        for rep in census.people:
            rep.assignments += 1
        await scraped(exposition)
        text = await scraped(exposition)
        assert own(text) == own(await scraped(Exposition(metrics, census)))


async def test_only_what_changed_is_copied(
    metrics: Metrics, census: FakeCensus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SWEEP_REPS", 0)
    census.restless = False
    census.people = [Rep(f"rep{number}", "north") for number in range(50)]
    exposition = Exposition(metrics, census)
    copied: list[int] = []
    render = RepLines.render
    monkeypatch.setattr(
        RepLines,
        "render",
        lambda lines, copies: copied.append(len(copies.reps)) or render(lines, copies),
    )
    await scraped(exposition)
    exposition.changed([*census.people[7:9], Rep("gone", "north")])
    await scraped(exposition)
    await scraped(exposition)
    census.people = census.people[1:]
    await scraped(exposition)
    assert copied == [50, 2, 0, 49]


async def test_texts_are_made_beside_the_loop(
    metrics: Metrics, census: FakeCensus, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()

    def watched(real: Any) -> Any:
        def call(*given: Any) -> Any:
            threads.add(threading.current_thread().name)
            return real(*given)

        return call

    monkeypatch.setattr(module, "generate_latest", watched(module.generate_latest))
    monkeypatch.setattr(module, "_pack", watched(module._pack))
    monkeypatch.setattr(RepLines, "_write", watched(RepLines._write))
    census.people = [Rep("ana", "north", state="ready")]
    await Exposition(metrics, census).render(compressed=True)
    assert threads == {"scrape_0"}


async def test_what_happens_while_the_text_is_made_is_in_the_next_one(
    metrics: Metrics, census: FakeCensus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread works on copies: counts, distributions and reps of the moment of the scrape."""
    rep = Rep("ana", "north", state="ready", open={"K1": True})
    census.people = [rep]
    exposition = Exposition(metrics, census)
    before = await scraped(exposition)
    loop = asyncio.get_running_loop()
    begun, go = asyncio.Event(), threading.Event()

    def held(families: Any) -> bytes:
        loop.call_soon_threadsafe(begun.set)
        assert go.wait(60)
        return rendered(families)

    rendered = module._rendered
    monkeypatch.setattr(module, "_rendered", held)
    exposition.forget()
    scrape = asyncio.create_task(exposition.render())
    await begun.wait()
    rep.open["K2"] = True
    metrics.count("leads_recycled_total", "unowned")
    metrics.loop_lag(0.2)
    metrics.gauge("intake_connected").set(("mqtt",), 1)
    go.set()
    assert own(b"".join(await scrape)) == own(before)
    after = await scraped(exposition)
    assert own(after) == own(await scraped(Exposition(metrics, census)))
    assert b'rep_inflight_leads{rep="ana",team="north"} 2.0' in after
    assert b"event_loop_lag_seconds_count 1.0" in after


async def test_a_scrape_given_up_half_way_does_the_next_no_harm(
    metrics: Metrics, census: FakeCensus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread goes on: two must never write the same lines at once."""
    census.people = [Rep(name, "north", state="ready") for name in NAMES]
    exposition = Exposition(metrics, census)
    loop = asyncio.get_running_loop()
    begun, go, at_work, most = asyncio.Event(), threading.Event(), 0, 0
    render = RepLines.render

    def held(lines: RepLines, copies: Copies) -> list[bytes]:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        loop.call_soon_threadsafe(begun.set)
        assert go.wait(60)
        made = render(lines, copies)
        at_work -= 1
        return made

    monkeypatch.setattr(RepLines, "render", held)
    given_up = asyncio.create_task(exposition.render())
    await begun.wait()
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    census.people = [Rep("eve", "south", state="busy"), *census.people[1:]]
    following = asyncio.create_task(exposition.render())
    for _ in range(10):
        await asyncio.sleep(0)
    go.set()
    text = b"".join(await following)
    assert most == 1
    assert own(text) == own(await scraped(Exposition(metrics, census)))
