"""Secrets: read from the files and environment variables that the settings name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from distributor.errors import BadConfig
from distributor.settings.limits import MQTT_TEXT_BYTES
from distributor.settings.model import (
    HttpSettings,
    Secret,
    Settings,
    TokenSettings,
    VendorSettings,
)
from distributor.settings.problems import Problems

_S = TypeVar("_S", bound=Struct)
_READ_BYTES: Final = MQTT_TEXT_BYTES + 1_024
"""White space around a secret is none of it, but a file is not read without end."""
_TOO_LONG: Final = f"is over {MQTT_TEXT_BYTES:,} bytes; write the secret alone there"


def read_secret(file: str | None, env: str | None) -> Secret:
    """The secret kept in ``file``, or in the environment variable ``env``, without the white space
    around it; empty where neither is named. Raises BadConfig with one line on what cannot be read.
    """
    if file is None and env is None:
        return Secret()
    if file is not None:
        try:
            with Path(file).open("rb") as opened:
                raw = opened.read(_READ_BYTES)
            text = raw.decode().strip() if len(raw) < _READ_BYTES else ""
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
            raise BadConfig([f"{file!r} cannot be read ({why}); write the secret there"]) from None
        if len(raw) == _READ_BYTES or len(text.encode()) > MQTT_TEXT_BYTES:
            raise BadConfig([f"{file!r} {_TOO_LONG}"])
        if not text:
            raise BadConfig([f"{file!r} is empty; write the secret there"])
        return Secret(text)
    text = os.environ.get(env, "").strip() if env and env.isprintable() else ""
    if not text:
        raise BadConfig([f"the environment variable {env!r} is not set; set it to the secret"])
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        remedy = "is no UTF-8 text; set it to the secret"
        raise BadConfig([f"the environment variable {env!r} {remedy}"]) from None
    if size > MQTT_TEXT_BYTES:
        raise BadConfig([f"the environment variable {env!r} {_TOO_LONG}"])
    return Secret(text)


def fill(settings: Settings, problems: Problems) -> Settings:
    """``settings`` with every secret read; what cannot be read, or is named twice, is a problem."""
    mqtt, http = settings.mqtt, settings.http
    if mqtt is not None:
        mqtt = _filled(mqtt, "password", "mqtt", problems)
        if mqtt.password and mqtt.username is None and not problems.spoil("mqtt.username"):
            problems.add("mqtt.username", "missing beside a password; add it")
    if http is not None:
        http = _tokens(http, problems)
    vendors = tuple(
        _filled(vendor, "token", f"vendors[{at}]", problems)
        for at, vendor in enumerate(settings.vendors)
    )
    for at, dialer in enumerate(settings.dialers):
        path = f"dialers[{at}]"
        _secret(dialer.secret_file, dialer.secret_env, path, "secret", problems)
    filled = replace(settings, mqtt=mqtt, http=http, vendors=vendors)
    _no_twins(filled, problems)
    return filled


def _tokens(http: HttpSettings, problems: Problems) -> HttpSettings:
    tokens = []
    for at, token in enumerate(http.tokens):
        path = f"http.tokens[{at}]"
        nothing = token.token_file is None and token.token_env is None
        if nothing and not problems.about(rf"{re.escape(path)}(\.token(_file|_env)?)?"):
            problems.add(path, "has no secret; add token_file or token_env")
        tokens.append(_filled(token, "token", path, problems))
    return replace(http, tokens=tuple(tokens))


def _filled(part: _S, word: str, path: str, problems: Problems) -> _S:
    file, env = getattr(part, f"{word}_file"), getattr(part, f"{word}_env")
    return replace(part, **{word: _secret(file, env, path, word, problems)})


def _secret(
    file: str | None, env: str | None, path: str, word: str, problems: Problems
) -> Secret | None:
    if file is not None and env is not None:
        problems.add(path, f"{word}_file and {word}_env are both given; keep one")
        return None
    if file is None and env is None:
        return None
    try:
        return read_secret(file, env)
    except BadConfig as error:
        key = f"{word}_file" if file is not None else f"{word}_env"
        problems.add(f"{path}.{key}", str(error))
        return None


def _no_twins(settings: Settings, problems: Problems) -> None:
    holders: list[tuple[str, TokenSettings | VendorSettings]] = [
        (f"vendors[{at}]", vendor) for at, vendor in enumerate(settings.vendors)
    ]
    for at, token in enumerate(settings.http.tokens if settings.http else ()):
        holders.append((f"http.tokens[{at}]", token))
    first: dict[str, str] = {}
    for path, holder in holders:
        if holder.token and first.setdefault(holder.token, path) != path:
            other = first[holder.token]
            problems.add(path, f"has the same secret as {other}; give each its own")
