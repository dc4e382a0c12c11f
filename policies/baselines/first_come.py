"""What the baselines share: the oldest lead first, into pipelines that hold as many as it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from distributor.domain.lead import Lead
from distributor.domain.policy import PoolView
from policies.push import SCANNED_LEADS, PushPolicy

PLENTY: Final = 1000
"""Open leads a rep may have: what limits them is the policy, or nothing."""


class FirstCome(PushPolicy):
    """Leads in the order of their age, whatever they are worth."""

    window: ClassVar[int] = PLENTY

    def _leads(self, pool: PoolView, now_ns: int) -> Iterator[Lead]:
        yield from pool.oldest(SCANNED_LEADS)
        if pool.waiting > SCANNED_LEADS:
            # The oldest are for reps who are not free: they must not hide what others may have.
            yield from sorted(pool.in_order(now_ns, SCANNED_LEADS), key=_age)


def _age(lead: Lead) -> tuple[int, str]:
    return lead.clock_ns, lead.key
