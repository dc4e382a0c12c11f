"""The pages are whole: links, names, snippets, and words that do not belong there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib
from itertools import takewhile
from pathlib import Path

import pytest

from bench import __main__ as bench
from distributor import cli
from distributor.delivery.messages import Assignment
from distributor.delivery.templates import SAMPLE_ASSIGN, Call, context
from distributor.domain.dialers import WebhookCall
from distributor.intake.decode import decode_leads
from distributor.observe.table import PREFIX, TABLE
from distributor.settings import load
from tests.docs.console import same
from tests.docs.pages import ALL_TEXT, DOCS, PAGES, ROOT, Block, blocks, every, name_of
from tests.docs.test_contract import OPEN, fits
from tests.real import need_program
from tools.docs.commands import subcommands
from tools.docs.keys import TABLES, keys_of
from tools.grafana import __main__ as grafana

NOW_NS = 1_795_269_660_000_000_000
EXECUTED = {"console", "csv", "toml", "json", "python", "sh"}
NOT_RUN = {
    "python3 -m venv ": "tests/packaging installs the wheel",
    ".venv/bin/pip install ": "tests/packaging installs the wheel",
    "export PATH=": "tests/packaging installs the wheel",
    "systemctl ": "there is no systemd here",
    "journalctl ": "there is no systemd here",
    "curl ": "test_consoles.py runs it",
    "prometheus --config.file=": "test_prometheus.py runs it",
    "mkdir -p /var/lib/grafana/": "there is no Grafana here",
}
"""How lines of shell begin that are only parsed here, and why."""
FLOOR = '[http]\n[[reps]]\nid = "ana"\n[[pools]]\nid = "default"\n'
LOOKED_AT = {"text", "mermaid"}

BANNED = {
    r"#\d+\b": "a number of a ticket",
    r"/work\b|/tmp/": "a path of one machine",
    r"(?i)\bhelpers?\b": "a word that says nothing",
    r"(?i)\b(todo|fixme|tbd)\b": "something unfinished",
    r"(?i)\b(blazing|seamless|cutting-edge|world-class|revolutionary|leverag\w+|robust)\b": "fluff",
    r"(?i)\b(simply|just works|of course|obviously)\b": "fluff",
    r"(?i)\b(whitelist|blacklist|master/slave)\b": "a word of yesterday",
}


def ids(item: object) -> str:
    return name_of(item) if isinstance(item, Path) else str(item)


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_no_word_that_does_not_belong_there(path: Path) -> None:
    text = re.sub(r"\]\([^)]*\)", "]", path.read_text())  # anchors of links are no tickets
    for pattern, what in BANNED.items():
        found = re.search(pattern, text)
        assert found is None, f"{what}: {found[0]!r}"


def test_a_session_is_the_broker_s() -> None:
    """The word has one meaning here: what a broker keeps for a client."""
    for path in PAGES:
        for line in path.read_text().splitlines():
            if re.search(r"(?i)\bsessions?\b", line):
                near = re.search(
                    r"(?i)MQTT|broker|lasting|client|sessions? and queued|## Session", line
                )
                assert near, f"{name_of(path)}: {line}"


def anchor(heading: str) -> str:
    """How GitHub names a heading."""
    plain = re.sub(r"[^\w\- ]", "", heading.lower())
    return plain.strip().replace(" ", "-")


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_every_link_leads_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        file, _, part = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        if part:
            headings = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            assert part in {anchor(heading) for heading in headings}, target


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen:
            continue
        seen.add(page)
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            there = (page.parent / target).resolve()
            if there.is_dir():
                todo += there.glob("*.md")
            elif there.suffix == ".md" and there.exists():
                todo.append(there)
    assert set(PAGES) <= seen


def test_every_metric_is_in_the_docs() -> None:
    for row in TABLE:
        assert f"`{PREFIX}{row.name}`" in ALL_TEXT


def test_every_metric_that_is_named_exists() -> None:
    known = {f"{PREFIX}{row.name}" for row in TABLE}
    for name in re.findall(r"`(distributor_[a-z_]+)`", ALL_TEXT):
        assert name in known, name


def test_every_section_and_key_is_in_the_docs() -> None:
    text = (DOCS / "configuration.md").read_text()
    for heading, kind in TABLES.items():
        assert re.search(rf"^#+ `{re.escape(heading)}`$", text, re.MULTILINE), heading
        for field in keys_of(kind):
            assert f"| `{field.name}` |" in text


def test_every_setting_that_is_named_exists() -> None:
    """A key named beside its section, such as ``[flow] window``, is one of that section."""
    known = {heading.strip("[]"): kind for heading, kind in TABLES.items()}
    named = re.findall(r"`\[+([a-z.]+)\]+ ([a-z_]+)(?: = [^`]*)?`", ALL_TEXT)
    assert len(named) > 10
    for section, key in named:
        assert key in {field.name for field in keys_of(known[section])}, f"[{section}] {key}"


def test_the_key_that_a_dialer_knows_repeats_by_is_told() -> None:
    """The default on an unknown outcome rests on it: a dialer that does not honour it calls twice."""
    names = context(SAMPLE_ASSIGN, "")
    call = Call("x", WebhookCall(url="http://x/"))
    (header,) = call.request(SAMPLE_ASSIGN, names, "k").headers.keys() - {"Content-Type"}
    starter = ROOT / "distributor" / "starter" / "distributor.toml"
    for path in (DOCS / "configuration.md", DOCS / "operations.md", starter):
        assert header in path.read_text(), path


def test_every_command_is_in_the_docs() -> None:
    text = (DOCS / "cli.md").read_text()
    for name in subcommands(cli._parser()):
        assert f"## `distributor {name}`" in text


def test_every_command_that_is_named_exists() -> None:
    """docs/policies.md is checked with the policies."""
    known = set(subcommands(cli._parser()))
    for path in PAGES:
        if path.name != "policies.md":
            text = path.read_text()
            for name in re.findall(r"(?:`|^\$ )distributor ([a-z][a-z-]*)", text, re.MULTILINE):
                assert name in known, f"{name_of(path)}: distributor {name}"


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|^)make ([a-z]+)", ALL_TEXT, re.MULTILINE)
    assert named and set(named) <= targets


def test_every_policy_is_in_the_docs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (DOCS / "policies.md").read_text()
    for name in project["entry-points"]["distributor.policies"]:
        assert f"| `{name}` |" in text


# -- snippets ------------------------------------------------------------------------------------


def test_every_block_names_its_language() -> None:
    for block in every():
        assert block.language in EXECUTED | LOOKED_AT or block.page in (
            "docs/policies.md",
            "docs/metrics.md",
        ), block


def is_config(block: Block) -> bool:
    """Not a part of somebody's pyproject.toml, and no scenario of the simulator."""
    return "project" not in tomllib.loads(block.text) and block.page != "docs/simulator.md"


@pytest.mark.parametrize("block", [b for b in every("toml") if is_config(b)], ids=str)
def test_a_configuration_in_the_docs_passes_check_config(
    block: Block, tmp_path: Path, monkeypatch, capsys
) -> None:
    for at, (key, name) in enumerate(re.findall(r"(\w+)_(?:file|env) = \"([^\"]+)\"", block.text)):
        if f"{key}_env" in block.text and name.isupper():
            monkeypatch.setenv(name, f"secret {at}")
        else:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(f"secret {at}")
    path = tmp_path / "distributor.toml"
    path.write_text(block.text)
    assert cli.main(["check-config", str(path)]) == 0, capsys.readouterr().out
    assert load(path).reps


def test_the_problems_in_the_docs_are_what_check_config_prints(tmp_path: Path, capsys) -> None:
    """The sample of messages in configuration.md, made by a file that has these mistakes."""
    path = tmp_path / "distributor.toml"
    reps = "".join(f'[[reps]]\nid = "r{at}"\nteam = "north"\n' for at in range(3))
    path.write_text(
        '[http]\n[flow]\nlease_secs = 5\n[[teams]]\nid = "north"\n'
        f'{reps}[[reps]]\nid = "r3"\nteam = "nroth"\n[[pools]]\nid = "default"\n'
    )
    assert cli.main(["check-config", str(path)]) == 2
    (sample,) = [b for b in blocks(DOCS / "configuration.md", "text") if "lease_secs" in b.text]
    printed = capsys.readouterr().out
    assert same(printed, sample.text), printed


@pytest.mark.parametrize("block", every("json"), ids=str)
def test_a_message_in_the_docs_is_one(block: Block) -> None:
    message = json.loads(block.text)
    if message.get("type") == "assign":
        assignment = msgspec_decode(block.text)
        assert assignment.assignment_id == f"{assignment.lead_key}-{assignment.attempt}"
    elif "detail" in message:
        fits(message, OPEN["components"]["schemas"]["Problem"], OPEN)
    else:
        (lead,) = decode_leads("acme", block.text.encode(), "http", NOW_NS)
        assert lead.note == ""  # type: ignore[union-attr]


def msgspec_decode(text: str) -> Assignment:
    import msgspec

    return msgspec.json.decode(text, type=Assignment)


@pytest.mark.parametrize("block", every("sh"), ids=str)
def test_a_shell_snippet_can_be_parsed(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True, timeout=60)


def shell_lines() -> list[list[str]]:
    lines = [line for block in every("sh") for line in block.text.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize("words", shell_lines(), ids=" ".join)
def test_a_line_of_shell_does_what_can_be_done_here(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``make`` says what it would do, a bench and a command of ours take their options; the rest is told
    in NOT_RUN."""
    if words[0] == "make":
        run = [need_program("make"), "-n", *words[1:]]
        done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    elif words[:3] == ["python", "-m", "bench"]:
        (tmp_path / "DIR").mkdir()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(f"bench.{words[3]}.run", lambda _args: 0)
        assert bench.main(words[3:]) == 0
    elif words[0] == "distributor":
        cli._parser().parse_args(list(takewhile(lambda word: word not in "|>", words[1:])))
    elif words[:3] == ["python", "-m", "tools.grafana"]:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "distributor.toml").write_text(FLOOR)
        assert grafana.main([]) == 0  # so that there is something to check
        assert grafana.main(words[3:]) == 0
    elif words[0] == "cp":
        *sources, target = words[1:]
        assert all(list(ROOT.glob(source)) for source in sources) and target.endswith("/")
    else:
        assert " ".join(words).startswith(tuple(NOT_RUN)), words
