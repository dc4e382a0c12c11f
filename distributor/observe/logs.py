"""Structured logs: one JSON object a line (or plain text for a terminal), never personal data.

The journal is the record of what happened; logs are for the people who run the daemon. A lead has one line
at ``info``, that of its first assignment; later assignments are told at ``debug``, see ``lead_lines``.
"""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson
import structlog

from distributor.domain.decisions import Assigned
from distributor.domain.ids import NANOSECONDS
from distributor.domain.journal import Entry
from distributor.observe.log_writer import LineStream, LogWriter

Level = Literal["debug", "info", "warning", "error"]
Style = Literal["json", "console"]
_Event = MutableMapping[str, Any]

PERSONAL: Final = frozenset(
    {
        "address",
        "attributes",
        "body",
        "city",
        "comments",
        "consent",
        "dialed",
        "email",
        "first_name",
        "full_name",
        "last_name",
        "lead",
        "note",
        "payload",
        "payload_base64",
        "phone",
        "postal_code",
        "raw",
    }
)
"""Keys that never reach a log, at any depth."""

SECRET: Final = frozenset({"authorization", "password", "secret", "token"})

_HIDDEN: Final = PERSONAL | SECRET
REMOVED: Final = "[removed]"
_OUR_KEYS: Final = frozenset({"lead_key", "assignment_id"})
_DEPTH: Final = 6

# A number as people write it: 10 to 15 digits with single separators, no part of a key or of an IP
# address. And anything with an at sign in the middle.
_NUMBER = re.compile(
    r"(?<![\w.])(?!\d{1,3}(?:\.\d{1,3}){3}(?![\d.]))\+?\(?\d(?:[ ()./-]{0,2}\d){8,14}(?![\w])"
)
_SHORTEST_NUMBER: Final = 9
_MAIL = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+")


def clean(value: Any, depth: int = 0) -> Any:
    """``value`` without personal data: known keys are gone, numbers and addresses in text are masked."""
    if isinstance(value, bytes | bytearray):
        return REMOVED
    if isinstance(value, str):
        return _clean_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth >= _DEPTH:
        return REMOVED
    if isinstance(value, Mapping):
        return {
            clean(str(key)): item if key in _OUR_KEYS else clean(item, depth + 1)
            for key, item in value.items()
            if str(key).lower() not in _HIDDEN
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(item, depth + 1) for item in value]
    return clean(str(value))


def _clean_text(text: str) -> str:
    if len(text) >= _SHORTEST_NUMBER:
        text = _NUMBER.sub(REMOVED, text)
    return _MAIL.sub(REMOVED, text) if "@" in text else text


class _Sink:
    """What structlog calls a logger: hands rendered lines to the writer, errors at once."""

    def __init__(self, writer: LogWriter) -> None:
        self._write = writer.write

    def msg(self, line: bytes) -> None:
        """A line that can wait a moment."""
        self._write(line)

    def urgent(self, line: bytes) -> None:
        """A line that somebody may need before we end."""
        self._write(line, urgent=True)

    debug = info = warn = warning = msg
    error = critical = fatal = exception = urgent


class _FromLibraries(logging.Handler):
    """Warnings and errors of the libraries' own loggers, in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on."""
        try:
            text = record.getMessage()
        except Exception:  # a library's faulty format string is not worth a line's loss
            text = str(record.msg)
        log = structlog.get_logger()
        tell = log.error if record.levelno >= logging.ERROR else log.warning
        tell("library", logger=record.name, text=text, exc_info=record.exc_info or None)


def setup(
    now_ns: Callable[[], int],
    *,
    level: Level = "info",
    style: Style = "json",
    stream: LineStream | None = None,
) -> LogWriter:
    """Configure structlog for the process. Lines go to ``stream`` (standard output by default) through
    the writer that is returned: close it last. Libraries are heard from ``warning`` on."""
    stream = stream or io.FileIO(sys.stdout.fileno(), "wb", closefd=False)
    writer = LogWriter(stream)
    threshold = getattr(logging, level.upper())
    structlog.configure(
        processors=processors(now_ns, style, colors=stream.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _Sink(writer),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_FromLibraries(max(threshold, logging.WARNING))]
    return writer


def processors(now_ns: Callable[[], int], style: Style, *, colors: bool = False) -> list[Any]:
    """The way of one log line from keywords to bytes."""

    def stamp(_: Any, __: str, event: _Event) -> _Event:
        return {"at": _rfc3339(now_ns()), **event}

    return [
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        _redact,
        stamp,
        *([_as_json] if style == "json" else [_console(colors)]),
    ]


def _redact(_: Any, __: str, event: _Event) -> _Event:
    cleaned: _Event = clean(event)
    return cleaned


def _as_json(_: Any, __: str, event: _Event) -> bytes:
    try:
        return orjson.dumps(event)
    except TypeError:
        # An integer beyond 64 bits or a broken text: rare, and no reason to lose the line.
        return json.dumps(event, default=str).encode()


def _console(colors: bool) -> Callable[[Any, str, _Event], bytes]:
    renderer = structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="at")

    def render(logger: Any, name: str, event: _Event) -> bytes:
        return renderer(logger, name, event).encode(errors="replace")

    return render


def _rfc3339(ns: int) -> str:
    at = datetime.fromtimestamp(ns // NANOSECONDS, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ns % NANOSECONDS // 1_000_000:03d}Z"


def lead_lines(entry: Entry) -> Iterable[dict[str, object]]:
    """The keywords of a line for each assignment in the entry: who got which lead and why. It is for
    ``info`` where ``attempt`` is 1, else for ``debug``."""
    for decision in entry.decisions:
        if type(decision) is Assigned:
            yield {
                "seq": entry.seq,
                "lead_key": decision.lead_key,
                "rep": decision.rep,
                "pool": decision.pool,
                "policy": decision.policy,
                "attempt": decision.attempt,
                "reason": decision.reason,
            }
