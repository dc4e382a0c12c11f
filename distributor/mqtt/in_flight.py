"""The publishes of one connection that the broker has not answered yet."""

from __future__ import annotations

import structlog

from distributor.mqtt.values import (
    NO_MATCHING_SUBSCRIBERS,
    PACKET_TOO_LARGE,
    ConnectionLost,
    LinkCounters,
    OnResult,
    PublishResult,
)

_FIRST_REFUSAL = 0x80
_RESULTS = {code: PublishResult(code) for code in (0x00, NO_MATCHING_SUBSCRIBERS)}
_LOG = structlog.get_logger("distributor.mqtt")


class InFlight:
    """Who waits for which packet's answer, and how large that packet is. ``limit_bytes``: the largest packet
    that the broker said it takes, 0 where it did not say."""

    def __init__(self, counters: LinkCounters) -> None:
        self.limit_bytes = 0
        self._counters = counters
        self._waiting: dict[int, tuple[OnResult, int]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, mid: int) -> bool:
        return mid in self._waiting

    def add(self, mid: int, on_result: OnResult, size: int) -> None:
        """A packet of ``size`` bytes was sent with the id ``mid``."""
        self._waiting[mid] = (on_result, size)

    def answered(self, mid: int, code: int) -> bool:
        """The broker's answer came. False: nobody waited for it."""
        found = self._waiting.pop(mid, None)
        if found is None:
            return False
        on_result, size = found
        if code == PACKET_TOO_LARGE:
            self.refuse(on_result, size)
        else:
            self._count(code)
            settle(on_result, _RESULTS.get(code) or PublishResult(code))
        return True

    def too_large(self, size: int) -> bool:
        """Whether the broker said that it does not take so many bytes."""
        return 0 < self.limit_bytes < size

    def refuse(self, on_result: OnResult, size: int) -> None:
        """Tell a publisher that the broker does not take a packet of this size."""
        self._counters.too_large_publishes += 1
        settle(on_result, PublishResult(PACKET_TOO_LARGE, size, self.limit_bytes))

    def refuse_largest(self) -> None:
        """The broker hangs up because a packet is too large. Whatever its limit is, the largest of those
        that it has not answered is above it."""
        if self._waiting:
            mid = max(self._waiting, key=lambda mid: self._waiting[mid][1])
            self.refuse(*self._waiting.pop(mid))

    def fail(self, reason: str, *, cut: bool) -> None:
        """The connection is lost, and all answers with it."""
        waiting, self._waiting = self._waiting, {}
        self._counters.lost_publishes += len(waiting)
        for on_result, _ in waiting.values():
            settle(on_result, ConnectionLost(reason, cut=cut))

    def _count(self, code: int) -> None:
        if code >= _FIRST_REFUSAL:
            self._counters.refused_publishes += 1
            return
        self._counters.published += 1
        if code == NO_MATCHING_SUBSCRIBERS:
            self._counters.unheard_publishes += 1


def settle(on_result: OnResult, result: PublishResult | ConnectionLost) -> None:
    """Tell the publisher. It is called from the library's read loop, which must not break."""
    try:
        on_result(result)
    except Exception:  # noqa: BLE001
        _LOG.exception("mqtt_result_handler_failed")
