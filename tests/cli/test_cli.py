"""The commands: their exit codes, and errors in one line on standard error."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
from msgspec.structs import replace

from distributor import __version__, printing
from distributor.cli import main
from distributor.errors import BadConfig, StoreFailed, Unavailable
from distributor.observe import rules
from distributor.settings import load
from distributor.starter import FILES, FOLDER
from distributor.store.sqlite import SQLiteStore

MINIMAL = "[http]\n[[pools]]\nid = 'p'\n[[reps]]\nid = 'ana'\n"
BAD = "[http]\nprot = 1\n[[reps]]\nid = 5\n"

LEAD = {
    "lead_key": "AB0000000001",
    "rep": "ana",
    "assignment_id": "AB0000000001-1",
    "at": "2026-11-21T09:00:59.250Z",
    "reason": "best_bet",
    "because": "ana answers in 4.0 s and has no open lead",
    "candidates": [
        {"rep": "ana", "verdict": "chosen", "because": "gain 3.10"},
        {"rep": "benjamin", "verdict": "offline", "because": None},
    ],
}
IDLE = {
    "rep": "ana",
    "flow": 0.25,
    "reasons": [{"code": "slow_contact", "because": "3 of 4 leads waited over 60 s"}],
}
ROWS = [
    {"lead_key": "K1", "vendor": "acme", "attempt": 1, "consent": {"a": [1]}, "note": 'x,\n"y"'},
    {"lead_key": "K2", "vendor": None, "attempt": 2, "consent": None, "note": "é"},
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISTRIBUTOR_DEBUG", raising=False)
    return tmp_path


@pytest.fixture
def store(here, monkeypatch):
    """A store that a stand-in reads: the reader has tests of its own."""

    class StoreReader:
        def __init__(self, path):
            self.path = path

        def close(self):
            pass

        def why(self, lead_key, rep=None, now_ns=0):
            return {**LEAD, "rep": rep or "ana"} if lead_key == LEAD["lead_key"] else None

        def knows_rep(self, rep):
            return rep in ("ana", "ben")

        def why_idle(self, rep, now_ns):
            assert now_ns > 0
            return IDLE if rep == "ana" else None

        def export(self, kind):
            return iter(ROWS if kind == "leads" else [])

    module = types.SimpleNamespace(StoreReader=StoreReader)
    monkeypatch.setitem(sys.modules, "distributor.store.reader", module)
    path = here / "distributor.db"
    path.write_bytes(b"")
    return str(path)


@pytest.fixture
def app(monkeypatch):
    """A stand-in for the daemon that records how it was called."""
    calls = []
    module = types.SimpleNamespace(
        run=lambda settings, path: calls.append((settings, path)) or 0, verify=lambda path: None
    )
    monkeypatch.setitem(sys.modules, "distributor.app", module)
    module.calls = calls
    return module


def one_line(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("distributor: ")
    assert captured.err.count("\n") == 1
    assert captured.err.endswith("\n")
    return captured.err


def test_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"distributor {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["run", "--confg"],
        ["report", "reps"],
        ["export"],
        ["export", "secrets"],
        ["export", "leads", "--format", "xml"],
        ["demo", "--rate", "-1"],
        ["demo", "--seconds", "nan"],
        ["demo", "--reps", "many"],
        ["why"],
        ["check-config"],
        ["init"],
    ],
)
def test_wrong_arguments_are_one_line_and_exit_2(capsys, words):
    assert main(words) == 2
    assert "--help" in one_line(capsys)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--seconds", "abc"], "argument --seconds: 'abc' is no number above 0; give one like 90"),
        (["--rate", "0"], "argument --rate: '0' is no number above 0; give one like 90"),
        (["--time-scale", "inf"], "argument --time-scale: 'inf' is no number above 0"),
        (["--reps", "1.5"], "argument --reps: '1.5' is no whole number from 1 to 100000"),
        (["--reps", "0"], "argument --reps: '0' is no whole number from 1 to 100000"),
    ],
)
def test_a_wrong_number_is_told_what_is_wanted(capsys, words, says):
    assert main(["demo", *words]) == 2
    assert says in one_line(capsys)


# -- check-config, run ---------------------------------------------------------------------------


def test_check_config_prints_a_line_for_each_problem_on_standard_output(here, capsys):
    (here / "bad.toml").write_text(BAD)
    assert main(["check-config", "bad.toml"]) == 2
    captured = capsys.readouterr()
    assert captured.err == ""
    assert [line.split(":")[0] for line in captured.out.splitlines()] == [
        "http.prot",
        "reps[0].id",
        "pools",
    ]


def test_check_config_names_what_a_template_cannot_fill_in(here, capsys):
    """What only a sample message shows stands beside all other problems, with its path."""
    (here / "bad.toml").write_text(
        MINIMAL
        + """
[log]
level = "loud"
[[dialers]]
id = "good"
secret_file = "gone"
assign = { url = "http://d/", headers = { Authorization = "Bearer {{ secret }}" } }
[[dialers]]
id = "cloud"
max_attempts = 0
assign = { url = "http://d/{{ nme }}", headers = { Authorization = "Bearer {{ secret }}" } }
revoke = { url = "nowhere", body = "{{ lead.phone }}" }
"""
    )
    assert main(["check-config", "bad.toml"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "dialers[1].revoke.url",
        "dialers[1].max_attempts",
        "log.level",
        "dialers[0].secret_file",
        "dialers[1].assign.url",
        "dialers[1].assign.headers.Authorization",
        "dialers[1].revoke.body",
    ]
    assert "'nme' is undefined" in lines[4]


def test_check_config_of_a_good_file_exits_0(here, capsys):
    (here / "good.toml").write_text(MINIMAL)
    assert main(["check-config", "good.toml"]) == 0
    assert capsys.readouterr() == ("good.toml: good; reps: 1, teams: 1\n", "")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("data/x.db", ""),  # made by the first run, like any folder beside the file
        ("../elsewhere/data/x.db", "elsewhere/data' does not exist; run makes it if it may\n"),
        ("shut/x.db", "shut' is not writable for this user; run needs to write there\n"),
        ("shut/data/x.db", "shut' is not writable for this user; run needs to write there\n"),
    ],
)
def test_check_config_warns_of_a_store_that_it_could_not_write(
    here, capsys, monkeypatch, path, says
):
    """It is no mistake of the file: another user may."""
    may = os.access
    monkeypatch.setattr(os, "access", lambda at, mode: Path(at).name != "shut" and may(at, mode))
    (here / "floor" / "shut").mkdir(parents=True)
    (here / "floor" / "good.toml").write_text(f"{MINIMAL}[store]\npath = '{path}'\n")
    assert main(["check-config", "floor/good.toml"]) == 0
    said = capsys.readouterr()
    assert said.out == "floor/good.toml: good; reps: 1, teams: 1\n"
    assert said.err.endswith(says)
    assert said.err.startswith("distributor: warning: store.path: ") == bool(says)


def test_run_where_the_store_cannot_be_is_a_bad_configuration(here):
    """The unit does not try it again for ever."""
    (here / "file").touch()
    port = "port = 0\n"
    (here / "distributor.toml").write_text(
        MINIMAL.replace("[http]\n", f"[http]\n{port}") + "[store]\npath = 'file/x.db'\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "distributor", "run"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("distributor: store.path: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("content", ["[http", None])
def test_check_config_of_an_unreadable_file_is_one_line(here, capsys, content):
    if content is not None:
        (here / "odd.toml").write_text(content)
    assert main(["check-config", "odd.toml"]) == 2
    assert capsys.readouterr().out.count("\n") == 1


def test_rules_prints_the_rules_of_the_settings_and_nothing_else(here, capsys):
    (here / "floor.toml").write_text(f"{MINIMAL}[alerts]\nunassigned_seconds = 17\n")
    assert main(["rules", "--config", "floor.toml"]) == 0
    printed = capsys.readouterr().out
    assert printed == rules.text(load(here / "floor.toml"))
    assert "age_seconds) > 17\n" in printed


def test_rules_of_a_bad_file_are_one_line_and_exit_2(here, capsys):
    (here / "distributor.toml").write_text(BAD)
    assert main(["rules"]) == 2
    assert "3 problems" in one_line(capsys)


def test_rules_are_written_whole_and_nothing_is_printed(here, capsys):
    (here / "floor.toml").write_text(MINIMAL)
    (here / "rules.yml").write_text("old\n")
    (here / "rules.yml").chmod(0o640)
    for name in ("rules.yml", "new.yml"):
        assert main(["rules", "--config", "floor.toml", "--output", name]) == 0
        assert (here / name).read_text() == rules.text(load(here / "floor.toml"))
    assert capsys.readouterr() == ("", "")
    assert (here / "rules.yml").stat().st_mode & 0o777 == 0o640
    assert {path.name for path in here.iterdir()} == {"floor.toml", "rules.yml", "new.yml"}


def test_rules_of_a_bad_file_leave_the_old_ones(here, capsys):
    (here / "distributor.toml").write_text(BAD)
    (here / "rules.yml").write_text("old\n")
    assert main(["rules", "--output", "rules.yml"]) == 2
    assert "3 problems" in one_line(capsys)
    assert (here / "rules.yml").read_text() == "old\n"


def test_rules_that_cannot_be_written_leave_the_old_ones(here, capsys, monkeypatch):
    """A disk that fails in the middle: neither half a file nor a leftover beside it."""

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    (here / "distributor.toml").write_text(MINIMAL)
    (here / "rules.yml").write_text("old\n")
    monkeypatch.setattr("os.fsync", full)
    assert main(["rules", "--output", "rules.yml"]) == 1
    assert "No space left" in one_line(capsys)
    assert (here / "rules.yml").read_text() == "old\n"
    assert {path.name for path in here.iterdir()} == {"distributor.toml", "rules.yml"}


def test_run_hands_the_settings_to_the_daemon(here, app):
    (here / "distributor.toml").write_text(MINIMAL)
    assert main(["run"]) == 0
    [(settings, path)] = app.calls
    assert settings == load(path)


def test_run_with_a_bad_file_exits_2_with_all_problems_in_one_line(here, app, capsys):
    (here / "bad.toml").write_text(BAD)
    assert main(["run", "--config", "bad.toml"]) == 2
    line = one_line(capsys)
    assert "3 problems" in line
    assert "http.prot" in line
    assert "reps[0].id" in line
    assert app.calls == []


@pytest.mark.parametrize("command", ["run", "verify"])
def test_without_any_configuration_the_command_says_how_to_name_one(capsys, app, command):
    assert main([command]) == 2
    assert "--config FILE" in one_line(capsys)


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (StoreFailed("the disk is full; make room"), 1, "the disk is full; make room"),
        (Unavailable("port 8080 is taken"), 1, "port 8080 is taken"),
        (ExceptionGroup("two", [StoreFailed("full"), ValueError("x")]), 1, "full"),
        (BadConfig(["a: b", "c: d"]), 2, "a: b; c: d"),
        (OSError(13, "Permission denied", "/x/y"), 1, "/x/y: Permission denied"),
        (ZeroDivisionError("two\nlines\x1b"), 1, "ZeroDivisionError: two lines? (a defect; DIST"),
    ],
)
def test_whatever_the_daemon_raises_is_one_line(here, app, capsys, error, code, says):
    def fail(*args):
        raise error

    app.run = fail
    (here / "distributor.toml").write_text(MINIMAL)
    assert main(["run"]) == code
    assert f"distributor: {says}" in one_line(capsys)


def test_a_traceback_is_shown_on_request_alone(here, app, capsys, monkeypatch):
    def fail(*args):
        raise ZeroDivisionError

    app.run = fail
    (here / "distributor.toml").write_text(MINIMAL)
    monkeypatch.setenv("DISTRIBUTOR_DEBUG", "1")
    assert main(["run"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_demo_gets_its_options(monkeypatch):
    got = []
    module = types.SimpleNamespace(main=lambda args: got.append(args) or 1)
    monkeypatch.setitem(sys.modules, "distributor.demo", module)
    assert main(["demo", "--seconds", "5", "--rate", "90", "--reps", "3", "--time-scale", "4"]) == 1
    [args] = got
    assert (args.seconds, args.rate, args.reps, args.time_scale, args.trace) == (5, 90, 3, 4, None)


# -- init ----------------------------------------------------------------------------------------


def test_init_writes_a_configuration_that_passes_the_check(here, capsys):
    assert main(["init", "floor"]) == 0
    written = capsys.readouterr().out.split()
    assert written == [f"floor/{name}" for name in (*FILES, FOLDER)]
    assert main(["check-config", "floor/distributor.toml"]) == 0
    settings = load(here / "floor/distributor.toml")
    assert settings.mqtt is not None
    assert settings.http is not None
    assert len(settings.reps) == 3
    texts = [(here / "floor" / name).read_text() for name in FILES]
    assert not any("@FOLDER@" in text or "@PROGRAM@" in text for text in texts)


def test_every_default_that_the_starter_file_shows_is_the_default(here):
    """The commented keys are documentation; uncommented they must change nothing."""
    main(["init", "floor"])
    path = here / "floor/distributor.toml"
    plain = load(path)
    lines = path.read_text().splitlines()
    promises = next(at for at, line in enumerate(lines) if line.startswith("[standards]"))
    for start, end in (("[flow]", "[[teams]]"), (lines[promises], "[log]")):
        part = slice(lines.index(start), lines.index(end))
        lines[part] = [line.removeprefix("# ") for line in lines[part]]
    path.write_text("\n".join(lines))
    assert plain.flow.window is None  # what the policy needs, which is 1 for this one
    assert load(path) == replace(plain, flow=replace(plain.flow, window=1))


@pytest.mark.parametrize("name", [*FILES, FOLDER])
def test_init_overwrites_nothing(here, capsys, name):
    (here / name).write_text("mine")
    assert main(["init", "."]) == 2
    assert name in one_line(capsys)
    assert [path.name for path in here.iterdir()] == [name]
    assert (here / name).read_text() == "mine"


def test_init_into_a_file_is_refused(here, capsys):
    (here / "floor").write_text("")
    assert main(["init", "floor"]) == 2
    assert "is no folder" in one_line(capsys)


# -- the commands that read ----------------------------------------------------------------------


def test_why_prints_who_when_because_and_the_candidates(store, capsys):
    assert main(["why", "AB0000000001", "--store", store]) == 0
    assert capsys.readouterr().out == (
        "lead AB0000000001: ana\n"
        "  when:       2026-11-21T09:00:59.250Z\n"
        "  assignment: AB0000000001-1\n"
        "  reason:     best_bet\n"
        "  because:    ana answers in 4.0 s and has no open lead\n"
        "\n"
        "  candidate  verdict  because\n"
        "  ana        chosen   gain 3.10\n"
        "  benjamin   offline\n"
    )


EVIL = "gone\x1b[31m\x9b2J \x07 für \u202e heute\nmorgen"
SHOWN = r"gone\x1b[31m\x9b2J \x07 für \u202e heute morgen"


def test_what_a_terminal_would_obey_is_written_out():
    """Reasons, names and ids come from people and dialers."""
    told = printing.why_idle_text({"rep": "ana", "reasons": [{"code": "paused", "because": EVIL}]})
    assert told.splitlines()[-1] == f"  paused  {SHOWN}"
    candidates = [{"rep": "ana", "verdict": "paused", "because": EVIL}]
    record = {"lead_key": "K", "rep": "ben", "because": EVIL, "candidates": candidates}
    assert [line for line in printing.why_text(record).splitlines() if SHOWN in line] == [
        f"  because:    {SHOWN}",
        f"  ana        paused   {SHOWN}",
    ]
    assert json.loads(printing.as_json(record)) == record


def test_why_json_is_the_record(store, capsys):
    assert main(["why", "AB0000000001", "--rep", "ben", "--json", "--store", store]) == 0
    assert json.loads(capsys.readouterr().out) == {**LEAD, "rep": "ben"}


def test_why_idle_prints_the_flow_and_its_reasons(store, capsys):
    assert main(["why-idle", "ana", "--store", store]) == 0
    assert capsys.readouterr().out == (
        "rep ana: flow 0.25 of 1\n"
        "\n"
        "  reason        because\n"
        "  slow_contact  3 of 4 leads waited over 60 s\n"
    )
    assert main(["why-idle", "ana", "--json", "--store", store]) == 0
    assert json.loads(capsys.readouterr().out) == IDLE


@pytest.mark.parametrize(
    "words",
    [
        ["why", "ZZ"],
        ["why", "ZZ", "--json"],
        ["why", "AB0000000001", "--rep", "zoe"],
        ["why-idle", "zoe"],
    ],
)
def test_an_unknown_lead_or_rep_exits_3(store, capsys, words):
    assert main([*words, "--store", store]) == 3
    asked = words[-1] if "--rep" in words else words[1]
    assert asked in one_line(capsys)


def test_the_store_is_found_through_the_configuration_even_a_bad_one(here, store, capsys):
    """Reading what happened must not depend on secrets, policies or a file that is being edited."""
    (here / "distributor.toml").write_text(BAD + "[store]\npath = 'distributor.db'\n")
    assert main(["why-idle", "ana"]) == 0
    assert main(["why-idle", "ana", "--config", "distributor.toml"]) == 0


def test_a_store_that_is_not_there_is_named_and_not_made(here, capsys):
    assert main(["export", "leads", "--store", "gone.db"]) == 1
    assert "no store at gone.db" in one_line(capsys)
    assert list(here.iterdir()) == []


def test_export_csv_keeps_commas_quotes_and_lines(store, capsys):
    assert main(["export", "leads", "--store", store]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["lead_key"] for row in rows] == ["K1", "K2"]
    assert rows[0]["note"] == 'x,\n"y"'
    assert json.loads(rows[0]["consent"]) == {"a": [1]}
    assert rows[1]["vendor"] == ""


def test_export_ndjson_is_one_object_a_line_and_json_one_array(store, capsys):
    assert main(["export", "leads", "--format", "ndjson", "--store", store]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS
    assert main(["export", "leads", "--format", "json", "--store", store]) == 0
    assert json.loads(capsys.readouterr().out) == ROWS


def test_an_empty_export_is_still_well_formed(store, capsys):
    assert main(["export", "events", "--store", store]) == 0
    assert capsys.readouterr().out == "event_id,type,lead_key,assignment_id,rep,at,outcome\n"
    assert main(["export", "events", "--format", "json", "--store", store]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("kind", ["leads", "prospects", "events", "assignments"])
def test_an_export_without_rows_has_a_header_of_its_own(kind):
    out = io.StringIO()
    printing.write_csv(kind, [], out)
    assert "lead_key" in out.getvalue().splitlines()[0].split(",")


def test_verify_exits_0_or_4_with_the_first_difference(store, app, capsys):
    assert main(["verify", "--store", store]) == 0
    assert "agree" in capsys.readouterr().out
    app.verify = lambda path: "lead K1: stored waiting, folded closed"
    assert main(["verify", "--store", store]) == 4
    assert "lead K1: stored waiting, folded closed" in one_line(capsys)


async def test_the_commands_read_a_real_store_beside_its_owner(here, capsys):
    store = await SQLiteStore.open(here / "real.db", entropy=lambda count: bytes(count))
    try:
        assert main(["why", "ZZ", "--store", "real.db"]) == 3
        assert "no lead ZZ" in one_line(capsys)
        assert main(["why-idle", "zoe", "--store", "real.db"]) == 3
        assert "no rep zoe" in one_line(capsys)
        for kind in ("leads", "prospects", "events", "assignments"):
            assert main(["export", kind, "--format", "json", "--store", "real.db"]) == 0
            assert json.loads(capsys.readouterr().out) == []
    finally:
        await store.close()


def test_a_file_that_is_no_store_is_one_line(here, capsys):
    (here / "text.db").write_text("this is no database, whatever its name says" * 100)
    assert main(["export", "leads", "--store", "text.db"]) == 1
    assert "text.db" in one_line(capsys)


# -- as a process of its own ---------------------------------------------------------------------


def test_a_reader_that_closes_the_pipe_early_is_no_error(here):
    (here / "bad.toml").write_text("".join(f"unknown_{at} = 1\n" for at in range(5000)))
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "distributor", "check-config", "bad.toml"],
            stdout=closed,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_command_starts_without_the_heavy_libraries():
    """--help and the error of a typing mistake must not wait for numpy, aiohttp or SQLite."""
    code = (
        "import sys, distributor.cli as c; c.main(['--version']);"
        "print(sorted({'numpy', 'aiohttp', 'aiosqlite', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


DROPPED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
"""Root reads everything until it gives that up."""


@pytest.mark.skipif(bool(DROPPED) and not shutil.which("setpriv"), reason="root reads everything")
@pytest.mark.parametrize("closed", ["store.db", "."])
@pytest.mark.parametrize("words", [["verify"], ["export", "leads"], ["why", "KEY"]])
def test_without_rights_the_line_names_the_store_and_whose_they_are(tmp_path, words, closed):
    folder = tmp_path / "data"
    folder.mkdir()
    store = folder / "store.db"
    store.write_bytes(b"x")
    (folder / closed).chmod(0)
    command = [*DROPPED, sys.executable, "-m", "distributor", *words, "--store", str(store)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    finally:
        (folder / closed).chmod(0o700)
    said = f"distributor: {store}: permission denied: run it as the daemon's user\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
