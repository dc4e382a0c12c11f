"""Whoever types what the pages say sees what the pages show: a real daemon, a real broker."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.console import Reader, commands, same
from tests.docs.pages import DOCS, ROOT, Block, blocks, every
from tests.docs.test_contract import OPEN, fits

pytestmark = pytest.mark.real

RUN_HERE = {
    *("README.md", "docs/quickstart.md", "docs/demo.md", "docs/http.md", "docs/mqtt.md"),
    *("docs/operations.md", "docs/simulator.md"),
}
SUBSCRIBE = "mosquitto_sub -q 1 -c -i dialer -t leads/dialer/assign -t leads/dialer/revoke"
HTTP_ONLY = """\
[http]
port = 8080
[[reps]]
id = "ana"
name = "Ana Alvarez"
[[reps]]
id = "ben"
[[reps]]
id = "cleo"
[[pools]]
id = "default"
"""


def start_http(reader: Reader) -> None:
    """A floor without a broker, running."""
    (reader.folder / "distributor.toml").write_text(reader.ports(HTTP_ONLY))
    reader.run("distributor run")


def start_all(reader: Reader) -> None:
    """The floor of ``distributor init`` with its broker, running."""
    reader.run("distributor init floor", "floor/distributor.toml\n...")
    reader.run("cd floor")
    reader.run("mosquitto -c mosquitto.conf")
    reader.run("distributor run")


def follow(reader: Reader, page: Path) -> None:
    """Type every console block, save every configuration and trace, run every Python block of a page."""
    for block in blocks(page, "console", "csv", "toml", "python"):
        if block.language == "console":
            reader.type(block.text)
        elif block.language == "csv":
            (reader.folder / "morning.csv").write_text(block.text)
        elif block.language == "python":
            subprocess.run(
                [sys.executable, "-c", block.text], cwd=reader.folder, check=True, timeout=30
            )
        elif page.name == "quickstart.md":
            (reader.folder / "distributor.toml").write_text(reader.ports(block.text))
        elif page.name == "simulator.md":
            (reader.folder / "small.toml").write_text(block.text)


def test_every_console_block_belongs_to_a_page_that_is_followed() -> None:
    assert {block.page for block in every("console")} <= RUN_HERE


@pytest.mark.long
def test_the_quickstart_works_as_written(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        follow(reader, DOCS / "quickstart.md")


def test_the_page_about_the_demo_works_as_written(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        follow(reader, DOCS / "demo.md")


def test_the_readme_works_as_written(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        first, *rest = blocks(ROOT / "README.md", "console")
        reader.type(first.text)
        reader.run(SUBSCRIBE)
        for block in rest:
            reader.type(block.text)
        reader.eventually("/v1/leads/7Q2M0000000001XHD", '"status":"converted"')
        message_is_as_shown(reader, ROOT / "README.md")


def test_the_page_about_http_works_as_written(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        start_http(reader)
        follow(reader, DOCS / "http.md")
        views_are_as_described(reader)


def test_the_page_about_mqtt_works_as_written(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        start_all(reader)
        follow(reader, DOCS / "mqtt.md")
        reader.eventually("/v1/leads/7Q2M0000000001XHD", '"status":"qualified"')
        reader.eventually("/metrics", r'dead_letters_total\{channel="mqtt"\} 1\.0')
        message_is_as_shown(reader, DOCS / "mqtt.md")


def test_the_request_with_a_token_works_as_written(tmp_path: Path) -> None:
    (config,) = [b for b in blocks(DOCS / "http.md", "toml") if "[[http.tokens]]" in b.text]
    (request,) = blocks(DOCS / "http.md", "sh")
    with Reader(tmp_path) as reader:
        reader.environment["DIALER_TOKEN"] = "the dialer's secret, which is a long one"
        (tmp_path / "tokens").mkdir()
        for name in re.findall(r'token_file = "tokens/(\w+)"', config.text):
            (tmp_path / "tokens" / name).write_text(f"the secret of {name}, which is a long one")
        (tmp_path / "lead.json").write_text('{"id": "1001", "phone": "(212) 555-0187"}')
        here = f'host = "127.0.0.1"\nport = {reader.http}'
        (tmp_path / "distributor.toml").write_text(config.text.replace('host = "0.0.0.0"', here))
        reader.run("distributor run")
        typed = request.text.strip().replace("https://leads.example", "http://127.0.0.1:8080")
        reader.run(typed, '{"outcome":"accepted",...}')
        reader.run(re.sub(r'-H "[^"]*"', "", typed), '{...,"status":401,...}')


def test_the_page_about_operations_works_as_written(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        start_http(reader)
        follow(reader, DOCS / "operations.md")


@pytest.mark.long
def test_the_page_about_the_simulator_works_as_written(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        follow(reader, DOCS / "simulator.md")


def message_is_as_shown(reader: Reader, page: Path) -> None:
    """What the dialer heard first is the message of the page's first JSON block."""
    shown = blocks(page, "json")[0].text
    heard = reader.first_heard()
    assert same(json.dumps(json.loads(heard)), json.dumps(json.loads(shown))), heard


def views_are_as_described(reader: Reader) -> None:
    """The answers that the code makes of plain dictionaries have exactly the fields of openapi.yaml."""
    key = json.loads(reader.get("/v1/leads?limit=1"))["items"][0]["lead_key"]
    answers = {
        "LeadPage": "/v1/leads?limit=2",
        "LeadWithHistory": f"/v1/leads/{key}",
        "Why": f"/v1/leads/{key}/why",
        "RepPage": "/v1/reps",
        "RepView": "/v1/reps/ana",
        "ExceptionPage": "/v1/exceptions",
        "Health": "/readyz",
    }
    schemas = OPEN["components"]["schemas"]
    for name, path in answers.items():
        answer = json.loads(reader.get(path))
        fits(answer, schemas[name], OPEN)
        assert set(answer) <= set(_properties(schemas[name])), name
    lead = json.loads(reader.get(f"/v1/leads/{key}"))
    assert set(lead) == set(_properties(schemas["LeadWithHistory"]))
    rep = json.loads(reader.get("/v1/reps/ana"))
    assert set(rep) == set(_properties(schemas["RepView"]))


def _properties(schema: dict) -> dict:
    found = dict(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        name = part.get("$ref", "").rpartition("/")[2]
        found |= _properties(OPEN["components"]["schemas"][name] if name else part)
    return found


def test_what_a_page_shows_is_compared() -> None:
    """Else the tests above would prove nothing."""
    assert same("at 2026-11-21T14:00:59.250Z: a b\n", "at 2030-01-01T00:00:00.000Z: a b\n")
    assert same('{"a":1,"b":2,"c":3}', '{"a":1,...,"c":3}')
    assert not same('{"a":1,"b":2,"c":4}', '{"a":1,...,"c":3}')
    assert not same("a\nb\n", "a\n")
    assert commands("$ one\nx\ny\n$ two\n") == [("one", "x\ny\n"), ("two", "")]
    assert isinstance(every("console")[0], Block)
