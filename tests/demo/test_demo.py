"""Whole demos, as a user starts them."""

import csv
import gzip
import io
import os
import re
import signal
import subprocess
import sys
import types
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from distributor import demo
from distributor.cli import main
from distributor.demo.broker import ENVIRONMENT
from distributor.demo.summary import Summary
from tests.brokers import Mosquitto
from tests.real import need_data

LIMIT_SECONDS = 150
BANK = "traces/anonbank_1999-02-01_14.trace.csv.gz"


def start(*options, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "distributor", "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DISTRIBUTOR_DEBUG": "", **environment},
    )


def finish(process):
    try:
        out, errors = process.communicate(timeout=LIMIT_SECONDS)
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
    assert figure(out, "held back") >= 0


def test_a_demo_says_where_to_look_and_leaves_nothing_behind(short_demo):
    _, out, _ = short_demo
    for path in ("/metrics", "/healthz", "/v1/reps", "/v1/leads"):
        assert re.search(rf"http://127\.0\.0\.1:\d+{path}\b", out)
    assert "distributor why LEAD_KEY --store" in out
    assert "for this demo only" in out
    assert not folder_in(out).exists()


def test_the_story_is_told_and_leads_flow_from_the_first_line(short_demo):
    _, out, _ = short_demo
    assert "goes dark" in out
    assert "work as before again" in out
    assert "\x1b" not in out, "a pipe gets plain lines"


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
    return types.SimpleNamespace(seconds=1.0, rate=60.0, reps=2, time_scale=1.0, trace=None)


def summary_with(**more):
    known = dict.fromkeys(Summary.__struct_fields__, 0) | {"held_back": (), "open": {}}
    return Summary(**(known | more))


@pytest.mark.parametrize("problem", ["lost", "unexpected", "assigned_twice", "difference"], ids=str)
def test_an_account_that_does_not_balance_ends_with_1_and_keeps_the_store(
    problem, args, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(demo, "_play", lambda *_: summary_with(leads_in=3, **{problem: 1}))
    assert demo.main(args) == 1
    out = capsys.readouterr().out
    (kept,) = tmp_path.iterdir()
    assert str(kept) in out
    assert "DOES NOT BALANCE" in out


def test_an_account_that_balances_ends_with_0_and_removes_the_store(args, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(demo, "_play", lambda *_: summary_with(leads_in=3, closed=3))
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


def _two_hours(path, start):
    """The recording from ``start``, with the reps who are there by then coming at its beginning."""
    end = start + timedelta(hours=2)
    with gzip.open(path, "rt", newline="") as lines:
        head, *rows = csv.reader(lines)
    there, kept = set(), []
    for row in rows:
        moment = datetime.fromisoformat(row[0])
        if moment >= end:
            break
        if moment >= start:
            kept.append(row)
        elif row[1] == "rep_online":
            there.add(row[3])
        elif row[1] == "rep_offline":
            there.discard(row[3])
    here = [[start.isoformat(), "rep_online", "", rep, ""] for rep in sorted(there)]
    out = io.StringIO(newline="")
    csv.writer(out).writerows([head, *here, *kept])
    return out.getvalue()


@pytest.mark.real
def test_two_recorded_hours_through_a_real_broker_lose_nothing(tmp_path):
    """Every lead of the recording is accounted for; none is with two reps at once."""
    text = _two_hours(need_data(BANK), datetime(1999, 2, 1, 12))
    path = tmp_path / "two-hours.csv"
    path.write_text(text)
    arrivals = text.count(",lead_in,")
    assert arrivals > 150
    with Mosquitto(tmp_path / "broker", durable=False) as broker:
        process = start(
            *("--trace", str(path), "--time-scale", "900"),
            **{ENVIRONMENT: f"127.0.0.1:{broker.port}"},
        )
        code, out, errors = finish(process)
    assert (code, errors) == (0, ""), out
    assert figure(out, "leads in") == arrivals
    assert figure(out, "lost") == 0
    assert figure(out, "assigned twice at once") == 0
    assert figure(out, "contacted") > arrivals / 2
