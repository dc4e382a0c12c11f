"""What people are told when the broker does not have us: each line names the setting to look at."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest

from distributor.mqtt import TlsFiles
from tests.brokers import Mosquitto
from tests.mqtt.peers import peer, until
from tests.mqtt.test_other_brokers import CONNACK_5, scripted
from tests.real import need_program


async def problem(port: int, **more: Any) -> str:
    """What ``/readyz`` says after two failed attempts."""
    async with peer(port, wait=False, **more) as us:
        await until(lambda: us.link.counters.failed_attempts >= 2)
        assert not us.link.connected.is_set()
        assert us.link.problem
        assert "\n" not in us.link.problem
        return us.link.problem


def certificate(folder: Path, name: str, host: str) -> TlsFiles:
    """A certificate of its own authority for ``host`` ("IP:..." or "DNS:...")."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            *(need_program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName={host}"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return TlsFiles(ca_file=str(cert), cert_file=str(cert), key_file=str(key))


def listener(files: TlsFiles) -> str:
    """Lines for a listener with this certificate."""
    return f"certfile {files.cert_file}\nkeyfile {files.key_file}\n"


@pytest.mark.real
async def test_certificates_and_ports(tmp_path: Path) -> None:
    good = certificate(tmp_path, "good", "IP:127.0.0.1")
    other = certificate(tmp_path, "other", "DNS:other.example")
    with Mosquitto(tmp_path / "good", tls=listener(good), durable=False) as broker:
        text = await problem(broker.port, tls=TlsFiles(ca_file=other.ca_file))
        assert "mqtt.tls.ca_file must be the authority" in text
        text = await problem(broker.port)
        assert f"if {broker.port} is a TLS port, add [mqtt.tls]" in text
    with Mosquitto(tmp_path / "other", tls=listener(other), durable=False) as broker:
        text = await problem(broker.port, tls=TlsFiles(ca_file=other.ca_file))
        assert "set mqtt.host to a name that the certificate is made out to" in text
    with Mosquitto(tmp_path / "plain", durable=False) as broker:
        text = await problem(broker.port, tls=TlsFiles(ca_file=good.ca_file))
        assert f"if {broker.port} is a plain port, leave out [mqtt.tls]" in text
    asks = f"{listener(good)}require_certificate true\ncafile {good.ca_file}\n"
    with Mosquitto(tmp_path / "asks", tls=asks, durable=False) as broker:
        text = await problem(broker.port, tls=TlsFiles(ca_file=good.ca_file))
        assert "set mqtt.tls.cert_file and mqtt.tls.key_file" in text


@pytest.mark.real
@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
async def test_wrong_credentials_are_named_and_tried_until_they_are_right(
    tmp_path: Path, protocol: str
) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    extra = f"allow_anonymous false\npassword_file {passwords}\n"
    with Mosquitto(tmp_path / "broker", extra=extra, durable=False) as broker:
        async with peer(
            broker.port, username="us", password="secret", protocol=protocol, wait=False
        ) as us:
            await until(lambda: us.link.counters.failed_attempts >= 2)
            text = us.link.problem or ""
            assert "check mqtt.username and mqtt.password_file or mqtt.password_env" in text
            tool = need_program("mosquitto_passwd", "mosquitto")
            subprocess.run([tool, "-b", str(passwords), "us", "secret"], check=True)
            broker.restart()
            await us.connected()
            assert us.link.problem is None


async def test_a_session_that_was_taken_over_names_the_client_id() -> None:
    kinds: list[int] = []

    def answer(kind: int, body: bytes) -> bytes | None:
        kinds.append(kind)
        return CONNACK_5 if kind == 1 else b"\xe0\x01\x8e"

    async with scripted(answer) as port, peer(port, client_id="floor-1") as us:
        reasons: list[str] = []
        us.link.on_disconnected.append(reasons.append)
        us.link.send("out", b"x", lambda _result: None)
        await until(lambda: bool(reasons))
        assert "connected as mqtt.client_id 'floor-1': give each daemon" in reasons[0]
        assert us.link.counters.taken_over == 1
        # It is taken back slowly: heeded like a failed attempt.
        await until(lambda: us.link._backoff._failures == 1)


@pytest.mark.real
async def test_two_daemons_with_one_client_id_are_told_so_and_do_not_race(tmp_path: Path) -> None:
    """mosquitto 2.0.11 hangs up on the first of the two without a word."""
    with Mosquitto(tmp_path / "broker", durable=False) as broker:
        async with peer(broker.port, "same") as one, peer(broker.port, "same") as two:
            lines: list[str] = []
            one.link.on_disconnected.append(lines.append)
            await until(lambda: any("mqtt.client_id 'same'" in line for line in lines))
            assert two.link.counters.connects > 1


async def test_a_broker_that_drops_us_again_and_again_does_not_make_us_wait_long() -> None:
    """Waits that double up to 30 s would take more than a minute here."""
    dropped = asyncio.Event()
    connects = 0

    def answer(kind: int, body: bytes) -> bytes | None:
        nonlocal connects
        if kind == 1:
            connects += 1
            if connects == 12:
                dropped.set()
            return CONNACK_5
        return None

    waits = {"reconnect_first_seconds": 0.1, "reconnect_max_seconds": 30.0}
    async with scripted(answer) as port, peer(port, **waits) as us:
        us.link.on_connected.append(lambda _: us.link.send("out", b"x", lambda _result: None))
        us.link.send("out", b"x", lambda _result: None)
        await asyncio.wait_for(dropped.wait(), 60)
        assert us.link.counters.failed_attempts == 0
