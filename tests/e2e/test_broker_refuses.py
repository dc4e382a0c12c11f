"""A broker that does not let the daemon in: what operators see of it."""

from __future__ import annotations

from tests.brokers import Mosquitto
from tests.e2e.floor import DaemonProcess, lead, until


def test_a_broker_that_refuses_us_is_told_by_readyz_and_the_metrics(tmp_path):
    """The daemon keeps trying, and takes leads over HTTP meanwhile."""
    extra = f"allow_anonymous false\npassword_file {tmp_path}/passwords\n"
    (tmp_path / "passwords").write_text("")
    with Mosquitto(tmp_path / "broker", durable=False, extra=extra) as broker:
        daemon = DaemonProcess(tmp_path / "daemon", broker=broker.port)
        try:
            daemon.spawn()
            until(daemon.answers, "HTTP")
            failed = 'distributor_link_events_total{event="failed_attempts",peer="mqtt"}'
            until(lambda: daemon.api.metric(failed) >= 2, "the daemon to try again")
            ready = daemon.api.call("GET", "/readyz")
            assert ready.status == 503
            (reason,) = ready.body["reasons"]
            assert "check mqtt.username and mqtt.password_file or mqtt.password_env" in reason
            assert 'distributor_intake_connected{peer="mqtt"} 0' in daemon.api.get("/metrics")
            assert daemon.api.post("/v1/leads/acme", lead())["outcome"] == "accepted"
            broker.stop()
            broker.config = broker.config.replace(extra, "")
            broker.start()
            daemon.wait_ready()
            up = 'distributor_intake_connected{peer="mqtt"}'
            until(lambda: daemon.api.metric(up) == 1, "the metrics to show the broker")
            daemon.stop()
        finally:
            daemon.end()
