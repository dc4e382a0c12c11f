"""Bodies that come compressed: ``Content-Encoding`` undone within the limit, or a problem.

Not left to the HTTP library: what it cannot decode, it answers in its own words or not at all, and
which codings it knows depends on what else is installed.
"""

from __future__ import annotations

import zlib

from distributor.intake.problems import Problem

CODINGS = "gzip, deflate"
_GZIP = 16 + zlib.MAX_WBITS
_ZLIB_METHOD = 8


def decoded(body: bytes, coding: str, limit: int) -> bytes:
    """``body`` without the ``coding`` that its header names.

    Raises ``Problem``: 415 for a coding that is not read here, 400 when the body is not of that
    coding or is cut off, 413 when it unpacks to more than ``limit`` bytes (0: no limit).
    """
    coding = coding.strip().lower()
    if coding in ("", "identity") or not body:
        return body
    if coding in ("gzip", "x-gzip"):
        return _unpacked(body, coding, _GZIP, limit)
    if coding == "deflate":
        # By the standard with a zlib head; many senders leave it out.
        bare = body[0] & 0x0F != _ZLIB_METHOD
        return _unpacked(body, coding, -zlib.MAX_WBITS if bare else zlib.MAX_WBITS, limit)
    detail = f"Content-Encoding: {coding[:64]} is not read here; send {CODINGS} or plain"
    raise Problem(415, detail, headers={"Accept-Encoding": CODINGS})


def _unpacked(body: bytes, coding: str, wbits: int, limit: int) -> bytes:
    unpacker = zlib.decompressobj(wbits)
    try:
        text = unpacker.decompress(body, limit + 1 if limit else 0)
    except zlib.error:
        text = b""
    if limit and len(text) > limit:
        raise Problem(413, f"the body unpacks to over {limit} bytes; send less at a time")
    if not unpacker.eof or unpacker.unused_data:
        detail = f"Content-Encoding: the body is no whole {coding}; send it so, or plain without it"
        raise Problem(400, detail)
    return text
