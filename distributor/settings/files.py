"""Reading the configuration file, and the files that it names."""

from __future__ import annotations

import contextlib
import errno
import os
import ssl
import stat
import tomllib
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from distributor.errors import BadConfig
from distributor.settings.model import Settings, StoreSettings
from distributor.settings.problems import Problems, shown

_LONGEST: Final = 64 * 1024 * 1024


def read_toml(path: Path) -> dict[str, Any]:
    """The parsed file. Raises BadConfig with the one line of what stops the parsing."""
    try:
        with path.open("rb") as opened:
            raw = opened.read(_LONGEST + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise BadConfig(
            [f"{shown(str(path))} cannot be read ({why}); name an existing file"]
        ) from None
    if len(raw) > _LONGEST:
        raise BadConfig([f"{path}: is over 64 MiB; that is no configuration file"])
    try:
        return tomllib.loads(raw.decode())
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadConfig([f"{path}: line {line}: no UTF-8 text; save the file as UTF-8"]) from None
    except RecursionError:
        raise BadConfig([f"{path}: nested too deep; make it flatter"]) from None
    except tomllib.TOMLDecodeError as error:
        raise BadConfig([f"{path}: no TOML: {' '.join(str(error).split())}; mend it"]) from None
    except ValueError:  # more digits than Python reads
        raise BadConfig([f"{path}: a number has too many digits; write a smaller one"]) from None


def store_path(path: Path) -> Path:
    """Where the store of the configuration file ``path`` is, whatever else is wrong with the file.
    Raises BadConfig when the file does not parse or names no such path.
    """
    table = read_toml(path).get("store", {})
    place = table.get("path", StoreSettings().path) if isinstance(table, dict) else None
    if not isinstance(place, str) or not place or "\0" in place:
        raise BadConfig(["store.path: is no path; write one in quotes"])
    return path.absolute().parent / place


def located(settings: Settings, folder: Path) -> Settings:
    """``settings`` with every path made absolute; relative ones are relative to ``folder``."""

    def place(path: str | None) -> str | None:
        return None if path is None else str(folder / path)

    mqtt, http = settings.mqtt, settings.http
    if mqtt is not None:
        tls = mqtt.tls and replace(
            mqtt.tls,
            ca_file=place(mqtt.tls.ca_file),
            cert_file=place(mqtt.tls.cert_file),
            key_file=place(mqtt.tls.key_file),
        )
        mqtt = replace(mqtt, tls=tls, password_file=place(mqtt.password_file))
    if http is not None:
        https = http.tls and replace(
            http.tls, cert_file=place(http.tls.cert_file), key_file=place(http.tls.key_file)
        )
        tokens = tuple(replace(t, token_file=place(t.token_file)) for t in http.tokens)
        http = replace(http, tls=https, tokens=tokens)
    return replace(
        settings,
        store=replace(settings.store, path=place(settings.store.path)),
        mqtt=mqtt,
        http=http,
        vendors=tuple(replace(v, token_file=place(v.token_file)) for v in settings.vendors),
        dialers=tuple(replace(d, secret_file=place(d.secret_file)) for d in settings.dialers),
    )


def check_files(settings: Settings, problems: Problems) -> None:
    """Report certificates and keys that cannot be used, and a store path that cannot be a file's."""
    if settings.mqtt is not None and settings.mqtt.tls is not None:
        tls = settings.mqtt.tls
        if tls.ca_file is not None:
            _holds_certificates("mqtt.tls.ca_file", tls.ca_file, problems)
        _pair("mqtt.tls", tls.cert_file, tls.key_file, problems)
    if settings.http is not None and settings.http.tls is not None:
        _pair("http.tls", settings.http.tls.cert_file, settings.http.tls.key_file, problems)
    _store(settings.store.path, problems)


_LONGEST_SUFFIX: Final = "-wal.replaced"
"""Of the files that lie beside a store."""
_NO_PATH: Final = {
    errno.ENAMETOOLONG: "is too long for a file; name it shorter",
    errno.ENOTDIR: "goes through something that is no folder; name a file in a folder",
}


def _store(path: str, problems: Problems) -> None:
    try:
        with contextlib.suppress(FileNotFoundError):
            os.stat(f"{path}{_LONGEST_SUFFIX}")  # noqa: PTH116 - its name must fit, too
        mode = os.stat(path).st_mode  # noqa: PTH116 - it may not be there yet
    except OSError as error:
        if error.errno in _NO_PATH:
            problems.add("store.path", f"{shown(path)} {_NO_PATH[error.errno]}")
        return
    if stat.S_ISDIR(mode):
        problems.add("store.path", f"{shown(path)} is a folder; name a file in it")
    elif not stat.S_ISREG(mode):
        problems.add("store.path", f"{shown(path)} is a device or pipe; name a file")


def store_doubt(settings: Settings, folder: Path) -> str | None:
    """What may keep a daemon from its store, in one line; None where all seems well. No problem of the
    file in ``folder``: who asks may be another user than who runs it.
    """
    place = Path(os.path.normpath(settings.store.path)).parent
    there = next(part for part in (place, *place.parents) if os.path.lexists(part))
    if not os.access(there, os.W_OK | os.X_OK):
        return f"store.path: {str(there)!r} is not writable for this user; run needs to write there"
    if there != place and not place.is_relative_to(folder):
        return f"store.path: the folder {str(place)!r} does not exist; run makes it if it may"
    return None


def _pair(path: str, cert: str | None, key: str | None, problems: Problems) -> None:
    """Report what keeps a certificate and its key from being presented."""
    good = cert is None or _holds_certificates(f"{path}.cert_file", cert, problems)
    readable = key is None or _readable(f"{path}.key_file", key, problems)
    if cert is None or key is None or not (good and readable):
        return
    try:
        # Asked for a password, the library would wait at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            text = f"{shown(key)} is not the key of cert_file; give the two that belong together"
        else:
            why = (error.reason or "no PEM").replace("_", " ").lower()
            text = f"{shown(key)} is no key for cert_file ({why}); write it there as plain PEM"
        problems.add(f"{path}.key_file", text)


def _holds_certificates(path: str, file: str, problems: Problems) -> bool:
    if not _readable(path, file, problems):
        return False
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError:
        problems.add(path, f"{shown(file)} holds no certificate; write it there as PEM")
        return False
    return True


def _readable(path: str, file: str, problems: Problems) -> bool:
    """Whether there is something to read; False also where the path was reported before."""
    if problems.spoil(path):
        return False
    try:
        with Path(file).open("rb"):
            return True
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no file name"
        problems.add(path, f"{shown(file)} cannot be read ({why}); put the file there")
        return False
