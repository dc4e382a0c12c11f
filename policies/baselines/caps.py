"""``cap_open`` and ``cap_uncontacted``: one queue and a fixed limit for everybody."""

from __future__ import annotations

from typing import ClassVar, Final

from distributor.domain.rep import Rep
from policies.baselines.central import CentralQueue, Uncontacted

OPEN_LEADS: Final = 2
UNCONTACTED_LEADS: Final = 1


class CapOpen(CentralQueue):
    """At most two open leads, uncontacted or in hand: one in the call and one behind it."""

    counted: ClassVar[str] = "open"

    def _used(self, rep: Rep) -> int:
        return len(rep.open)

    def _limit(self, rep: Rep, now_ns: int) -> int:
        return OPEN_LEADS


class CapUncontacted(Uncontacted):
    """At most one lead that was not contacted: the next comes with the contact, also during the call."""

    def _limit(self, rep: Rep, now_ns: int) -> int:
        return UNCONTACTED_LEADS
