"""The daemon inside one loop: recovery, the clock, and answers that wait for the disk."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import structlog
from msgspec.structs import replace
from structlog.testing import capture_logs

from distributor.app import Daemon, surroundings
from distributor.app import daemon as daemon_module
from distributor.app import recovery as recovery_module
from distributor.app.links import BrokerSide
from distributor.app.recovery import recover
from distributor.app.verification import verify
from distributor.domain.events import FloorChanged
from distributor.domain.ids import NANOSECONDS
from distributor.errors import BadConfig, StoreFailed, Unavailable
from distributor.intake.mqtt_intake import MqttIntake
from distributor.observe import table
from distributor.observe.table import metric
from distributor.runtime.clock import Clock, entropy
from distributor.settings import to_floor
from distributor.settings.policies import Policies
from distributor.store.reader import StoreReader
from distributor.store.sqlite import SQLiteStore
from tests.app.conftest import settings, until
from tests.brokers import free_port

HOUR_NS = 3600 * NANOSECONDS


def picture(engine: Any) -> dict[str, Any]:
    """All that an engine knows, the mere passing of time left out."""
    head = msgspec.msgpack.decode(engine.state.head())
    del head["now_ns"]
    head["memories"].sort()
    leads = {key: msgspec.to_builtins(lead) for key, lead in engine.state.leads.items()}
    return {
        **head,
        "leads": leads,
        "waiting": {name: pool.waiting for name, pool in engine.state.pools.items()},
        "desk": sorted(engine.state.desk),
        "difference": engine.state.ledger.difference,
    }


async def busy_hour(client: Any, number: int) -> list[str]:
    """Some of everything that can happen to leads."""
    keys = [await client.lead(f"lead-{number}-{index}") for index in range(8)]
    for rep in ("ana", "ben", "cleo"):
        await client.be(rep, "ready")
    first = await client.ask("GET", "/v1/leads?state=assigned")
    taken = [one["lead_key"] for one in first["items"]][-3:]
    await client.event("contacted", f"{number}-1", lead_key=taken[0], evidence="dialer")
    await client.event("call_ended", f"{number}-2", lead_key=taken[0], talk_seconds=30)
    await client.event("status", f"{number}-3", lead_key=taken[0], status="converted")
    await client.event("rejected", f"{number}-4", lead_key=taken[1])
    await client.event("attempted", f"{number}-5", lead_key=taken[2], result="no_answer")
    await client.be("ben", "offline")
    await client.ask("POST", "/v1/reps/ben/pause", {"reason": "leave"})
    await client.ask("POST", f"/v1/leads/{keys[-1]}/close", {"status": "invalid"})
    await client.ask("POST", "/v1/reps/ben/resume", {})
    return keys


async def recovered(source: Path, folder: Path, *, snapshots: bool) -> Any:
    """What another process would make of the store as it is now."""
    folder.mkdir()
    copy = folder / "copy.db"
    old, new = sqlite3.connect(source), sqlite3.connect(copy)
    old.backup(new)
    if not snapshots:
        new.execute("DELETE FROM snapshots")
        new.commit()
    old.close()
    new.close()
    store = await SQLiteStore.open(copy, "normal", entropy=entropy)
    try:
        return await recover(store, Policies())
    finally:
        await store.close()


async def test_recovery_from_a_snapshot_and_from_the_beginning_equal_the_living(
    open_daemon, connect, tmp_path
):
    daemon = await open_daemon()
    client = connect(daemon)
    await busy_hour(client, 1)
    await daemon.store.put_snapshot(daemon.dispatcher.image())
    middle = daemon.store.last_seq
    await busy_hour(client, 2)
    alive = picture(daemon.engine)

    half = await recovered(daemon.store.path, tmp_path / "half", snapshots=True)
    whole = await recovered(daemon.store.path, tmp_path / "whole", snapshots=False)

    assert (half.snapshot_seq, half.entries) == (middle, daemon.store.last_seq - middle)
    assert (whole.snapshot_seq, whole.entries) == (0, daemon.store.last_seq)
    assert half.entries > 0
    assert picture(half.engine) == alive
    assert picture(whole.engine) == alive
    assert alive["difference"] == 0
    assert alive["received"] == 16


@pytest.fixture
def logged(monkeypatch) -> Iterator[list[Any]]:
    """What is logged. The modules get fresh loggers: one that was used under another configuration
    may keep it."""
    for module in (daemon_module, recovery_module, surroundings):
        monkeypatch.setattr(module, "log", structlog.get_logger())
    with capture_logs() as lines:
        yield lines


def damage(path: Path, sql: str) -> None:
    store = sqlite3.connect(path)
    assert store.execute(sql).rowcount > 0
    store.commit()
    store.close()


NEWEST = "seq = (SELECT max(seq) FROM snapshots)"
DAMAGES = {
    "no head": f"UPDATE snapshots SET blob = x'c1' WHERE part = 0 AND {NEWEST}",
    "no leads": f"UPDATE snapshots SET blob = x'c1' WHERE part = 1 AND {NEWEST}",
    "fewer leads": f"UPDATE snapshots SET blob = x'90' WHERE part = 1 AND {NEWEST}",
    "a part is gone": f"DELETE FROM snapshots WHERE part = 1 AND {NEWEST}",
    "all": "UPDATE snapshots SET blob = x'00'",
}


@pytest.mark.parametrize("what", DAMAGES)
async def test_a_snapshot_that_cannot_be_read_is_passed_over(open_daemon, connect, logged, what):
    daemon = await open_daemon()
    await busy_hour(connect(daemon), 1)
    await daemon.store.put_snapshot(daemon.dispatcher.image())
    older = daemon.store.last_seq
    await busy_hour(connect(daemon), 2)
    await daemon.stop()
    newest = daemon.store.last_seq
    alive = picture(daemon.engine)
    damage(daemon.store.path, DAMAGES[what])

    store = await SQLiteStore.open(daemon.store.path, "normal", entropy=entropy)
    try:
        found = await recover(store, Policies())
    finally:
        await store.close()

    assert picture(found.engine) == alive
    assert found.snapshot_seq == (0 if what == "all" else older)
    errors = [line for line in logged if line["log_level"] == "error"]
    assert [line["event"] for line in errors] == ["snapshot_unreadable"] * len(errors)
    assert [line["seq"] for line in errors] == ([newest, older] if what == "all" else [newest])


async def test_an_entry_that_cannot_be_read_stops_the_start_in_words(open_daemon, connect):
    daemon = await open_daemon()
    await busy_hour(connect(daemon), 1)
    await daemon.stop()
    damage(daemon.store.path, "UPDATE journal SET decisions = x'c1' WHERE seq = 5")
    damage(daemon.store.path, "DELETE FROM snapshots")

    with pytest.raises(StoreFailed, match="entry 5 of the journal: its decisions cannot be read"):
        await open_daemon()


async def test_a_restart_decides_nothing_about_the_past(open_daemon, connect):
    """A new process with another policy and other limits leaves what was decided as it was."""
    daemon = await open_daemon()
    keys = await busy_hour(connect(daemon), 1)
    before = {key: daemon.engine.state.leads[key] for key in keys}
    seq = daemon.store.last_seq
    await daemon.stop()

    again = await open_daemon(flow={"policy": "longest_idle", "lease_seconds": 5000})

    await connect(again).ask("GET", "/healthz")
    for key, lead in before.items():
        now = again.engine.state.leads[key]
        assert (now.state, now.rep, now.attempt) == (lead.state, lead.rep, lead.attempt)
        assert now.assignment_id == lead.assignment_id
    entries = [entry async for chunk in again.store.read(seq) for entry in chunk]
    assert {type(entry.event).__name__ for entry in entries} <= {"Started", "FloorChanged"}


async def test_a_clock_set_back_hurts_nobody(open_daemon, connect):
    clock = Clock()
    daemon = await open_daemon(clock)
    client = connect(daemon)
    await client.be("ana", "ready")
    first = await client.lead("one")
    before = clock.now_ns()

    clock.offset_ns = -HOUR_NS

    assert clock.now_ns() >= before
    await client.be("ben", "ready")
    second = await client.lead("two")
    await client.event("contacted", "e1", lead_key=first, evidence="dialer")
    shown = await client.ask("GET", f"/v1/leads/{second}")
    assert shown["state"] == "assigned"
    shown = await client.ask("GET", f"/v1/leads/{first}")
    assert shown["contacted_at"] >= shown["received_at"]
    times = [entry.at_ns async for chunk in daemon.store.read(0) for entry in chunk]
    assert times == sorted(times)
    assert daemon.health() == []


async def test_behind_a_clock_that_was_once_ahead_the_floor_goes_on(open_daemon, connect, logged):
    """Deadlines act, times that others tell are understood, and the operator is told."""
    clock = Clock()
    clock.offset_ns = 3 * HOUR_NS
    flow = {"policy": "longest_idle", "lease_seconds": 1}
    daemon = await open_daemon(clock, flow=flow)
    for rep in ("ana", "ben"):
        await connect(daemon).be(rep, "ready")
    await daemon.stop()
    assert [line for line in logged if line["event"] == "clock_behind"] == []

    clock = Clock()
    daemon = await open_daemon(clock, flow=flow)

    client = connect(daemon)
    assert (await client.call("GET", "/readyz"))[0] == 200  # deadlines act
    for state in ("away", "ready"):  # it is later than what is known of ben
        said = {"state": state, "at": machine_time(0)}
        await client.ask("PUT", "/v1/reps/ben/presence", said)
        assert daemon.engine.state.reps["ben"].state == state
    until = machine_time(3600)
    await client.ask("POST", "/v1/reps/cleo/pause", {"reason": "leave", "until": until})
    key = await client.lead("one", submitted_at=machine_time(-5))
    lead = daemon.engine.state.leads[key]
    async with asyncio.timeout(60):
        while daemon.engine.state.leads[key].attempt < 2:
            await asyncio.sleep(0.01)
    assert daemon.engine.state.reps["cleo"].paused_until_ns > clock.now_ns()
    assert 0 <= clock.now_ns() - lead.received_ns < HOUR_NS, "promptness is measured in our time"
    async with asyncio.timeout(60):
        while not daemon.metrics.gauge("clock_ahead_seconds").cells[()]:
            await asyncio.sleep(0.01)
    assert daemon.metrics.gauge("clock_ahead_seconds").cells[()] == pytest.approx(10_800, abs=120)
    (line,) = [line for line in logged if line["event"] == "clock_behind"]
    assert line["log_level"] == "error"
    assert "s ahead of the clock" in line["problem"]


def machine_time(seconds: float) -> str:
    """So many seconds from now, by the machine's clock, as others write it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def test_while_the_clock_is_behind_the_log_says_so_once_a_minute(monkeypatch, logged):
    reported: list[float] = []
    ahead = iter([7200.0, 7200.0, 0.2, 7200.0])
    times = iter(range(0, 1000, 45))
    monkeypatch.setattr(surroundings, "monotonic", lambda: next(times))

    with contextlib.suppress(RuntimeError):  # there are no more
        await surroundings.watch_clock(lambda: next(ahead), reported.append, 0)

    assert reported == [7200.0, 7200.0, 0.2, 7200.0]
    told = [line["seconds"] for line in logged if line["event"] == "clock_behind"]
    assert told == [7200.0, 7200.0], "at first, and again after it was in order"


async def test_a_restart_with_the_clock_set_back_keeps_the_order_of_time(open_daemon, connect):
    daemon = await open_daemon()
    client = connect(daemon)
    await client.be("ana", "ready")
    key = await client.lead("one")
    await daemon.stop()
    clock = Clock()
    clock.offset_ns = -HOUR_NS

    again = await open_daemon(clock)

    client = connect(again)
    await client.event("contacted", "e1", lead_key=key, evidence="dialer")
    await client.event("status", "e2", lead_key=key, status="converted")
    second = await client.lead("two")
    shown = await client.ask("GET", f"/v1/leads/{second}")
    assert (shown["state"], shown["rep"]) == ("assigned", "ana")
    times = [entry.at_ns async for chunk in again.store.read(0) for entry in chunk]
    assert times == sorted(times)


async def test_a_clock_set_forward_fires_what_is_due_and_takes_no_lead_from_a_rep(
    open_daemon, connect
):
    """As after a stand-still: that nothing was heard for an hour is not the rep's doing."""
    clock = Clock()
    daemon = await open_daemon(clock, flow={"policy": "longest_idle", "lease_seconds": 1800})
    client = connect(daemon)
    await client.be("ana", "ready")
    key = await client.lead("one")
    await client.be("ben", "ready")

    clock.offset_ns = HOUR_NS
    await client.lead("two")  # anything wakes the daemon

    shown = await client.ask("GET", f"/v1/leads/{key}")
    assert (shown["rep"], shown["attempt"]) == ("ana", 1)
    (anew,) = [item for item in shown["history"] if item["type"] == "lease_restarted"]
    assert anew["because"].startswith("the clock was put forward by 35")
    async with asyncio.timeout(60):
        while daemon.engine.state.leads[key].standard != "missed":  # the lead's own clock goes on
            await asyncio.sleep(0.01)
    assert daemon.engine.state.leads[key].attempt == 1


async def test_a_lead_has_one_line_at_info_however_often_it_is_assigned(
    open_daemon, connect, logged
):
    log, flow = {"level": "debug"}, {"policy": "longest_idle"}
    daemon = await open_daemon(log=log, flow=flow)
    client = connect(daemon)
    for rep in ("ana", "ben", "cleo"):
        await client.be(rep, "ready")
    key = await client.lead("one")
    for name in ("1", "2"):
        await client.event("rejected", name, lead_key=key)

    assert daemon.engine.state.leads[key].attempt == 3
    await daemon.stop()
    lines = [line for line in logged if line.get("lead_key") == key]
    assert [(line["log_level"], line["attempt"]) for line in lines] == [
        ("info", 1),
        ("debug", 2),
        ("debug", 3),
    ]


async def test_deadlines_fire_by_themselves(open_daemon, connect, committed):
    """Nobody speaks to the daemon, and a lease of a twentieth of a second ends."""
    flow = {"policy": "longest_idle", "lease_seconds": 0.05}
    daemon = await open_daemon(reps=[{"id": "ana"}], flow=flow)
    client = connect(daemon)
    await client.be("ana", "ready")

    key = await client.lead("one")

    async def taken_back() -> bool:
        return daemon.engine.state.leads[key].state != "assigned"

    await until(committed, taken_back)
    assert daemon.engine.state.leads[key].state == "exception"


async def test_a_failing_disk_answers_nobody_and_is_told(tmp_path, connect):
    daemon = await Daemon.start(settings(tmp_path))
    client = connect(daemon)
    key = await client.lead("one")

    async def full(*_: Any, **__: Any) -> Any:
        raise StoreFailed("no space left on device")

    daemon.store.append = full  # type: ignore[method-assign]
    with pytest.raises(Exception):  # noqa: B017 - the connection is closed without an answer
        task = asyncio.create_task(client.lead("two"))
        error = await asyncio.wait_for(asyncio.shield(daemon.failed), 60)
        assert isinstance(error, StoreFailed)
        assert "no space left" in daemon.health()[0]
        await daemon.stop()
        await task
    again = await Daemon.start(settings(tmp_path))
    try:
        shown = await connect(again).ask("GET", "/v1/leads")
        assert [one["lead_key"] for one in shown["items"]] == [key]
    finally:
        await again.stop()


async def test_a_start_that_fails_leaves_the_store_free(tmp_path, open_daemon):
    first = await open_daemon()
    assert first.web is not None
    other = tmp_path / "other"
    other.mkdir()
    for _ in range(2):  # the second try finds the store free
        with pytest.raises(Unavailable, match=r"http\.port: cannot listen .* free it or choose"):
            await Daemon.start(settings(other, http={"port": first.web.port}))


@pytest.mark.parametrize("host", ["nobody.invalid", "192.0.2.1"])
async def test_a_host_that_is_not_this_machine_s_is_named(tmp_path, monkeypatch, host):
    monkeypatch.setenv("BOSS", "secret")
    tokens = [{"name": "boss", "role": "admin", "token_env": "BOSS"}]
    refused = settings(tmp_path, http={"port": 0, "host": host, "tokens": tokens})
    with pytest.raises(Unavailable, match=r"http\.host: cannot listen on .*this machine"):
        await Daemon.start(refused)


async def test_a_vendor_that_new_settings_bring_has_its_series_from_the_start(
    tmp_path, open_daemon, connect
):
    daemon = await open_daemon(vendors=[{"id": "acme"}])
    await daemon.take_settings(settings(tmp_path, vendors=[{"id": "acme"}, {"id": "bolt"}]))
    text = await connect(daemon).ask("GET", "/metrics")
    series = [line for line in text.splitlines() if 'vendor="bolt"' in line]
    assert any(
        line.startswith("distributor_leads_received_total{") and line.endswith(" 0.0")
        for line in series
    ), series


async def test_a_second_scrape_shows_the_reps_that_changed_since_the_first(
    tmp_path, open_daemon, connect, monkeypatch
):
    monkeypatch.setattr("distributor.observe.exposition.SWEEP_REPS", 0)
    daemon = await open_daemon()
    client = connect(daemon)

    async def shown(line):
        daemon.exposition.forget()
        return f"distributor_{line}\n" in await client.ask("GET", "/metrics")

    assert await shown('rep_state{rep="ana",state="offline"} 1.0')
    await client.be("ana", "ready")
    assert await shown('rep_state{rep="ana",state="ready"} 1.0')
    await daemon.take_settings(settings(tmp_path, metrics={"per_rep": "off"}))
    assert not await shown('rep_state{rep="ana",state="ready"} 1.0')
    await daemon.take_settings(settings(tmp_path, metrics={"per_rep": "all"}))
    await client.be("ana", "away")
    assert await shown('rep_state{rep="ana",state="away"} 1.0')


async def test_new_settings_put_a_new_target_and_a_new_limit_in_force(
    tmp_path, open_daemon, connect
):
    def values(text):
        names = ("distributor_standard_target_ratio{", "distributor_standard_limit_seconds{")
        return [float(x.split()[-1]) for x in text.splitlines() if x.startswith(names)]

    daemon = await open_daemon()
    client = connect(daemon)
    assert values(await client.ask("GET", "/metrics")) == [0.9, 60.0]
    new = {
        "flow": {"first_contact_seconds": 45},
        "standards": {"speed_to_contact": {"target": 0.8}},
    }
    await daemon.take_settings(settings(tmp_path, **new))
    await client.be("ana", "ready")  # committed after the new floor
    daemon.exposition.forget()
    assert values(await client.ask("GET", "/metrics")) == [0.8, 45.0]


async def test_new_settings_are_said_to_be_taken_when_they_are(tmp_path, open_daemon, logged):
    daemon = await open_daemon()
    new = settings(tmp_path, flow={"policy": "longest_idle"})
    await daemon.take_settings(new)
    assert daemon.engine.state.floor == to_floor(new)
    said = [line["digest"] for line in logged if line["event"] == "settings_taken"]
    assert said == [to_floor(new).digest]

    def fails(event):
        raise RuntimeError("not taken")

    daemon.engine._by_type[FloorChanged] = fails
    taking = asyncio.ensure_future(daemon.take_settings(settings(tmp_path)))
    await asyncio.wait({taking, daemon.failed}, return_when=asyncio.FIRST_COMPLETED)
    assert not taking.done()
    taking.cancel()
    said = [line for line in logged if line["event"] == "settings_taken"]
    assert len(said) == 1


async def test_a_policy_that_is_gone_stops_no_start_where_the_settings_name_another(
    open_daemon, connect, monkeypatch
):
    first = await open_daemon(flow={"policy": "rotate"})
    await connect(first).be("ana", "ready")
    await connect(first).lead("one")
    await first.stop()

    def without_rotate(**params):
        return EntryPoints(one for one in entry_points(**params) if one.name != "rotate")

    monkeypatch.setattr("distributor.settings.policies.entry_points", without_rotate)
    again = await open_daemon()
    client = connect(again)
    await client.be("ben", "ready")
    shown = await client.ask("GET", f"/v1/leads/{await client.lead('two')}")
    assert shown["state"] == "assigned"


async def test_a_limit_that_is_no_edge_stops_the_start_and_is_refused_later(
    tmp_path, open_daemon, monkeypatch
):
    """Its share on time could not be read from the histograms."""
    daemon = await open_daemon()
    row = replace(metric("rep_response_seconds"), judged=False)
    monkeypatch.setitem(table._BY_NAME, row.name, row)
    odd = {"flow": {"first_contact_seconds": 42.5}}
    await daemon.take_settings(settings(tmp_path, **odd))
    assert daemon.settings.flow.first_contact_seconds == 60
    assert daemon.metrics.gauge("config_last_reload_successful").cells[()] == 0
    await daemon.stop()
    with pytest.raises(BadConfig, match=r"first_contact_seconds: 42\.5 is no bucket's edge"):
        await open_daemon(**odd)


async def test_a_dialer_s_new_secret_is_taken_with_the_settings(tmp_path, open_daemon):
    secret = tmp_path / "secret"
    secret.write_text("old")
    call = {"url": "http://127.0.0.1:9/", "headers": {"X-Key": "{{ secret }}"}}
    dialers = [{"id": "cloud", "secret_file": str(secret), "assign": call}]
    daemon = await open_daemon(dialers=dialers)
    (sender,) = daemon.dialers.senders

    secret.write_text("new")
    await daemon.take_settings(settings(tmp_path, dialers=dialers))
    assert sender.secret == "new"

    taken = settings(tmp_path, dialers=dialers, reps=[{"id": "zoe"}])
    secret.write_text("two\nlines")  # no header can carry it
    await daemon.take_settings(taken)
    assert sender.secret == "new"
    assert len(daemon.reps()) == 3, "refused as a whole"


async def test_two_daemons_do_not_share_a_store(tmp_path, open_daemon):
    await open_daemon()
    with pytest.raises(StoreFailed, match=r"distributor\.db"):
        await Daemon.start(settings(tmp_path))


async def test_a_last_snapshot_that_fails_costs_nothing_but_time(tmp_path, connect):
    daemon = await Daemon.start(settings(tmp_path))
    key = await connect(daemon).lead("one")

    async def full(*_: Any) -> None:
        raise StoreFailed("no space left on device")

    daemon.store.put_snapshot = full  # type: ignore[method-assign]
    await daemon.stop()

    again = await Daemon.start(settings(tmp_path))
    assert list(again.engine.state.leads) == [key]
    await again.stop()


async def test_a_last_commit_that_fails_is_told_and_leaves_the_store_free(
    tmp_path, connect, logged
):
    daemon = await Daemon.start(settings(tmp_path))
    await connect(daemon).lead("one")

    async def full(*_: Any, **__: Any) -> Any:
        raise StoreFailed("no space left on device")

    daemon.store.append = full  # type: ignore[method-assign]
    daemon.mark_target("somewhere", True, "something to commit")
    with contextlib.suppress(StoreFailed):
        await daemon.stop()
    assert isinstance(daemon.failed.result(), StoreFailed)
    (told,) = [line for line in logged if line["log_level"] == "error"]
    assert told["event"] in ("service_failed", "stop_failed")
    assert told["error"] == "no space left on device"

    again = await Daemon.start(settings(tmp_path))
    await again.stop()


async def test_every_peer_has_its_series_before_anybody_connects(open_daemon, connect):
    dialer = {"id": "vici", "assign": {"url": "http://127.0.0.1:9/assign"}}
    daemon = await open_daemon(mqtt={"port": 9}, dialers=[dialer])

    said = await connect(daemon).ask("GET", "/metrics")

    lines = said.splitlines()
    assert 'distributor_intake_connected{peer="mqtt"} 0.0' in lines
    assert 'distributor_intake_connected{peer="vici"} 1.0' in lines
    assert "distributor_intake_oldest_unacknowledged_age_seconds 0.0" in lines
    daemon.mark_target("vici", False, "refused")
    assert daemon.metrics.gauge("intake_connected").cells["vici",] == 0


async def test_events_about_nobody_are_dead_letters_kept_counted_and_published_once(open_daemon):
    daemon = await open_daemon(mqtt={"port": 9})
    acked = asyncio.Event()

    class Link:
        def ack(self, tokens: Any) -> None:
            acked.set()

    clock = daemon.clock
    intake = MqttIntake(Link(), daemon.inbox, daemon.directory, clock.now_ns, clock.wall_ns)
    no_lead = b'{"event_id": "1", "type": "contacted", "lead_key": "NOSUCH"}'
    no_rep = b'{"event_id": "2", "type": "agent_state", "rep": "zed", "state": "ready"}'

    intake.on_message("leads/dialer/event", b"[" + no_lead + b"," + no_rep + b"]", "token")
    await asyncio.wait_for(acked.wait(), 60)

    with contextlib.closing(StoreReader(daemon.store.path)) as reader:
        kept = [letter["payload_base64"] for letter in reader.dead_letters()]
    assert sorted(map(base64.b64decode, kept)) == sorted([no_lead, no_rep])
    assert daemon.metrics.counter("intake_dead_letters_total").cells["mqtt",] == 2
    waiting = await daemon.store.pending("mqtt", 0, 100)
    assert [message.kind for message, _, _ in waiting] == ["dead", "dead"]


async def test_what_was_given_up_is_counted_across_restarts(open_daemon, connect):
    daemon = await open_daemon()
    await daemon.stop()
    damage(
        daemon.store.path,
        "INSERT INTO outbox (target, kind, address, order_key, message_id, payload, created_ns,"
        " correlation, state) VALUES ('old', 'result', '', '', '', '{}', 1, '', 'dead')",
    )
    again = await open_daemon()
    said = await connect(again).ask("GET", "/metrics")
    assert 'distributor_outbox_set_aside_messages{state="dead",target="old"} 1.0' in said


async def test_a_start_that_fails_says_why_in_the_log(open_daemon, logged):
    await open_daemon()
    with pytest.raises(StoreFailed):
        await open_daemon()
    (told,) = [line for line in logged if line["log_level"] == "error"]
    assert told["event"] == "start_failed"
    assert "another process uses this store" in told["error"]


async def test_a_full_pool_asks_vendors_to_come_back(open_daemon, connect):
    daemon = await open_daemon(flow={"pool_limit": 2})
    client = connect(daemon)
    items = [{"id": str(number), "phone": "+13125550142"} for number in range(4)]

    replies = await client.ask("POST", "/v1/leads/acme", items[:3])
    status, refused = await client.call("POST", "/v1/leads/acme", items[3])

    assert [one["outcome"] for one in replies] == ["accepted", "accepted", "error"]
    assert replies[2]["retryable"] is True
    assert replies[2]["lead_key"] is None
    assert status == 429
    assert "pool default" in refused["detail"]
    await client.be("ana", "ready")  # makes room
    assert (await client.ask("POST", "/v1/leads/acme", items[2]))["outcome"] == "accepted"


async def test_a_floor_of_another_time_scale_runs_faster(open_daemon, connect, committed):
    """Ten minutes of lease at 6000 times the speed are a tenth of a second."""
    flow = {"policy": "longest_idle", "lease_seconds": 600, "time_scale": 6000}
    daemon = await open_daemon(reps=[{"id": "ana"}], flow=flow)
    client = connect(daemon)
    await client.be("ana", "ready")

    key = await client.lead("one")

    async def ends() -> list[Any]:
        shown = await client.ask("GET", f"/v1/leads/{key}")
        return [item for item in shown["history"] if item["type"] == "ended"]

    (ended,) = await until(committed, ends)
    assert ended["reason"] in ("expired", "recalled")
    seconds = float(ended["because"].split()[-2])  # of the floor's own time
    assert 600 <= seconds < 600 + 6000 * 5


async def test_claims_count_where_the_floor_says_so(open_daemon, connect):
    daemon = await open_daemon(flow={"accept_claims": True})
    client = connect(daemon)
    await client.be("ana", "ready")
    key = await client.lead("one")

    await client.event("contacted", "e1", lead_key=key, evidence="claimed")

    assert (await client.ask("GET", f"/v1/leads/{key}"))["contacted_at"] is not None


async def test_settings_changed_during_downtime_are_taken_at_the_start(open_daemon, connect):
    daemon = await open_daemon()
    client = connect(daemon)
    await client.be("ben", "ready")
    key = await client.lead("one")
    await daemon.stop()

    again = await open_daemon(reps=[{"id": "ana"}, {"id": "cleo"}])

    client = connect(again)
    await client.be("ana", "ready")
    reps = (await client.ask("GET", "/v1/reps"))["items"]
    assert {one["id"] for one in reps} == {"ana", "cleo"}
    shown = await client.ask("GET", f"/v1/leads/{key}")
    assert (shown["rep"], shown["attempt"]) == ("ana", 2)
    await again.stop()
    assert verify(again.store.path) is None


async def test_a_broker_that_hangs_does_not_keep_the_doors_open(open_daemon, connect, monkeypatch):
    """Not ready and closed first; that we go is told beside that."""
    telling, told = asyncio.Event(), asyncio.Event()

    async def hanging(self: BrokerSide, state: str) -> None:
        telling.set()
        await told.wait()

    monkeypatch.setattr(BrokerSide, "_say", hanging)
    daemon = await open_daemon(mqtt={"port": free_port()})
    client = connect(daemon)
    await client.lead("1")

    stopping = asyncio.create_task(daemon.stop())
    await telling.wait()
    assert "stopping" in daemon.ready()
    try:
        status, _ = await client.call("POST", "/v1/leads/acme", {"id": "2", "phone": "2125550187"})
    except aiohttp.ClientConnectionError:
        status = 0
    assert status in (0, 503)
    assert not stopping.done()

    told.set()
    await stopping


async def test_a_rep_who_left_the_floor_may_report_on_the_lead_in_work(
    tmp_path, open_daemon, connect
):
    daemon = await open_daemon(reps=[{"id": "ben"}])
    client = connect(daemon)
    await client.be("ben", "ready")
    key = await client.lead("1")
    await client.event("contacted", "e1", lead_key=key, rep="ben", evidence="dialer")

    await daemon.take_settings(settings(tmp_path, reps=[{"id": "ana"}]))

    said = await client.event("status", "e2", lead_key=key, rep="zed", status="converted")
    assert said["rejected"][0]["reason"] == "rep: zed is not known; add it to [[reps]]"
    said = await client.event("status", "e3", lead_key=key, rep="ben", status="converted")
    assert said == {"accepted": 1, "duplicate": 0, "rejected": []}
    assert (await client.ask("GET", f"/v1/leads/{key}"))["status"] == "converted"
    assert (await client.call("PUT", "/v1/reps/ben/presence", {"state": "ready"}))[0] == 404


async def test_the_age_of_the_oldest_lead_is_in_the_floors_time_like_its_limit(
    open_daemon, connect
):
    clock = Clock()
    daemon = await open_daemon(clock, flow={"time_scale": 60})
    await connect(daemon).lead("1")
    clock.offset_ns += NANOSECONDS
    text = await connect(daemon).ask("GET", "/metrics")
    (line,) = [x for x in text.splitlines() if "queue_oldest_lead_age_seconds{" in x]
    assert float(line.split()[-1]) >= 60
