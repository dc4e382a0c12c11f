"""What went wrong with the broker, in a line that names the setting to look at."""

from __future__ import annotations

import ssl

from distributor.mqtt.backoff import PROVEN_SECONDS
from distributor.mqtt.values import MqttSettings

TAKEN_OVER = 0x8E
_BAD_CREDENTIALS = {0x86, 0x87, 0x8C}
_BAD_CLIENT_ID = 0x85
_MANY = 5
_WRONG_NAME = {62, 64}
"""OpenSSL: the certificate is for another host name, or another IP address."""


def of_refusal(code: int) -> str:
    """What to do about a CONNACK with this reason code."""
    if code in _BAD_CREDENTIALS:
        return "check mqtt.username and mqtt.password_file or mqtt.password_env, and the broker's users"
    if code == _BAD_CLIENT_ID:
        return "check mqtt.client_id"
    return "the broker's log says why"


def of_hang_up(settings: MqttSettings) -> str:
    """What to do about a broker that hangs up instead of answering CONNECT."""
    if settings.tls is None:
        return (
            f"if {settings.port} is a TLS port, add [mqtt.tls] or set mqtt.port to the plain one; "
            "else the broker's log says why"
        )
    return (
        "if the broker asks for a certificate of ours, set mqtt.tls.cert_file and mqtt.tls.key_file; "
        "else its log says why"
    )


def of_no_connection(error: BaseException | None, settings: MqttSettings) -> str:
    """What to do about a connection that could not be made, with "; " before it; "" where the error
    says it all."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _WRONG_NAME:
            return "; set mqtt.host to a name that the certificate is made out to"
        return "; mqtt.tls.ca_file must be the authority that signed the broker's certificate"
    if settings.tls is not None and isinstance(error, ssl.SSLError | ConnectionResetError):
        return f"; if {settings.port} is a plain port, leave out [mqtt.tls] or set mqtt.port to the TLS one"
    return ""


def of_takeover(settings: MqttSettings) -> str:
    """Why the broker ended the connection with "session taken over", and what to do."""
    return (
        f"somebody else connected as mqtt.client_id {settings.client_id!r}: "
        "give each daemon a client_id of its own"
    )


def of_short_lives(times: int, settings: MqttSettings) -> str:
    """What to think of connections that were cut so soon so many times in a row, with ": " before it;
    "" while they are few. Not every broker says that a session was taken over."""
    if times < _MANY:
        return ""
    return (
        f": {times} times in a row within {PROVEN_SECONDS:.0f} s. Does another daemon use mqtt.client_id "
        f"{settings.client_id!r}? Give each its own; else the log of the broker, or of a proxy, says why"
    )
