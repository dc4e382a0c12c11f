"""The outer form of a payload: UTF-8, JSON, not too deep, an object or a bounded array."""

from __future__ import annotations

import re
from typing import Final, Literal

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

from distributor.domain.events import Undecodable

MAX_DEPTH: Final = 32
MAX_ITEMS: Final = 1_000
DEAD_PAYLOAD_BYTES: Final = 65_536
"""What a dead letter keeps of its payload."""

_ONLY_FRAME = bytes.maketrans(b"{}", b"[]")
_NOT_FRAME = bytes(set(range(256)) - set(b'[]{}"\\'))
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_A_NUMBER = re.compile(rb"(?<![\w\"])-?(?:NaN|Infinity)(?![\w\"])")
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a character in two halves
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"  # half of one, alone
    rb"|\\.",
    re.DOTALL,
)
_AT_BYTE = re.compile(r"\(byte (\d+)\)")
_ITEMS: Final = Decoder(list[Raw])
_WHOLE: Final = Decoder(Raw)


class Unreadable(Struct, frozen=True):
    """A payload that as a whole cannot be decoded. ``reason`` is one line that names what."""

    kind: Literal["syntax", "depth", "items", "encoding", "shape"]
    reason: str


def inspect(payload: bytes) -> Unreadable | None:
    """What makes a payload unfit before its JSON is parsed: its encoding, its shape, its depth."""
    if not payload.isascii():
        try:
            payload.decode("utf-8")
        except UnicodeDecodeError as error:
            return Unreadable("encoding", f"payload: not UTF-8 at byte {error.start}; send UTF-8")
    start = payload.lstrip(b" \t\r\n")[:1]
    if not start:
        return Unreadable("syntax", "payload: empty; send a JSON object or array")
    if start not in b"{[":
        return not_json(payload, "not a JSON object or array")
    if payload.count(b"{") + payload.count(b"[") > MAX_DEPTH and _too_deep(payload):
        return too_deep()
    return None


def too_deep() -> Unreadable:
    """The answer to nesting beyond ``MAX_DEPTH``."""
    return Unreadable("depth", f"payload: nested deeper than {MAX_DEPTH}; send it flatter")


def not_json(payload: bytes, detail: str) -> Unreadable:
    """The answer to text that is no JSON, with the place where the parser stopped."""
    found = _NOT_A_NUMBER.search(payload)
    if found is not None:
        number = found[0].decode()
        return Unreadable("syntax", f"payload: {number} is no JSON number; send null or a number")
    if detail.startswith("not a JSON object"):
        return Unreadable("shape", "payload: not a JSON object or array; send one of them")
    place = _AT_BYTE.search(detail)
    where = f" at byte {place[1]}" if place else ", it ends too early"
    return Unreadable("syntax", f"payload: not JSON{where}; send a JSON object or array")


def readable(payload: bytes) -> bytes | Unreadable:
    """The payload as JSON that decodes: it itself, or with U+FFFD for each half of a character.

    An emoji that was cut in two is written as such a half by ``JSON.stringify``, and is JSON by RFC
    8259; a lead is worth more than its emoji.
    """
    try:
        # As a whole: a wrong type is reported before the text behind it is read.
        _WHOLE.decode(payload)
    except RecursionError:
        return too_deep()
    except (DecodeError, UnicodeDecodeError) as error:
        mended = without_halves(payload)
        return not_json(payload, str(error)) if mended == payload else readable(mended)
    return payload


def without_halves(payload: bytes) -> bytes:
    """JSON text with U+FFFD in place of each escape of half a character; all else as it was."""
    return _ESCAPE.sub(lambda found: b"\\ufffd" if found[1] else found[0], payload)


def split_items(payload: bytes) -> list[bytes] | Unreadable:
    """The items of an array (or the one object) as JSON texts, each to be judged on its own."""
    text = readable(payload)
    if isinstance(text, Unreadable):
        return text
    if not is_array(text):
        return [text]
    items = _ITEMS.decode(text)
    if len(items) > MAX_ITEMS:
        return too_many(len(items))
    return [bytes(item) for item in items]


def too_many(count: int) -> Unreadable:
    """The answer to an array of more than ``MAX_ITEMS``."""
    return Unreadable("items", f"payload: {count} items; send at most {MAX_ITEMS} in one array")


def dead_letter(topic: str, reason: str, payload: bytes) -> Undecodable:
    """A dead letter with as much of the payload as is kept."""
    truncated = len(payload) > DEAD_PAYLOAD_BYTES
    return Undecodable(topic, reason, payload[:DEAD_PAYLOAD_BYTES], truncated)


def is_array(payload: bytes) -> bool:
    """Whether a readable payload is an array: its replies are one as well."""
    return payload.lstrip(b" \t\r\n")[:1] == b"["


def _too_deep(payload: bytes) -> bool:
    """Whether brackets nest deeper than ``MAX_DEPTH``; exact for JSON.

    Works on the brackets alone: each pass takes the innermost pairs away, so one pass is one level.
    A string that holds no bracket shows as an empty pair of quotes; where quotes or escapes are
    left after these are gone, strings are cut out properly first.
    """
    frame = payload.translate(_ONLY_FRAME, _NOT_FRAME).replace(b'""', b"")
    if b'"' in frame or b"\\" in frame:
        frame = _STRING.sub(b"", payload).translate(_ONLY_FRAME, _NOT_FRAME)
    for _ in range(MAX_DEPTH):
        shorter = frame.replace(b"[]", b"")
        if len(shorter) == len(frame):
            return False
        frame = shorter
    return b"[]" in frame
