"""Whole demos, as a user starts them."""

import os
import re
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from distributor import demo
from distributor.cli import main
from distributor.demo.broker import ENVIRONMENT
from distributor.demo.summary import Summary
from distributor.demo.trace import read_trace
from tests.brokers import Mosquitto
from tests.real import need_data

LIMIT_SECONDS = 150
FIRE = "traces/sf_fire_2016-12-31_2017-01-04.trace.csv.gz"
SMALL = Path(__file__).with_name("small-floor.csv")


def start(*options, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "distributor", "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DISTRIBUTOR_DEBUG": "", **environment},
    )


def finish(process, limit_seconds=LIMIT_SECONDS):
    try:
        out, errors = process.communicate(timeout=limit_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, errors = process.communicate()
        pytest.fail(f"the demo did not end: {out}{errors}")
    return process.returncode, out, errors


def figure(out, name):
    found = re.search(rf"^  {name} +(\d+)", out, re.MULTILINE)
    assert found, out
    return int(found[1])


def folder_in(out):
    found = re.search(r"^store +(\S+)/distributor\.db", out, re.MULTILINE)
    assert found, out
    return Path(found[1])


@pytest.fixture(scope="module")
def short_demo():
    return finish(start("--seconds", "6", "--rate", "600", "--reps", "12"))


def test_a_short_demo_loses_nothing_and_ends_with_0(short_demo):
    code, out, errors = short_demo
    assert (code, errors) == (0, ""), out
    assert figure(out, "leads in") > 30
    assert figure(out, "contacted") > 0
    assert figure(out, "contacted within 60 s") > 0
    assert figure(out, "leads in") == figure(out, "closed") + figure(out, "open")
    assert figure(out, "lost") == 0
    assert figure(out, "assigned twice at once") == 0
    assert "floor time 02:" in out
    assert "20 x speed" in out


def test_a_demo_says_where_to_look_and_leaves_nothing_behind(short_demo):
    _, out, _ = short_demo
    for path in ("/metrics", "/healthz", "/v1/reps", "/v1/leads"):
        assert re.search(rf"http://127\.0\.0\.1:\d+{path}\b", out)
    assert "distributor why LEAD_KEY --store" in out
    assert "for this demo only" in out
    assert not folder_in(out).exists()


def test_a_pipe_gets_plain_lines(short_demo):
    _, out, _ = short_demo
    assert "\x1b" not in out


def test_a_demo_that_is_too_short_for_its_story_says_what_was_not_seen(short_demo):
    """How far the story comes depends on the machine: each end of it is seen, or named as not seen."""
    _, out, _ = short_demo
    story, summary = out.split("  leads in", 1)
    unseen = re.search(r"^  not seen +(.*)$", summary, re.MULTILINE)
    for rep in ("ben", "cleo"):
        end = f"{rep} is back at full flow"
        assert (end in story) != (unseen is not None and end in unseen[1]), out


def test_ctrl_c_ends_a_demo_in_order():
    process = start("--rate", "300")
    seen = ""
    while "waiting" not in seen:
        line = process.stdout.readline()
        assert line, seen + process.stderr.read()
        seen += line
    process.send_signal(signal.SIGINT)
    code, out, errors = finish(process)
    assert (code, errors) == (0, ""), out
    assert figure(out, "lost") == 0
    assert not folder_in(seen).exists()


@pytest.fixture
def args():
    return types.SimpleNamespace(
        seconds=1.0, rate=None, reps=None, time_scale=1.0, trace=None, prometheus=None
    )


def summary_with(**more):
    known = dict.fromkeys(Summary.__struct_fields__, 0) | {"held_back": (), "open": {}}
    return Summary(**(known | more))


@pytest.mark.parametrize(
    "problem, word",
    [
        *((name, "DOES NOT BALANCE") for name in ("lost", "unexpected", "assigned_twice")),
        ("difference", "DOES NOT BALANCE"),
        ("unsent", "NOT COMPLETE"),
        ("unanswered", "NOT COMPLETE"),
    ],
)
def test_an_account_that_does_not_balance_ends_with_1_and_keeps_the_store(
    problem, word, args, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(demo, "play", lambda *_: summary_with(leads_in=3, **{problem: 1}))
    assert demo.main(args) == 1
    out = capsys.readouterr().out
    (kept,) = tmp_path.iterdir()
    assert str(kept) in out
    assert f"  {word}: " in out
    assert "every lead is accounted for" not in out


def test_an_account_that_balances_ends_with_0_and_removes_the_store(args, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(demo, "play", lambda *_: summary_with(leads_in=3, closed=3))
    assert demo.main(args) == 0
    assert list(tmp_path.iterdir()) == []


def test_without_the_extras_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert main(["demo"]) == 1
    error = capsys.readouterr().err
    assert "amqtt and rich" in error
    assert "pip install 'distributor[demo]'" in error
    assert error.count("\n") == 1


def test_a_broker_from_outside_is_named_as_host_and_port(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv(ENVIRONMENT, "somewhere")
    assert main(["demo", "--seconds", "1"]) == 2
    assert f"{ENVIRONMENT}=somewhere: write HOST:PORT" in capsys.readouterr().err


def test_a_trace_that_is_not_there_is_an_error_of_one_line(capsys):
    assert main(["demo", "--trace", "nowhere.csv"]) == 1
    error = capsys.readouterr().err
    assert "nowhere.csv" in error
    assert error.count("\n") == 1


@pytest.mark.long
@pytest.mark.timeout(200)
def test_a_demo_shows_flow_leave_two_reps_and_come_back():
    """On a slow machine it takes longer: the demo waits for it, and so does this."""
    process = start("--time-scale", "60", "--rate", "360")
    seen = ""
    while not all(f"{rep} is back at full flow" in seen for rep in ("ben", "cleo")):
        line = process.stdout.readline()
        assert line, seen + process.stderr.read()
        seen += line
    process.send_signal(signal.SIGINT)
    code, out, errors = finish(process)
    assert (code, errors) == (0, ""), out
    assert "ben goes dark" in seen
    for rep in ("ben", "cleo"):
        assert re.search(rf"-- {rep} is held back, flow 0\.\d\d: .*restores full flow", seen)
    assert figure(out, "held back") >= 2
    assert re.search(r"^  held back .*\bben\b.*\bcleo\b", out, re.MULTILINE)
    assert "not seen" not in out


FIRE_SPEED = 9000
"""Some forty seconds. How many leads are contacted at this speed is a matter of the machine: a lease lasts
67 ms."""


def _replay(path, speed, folder):
    """The end of a replay through a real broker, and the arrivals of the trace."""
    arrivals = len(read_trace(path).arrivals)
    with Mosquitto(folder / "broker", durable=False) as broker:
        process = start(
            *("--trace", str(path), "--time-scale", str(speed)),
            **{ENVIRONMENT: f"127.0.0.1:{broker.port}"},
        )
        code, out, errors = finish(process, limit_seconds=480)
    assert (code, errors) == (0, ""), out
    assert figure(out, "lost") == 0
    assert figure(out, "assigned twice at once") == 0
    assert "every lead is accounted for" in out
    assert figure(out, "assignments") > 0
    return out, arrivals


@pytest.mark.long
@pytest.mark.real
@pytest.mark.timeout(500)
def test_four_recorded_days_through_a_real_broker_lose_nothing(tmp_path):
    """Every lead of the recording is accounted for; none is with two reps at once."""
    out, arrivals = _replay(need_data(FIRE), FIRE_SPEED, tmp_path)
    assert figure(out, "leads in") == arrivals == 1912


@pytest.mark.long
@pytest.mark.real
@pytest.mark.timeout(500)
def test_a_small_recording_through_a_real_broker_loses_nothing(tmp_path):
    """One of our own, with a vendor's repeat and a contact before its lead."""
    out, arrivals = _replay(SMALL, 600, tmp_path)
    assert figure(out, "leads in") == arrivals - 1 == 80
    assert figure(out, "contacted") > 0
    assert "besides 1 sent twice" in out
    assert "lead_in repeated 1, worked before lead_in 1" in out


def test_a_replay_that_is_cut_short_says_what_is_missing_and_ends_with_1(tmp_path):
    code, out, _ = finish(start("--trace", str(SMALL), "--time-scale", "60", "--seconds", "2"))
    assert code == 1
    (missing,) = re.findall(r"NOT COMPLETE: arrivals of the trace not sent: (\d+)", out)
    assert int(missing) + figure(out, "leads in") == 81
    assert "every lead is accounted for" not in out
    shutil.rmtree(folder_in(out))


@pytest.mark.parametrize("option", ["--rate", "--reps"])
def test_what_a_trace_decides_cannot_be_asked_for(option, capsys):
    assert main(["demo", "--trace", str(SMALL), option, "5"]) == 2
    error = capsys.readouterr().err
    assert f"{option}: a trace brings its own" in error
    assert error.count("\n") == 1
