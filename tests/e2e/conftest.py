"""One broker and one daemon for all tests that leave both running."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.brokers import Mosquitto
from tests.e2e.floor import DaemonProcess, Peer, calm, running

REPS = ("ana", "ben", "cleo")


class Floor:
    """The shared daemon with a peer that hears everything it says."""

    def __init__(self, broker: Mosquitto, daemon: DaemonProcess, peer: Peer) -> None:
        self.broker = broker
        self.daemon = daemon
        self.api = daemon.api
        self.peer = peer

    def calm(self) -> None:
        """What every test finds."""
        calm(self.api, REPS)
        self.peer.came.clear()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    folder = tmp_path_factory.mktemp("floor")
    with (
        Mosquitto(folder / "broker", durable=False) as broker,
        running(folder / "daemon", broker=broker.port, reps=REPS) as daemon,
        Peer(broker.port, "leads/#", "answers/#") as peer,
    ):
        yield Floor(broker, daemon, peer)
        checked = daemon.command("verify")
        assert checked.returncode == 0, checked.stderr


@pytest.fixture
def floor(shared: Floor) -> Iterator[Floor]:
    """The shared floor at rest; whatever a test did, the daemon must still be sound."""
    shared.calm()
    said = len(shared.daemon.log())
    yield shared
    assert shared.daemon.is_ready()
    assert shared.api.metric("distributor_lead_conservation_difference") == 0
    lines = shared.daemon.log()[said:].splitlines()
    assert not [line for line in lines if "Traceback" in line or '"level":"error"' in line]
