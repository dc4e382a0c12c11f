"""Step 1 of docs/grafana.md, as typed, with a real Prometheus."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from distributor import starter
from tests.brokers import free_port
from tests.docs.pages import DOCS, ROOT, blocks
from tests.real import need_program

PAGE = DOCS / "grafana.md"
TYPED = [b.text.strip() for b in blocks(PAGE, "sh") if b.text.startswith("prometheus ")]
STARTER = "--config.file=prometheus.yml"
PATIENCE_SECONDS = 60.0


@contextlib.contextmanager
def typed(command: str, folder: Path) -> Iterator[str]:
    """The address at which the Prometheus of this command line answers; it ends with the block."""
    address = f"127.0.0.1:{free_port()}"
    words = [need_program("prometheus"), *shlex.split(command)[1:]]
    words.append(f"--web.listen-address={address}")
    log = folder / "prometheus.log"
    with (
        log.open("w") as out,
        subprocess.Popen(words, cwd=folder, stdout=out, stderr=out) as process,
    ):
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not ready(address):
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)  # a foreign program has no event to wait for
            yield address
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def asked(address: str, what: str) -> dict:
    with urllib.request.urlopen(f"http://{address}/api/v1/{what}", timeout=30) as answer:
        return json.loads(answer.read())["data"]


def place(folder: Path, command: str) -> Path:
    """What the reader has: the folder of ``init``, or a checkout."""
    if STARTER in command:
        starter.write(folder / "floor")
        return folder / "floor"
    shutil.copytree(ROOT / "grafana", folder / "grafana")
    return folder


def test_the_page_has_a_line_for_each_place() -> None:
    assert [STARTER in command for command in TYPED] == [True, False]


@pytest.mark.real
@pytest.mark.parametrize("command", TYPED)
def test_prometheus_starts_with_the_line_of_the_page(command: str, tmp_path: Path) -> None:
    here = place(tmp_path, command)
    with typed(command, here) as address:
        assert len(asked(address, "rules")["groups"]) == 2
        [job] = yaml.safe_load(asked(address, "status/config")["yaml"])["scrape_configs"]
        assert job["job_name"] == "distributor"
    assert (here / "prometheus-data" / "wal").is_dir()
    if STARTER in command:
        assert list((here / "data").iterdir()) == []  # the store of leads is to be alone there


def test_the_head_of_the_scrape_configuration_is_the_page_s_line() -> None:
    text = (ROOT / "grafana" / "prometheus" / "prometheus.yml").read_text()
    head = re.sub(r"\\\n#\s+", "", text.partition("\n#\n")[0])
    assert head.removeprefix("# Prometheus:").split() == TYPED[0].split()


@pytest.mark.real
def test_what_goes_into_the_service_s_own_file_is_good(tmp_path: Path) -> None:
    [block] = blocks(PAGE, "text")
    (tmp_path / "prometheus.yml").write_text(block.text)
    shutil.copy(ROOT / "grafana" / "prometheus" / "rules.yml", tmp_path)
    words = [need_program("promtool", "prometheus"), "check", "config", "prometheus.yml"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    ours = yaml.safe_load((ROOT / "grafana" / "prometheus" / "prometheus.yml").read_text())
    [job] = yaml.safe_load(block.text)["scrape_configs"]
    assert job.pop("scrape_interval") == ours["global"]["scrape_interval"]
    assert [job] == ours["scrape_configs"]
