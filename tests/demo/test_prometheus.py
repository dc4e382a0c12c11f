"""A real Prometheus beside the demo: it comes, shows the floor, and goes with it."""

import os
import signal
import socket
import subprocess
import sys
import types

import psutil
import pytest
from rich.console import Console

from distributor import demo
from distributor.cli import main
from distributor.demo import prometheus as module
from distributor.demo import stage
from distributor.demo.prometheus import BadQuery, Prometheus
from distributor.errors import Unavailable
from tests.brokers import free_port
from tests.e2e.floor import until
from tests.real import need_program

RULES = """\
groups:
  - name: try
    rules:
      - record: job:try:up
        expr: sum by (job) (up)
"""


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start(*options):
    return subprocess.Popen(
        [sys.executable, "-m", "distributor", "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DISTRIBUTOR_DEBUG": ""},
    )


def read_until(process, word):
    seen = ""
    while word not in seen:
        line = process.stdout.readline()
        assert line, seen + process.stderr.read()
        seen += line
    return seen


@pytest.fixture
def program():
    return need_program("prometheus")


@pytest.fixture
def begun():
    """Demos that a test starts; what it leaves is ended."""
    processes = []

    def begin(*options):
        processes.append(start(*options))
        return processes[-1]

    yield begin
    for process in processes:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
        process.communicate()


def reader(port, tmp_path):
    """The means to ask a Prometheus that somebody else started."""
    asking = Prometheus(tmp_path, "nobody:1", port=port)
    return asking.query


@pytest.mark.real
def test_it_scrapes_the_demo_and_is_gone_after_ctrl_c(program, begun, tmp_path):
    port = free_port()
    process = begun("--prometheus", str(port))
    seen = read_until(process, "prometheus ")
    (line,) = [line for line in seen.splitlines() if line.startswith("prometheus ")]
    assert f"http://127.0.0.1:{port} " in line
    assert "Grafana" in line
    query = reader(port, tmp_path)

    until(lambda: query('up{job="distributor"} == 1'), "a scrape")
    until(lambda: query("sum(distributor_leads_received_total) > 0"), "leads in Prometheus")
    until(
        lambda: query("queue:distributor_speed_to_contact:miss_ratio_rate5m"), "the rules at work"
    )
    (child,) = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGINT)

    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, ""), out
    assert "every lead is accounted for" in out
    assert not child.is_running()
    assert not answers(port)


@pytest.mark.real
def test_a_prometheus_that_dies_is_said_and_does_not_end_the_demo(program, begun):
    port = free_port()
    process = begun("--prometheus", str(port))
    read_until(process, "prometheus ")
    (child,) = psutil.Process(process.pid).children()
    child.kill()

    read_until(process, "-- prometheus has ended, the demo goes on")
    read_until(process, "assigned ")
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, ""), out


@pytest.mark.real
def test_a_second_ctrl_c_leaves_no_prometheus_behind(program, begun):
    port = free_port()
    process = begun("--prometheus", str(port))
    read_until(process, "prometheus ")
    (child,) = psutil.Process(process.pid).children()
    # The second one comes while the first is still at work, or after the end.
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) in {130, 0}
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.real
def test_it_goes_with_a_demo_that_fails(program, monkeypatch, tmp_path):
    async def fail(_):
        raise RuntimeError("the story cannot be told")

    port = free_port()
    monkeypatch.setattr(stage.Story, "play", fail)
    args = types.SimpleNamespace(
        seconds=30.0, rate=None, reps=None, time_scale=20.0, trace=None, prometheus=port
    )
    with pytest.raises(ExceptionGroup):
        demo.play(demo.make_plan(args), tmp_path, Console(file=(tmp_path / "out").open("w")))
    assert (tmp_path / "prometheus" / "data").is_dir(), "it did run"
    assert not answers(port)


def test_not_installed_is_one_line_with_the_remedy(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(module, "_PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["demo", "--seconds", "1", "--prometheus"]) == 1
    error = capsys.readouterr().err
    assert "prometheus is not installed: install it" in error
    assert "leave out --prometheus" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real
def test_a_port_that_is_taken_is_one_line_with_the_remedy(program, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["demo", "--seconds", "1", "--prometheus", str(port)]) == 1
    error = capsys.readouterr().err
    assert f"127.0.0.1:{port} is taken" in error
    assert "--prometheus " in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["0", "65536", "-1", "nine"])
def test_a_port_is_a_port(text, capsys):
    assert main(["demo", "--prometheus", text]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1


@pytest.mark.real
def test_rules_are_worked_out_and_a_bad_query_says_what_is_wrong(program, tmp_path):
    port = free_port()
    with Prometheus(tmp_path, f"127.0.0.1:{port}", port=port, seconds=1, rules=RULES) as own:
        until(lambda: own.query("job:try:up == 1"), "the rule's series")
        assert own.query("vector(2)")[0]["value"][1] == "2"
        assert own.query("3")[0]["value"][1] == "3"
        now = float(own.query("time()")[0]["value"][1])
        assert own.query_range("up", now - 5, now, 1)[0]["values"]
        with pytest.raises(BadQuery, match="parse error"):
            own.query("sum(")
    assert not own.ready()
    with pytest.raises(Unavailable):
        own.query("up")


@pytest.mark.real
def test_bad_rules_do_not_start_and_say_why(program, tmp_path):
    own = Prometheus(tmp_path, "127.0.0.1:1", port=free_port(), rules="groups: 7\n")
    with pytest.raises(Unavailable, match=r"prometheus does not start: .*rules"):
        own.start()
    assert not own.running
