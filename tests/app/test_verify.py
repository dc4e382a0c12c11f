"""``verify``, ``why`` and ``export`` on the store of a daemon that runs."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import sqlite3
from typing import Any

import pytest

from distributor.app.verification import verify
from distributor.cli import main
from distributor.domain.events import Undecodable
from distributor.runtime import progress
from distributor.runtime.inbox import Submission
from tests.app.test_daemon import busy_hour


@pytest.fixture
async def floor(open_daemon, connect):
    daemon = await open_daemon()
    keys = await busy_hour(connect(daemon), 1)
    return daemon, keys


@pytest.fixture
def command(capsys):
    async def run(daemon: Any, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command beside the running daemon."""
        store = str(daemon.store.path)
        code = await asyncio.to_thread(main, [*arguments, "--store", store])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


async def test_the_store_of_a_running_daemon_verifies(floor, command):
    daemon, _ = floor

    code, out, err = await command(daemon, "verify")

    assert (code, err) == (0, "")
    assert "agree" in out


TAMPERS = {
    "a lead's owner": "UPDATE leads SET rep = 'cleo' WHERE state = 'waiting'",
    "a lead's state": "UPDATE leads SET state = 'closed' WHERE state = 'waiting'",
    "an assignment": "UPDATE leads SET assignment_id = 'X-1' WHERE assignment_id IS NOT NULL",
    "a lost lead": "DELETE FROM leads WHERE state = 'waiting'",
    "a lost entry": "DELETE FROM journal WHERE seq = (SELECT max(seq) - 3 FROM journal)",
    "a lead too many": (
        "INSERT INTO leads SELECT 'EXTRA', vendor, 'extra', state, status, pool, rep,"
        " assignment_id, attempt, score, test, received_ns, contacted_ns, since_ns, deadline_ns,"
        " reason, because, body, record FROM leads LIMIT 1"
    ),
    "the end of an assignment": "UPDATE assignments SET end_reason = 'x' WHERE ended_ns > 0",
    "a lost assignment": "DELETE FROM assignments WHERE ended_ns IS NULL",
    "a status": "UPDATE leads SET status = 'lost' WHERE status = 'converted'",
    "a closed lead's state": "UPDATE leads SET state = 'waiting' WHERE status = 'converted'",
    "a contact": "UPDATE leads SET contacted_ns = contacted_ns + 1000000000 WHERE contacted_ns > 0",
    "what is told once": "DELETE FROM events",
    "one event": "DELETE FROM events WHERE event_id = '1-3'",
    "an event's time": "UPDATE events SET recorded_ns = recorded_ns - 1 WHERE event_id = '1-3'",
    "a lead's history": "DELETE FROM history",
    "a rep's history": "DELETE FROM rep_history WHERE kind = 'control'",
    "a history of nothing": "INSERT INTO history VALUES ('EXTRA', 1)",
    "a rep's record": (
        "UPDATE reps SET record = CAST(replace(CAST(record AS TEXT), '\"ready\"', '\"away\"') AS BLOB)"
        " WHERE rep = 'ana'"
    ),
    "a rep too many": "INSERT INTO reps SELECT 'zed', record FROM reps LIMIT 1",
    "a rep that is no JSON": "UPDATE reps SET record = x'ff' WHERE rep = 'ana'",
    "a closed lead's record": "UPDATE leads SET record = x'90' WHERE record IS NOT NULL",
    "a dead letter": "UPDATE dead_letters SET reason = 'x'",
    "the head of a snapshot": "UPDATE snapshots SET blob = x'c1' WHERE part = 0",
    "the leads of a snapshot": "UPDATE snapshots SET blob = x'c1' WHERE part = 1",
    "a part of a snapshot": "DELETE FROM snapshots WHERE part = 1",
    "the place of a snapshot": "UPDATE snapshots SET seq = seq - 4",
    "a snapshot from nowhere": "UPDATE snapshots SET seq = seq + 4",
    "the times of the journal": "UPDATE journal SET at_ns = at_ns + 1",
    "a time of the journal": (
        "UPDATE journal SET at_ns = at_ns + 3600000000000"
        " WHERE seq = (SELECT max(seq) - 3 FROM journal)"
    ),
    "decisions": "UPDATE journal SET decisions = x'c1' WHERE seq = 5",
    "no decisions": "UPDATE journal SET decisions = x'90' WHERE seq = 5",
    "an event of the journal": "UPDATE journal SET event = x'c1' WHERE seq = 5",
    "the ticks": "UPDATE journal SET idle_ticks = x'c1' WHERE seq = 5",
    "who we are": "DELETE FROM meta",
    "our epoch": "UPDATE meta SET epoch = 0",
    "a message about nothing": (
        "INSERT INTO outbox (target, kind, address, order_key, message_id, payload, created_ns,"
        " correlation) VALUES ('mqtt', 'assign', '', '', 'X-1', '{}', 1, '')"
    ),
}


@pytest.mark.parametrize("what", TAMPERS)
async def test_a_tampered_store_is_found(floor, command, what):
    daemon, _ = floor
    daemon.inbox.push(Submission([Undecodable("leads/in/acme", "not JSON", b"{")]))
    await daemon.stop()
    assert verify(daemon.store.path) is None
    connection = sqlite3.connect(daemon.store.path)
    changed = connection.execute(TAMPERS[what]).rowcount
    connection.commit()
    connection.close()
    assert changed > 0

    code, out, err = await command(daemon, "verify")

    assert (code, out) == (4, "")
    assert len(err.splitlines()) == 1
    assert str(daemon.store.path) in err


async def test_a_page_that_is_no_page_is_found(floor, command):
    daemon, _ = floor
    await daemon.stop()
    size = daemon.store.path.stat().st_size
    with daemon.store.path.open("r+b") as file:
        file.seek(size - 4096)
        file.write(b"\xff" * 4096)

    code, out, err = await command(daemon, "verify")

    assert (code, out) == (4, "")
    assert len(err.splitlines()) == 1


def halved(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def headless(path):
    with path.open("r+b") as file:
        file.write(b"no database ")


@pytest.mark.parametrize("damage", [halved, headless])
async def test_a_file_that_cannot_be_opened_is_found(floor, command, damage):
    daemon, _ = floor
    await daemon.stop()
    damage(daemon.store.path)

    code, out, err = await command(daemon, "verify")

    assert (code, out) == (4, "")
    assert len(err.splitlines()) == 1
    assert "restore the store from a backup" in err
    assert err.count(str(daemon.store.path)) == 1


FIELDS = {
    "UPDATE leads SET body = x'7b7d'": "its body in the table leads is not what the journal makes",
    "UPDATE leads SET received_ns = received_ns + 1": "its received_ns in the table leads is 1",
    "UPDATE events SET reason = '312-555-0142' WHERE reason <> ''": "is '[removed]', the journal",
    "UPDATE journal SET at_ns = at_ns + 1 WHERE seq = 8": "LeadAccepted.lead.since_ns: recorded 1",
    "UPDATE journal SET event = (SELECT event FROM journal WHERE seq = 6) WHERE seq = 7": (
        "decision 0: recorded LeadAccepted, decided now LeadDuplicate"
    ),
}


@pytest.mark.parametrize("tamper", FIELDS)
async def test_a_difference_names_its_fields_and_shows_nothing_personal(
    open_daemon, connect, command, tamper
):
    daemon = await open_daemon()
    client = connect(daemon)
    for rep in ("ana", "ben"):
        await client.be(rep, "ready")
    for number in range(4):
        key = await client.lead(f"lead-{number}", phone="+1 312 555 0142", email="jo@example.com")
    await client.event("rejected", "e1", lead_key=key, reason="not in, +1 312 555 0142")
    await daemon.stop()
    connection = sqlite3.connect(daemon.store.path)
    assert connection.execute(tamper).rowcount > 0
    connection.commit()
    connection.close()

    code, out, err = await command(daemon, "verify")

    assert (code, out) == (4, "")
    said = err.removeprefix(f"distributor: {daemon.store.path}: ")
    assert FIELDS[tamper] in said
    assert len(said) < 400
    for personal in ("312", "jo@", "b'"):
        assert personal not in re.sub(r"\d{19}", "", said)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("arguments", [("verify",), ("export", "leads")])
async def test_long_work_shows_how_far_it_is_on_a_terminal(floor, monkeypatch, arguments, capsys):
    daemon, _ = floor
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(progress, "SHOWN_AFTER_SECONDS", 0)
    monkeypatch.setattr(progress, "SHOWN_EVERY_SECONDS", 0)

    assert await asyncio.to_thread(main, [*arguments, "--store", str(daemon.store.path)]) == 0

    assert f"{' '.join(arguments)}: 1" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K"), "the line is gone at the end"
    assert arguments[0] not in capsys.readouterr().out


async def test_a_start_that_reads_much_shows_how_far_it_is(open_daemon, connect, monkeypatch):
    daemon = await open_daemon()
    await busy_hour(connect(daemon), 1)
    await daemon.stop()
    store = sqlite3.connect(daemon.store.path)
    store.execute("DELETE FROM snapshots")
    store.commit()
    store.close()
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(progress, "SHOWN_AFTER_SECONDS", 0)

    again = await open_daemon()

    assert "recovery: " in terminal.getvalue()
    assert "(100 %)" in terminal.getvalue()
    assert again.recovered.entries > 0


async def test_a_changed_entry_is_found_and_named(floor, command):
    """Swap the decisions of two entries: what was decided does not follow from what happened."""
    daemon, _ = floor
    await daemon.stop()
    connection = sqlite3.connect(daemon.store.path)
    rows = connection.execute("SELECT seq, decisions FROM journal ORDER BY seq").fetchall()
    (first, one), (second, two) = [row for row in rows if row[0] in (4, 5)]
    connection.execute("UPDATE journal SET decisions = ? WHERE seq = ?", (two, first))
    connection.execute("UPDATE journal SET decisions = ? WHERE seq = ?", (one, second))
    connection.commit()
    connection.close()

    code, _, err = await command(daemon, "verify")

    assert code == 4
    assert "entry 4" in err
    assert len(err.splitlines()) == 1


async def test_verify_holds_across_restarts_and_settings(open_daemon, connect, command):
    for number, policy in enumerate(("lease", "fair", "rotate", "lease")):
        daemon = await open_daemon(flow={"policy": policy})
        await busy_hour(connect(daemon), number)
        await daemon.stop()

    code, _, err = await command(daemon, "verify")

    assert (code, err) == (0, "")


async def test_a_rep_who_left_the_floor_is_stored_as_gone(open_daemon, connect, command):
    daemon = await open_daemon()
    await busy_hour(connect(daemon), 1)
    await daemon.stop()
    daemon = await open_daemon(reps=[{"id": "ana"}])
    await daemon.stop()

    store = sqlite3.connect(daemon.store.path)
    ((record,),) = store.execute("SELECT record FROM reps WHERE rep = 'cleo'").fetchall()
    store.close()
    assert json.loads(record)["listed"] is False
    assert (await command(daemon, "verify"))[0] == 0


async def test_why_names_the_rep_and_the_others(floor, command, connect):
    daemon, _ = floor
    (one, *_) = (await connect(daemon).ask("GET", "/v1/leads?state=assigned"))["items"]
    key = one["lead_key"]

    code, out, _ = await command(daemon, "why", key, "--json")

    record = json.loads(out)
    assert code == 0
    assert (record["lead_key"], record["rep"]) == (key, one["rep"])
    assert record["assignment_id"] == one["assignment_id"]
    assert record["because"]
    assert record["reason"]
    for candidate in record["candidates"]:
        assert candidate.keys() >= {"rep", "verdict", "because"}
    assert record == await connect(daemon).ask("GET", f"/v1/leads/{key}/why")
    code, out, _ = await command(daemon, "why", key)
    assert code == 0
    assert one["rep"] in out
    code, out, _ = await command(daemon, "why", key, "--rep", "ben", "--json")
    assert code == 0
    assert [candidate["rep"] for candidate in json.loads(out)["candidates"]] == ["ben"]


async def test_why_about_nobody_is_exit_3(floor, command):
    daemon, _ = floor
    for arguments in (("why", "NOSUCH"), ("why-idle", "stranger")):
        code, out, err = await command(daemon, *arguments)
        assert (code, out) == (3, "")
        assert len(err.splitlines()) == 1


async def test_why_idle_says_what_keeps_a_rep_from_leads(floor, command, connect):
    daemon, _ = floor
    await connect(daemon).ask("POST", "/v1/reps/ben/pause", {"reason": "coaching"})

    code, out, _ = await command(daemon, "why-idle", "ben", "--json")

    record = json.loads(out)
    assert code == 0
    assert record["rep"] == "ben"
    assert {"offline", "paused"} <= {reason["code"] for reason in record["reasons"]}
    assert all(reason["because"] for reason in record["reasons"])
    code, out, _ = await command(daemon, "why-idle", "ben")
    assert "coaching" in out


async def test_exports_hold_everything_in_every_format(floor, command):
    daemon, keys = floor
    columns = {
        "leads": {"lead_key", "vendor", "lead_id", "state", "status", "pool", "rep"}
        | {"assignment_id", "attempt", "score", "received_at", "contacted_at"},
        "prospects": {"lead_key", "status"},
        "events": {"event_id", "type", "lead_key", "assignment_id", "rep", "at", "outcome"},
        "assignments": {"assignment_id", "lead_key", "rep", "attempt", "assigned_at"}
        | {"ended_at", "end_reason"},
    }
    for kind, names in columns.items():
        rows = {}
        for style in ("csv", "json", "ndjson"):
            code, out, err = await command(daemon, "export", kind, "--format", style)
            assert (code, err) == (0, "")
            if style == "csv":
                rows[style] = list(csv.DictReader(io.StringIO(out)))
            elif style == "json":
                rows[style] = json.loads(out)
            else:
                rows[style] = [json.loads(line) for line in out.splitlines()]
        assert rows["json"] == rows["ndjson"]
        assert len(rows["csv"]) == len(rows["json"]) > 0, kind
        assert all(names <= row.keys() for row in rows["json"] + rows["csv"]), kind
    code, out, _ = await command(daemon, "export", "leads", "--format", "json")
    assert {row["lead_key"] for row in json.loads(out)} == set(keys)
