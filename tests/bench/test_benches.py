"""Each bench runs in small, and the crash bench would notice a loss."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from prometheus_client import generate_latest

from bench import disk, faults
from bench.__main__ import main
from bench.actors import Dialer
from bench.bare_bridge import bare_client
from bench.fsync import Disk
from bench.load_report import Report, Round
from bench.load_run import Plan, Run
from bench.scrape_library import LibraryScrape
from bench.scrape_site import Site
from bench.trial import Judgement, Trial
from bench.world import SECOND, World
from distributor.demo.summary import Summary
from distributor.errors import BadConfig, Unavailable
from distributor.mqtt import MqttSettings
from distributor.settings.policies import Policies
from tests.brokers import find_mosquitto

ROOT = Path(__file__).parents[2]


def last_json(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text.splitlines()[-1])
    return found


def test_the_virtual_floor_works_its_leads_off_and_its_ledger_balances() -> None:
    world = World(10, "lease", Policies())
    end_ns = world.now_ns + 3600 * SECOND
    world.run(lambda: world.now_ns >= end_ns)
    ledger = world.engine.state.ledger
    assert ledger.difference == 0
    assert ledger.counts["closed"] > 0.8 * ledger.received > 50
    assert world.assignments >= ledger.counts["closed"]


def test_the_core_bench_prints_its_figures(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr("bench.core.OPEN_LEADS", 50)
    monkeypatch.setattr("bench.core.lead_bytes", lambda: 1.0)
    monkeypatch.setattr("bench.core.rep_bytes", lambda: 1.0)
    assert main(["core", "--reps", "5", "--events", "200", "--policy", "lease", "--json"]) == 0
    found = last_json(capsys.readouterr().out)
    assert found["speed"][0]["decisions"] > 0
    assert found["speed"][0]["decisions_per_second"] > 0


def test_the_recovery_bench_gets_every_lead_back(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = ["--folder", str(tmp_path)]
    assert main(["recovery", "--leads", "300", "--behind", "100", *folder, "--json"]) == 0
    found = last_json(capsys.readouterr().out)
    assert (found["leads"], found["entries_after_snapshot"]) == (300, 100)


def test_the_scrape_bench_measures_a_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.scrape.SCRAPES", 2)
    assert main(["scrape", "--reps", "20", "--json"]) == 0
    found = last_json(capsys.readouterr().out)["floors"]
    assert [scrape["per_rep"] for scrape in found] == ["all", "held_back", "off"]
    series = [scrape["series"] for scrape in found]
    assert series[0] - series[2] >= 20 * 12
    assert all(scrape["loop_ms"] > 0 and scrape["held_bytes"] > 10_000 for scrape in found)


def test_the_scrapes_yardstick_has_the_same_series(tmp_path: Path) -> None:
    async def both() -> tuple[bytes, bytes]:
        site = Site(World(20, "lease", Policies()), "all", tmp_path)
        site.live()
        ours = b"".join(await site.exposition.render())
        reps = list(site.census.reps())
        return ours, generate_latest(LibraryScrape(site.metrics, reps, site.census.now_ns()))

    ours, theirs = (
        sorted(line for line in text.splitlines() if b"process_" not in line)
        for text in asyncio.run(both())
    )
    assert ours == theirs


def test_the_fsync_bench_measures_the_disk(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["fsync", "--folder", str(tmp_path), "--samples", "5", "--json"]) == 0
    found = last_json(capsys.readouterr().out)
    assert 0 < found["median_ms"] <= found["p99_ms"]


def test_an_unknown_command_is_refused() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "nothing"], capture_output=True, check=False
    )
    assert ran.returncode == 2


@pytest.mark.parametrize(
    ("words", "word"),
    [
        ("load --config nope.toml", "No such file"),
        ("load --config here/bad.toml", "no TOML"),
        ("load --batch 0", "1 or more"),
        ("load --folder /nope", "make it first"),
        ("load --rate fast", "above 0"),
        ("core --policy nope", "'nope' is not installed; known: "),
        ("core --reps 0", "1 or more"),
        ("crash --rate 0", "above 0"),
        ("fsync --samples 0", "1 or more"),
        ("recovery --behind -1", "0 or more"),
    ],
)
def test_what_cannot_be_is_refused_with_the_option(
    words: str,
    word: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/bad.toml").write_text("[flow")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert words.split()[1] in last
    assert word in last


@pytest.mark.parametrize(
    ("error", "code"),
    [(Unavailable("no broker"), 1), (PermissionError(13, "no"), 1), (BadConfig(["bad"]), 2)],
)
def test_a_bench_that_fails_says_so_in_one_line(
    error: Exception,
    code: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("bench.fsync.measure", fail)
    assert main(["fsync"]) == code
    assert capsys.readouterr().err == f"bench fsync: {error}\n"


# -- the judges ---------------------------------------------------------------------------------


@pytest.fixture
def dialer(monkeypatch: pytest.MonkeyPatch) -> Dialer:
    """A dialer without a broker that lets every assignment lie."""
    monkeypatch.setattr("bench.actors.Client.__init__", lambda *_: None)
    dialer = Dialer(0)
    dialer._random = SimpleNamespace(random=lambda: 0.95)
    return dialer


def hear(dialer: Dialer, kind: str, assignment: str) -> None:
    message = {"type": kind, "assignment_id": assignment, "lead_key": "K1", "rep": "ana"}
    dialer.received("leads/dialer/assign", msgspec.json.encode(message))


def test_the_dialer_notices_a_lead_that_is_given_out_twice(dialer: Dialer) -> None:
    hear(dialer, "assign", "K1-1")
    hear(dialer, "assign", "K1-2")
    assert dialer.assigned_twice == [("K1", "K1-1", "K1-2")]


def test_a_repeat_and_a_revoked_assignment_are_no_second_one(dialer: Dialer) -> None:
    for kind, assignment in (
        ("assign", "K1-1"),
        ("assign", "K1-1"),
        ("revoke", "K1-1"),
        ("revoke", "K1-1"),
        ("assign", "K1-2"),
    ):
        hear(dialer, kind, assignment)
    assert dialer.assigned_twice == []
    assert dialer.repeats == 2


def test_the_judgement_notices_what_the_store_does_not_have() -> None:
    """A promise that is not in the store must count as lost."""
    trial = Trial.__new__(Trial)
    trial.over_mqtt = SimpleNamespace(acknowledged={"m1", "m2"})
    trial.over_http = SimpleNamespace(keys={"h1": "K9"}, changed=0)
    trial.dialer = SimpleNamespace(
        acknowledged={"d1", "d2", "presence:ana"},
        assigned_twice=[],
        assignments=2,
        revocations=0,
        repeats=0,
    )
    tables: dict[str, list[dict[str, Any]]] = {
        "leads": [{"vendor": "bench", "lead_id": "m1"}, {"vendor": "bench", "lead_id": "h1"}],
        "events": [{"event_id": "d1"}],
        "assignments": [
            {"lead_key": "K1", "ended_at": None},
            {"lead_key": "K1", "ended_at": None},
        ],
    }
    trial._export = tables.__getitem__
    trial._verify = lambda: "agrees"
    found = trial._compare()
    assert found.lost == 2
    assert found.assigned_twice == 1
    assert not found.good


SMALL_TRACE = ROOT / "tests" / "demo" / "small-floor.csv"


@pytest.mark.real
@pytest.mark.timeout(120)
def test_the_trace_bench_accounts_for_every_lead_of_a_recording(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    find_mosquitto()
    options = ["--time-scale", "900", "--folder", str(tmp_path)]
    assert main(["trace", "--trace", str(SMALL_TRACE), *options, "--json"]) == 0
    (found,) = last_json(capsys.readouterr().out)["traces"]
    assert found["recorded"]["arrivals"] == 81
    assert found["recorded"]["contacted"] == 71
    assert (found["replayed"]["leads_in"], found["replayed"]["lost"]) == (80, 0)


@pytest.mark.parametrize("what", ["lost", "assigned_twice", "unsent", "unanswered"])
def test_the_trace_bench_notices_what_is_missing(
    what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = dict.fromkeys(Summary.__struct_fields__, 0) | {"held_back": (), "open": {}}
    summary = Summary(**(known | {"leads_in": 80, what: 1}))
    monkeypatch.setattr("bench.trace._replay", lambda *_: summary)
    assert main(["trace", "--trace", str(SMALL_TRACE)]) == 1
    assert "MISSED" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.real
def test_the_daemon_runs_beside_each_of_its_yardsticks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_mosquitto()
    monkeypatch.setattr("bench.load.REPS", 20)
    small = ["--leads", "40", "--rate", "200", "--pairs", "1", "--folder", str(tmp_path)]
    assert main(["load", *small, "--json"]) == 0
    found = last_json(capsys.readouterr().out)
    assert set(found["yardsticks"]) == {"bridge", "bare", "committing"}
    runs = [found["daemon"], *found["yardsticks"].values()]
    assert [(run[0]["missing"], run[0]["repeats"]) for run in runs] == [(0, 0)] * 4


@pytest.mark.parametrize(("theirs", "word"), [(6_000.0, "met"), (7_000.0, "MISSED")])
def test_the_share_of_the_bare_library_is_judged(
    theirs: float, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, bridge, bare = (load_run_at(rate) for rate in (4_000.0, 9_000.0, theirs))
    plan = Plan(40, 1, 0.0, http=False, results=True, rep_topics=True, assign_batch=1)
    report = Report(plan, "lease", [Round(ours, {"bridge": bridge, "bare": bare})])
    assert report.tell((Disk(0.2, 0.4, 1), Disk(0.2, 0.4, 1)), SimpleNamespace(json=False)) == 0
    judged = [line.split()[0] for line in capsys.readouterr().out.splitlines() if "goal" in line]
    assert judged == [word, "met"]


def load_run_at(leads_per_second: float) -> Run:
    figures: dict[str, Any] = dict.fromkeys(Run.__struct_fields__, 0.0)
    return Run(**figures | {"leads_per_second": leads_per_second, "octets": {}, "messages": {}})


@pytest.mark.long
@pytest.mark.real
def test_a_killed_daemon_loses_nothing_that_was_acknowledged(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_mosquitto()
    monkeypatch.setattr("bench.trial.SETTLE_SECONDS", 5.0)
    kills = ["--kills", "2", "--rate", "100"]
    assert main(["crash", *kills, "--folder", str(tmp_path), "--json"]) == 0
    found = last_json(capsys.readouterr().out)
    assert (found["lost"], found["assigned_twice"]) == (0, 0)
    assert found["acknowledged"] > 50


# -- the faults ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unmet", "lost", "good"), [([], 0, True), (["it says why"], 0, False), ([], 1, False)]
)
def test_a_fault_went_well_only_where_all_that_should_happen_did(
    unmet: list[str], lost: int, good: bool
) -> None:
    judged = Judgement(9, 9, lost, 0, 0, 9, 9, 0, 0, 0, "agrees")
    assert faults.Outcome("disk_full", "seen", unmet, judged).good is good


def test_the_clock_of_a_server_is_read_from_its_answer() -> None:
    class Late(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Late) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        behind = faults._seconds_behind(server.server_port)
        thread.join()
    assert behind == pytest.approx(3600, abs=600)


def test_the_library_of_another_time_is_looked_for_where_systems_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "FAKETIME", (f"{tmp_path}/*/x.so".lstrip("/"),))
    assert faults.faketime() is None
    (tmp_path / "arm").mkdir()
    (tmp_path / "arm/x.so").touch()
    assert faults.faketime() == tmp_path / "arm/x.so"


def test_a_small_disk_gets_full_and_has_room_again(tmp_path: Path) -> None:
    with disk.mounted(tmp_path / "disk") as permitted:
        if not permitted:
            pytest.skip("we may not mount here")
        file = tmp_path / "disk/file"
        file.write_bytes(b"x" * 100_000)
        disk.leave_room(file.parent, 65_536)
        with pytest.raises(OSError, match="No space left"):
            file.write_bytes(b"x" * 1_000_000)
        disk.resize(file.parent)
        file.write_bytes(b"x" * 1_000_000)
    assert not disk.is_small_disk(tmp_path / "disk")
    assert not file.exists()


async def test_the_bare_yardstick_is_not_held_back_by_the_librarys_own_count() -> None:
    client: Any = bare_client(MqttSettings())
    assert client._client._max_inflight_messages == 0
