"""One HTTP request and its answer, or what it means that there is none."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

import aiohttp

from distributor.delivery.answers import Answer, Reply, retry_after
from distributor.delivery.templates import Request
from distributor.domain.dialers import WebhookPlan

MAX_ANSWER_BYTES: Final = 64 * 1024

_EXPIRED: Final = (9, 10)
_OTHER_NAME: Final = (62, 64)
"""OpenSSL's numbers of what is wrong with a certificate: its dates, its names. Anything else is about
who signed it."""


def open_session(plan: WebhookPlan) -> aiohttp.ClientSession:
    """The connections to a dialer."""
    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(_note_sent)
    # A server may close an idle connection just as a request goes out on it, and aiohttp repeats
    # some methods by itself then. Where a repeat is not welcome, every request has its own.
    fresh = plan.unknown_outcome != "repeat"
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=plan.concurrency, force_close=fresh),
        timeout=aiohttp.ClientTimeout(total=plan.timeout_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "distributor", "Accept-Encoding": "identity"},
        trust_env=False,
        trace_configs=[trace],
    )


async def exchange(
    session: aiohttp.ClientSession, request: Request, now_ns: Callable[[], int]
) -> Reply | Answer:
    """Send a request. Redirects are not followed."""
    sent: list[bool] = []
    try:
        async with session.request(
            request.method,
            request.url,
            headers=request.headers,
            data=request.body or None,
            allow_redirects=False,
            trace_request_ctx=sent,
        ) as response:
            text = await _read(response)
            headers = response.headers
            pause = retry_after(headers.get("Retry-After", ""), now_ns())
            return Reply(response.status, text, pause, headers.get("Location", ""))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return _no_answer(error, bool(sent))


def _no_answer(error: Exception, sent: bool) -> Answer:
    what = f"{type(error).__name__} {error}".strip()
    cause = type(error).__name__
    if sent:
        return Answer("unknown", f"no answer after the request was sent: {what}", 0.0, cause)
    # Its error is a ValueError as well, but says nothing against the request.
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Answer("failed", _certificate(error), 0.0, cause)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        remedy = "see that url names a port that speaks TLS, or begin it with http://"
        return Answer("failed", f"no TLS connection: {remedy}: {what}", 0.0, cause)
    if isinstance(error, ValueError):
        return Answer("misdirected", f"not a request: check url and headers: {what}", 0.0, cause)
    return Answer("failed", f"no connection: {what}", 0.0, cause)


def _certificate(error: aiohttp.ClientConnectorCertificateError) -> str:
    wrong = error.certificate_error
    code = getattr(wrong, "verify_code", 0)
    said = getattr(wrong, "verify_message", "") or str(wrong)
    if code in _OTHER_NAME:
        remedy = "name the host in url as its certificate does"
    elif code in _EXPIRED:
        remedy = "renew it there, and look at this machine's clock"
    else:
        remedy = "add who signed it to this machine's trusted CAs (or to the file in SSL_CERT_FILE)"
    return f"certificate of {error.host}:{error.port} not trusted: {said}; {remedy}"


async def _note_sent(
    _session: aiohttp.ClientSession,
    context: object,
    _params: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    context.trace_request_ctx.append(True)  # type: ignore[attr-defined]


async def _read(response: aiohttp.ClientResponse) -> str:
    """The first 64 KiB of the answer; the rest is not read."""
    parts = bytearray()
    while len(parts) < MAX_ANSWER_BYTES:
        part = await response.content.read(MAX_ANSWER_BYTES - len(parts))
        if not part:
            break
        parts += part
    return parts.decode("utf-8", "replace")
