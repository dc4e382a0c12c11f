"""A broker that forbids some of our topics, and one where nobody listens."""

from __future__ import annotations

from tests.brokers import Mosquitto
from tests.e2e.floor import Peer, lead, running, until

WITHOUT_DESKTOPS = """\
topic readwrite leads/in/#
topic readwrite leads/dialer/#
topic readwrite leads/daemon/#
topic readwrite leads/rep/+/presence
topic readwrite leads/rep/+/event
"""


def test_forbidden_desktops_and_desk_hold_back_nothing_from_the_dialer(tmp_path):
    with (
        Mosquitto(tmp_path / "broker", durable=False, acl=WITHOUT_DESKTOPS) as broker,
        running(tmp_path / "daemon", broker=broker.port) as daemon,
        Peer(broker.port, "leads/dialer/#") as dialer,
    ):
        daemon.api.be("ana", "ready")
        key = daemon.api.post("/v1/leads/acme", lead())["lead_key"]
        first = dialer.wait("leads/dialer/assign", lambda m: m["lead_key"] == key)
        refused = 'distributor_link_events_total{event="refused_publishes",peer="mqtt"}'
        until(lambda: daemon.api.metric(refused) >= 1, "the desktop's topic to be refused")

        daemon.api.be("ana", "offline")
        daemon.api.be("ana", "ready")

        revoked = dialer.wait("leads/dialer/revoke", lambda m: m["lead_key"] == key)
        assert revoked["assignment_id"] == first["assignment_id"]
        dialer.wait("leads/dialer/assign", lambda m: m["assignment_id"] == f"{key}-2")


def test_assignments_that_no_dialer_hears_are_counted(tmp_path):
    with (
        Mosquitto(tmp_path / "broker", durable=False) as broker,
        running(tmp_path / "daemon", broker=broker.port) as daemon,
    ):
        unheard = 'distributor_link_events_total{event="unheard_assignments",peer="mqtt"}'
        assert daemon.api.metric(unheard) == 0
        daemon.api.be("ana", "ready")

        daemon.api.post("/v1/leads/acme", lead())

        until(lambda: daemon.api.metric(unheard) == 1, "the unheard assignment to be counted")
