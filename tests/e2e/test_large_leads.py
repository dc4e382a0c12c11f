"""Leads that are larger than the broker takes."""

from __future__ import annotations

import pytest

from tests.brokers import Mosquitto
from tests.e2e.floor import DaemonProcess, Peer, lead, running, until

LIMIT = "max_packet_size 1500\n"


def case_of(daemon: DaemonProcess, key: str) -> dict[str, str]:
    """The lead's case on the desk, awaited."""

    def find() -> list[dict[str, str]]:
        items = daemon.api.get("/v1/exceptions")["items"]
        return [one for one in items if one["lead_key"] == key]

    (case,) = until(find, "the desk to have the lead")
    assert case["kind"] == "delivery_failed"
    return case


@pytest.mark.parametrize(
    ("extra", "mqtt", "says"),
    [
        (LIMIT, "", "of 1500 bytes): raise max_packet_size there"),
        ("message_size_limit 1500\n", 'protocol = "5"', "raise max_packet_size there"),
        (LIMIT, 'protocol = "3.1.1"', "may have it all the same"),
        (LIMIT, "assign_batch = 10", "of 1500 bytes): raise max_packet_size there"),
    ],
)
def test_a_lead_that_is_too_large_goes_to_the_desk_and_the_others_to_the_dialer(
    tmp_path, extra, mqtt, says
):
    with (
        Mosquitto(tmp_path / "broker", durable=False, extra=extra) as broker,
        running(tmp_path / "daemon", broker=broker.port, mqtt=mqtt) as daemon,
        Peer(broker.port, "leads/dialer/#") as dialer,
    ):
        for rep in ("ana", "ben", "cleo"):
            daemon.api.be(rep, "ready")
        large = lead(attributes={"note": "x" * 5000})
        key = daemon.api.post("/v1/leads/acme", large)["lead_key"]
        other = daemon.api.post("/v1/leads/acme", lead())["lead_key"]

        def heard(message):
            found = message if isinstance(message, list) else [message]
            return any(one["lead_key"] == other for one in found)

        dialer.wait("leads/dialer/assign", heard)
        case = case_of(daemon, key)
        assert says in case["because"]
        restarts = [x for x in daemon.api.lead(key)["history"] if x["type"] == "lease_restarted"]
        assert len(restarts) < 5
        assert all(daemon.api.get(f"/v1/reps/{rep}")["flow"] == 1.0 for rep in ("ana", "ben"))
        # Also what told the rep's desktop is settled, and the connection stays.
        waits = 'distributor_outbox_messages{target="mqtt"}'
        until(lambda: daemon.api.metric(waits) == 0, "the outbox to be empty")
        until(daemon.is_ready, "the broker to let us be")
        assert f'"kind":"assign","lead_key":"{key}","error"' in daemon.log()


def test_a_large_lead_without_a_phone_is_no_desktops_silence(tmp_path):
    """The desktop is all that could tell the rep."""
    with (
        Mosquitto(tmp_path / "broker", durable=False, extra=LIMIT) as broker,
        running(tmp_path / "daemon", broker=broker.port) as daemon,
    ):
        daemon.api.be("ana", "ready")
        large = {"id": "1", "email": "rosa@example.com", "attributes": {"note": "x" * 5000}}
        key = daemon.api.post("/v1/leads/acme", large)["lead_key"]
        assert "of 1500 bytes" in case_of(daemon, key)["because"]
        too_large = 'distributor_link_events_total{event="too_large_publishes",peer="mqtt"}'
        until(lambda: daemon.api.metric(too_large) >= 1, "the message to be counted")
