"""New settings without a restart, tokens and their roles, and the smallest configuration."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import Mosquitto
from tests.e2e.floor import Api, DaemonProcess, Peer, fresh, lead, running, until

LOADED = "distributor_config_last_reload_successful"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory) -> Iterator[DaemonProcess]:
    with running(tmp_path_factory.mktemp("reload")) as started:
        yield started


def reps(daemon: DaemonProcess) -> set[str]:
    return {one["id"] for one in daemon.api.get("/v1/reps")["items"]}


@pytest.mark.parametrize("hup", [False, True])
def test_new_settings_are_taken_and_a_bad_file_is_refused_whole(daemon, hup):
    def write(**changes):
        daemon.write(**changes)
        if hup:
            daemon.signal(signal.SIGHUP)

    newcomer = fresh("rep")
    write(reps=("ana", newcomer), flow="")
    until(lambda: reps(daemon) == {"ana", newcomer})
    daemon.api.be(newcomer, "ready")
    key = daemon.api.post("/v1/leads/acme", lead())["lead_key"]
    assert daemon.api.lead(key)["rep"] == newcomer

    said = len(daemon.log())
    write(reps=("zoe",), flow='policy = "no such policy"\nlease_seconds = -1')
    until(lambda: daemon.api.metric(LOADED) == 0, "the bad file to be refused")

    assert reps(daemon) == {"ana", newcomer}, "nothing of a bad file is taken"
    until(lambda: "no such policy" in daemon.log()[said:], "the refusal to be logged")
    assert daemon.api.lead(key)["rep"] == newcomer
    write(reps=("ana",), flow="")
    until(lambda: reps(daemon) == {"ana"})
    until(lambda: daemon.api.metric(LOADED) == 1)
    assert daemon.api.lead(key)["state"] == "waiting", "a rep who is gone leaves the leads behind"
    assert daemon.api.call("PUT", f"/v1/reps/{newcomer}/presence", {"state": "ready"}).status == 404
    daemon.api.post(f"/v1/leads/{key}/close", {"status": "lost"})


def test_what_needs_a_restart_is_refused_with_its_name(daemon):
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace("data/distributor.db", "data/other.db"))
    daemon.signal(signal.SIGHUP)
    until(lambda: "store: changed, and needs a restart" in daemon.log(), "the refusal")
    until(lambda: daemon.api.metric(LOADED) == 0)

    daemon.config.write_text(text)
    daemon.signal(signal.SIGHUP)
    until(lambda: daemon.api.metric(LOADED) == 1)


def test_the_smallest_configuration_runs(tmp_path):
    daemon = DaemonProcess(tmp_path)
    daemon.config.write_text(
        f"""\
[store]
path = "deep/data/d.db"
[http]
port = {daemon.api.port}
[[pools]]
id = "only"
[[reps]]
id = "ana"
[[reps]]
id = "ben"
"""
    )
    try:
        daemon.start()
        daemon.api.be("ben", "ready")
        reply = daemon.api.post("/v1/leads/any.vendor", lead())
        shown = daemon.api.lead(reply["lead_key"])
        assert (shown["state"], shown["rep"], shown["pool"]) == ("assigned", "ben", "only")
        assert daemon.api.get("/v1/reps/ben")["team"] == "default"
        assert (tmp_path / "deep/data/d.db").is_file()
        daemon.stop()
    finally:
        daemon.end()


def test_bad_settings_end_the_start_with_2_and_one_line(tmp_path):
    daemon = DaemonProcess(tmp_path, flow='policy = "nope"', http='host = "0.0.0.0"')
    daemon.spawn()
    try:
        assert daemon.wait() == 2
    finally:
        daemon.end()
    assert len(daemon.errors().splitlines()) == 1
    assert "flow.policy" in daemon.errors()
    assert "http" in daemon.errors()
    checked = subprocess.run(
        [sys.executable, "-m", "distributor", "check-config", str(daemon.config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 2
    assert len(checked.stdout.splitlines()) >= 2
    assert not daemon.store.exists()


def test_settings_that_save_messages(tmp_path):
    """No results, nothing to desktops, and what waits for the dialer as arrays."""
    with (
        Mosquitto(tmp_path / "broker", durable=False) as broker,
        Peer(broker.port, "leads/#", "mine") as peer,
    ):
        daemon = DaemonProcess(tmp_path / "daemon", broker=broker.port, reps=("ana", "ben"))
        text = daemon.config.read_text()
        more = "results = false\nrep_topics = false\nassign_batch = 50\n[http]"
        daemon.config.write_text(text.replace("[http]", more, 1))
        try:
            daemon.start()
            daemon.api.be("ana", "ready")
            daemon.api.be("ben", "ready")
            items = [lead(), lead()]
            peer.say("leads/in/acme", items, response="mine")

            keys = [one["lead_key"] for one in peer.wait("mine")]
            until(lambda: len(batched(peer)) == 2)
            assert {one["lead_key"] for one in batched(peer)} == set(keys)
            daemon.api.be("ana", "offline")
            until(lambda: len(batched(peer)) == 3)
            assert batched(peer)[-1]["type"] == "revoke"
            daemon.stop()
        finally:
            daemon.end()
        topics = {one.topic for one in peer.came}
        assert "leads/dialer/assign" in topics
        assert not topics & {"leads/in/acme/result", "leads/rep/ana/lead", "leads/dialer/revoke"}


def batched(peer: Peer) -> list[dict[str, Any]]:
    """What the dialer got, out of its arrays."""
    return [one for message in peer.all("leads/dialer/assign") for one in message]


# -- tokens ------------------------------------------------------------------------------------

TOKENS = {
    "acme-key": 'role = "vendor"\nvendor = "acme"',
    "bolt": 'role = "vendor"',  # speaks for the vendor of its own name
    "dialer": 'role = "dialer"',
    "ana": 'role = "rep"',
    "floor-lead": 'role = "supervisor"',
    "desk": 'role = "decider"',
    "root": 'role = "admin"',
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[DaemonProcess]:
    folder: Path = tmp_path_factory.mktemp("tokens")
    listed = ""
    for name, role in TOKENS.items():
        path = folder / f"{name}.token"
        path.write_text(f"secret-of-{name}\n")
        path.chmod(0o600)
        listed += f'[[http.tokens]]\nname = "{name}"\n{role}\ntoken_file = "{path}"\n'
    with running(folder / "daemon", http=listed) as started:
        yield started


def by(daemon: DaemonProcess, name: str) -> Api:
    return Api(daemon.api.port, f"secret-of-{name}")


def test_without_a_token_nothing_but_health_and_metrics(guarded):
    for path in ("/healthz", "/readyz", "/metrics"):
        assert guarded.api.call("GET", path).status == 200
    for token in (None, "wrong", "secret-of-acme-key "[:-2], ""):
        answer = Api(guarded.api.port, token).call("GET", "/v1/leads")
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"].startswith("application/problem+json")
    assert Api(guarded.api.port).call("POST", "/v1/leads/acme", lead()).status == 401


def test_each_role_may_do_its_own_and_nothing_else(guarded):
    root = by(guarded, "root")
    key = root.post("/v1/leads/acme", lead())["lead_key"]
    requests = {
        "post": ("POST", "/v1/leads/acme", lead()),
        "event": ("POST", "/v1/events", []),
        "presence": ("PUT", "/v1/reps/ana/presence", {"state": "away"}),
        "list": ("GET", "/v1/leads", None),
        "lead": ("GET", f"/v1/leads/{key}", None),
        "why": ("GET", f"/v1/leads/{key}/why", None),
        "reps": ("GET", "/v1/reps", None),
        "rep": ("GET", "/v1/reps/ana", None),
        "pause": ("POST", "/v1/reps/ben/pause", {}),
        "act": ("POST", f"/v1/leads/{key}/assign", {"rep": "cleo"}),
        "desk": ("GET", "/v1/exceptions", None),
    }
    allowed = {
        "acme-key": {"post"},
        "dialer": {"event", "presence", "lead", "rep"},
        "ana": {"event", "presence", "rep"},  # the lead is not hers
        "floor-lead": set(requests) - {"post"},
        "desk": {"list", "lead", "why", "reps", "rep", "desk"},
        "root": set(requests),
    }
    for name, rights in allowed.items():
        for request, (method, path, body) in requests.items():
            answer = by(guarded, name).call(method, path, body)
            if request in rights:
                assert answer.status in (200, 409), (name, request, answer)
            else:
                assert answer.status == 403, (name, request, answer)
                assert answer.body["status"] == 403


def test_tokens_are_bound_to_their_vendor_and_rep(guarded):
    assert by(guarded, "acme-key").call("POST", "/v1/leads/bolt", lead()).status == 403
    assert by(guarded, "bolt").call("POST", "/v1/leads/bolt", lead()).status == 200
    assert by(guarded, "bolt").call("POST", "/v1/leads/acme", lead()).status == 403
    ana = by(guarded, "ana")
    assert ana.call("PUT", "/v1/reps/ben/presence", {"state": "ready"}).status == 403
    assert ana.call("GET", "/v1/reps/ben").status == 403
    said = ana.post(
        "/v1/events",
        {"event_id": fresh(), "type": "agent_state", "rep": "ben", "state": "ready"},
    )
    assert "speaks for ben" in said["rejected"][0]["reason"]
    assert by(guarded, "root").get("/v1/reps/ben")["presence"] == "offline"


def test_only_a_dialers_token_brings_a_dialers_evidence(guarded):
    root, dialer = by(guarded, "root"), by(guarded, "dialer")
    key = root.post("/v1/leads/acme", lead())["lead_key"]
    root.post(f"/v1/leads/{key}/assign", {"rep": "cleo", "force": True})
    contact = {"type": "contacted", "lead_key": key, "evidence": "dialer"}

    root.post("/v1/events", {"event_id": "c1", **contact})
    assert root.lead(key)["contacted_at"] is None
    dialer.post("/v1/events", {"event_id": "c1", **contact})

    assert root.lead(key)["contacted_at"] is not None, "ids are unique for each token alone"
    root.event("status", lead_key=key, status="lost")


def test_who_acted_is_on_record(guarded):
    lead_desk = by(guarded, "floor-lead")
    key = by(guarded, "acme-key").post("/v1/leads/acme", lead())["lead_key"]

    lead_desk.post(f"/v1/leads/{key}/close", {"status": "lost", "reason": "asked to"})

    last = lead_desk.lead(key)["history"][-1]
    assert "floor-lead" in last["because"]
    assert "asked to" in last["because"]


def test_no_secret_and_no_personal_data_in_the_log(guarded):
    sent = lead(email="zoe@example.com", first_name="Zoemarie")
    key = by(guarded, "root").post("/v1/leads/acme", sent)["lead_key"]
    by(guarded, "root").call("GET", f"/v1/leads/{sent['phone']}")
    by(guarded, "root").post(f"/v1/leads/{key}/assign", {"rep": "cleo", "force": True})
    until(lambda: key in guarded.log(), "the lead's line")

    for word in ("secret-of", "zoe@", "Zoemarie", sent["phone"]):
        assert word not in guarded.log()
