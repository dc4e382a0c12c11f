"""Which values a key may have beyond its type. A check answers what is wrong and the remedy, or None."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Struct

from distributor.domain.dialers import WebhookCall, WebhookPlan
from distributor.domain.floor import FlowPlan, PoolPlan, RepPlan, TeamPlan
from distributor.domain.ids import is_name
from distributor.settings.model import (
    MIB,
    AlertSettings,
    HttpSettings,
    HttpTls,
    MqttSettings,
    MqttTls,
    SpeedToContactSettings,
    StandardsSettings,
    StoreSettings,
    TokenSettings,
    VendorSettings,
)
from distributor.settings.problems import shown

Check = Callable[[Any], str | None]

CENTURY_SECONDS: Final = 3.2e9
"""No duration may be longer: nanoseconds since 1970 must stay within 64 bits."""
MQTT_TEXT_BYTES: Final = 65_535
"""What MQTT has room for in a name or a password."""


def _between(least: float, most: float) -> Check:
    def check(value: float) -> str | None:
        if least <= value <= most:
            return None
        return f"{shown(value)} is out of range; write {_plain(least)} to {_plain(most)}"

    return check


def _plain(number: float) -> str:
    return f"{number:,.10g}" if number < 1e15 else f"{number:g}"


def _name(value: str) -> str | None:
    if is_name(value):
        return None
    return f"{shown(value)} is no name; write 1 to 64 characters from A-Z a-z 0-9 . _ : -"


def _filled(value: str) -> str | None:
    if value.strip() and "\0" not in value:
        return None
    return f"{shown(value)} is empty or has a NUL; write a text or remove the key"


def _host(value: str) -> str | None:
    try:
        value.encode(
            "idna"
        )  # what a look-up does first; refuses an empty part and one over 63 letters
        good = re.fullmatch(r"\S+", value) is not None and value.isprintable() and value.strip(".")
    except UnicodeError:
        good = False
    if good:
        return None
    return (
        f"{shown(value)} is no host; write a name like broker.example or an address like 127.0.0.1"
    )


def _login(value: str) -> str | None:
    if value.strip() and value.isprintable() and len(value.encode()) <= MQTT_TEXT_BYTES:
        return None
    return (
        f"{shown(value)} is no name for a broker; write one of up to {MQTT_TEXT_BYTES:,} bytes "
        "without control characters"
    )


def _page(value: str) -> str | None:
    if re.fullmatch(r"[^\s\"\\{}#]+", value) and value.isprintable():
        return None
    return (
        f"{shown(value)} is no address of a page; write one like https://wiki.example/runbooks, "
        "without blanks, quotes, braces and #"
    )


def _one_of(*choices: str) -> Check:
    def check(value: str) -> str | None:
        return None if value in choices else f"{shown(value)} is none of: {', '.join(choices)}"

    return check


def _topic(value: str) -> str | None:
    bad = any(letter in value for letter in "+#") or value.startswith("$")
    # Brokers hang up on a topic with control characters.
    good = value.isprintable() and value.strip("/") == value and len(value) <= 200
    if value and good and not bad:
        return None
    return (
        f"{shown(value)} is no topic prefix; write 1 to 200 characters without + # or a leading $, "
        "no control characters, no / at the ends"
    )


def _timezone(value: str) -> str | None:
    try:
        ZoneInfo(value)
    except (OSError, ValueError, KeyError):  # a missing zone is a KeyError
        known = available_timezones()
    else:
        return None
    if not known:
        return None  # a machine without time zone data cannot judge
    return f"{shown(value)} is no time zone; write one like America/New_York"


def _country(value: str) -> str | None:
    if re.fullmatch(r"[A-Z]{2}", value):
        return None
    return f"{shown(value)} is no country; write two capital letters like US"


def _regex(value: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        return f"{shown(value)} is no regular expression ({error}); mend it"
    return None


def _template(value: str) -> str | None:
    from jinja2 import Environment, TemplateError  # noqa: PLC0415 - only files with dialers pay

    try:
        Environment(autoescape=False).parse(value)  # noqa: S701 - nothing is rendered
    except (TemplateError, RecursionError, ValueError) as error:
        return f"{shown(value)} is no Jinja2 template ({' '.join(str(error).split())}); mend it"
    return None


def _url(value: str) -> str | None:
    if not value.startswith(("http://", "https://", "{{")):
        return f"{shown(value)} is no URL; begin it with http:// or https://"
    return _template(value)


def _each(check: Check) -> Check:
    def check_all(values: Sequence[Any]) -> str | None:
        return next((found for found in map(check, values) if found), None)

    return check_all


def _templates(values: dict[str, str]) -> str | None:
    return _each(_template)(tuple(values.values()))


def _statuses(values: Sequence[int]) -> str | None:
    if not values:
        return "is empty; name at least one HTTP status, like [200]"
    return _each(_between(100, 599))(values)


_PORT: Final = _between(1, 65_535)
_ZERO_OR_MORE: Final = _between(0, CENTURY_SECONDS)
_SOME_TIME: Final = _between(0.001, CENTURY_SECONDS)
_BYTES: Final = _between(1, 256 * MIB)

LIMITS: Final[dict[type[Struct], dict[str, Check]]] = {
    StoreSettings: {"path": _filled},
    MqttSettings: {
        "host": _host,
        "port": _PORT,
        "topic_prefix": _topic,
        "client_id": _name,
        "username": _login,
        "password_file": _filled,
        "password_env": _filled,
        "max_payload_bytes": _BYTES,
        "assign_batch": _between(1, 1000),
    },
    MqttTls: {"ca_file": _filled, "cert_file": _filled, "key_file": _filled},
    HttpSettings: {"host": _host, "port": _between(0, 65_535), "max_body_bytes": _BYTES},
    HttpTls: {"cert_file": _filled, "key_file": _filled},
    TokenSettings: {
        "name": _name,
        "vendor": _name,
        "rep": _name,
        "token_file": _filled,
        "token_env": _filled,
    },
    VendorSettings: {
        "id": _name,
        "country": _country,
        "token_file": _filled,
        "token_env": _filled,
    },
    FlowPlan: {
        "first_contact_seconds": _SOME_TIME,
        "lease_seconds": _SOME_TIME,
        "offline_grace_seconds": _ZERO_OR_MORE,
        "time_scale": _between(0.001, 1_000_000),
        "window": _between(1, 1000),
        "pace_seconds": _ZERO_OR_MORE,
        "wrap_up_seconds": _ZERO_OR_MORE,
        "call_limit_seconds": _SOME_TIME,
        "waiting_limit_seconds": _SOME_TIME,
        "working_limit_seconds": _SOME_TIME,
        "recycle_seconds": _SOME_TIME,
        "pool_limit": _between(1, 100_000_000),
        "clock_start": _one_of("received", "submitted"),
    },
    TeamPlan: {"id": _name, "manager": _name, "timezone": _timezone},
    RepPlan: {
        "id": _name,
        "team": _name,
        "skills": _each(_name),
        "weight": _between(0.001, 1000),
        "window": _between(1, 1000),
        "pace_seconds": _ZERO_OR_MORE,
    },
    PoolPlan: {"id": _name, "skills": _each(_name)},
    WebhookCall: {"url": _url, "headers": _templates, "body": _template},
    WebhookPlan: {
        "id": _name,
        "success_status": _statuses,
        "success_body": _regex,
        "duplicate_body": _regex,
        "lookup_found": _regex,
        "secret_env": _filled,
        "secret_file": _filled,
        "timeout_seconds": _between(0.01, 600),
        "retry_first_seconds": _between(0.001, 86_400),
        "retry_max_seconds": _between(0.001, 86_400),
        "max_attempts": _between(1, 1000),
        "concurrency": _between(1, 1000),
        "rate_per_second": _between(0, 100_000),
        "breaker_failures": _between(1, 1000),
        "breaker_seconds": _between(0.001, 86_400),
    },
    StandardsSettings: {
        "open_hours_per_month": _between(1, 744),
        "open_hours_per_day": _between(0.5, 24),
    },
    # 1 leaves nothing to spend: every single miss would be an alarm.
    SpeedToContactSettings: {"target": _between(0.01, 0.9999)},
    AlertSettings: {
        "unassigned_seconds": _SOME_TIME,
        "outbox_seconds": _SOME_TIME,
        "exception_seconds": _SOME_TIME,
        "least_leads": _between(0, 1_000_000),
        "runbooks": _page,
    },
}
"""Struct -> key -> check. A key of the value None is not checked."""
