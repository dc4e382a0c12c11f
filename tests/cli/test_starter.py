"""The files around the starter configuration are accepted by the programs that they are for."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

import pytest

from distributor import starter
from distributor.settings import load
from tests.brokers import free_port
from tests.real import need_program

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path):
    starter.write(tmp_path / "a floor")
    return tmp_path / "a floor"


def answers(port, process):
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.02)  # a foreign program has no event to wait for
        else:
            return True
    return False


@pytest.mark.real
def test_mosquitto_runs_with_the_starter_file(folder):
    mosquitto, port = need_program("mosquitto"), free_port()
    path = folder / "mosquitto.conf"
    path.write_text(path.read_text().replace("listener 1883", f"listener {port}"))
    with subprocess.Popen(
        [mosquitto, "-c", str(path)], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert answers(port, process)
        finally:
            process.terminate()
            _, log = process.communicate(timeout=60)
    assert "Error" not in log, log
    assert "Unable" not in log, log
    # Written at the end at the latest: what waits for the daemon outlives the broker.
    assert (folder / "broker/mosquitto.db").stat().st_size > 0


@pytest.mark.real
def test_promtool_accepts_the_scrape_configuration(folder):
    done = subprocess.run(
        [need_program("promtool", "prometheus"), "check", "config", str(folder / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_grafana_needs_is_copied_as_it_is(folder):
    def files(root):
        return {
            str(path.relative_to(root)): path.read_bytes()
            for part in ("dashboards", "provisioning")
            for path in (root / part).rglob("*")
            if path.is_file()
        }

    assert files(folder / "grafana") == files(ROOT / "grafana")


def test_the_alerts_link_to_the_page_that_lies_beside_them(folder):
    """``[alerts] runbooks`` is the file's name until somebody puts it on the web."""
    assert (folder / "runbooks.md").read_text() == (ROOT / "docs" / "runbooks.md").read_text()
    page = load(folder / "distributor.toml").alerts.runbooks
    assert (folder / page).is_file()
    assert f'runbook_url: "{page}#down"' in (folder / "rules.yml").read_text()


def test_the_unit_starts_this_program_on_this_folder(folder):
    unit = (folder / "distributor.service").read_text()
    assert f'run --config "{folder}/distributor.toml"' in unit
    assert f'ReadWritePaths="{folder}/data"' in unit
    assert "Restart=always" in unit
    [start] = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert Path(start.split('"')[1]).exists()


def test_percent_signs_are_no_specifiers_in_the_unit(tmp_path):
    starter.write(tmp_path / "50%h")
    assert "/50%%h/distributor.toml" in (tmp_path / "50%h/distributor.service").read_text()
    assert "/50%h/broker/" in (tmp_path / "50%h/mosquitto.conf").read_text()
