"""A dialer behind HTTP goes and comes back: its leads wait, nobody is blamed, MQTT goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.webhooks import WebhookDialer
from tests.brokers import Mosquitto
from tests.e2e.floor import DaemonProcess, Peer, calm, lead, running, until


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Iterator[tuple[WebhookDialer, DaemonProcess, Peer]]:
    folder = tmp_path_factory.mktemp("webhook")
    dialer = WebhookDialer()
    with Mosquitto(folder / "broker", durable=False) as broker:
        more = dialer.plan("cloud")
        with (
            running(
                folder / "daemon", broker=broker.port, pool='dialer = "cloud"', more=more
            ) as daemon,
            Peer(broker.port, "leads/#") as peer,
        ):
            yield dialer, daemon, peer


@pytest.fixture
def cloud(parts) -> Iterator[tuple[WebhookDialer, DaemonProcess, Peer]]:
    dialer, daemon, _ = parts
    dialer.status, dialer.hang = 200, False
    dialer.start()
    calm(daemon.api, ("ana", "ben", "cleo"))
    dialer.requests.clear()
    dialer.taken.clear()
    yield parts
    dialer.stop()


def asked(dialer: WebhookDialer, key: str):
    """Every request with this lead's assignment, answered or not."""
    return [one for one in dialer.requests if one.path == "/assign" and one.body["lead_key"] == key]


def taken(dialer: WebhookDialer, key: str, path: str = "/assign"):
    return [one for one in dialer.taken if one.path == path and one.body["lead_key"] == key]


def test_assignments_and_revocations_go_to_the_dialer_and_the_desktop(cloud):
    dialer, daemon, peer = cloud
    daemon.api.be("ana", "ready")

    key = daemon.api.post("/v1/leads/acme", lead())["lead_key"]

    (assign,) = until(lambda: taken(dialer, key))
    assert assign.body["type"] == "assign"
    assert assign.key
    peer.wait("leads/rep/ana/lead", lambda m: m["lead_key"] == key)
    daemon.api.be("ana", "offline")
    (revoke,) = until(lambda: taken(dialer, key, "/revoke"))
    assert revoke.body["assignment_id"] == assign.body["assignment_id"]
    assert revoke.key != assign.key
    assert not peer.all("leads/dialer/assign", lambda m: m["lead_key"] == key)


def test_leads_are_delivered_after_the_dialer_is_back_and_reps_are_not_blamed(cloud):
    dialer, daemon, peer = cloud
    dialer.stop()
    said = len(daemon.log())
    for rep in ("ana", "ben"):
        daemon.api.be(rep, "ready")
    keys = [daemon.api.post("/v1/leads/acme", lead())["lead_key"]]
    until(lambda: '"up":false' in daemon.log()[said:], "the breaker to open")
    keys += [daemon.api.post("/v1/leads/acme", lead())["lead_key"] for _ in range(3)]
    assert {daemon.api.lead(key)["state"] for key in keys[1:]} == {"waiting"}, "no new work"
    # The desktops' messages leave over MQTT all the same.
    rep = daemon.api.lead(keys[0])["rep"]
    peer.wait(f"leads/rep/{rep}/lead", lambda m: m["lead_key"] == keys[0])
    assert daemon.api.get("/readyz")["reasons"] == []

    dialer.start()

    (assign,) = until(lambda: taken(dialer, keys[0]))
    assert {one.key for one in asked(dialer, keys[0])} == {assign.key}
    until(lambda: any(taken(dialer, key) for key in keys[1:]), "the other rep to get a lead")
    first = daemon.api.lead(keys[0])
    assert first["assignment_id"] == assign.body["assignment_id"]
    assert "lease_restarted" in [item["type"] for item in first["history"]]
    for rep in ("ana", "ben"):
        shown = daemon.api.get(f"/v1/reps/{rep}")
        assert (shown["flow"], shown["inflight"]) == (1.0, 1)


def test_an_unknown_outcome_is_repeated_with_the_same_key(tmp_path):
    """On a floor of its own: with so short a limit a slow machine repeats more than is meant."""
    with WebhookDialer() as dialer:
        dialer.hang = True
        more = dialer.plan("cloud", timeout_seconds=1.0)
        with running(tmp_path, pool='dialer = "cloud"', more=more) as daemon:
            daemon.api.be("ana", "ready")

            key = daemon.api.post("/v1/leads/acme", lead())["lead_key"]
            until(lambda: asked(dialer, key))
            dialer.hang = False

            done = until(lambda: taken(dialer, key))[0]
            assert len(asked(dialer, key)) >= 2
            assert {one.key for one in asked(dialer, key)} == {done.key}
            assert asked(dialer, key)[0].body == done.body


def test_a_dialer_in_trouble_is_asked_again_and_again(cloud):
    dialer, daemon, _ = cloud
    daemon.api.be("ana", "ready")
    dialer.status = 503

    key = daemon.api.post("/v1/leads/acme", lead())["lead_key"]
    until(lambda: len(asked(dialer, key)) >= 3)
    dialer.status = 200

    (done,) = until(lambda: taken(dialer, key))
    assert {one.key for one in asked(dialer, key)} == {done.key}
    until(lambda: daemon.api.metric('distributor_outbox_messages{target="cloud"}') == 0)


def test_a_lead_that_the_dialer_refuses_for_good_goes_to_a_human_and_blames_nobody(cloud):
    dialer, daemon, _ = cloud
    dialer.status = 422
    daemon.api.be("ana", "ready")
    key = daemon.api.post("/v1/leads/acme", lead())["lead_key"]

    held = until(lambda: _held(daemon, key), "the lead to be on the desk")

    assert held["reason"] == "delivery_failed"
    assert "422" in held["because"]
    assert daemon.api.get("/v1/reps/ana")["flow"] == 1.0
    dialer.status = 200
    daemon.api.post(f"/v1/leads/{key}/close", {"status": "invalid", "reason": "refused"})


def _held(daemon: DaemonProcess, key: str):
    found = daemon.api.get(f"/v1/leads/{key}")
    return found if found["state"] == "exception" else None
