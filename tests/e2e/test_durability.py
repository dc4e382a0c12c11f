"""What was acknowledged survives kills, a lost broker, a full disk and a frozen process."""

from __future__ import annotations

import http.client
import resource
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.brokers import Mosquitto
from tests.e2e.floor import WAIT_SECONDS, DaemonProcess, Peer, calm, lead, running, until

REPS = tuple(f"rep{number}" for number in range(20))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as started:
        yield started


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mosquitto, DaemonProcess]]:
    """A broker and a daemon for the tests that leave them able to go on."""
    folder = tmp_path_factory.mktemp("house")
    with (
        Mosquitto(folder / "broker") as broker,
        running(folder / "daemon", broker=broker.port) as daemon,
    ):
        yield broker, daemon


@pytest.fixture
def daemon(house: tuple[Mosquitto, DaemonProcess]) -> DaemonProcess:
    """The daemon of the house, running and at rest."""
    daemon = house[1]
    if not daemon.alive():
        daemon.start()
    calm(daemon.api, ("ana", "ben", "cleo"))
    return daemon


@pytest.fixture
def bus(house: tuple[Mosquitto, DaemonProcess]) -> Mosquitto:
    """The broker of the house."""
    return house[0]


class Load:
    """Vendors over HTTP and MQTT who repeat what was not answered, and who write down every answer."""

    def __init__(self, daemon: DaemonProcess, peer: Peer) -> None:
        self.daemon = daemon
        self.peer = peer
        self.keys: dict[str, str] = {}
        self.sent: set[str] = set()
        self._read = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=one) for one in (self._post, self._publish)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _post(self) -> None:
        items: list[dict[str, Any]] = []
        while not self._stop.is_set():
            items = items or [lead() for _ in range(5)]
            try:
                answer = self.daemon.api.call("POST", "/v1/leads/acme", items, timeout=5)
            except (OSError, http.client.HTTPException):
                self._stop.wait(0.02)  # not answered: the same again
                continue
            if answer.status == 200:
                for item, reply in zip(items, answer.body, strict=True):
                    assert reply["outcome"] in ("accepted", "duplicate")
                    self.note(item["id"], reply["lead_key"])
                items = []
            self._stop.wait(0.01)

    def _publish(self) -> None:
        while not self._stop.is_set():
            item = lead()
            self.sent.add(item["id"])
            self.peer.say("leads/in/acme", item)
            self._stop.wait(0.02)

    def heard_all(self) -> bool:
        """Whether every lead that was published has its reply."""
        came = self.peer.came
        count = len(came)
        for message in came[self._read : count]:
            if message.topic == "leads/in/acme/result":
                reply = message.json
                self.note(reply["lead_id"], reply["lead_key"])
        self._read = count
        return self.sent <= self.keys.keys()

    def note(self, vendor_id: str, key: str) -> None:
        """An answer; two answers to one id name the same lead."""
        assert self.keys.setdefault(vendor_id, key) == key


class Dialer:
    """What a dialer makes of the messages it gets, dropping repeats as the contract says."""

    def __init__(self, peer: Peer) -> None:
        self.seen: set[tuple[str, str]] = set()
        self.live: dict[str, str] = {}
        self.twice: list[str] = []
        self._peer = peer
        self._read = 0

    def read(self) -> None:
        """Take in what came since the last time."""
        messages = self._peer.came[self._read :]
        self._read += len(messages)
        for message in messages:
            if not message.topic.startswith("leads/dialer/"):
                continue
            said = message.json
            mark = (said["type"], said["assignment_id"])
            if mark in self.seen:
                continue
            self.seen.add(mark)
            key = said["lead_key"]
            if said["type"] == "revoke":
                if self.live.get(key) == said["assignment_id"]:
                    del self.live[key]
                continue
            if key in self.live:
                self.twice.append(key)
            self.live[key] = said["assignment_id"]

    def agrees(self, daemon: DaemonProcess) -> bool:
        """Whether the dialer has exactly the assignments that the daemon believes in."""
        self.read()
        ours = {one["lead_key"]: one["assignment_id"] for one in daemon.api.leads("assigned")}
        return self.live == ours


@pytest.mark.long
def test_five_kills_under_load_lose_nothing_and_assign_nothing_twice(tmp_path, broker):
    daemon = DaemonProcess(tmp_path / "daemon", broker=broker.port, reps=REPS)
    peer = Peer(broker.port, "leads/dialer/assign", "leads/dialer/revoke", "leads/in/acme/result")
    dialer = Dialer(peer)
    try:
        daemon.start()
        with peer, Load(daemon, peer) as load:
            for number in range(5):
                for rep in REPS[number * 4 :]:
                    daemon.api.be(rep, "ready")
                for rep in REPS[: number * 2]:
                    daemon.api.be(rep, "offline")  # revocations and new assignments in the air
                before = len(load.keys)
                until(lambda floor=before: len(load.keys) > floor + 20, "load")
                daemon.kill()
                daemon.start()
            until(lambda: len(load.keys) > 100, "load at the end")
            daemon.api.be(REPS[0], "ready")
            load._stop.set()
            until(load.heard_all, "replies over MQTT")
            until(lambda: dialer.agrees(daemon), "the dialer to have what we believe it has")
            everything = {one["lead_id"]: one["lead_key"] for one in daemon.api.leads()}
            assert load.keys.items() <= everything.items(), "acknowledged and lost"
            assert len(set(everything.values())) == len(everything)
            assert dialer.twice == [], "two live assignments"
            daemon.stop()
    finally:
        daemon.end()
    checked = daemon.command("verify")
    assert checked.returncode == 0, checked.stderr


def test_the_will_says_offline_after_a_kill(daemon, bus):
    with Peer(bus.port, "leads/daemon/status") as peer:
        status = "leads/daemon/status"
        online = peer.wait(status)
        assert online["state"] == "online"
        assert peer.came[0].retain

        daemon.kill()

        gone = peer.wait(status, lambda m: m["state"] == "offline")
        assert gone["version"]
        assert gone["at"] >= online["at"], "who ignores what is older heeds the will"
        with Peer(bus.port, status) as later:
            assert later.wait_message(status).retain
            assert later.came[0].json["state"] == "offline"
        daemon.start()
        until(lambda: peer.all(status)[-1]["state"] == "online")


def test_sigterm_is_orderly_and_says_so(daemon, bus):
    with Peer(bus.port, "leads/#") as peer:
        daemon.api.be("ana", "ready")
        keys = [one["lead_key"] for one in daemon.api.post("/v1/leads/acme", [lead(), lead()])]
        peer.wait("leads/dialer/assign")

        daemon.stop()

        until(lambda: peer.all("leads/daemon/status")[-1]["state"] == "offline")
        states = [one["state"] for one in peer.all("leads/daemon/status")]
        assert states[-2:] == ["draining", "offline"]
    with Peer(bus.port, "leads/daemon/status") as later:
        message = later.wait_message("leads/daemon/status")
        assert (message.retain, message.json["state"]) == (True, "offline")
    assert '"event":"stopped"' in daemon.log()
    daemon.start()
    assert set(keys) <= {one["lead_key"] for one in daemon.api.leads()}


def test_sigint_is_orderly_too(daemon):
    daemon.signal(signal.SIGINT)

    assert daemon.wait() == 0
    assert daemon.errors() == ""


def test_leads_sent_while_the_daemon_is_away_are_taken_at_its_return(daemon, bus):
    """The broker keeps our session: QoS 1 to a daemon that is down arrives after its start."""
    daemon.stop()
    item = lead()
    with Peer(bus.port, "leads/in/acme/result") as vendor:
        vendor.say("leads/in/acme", item).wait_for_publish(WAIT_SECONDS)

        daemon.start()

        assert vendor.wait("leads/in/acme/result")["lead_id"] == item["id"]


def test_a_second_sigterm_ends_at_once(tmp_path):
    """A dialer that keeps a request open holds up the orderly stop; the second signal does not wait."""
    from bench.webhooks import WebhookDialer

    with WebhookDialer() as dialer:
        dialer.hang = True
        daemon = DaemonProcess(tmp_path, pool='dialer = "cloud"', more=dialer.plan("cloud"))
        try:
            daemon.start()
            daemon.api.be("ana", "ready")
            daemon.api.post("/v1/leads/acme", lead())
            until(lambda: dialer.requests)
            daemon.signal(signal.SIGTERM)
            until(lambda: not _answers(daemon), "the inlet to close")
            assert daemon.alive()

            daemon.signal(signal.SIGTERM)

            assert daemon.wait() == 1
            assert '"event":"stopped"' not in daemon.log(), "the orderly stop came to its end"
            dialer.hang = False
            daemon.start()
            until(lambda: len(dialer.requests) == 2, "the message to be sent again")
            assert dialer.requests[0].key == dialer.requests[1].key
            daemon.stop()
        finally:
            daemon.end()


def test_an_orderly_stop_waits_for_nobody_longer_than_ten_seconds(tmp_path, broker):
    """Neither for a dialer that does not answer nor for a caller who does not finish: both are slower
    than we wait for the daemon's end."""
    import socket

    from bench.webhooks import WebhookDialer

    with WebhookDialer() as dialer:
        dialer.hang = True
        more = dialer.plan("cloud")
        part = {"broker": broker.port, "pool": 'dialer = "cloud"', "more": more}
        with running(tmp_path / "daemon", **part) as daemon:
            daemon.api.be("ana", "ready")
            daemon.api.post("/v1/leads/acme", lead())
            until(lambda: dialer.requests)
            with socket.create_connection(("127.0.0.1", daemon.api.port)) as sock:
                head = b"POST /v1/leads/acme HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
                sock.sendall(head + b"{")
                daemon.stop()


def _answers(daemon: DaemonProcess) -> bool:
    """Whether the inlet is open; too slow an answer is no closed one."""
    try:
        daemon.api.call("GET", "/healthz")
    except ConnectionRefusedError:
        return False
    except (OSError, http.client.HTTPException):
        return True
    return True


def test_the_broker_goes_and_comes_back_under_load(tmp_path, broker):
    with (
        running(tmp_path / "daemon", broker=broker.port, reps=REPS) as daemon,
        Peer(
            broker.port,
            *("leads/dialer/assign", "leads/dialer/revoke", "leads/in/acme/result"),
            keep=True,
        ) as peer,
    ):
        dialer = Dialer(peer)
        for rep in REPS[:12]:
            daemon.api.be(rep, "ready")
        with Load(daemon, peer) as load:
            until(lambda: len(load.keys) > 20)

            broker.stop()

            refused = until(
                lambda: (answer := daemon.api.call("GET", "/readyz")).status == 503 and answer
            )
            assert "broker" in refused.body["detail"]
            assert refused.body["reasons"]
            assert daemon.api.call("GET", "/healthz").status == 200
            before = len(load.keys)
            until(lambda: len(load.keys) > before + 20, "HTTP goes on")
            broker.start()
            daemon.wait_ready()
            before = len(load.keys)
            until(lambda: len(load.keys) > before + 20, "load afterwards")
        for rep in REPS[12:]:
            daemon.api.be(rep, "ready")
        until(lambda: dialer.agrees(daemon), "the dialer to have what we believe it has")
        everything = {one["lead_id"]: one["lead_key"] for one in daemon.api.leads()}
        assert load.keys.items() <= everything.items()
        assert dialer.twice == []
        assert len(dialer.live) == len(REPS)


def test_the_daemon_starts_without_a_broker(tmp_path):
    broker = Mosquitto(tmp_path / "broker")
    daemon = DaemonProcess(tmp_path / "daemon", broker=broker.port)
    try:
        daemon.spawn()
        until(daemon.answers, "HTTP to open")
        assert daemon.api.call("GET", "/readyz").status == 503
        until(
            lambda: f"127.0.0.1:{broker.port}" in daemon.api.call("GET", "/readyz").body["detail"],
            "the first try to connect to fail",
        )
        daemon.api.be("ana", "ready")
        key = daemon.api.post("/v1/leads/acme", lead())["lead_key"]
        assert daemon.api.lead(key)["state"] == "waiting", "nobody could hear of an assignment"

        with broker, Peer(broker.port, "leads/#") as peer:
            daemon.wait_ready()

            until(lambda: daemon.api.lead(key)["state"] == "assigned")
            until(lambda: peer.all("leads/dialer/assign"))
            daemon.stop()
    finally:
        daemon.end()


def test_a_frozen_process_goes_on_where_it_was(daemon, bus):
    with Peer(bus.port, "leads/#") as peer:
        daemon.api.be("ana", "ready")
        daemon.signal(signal.SIGSTOP)
        until(lambda: _state(daemon) == "T", "the process to stand still")
        items = [lead() for _ in range(20)]
        for item in items:
            peer.say("leads/in/acme", item).wait_for_publish(WAIT_SECONDS)
        assert _state(daemon) == "T"
        assert peer.all("leads/in/acme/result") == []

        daemon.signal(signal.SIGCONT)

        replies = until(lambda: len(found := peer.all("leads/in/acme/result")) == 20 and found)
        assert [one["lead_id"] for one in replies] == [item["id"] for item in items]
        assert {one["outcome"] for one in replies} == {"accepted"}
        until(lambda: peer.all("leads/dialer/assign"))
        daemon.wait_ready()


def _state(daemon: DaemonProcess) -> str:
    """The letter that Linux gives a process: T is stopped by a signal."""
    assert daemon.process is not None
    return Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(") ")[2][0]


def test_a_full_disk_ends_the_daemon_and_loses_nothing(tmp_path):
    daemon = DaemonProcess(tmp_path, http="max_body_bytes = 10000000")
    keys: dict[str, str] = {}

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    try:
        daemon.start(little_room)
        daemon.api.be("ana", "ready")

        refused = _fill(daemon, keys)

        assert daemon.wait() == 1
        assert keys
        assert refused is None or refused >= 500
        lines = daemon.errors().splitlines()
        assert len(lines) == 1, lines
        assert "Traceback" not in daemon.log()
        assert str(daemon.store) in lines[0]
        daemon.start()
        everything = {one["lead_id"]: one["lead_key"] for one in daemon.api.leads()}
        assert keys.items() <= everything.items()
        assert daemon.api.post("/v1/leads/acme", lead())["outcome"] == "accepted"
        (tmp_path / "err.log").write_text("")
        daemon.stop()
    finally:
        daemon.end()
    assert daemon.command("verify").returncode == 0


def _fill(daemon: DaemonProcess, keys: dict[str, str]) -> int | None:
    """Send until nothing is taken; the status of the last answer, None where there was none."""
    while True:
        items = [lead(comments="x" * 500) for _ in range(20)]
        try:
            answer = daemon.api.call("POST", "/v1/leads/acme", items)
        except (OSError, http.client.HTTPException):
            return None
        if answer.status != 200:
            return answer.status
        for item, reply in zip(items, answer.body, strict=True):
            keys[item["id"]] = reply["lead_key"]
        assert len(keys) < 20_000


def test_a_second_daemon_on_the_same_store_refuses(daemon, tmp_path):
    other = DaemonProcess(tmp_path / "other")
    other.config.write_text(
        other.config.read_text().replace("data/distributor.db", str(daemon.store))
    )
    try:
        other.spawn()

        assert other.wait() == 1
        lines = other.errors().splitlines()
        assert len(lines) == 1
        assert str(daemon.store) in lines[0]
    finally:
        other.end()
    assert daemon.api.post("/v1/leads/acme", lead())["outcome"] == "accepted"


def test_a_port_in_use_is_one_line_and_exit_1(daemon, tmp_path):
    """Not 2: whoever starts processes must try again, the port may be free by then."""
    other = DaemonProcess(tmp_path / "other")
    other.config.write_text(
        other.config.read_text().replace(f"port = {other.api.port}", f"port = {daemon.api.port}")
    )
    try:
        other.spawn()

        assert other.wait() == 1
        assert "http.port" in other.errors()
        assert len(other.errors().splitlines()) == 1
    finally:
        other.end()


def test_state_survives_a_restart_exactly(daemon):
    daemon.api.be("ana", "ready")
    daemon.api.be("ben", "ready")
    daemon.api.post("/v1/leads/acme", [lead() for _ in "abc"])
    assigned = daemon.api.leads("assigned")
    daemon.api.event("contacted", lead_key=assigned[0]["lead_key"], evidence="dialer")
    daemon.api.post("/v1/reps/cleo/pause", {"reason": "leave"})
    before = daemon.api.leads()
    reps = daemon.api.get("/v1/reps")

    for end in (daemon.stop, daemon.kill):
        end()
        daemon.start()

        assert daemon.api.leads() == before
        assert daemon.api.get("/v1/reps") == reps
