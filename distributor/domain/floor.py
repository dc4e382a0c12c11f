"""The floor as the operator described it: teams, reps, pools and the flow settings.

These values come from the configuration file, enter the core as one ``FloorChanged`` event, and are
journalled with it: a decision can always be traced to the settings that it was made under.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

from distributor.domain.ids import NANOSECONDS


class TeamPlan(Struct, frozen=True):
    """A team: reps under one manager."""

    id: str
    manager: str | None = None
    timezone: str | None = None


class RepPlan(Struct, frozen=True):
    """A rep as configured. ``window`` and ``pace_seconds`` of None mean the floor's own values."""

    id: str
    team: str = "default"
    name: str = ""
    skills: tuple[str, ...] = ()
    weight: float = 1.0
    window: int | None = None
    pace_seconds: float | None = None


class PoolPlan(Struct, frozen=True):
    """A pool of waiting leads and the reps who may take them.

    Members are the reps listed in ``reps`` and those of the ``teams``; with neither, every rep. With
    ``skills``, a member must have all of them.
    """

    id: str
    teams: tuple[str, ...] = ()
    reps: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    policy: str | None = None
    dialer: str | None = None


class FlowPlan(Struct, frozen=True):
    """How leads flow. Durations are seconds of the floor's own time, see ``time_scale``.

    ``first_contact_seconds``: the speed-to-contact standard.
    ``lease_seconds``: an uncontacted lease ends at the latest after this.
    ``offline_grace_seconds``: after this an offline rep's uncontacted leads come back.
    ``window``: open leads a rep may have at a time; None: as many as the policies of its pools need.
    ``pace_seconds``: least time between two leads of one rep.
    ``wrap_up_seconds``: time after an ended call in which a rep receives nothing.
    ``call_limit_seconds``: a call of which no end is heard is taken for ended after this.
    ``waiting_limit_seconds``, ``working_limit_seconds``: after this a waiting lead, or one in work of
    which nothing more is heard, goes to the exception desk.
    ``recycle_seconds``: a lead parked as ``not_ready`` comes back after this.
    ``pool_limit``: waiting leads that one pool holds; beyond it intake answers "try later".
    ``accept_claims``: whether a claimed contact counts like a dialer's call record.
    ``clock_start``: ``received`` or ``submitted``, the start of the speed-to-contact clock.
    ``time_scale``: every duration above is divided by it.
    """

    policy: str = "lease"
    first_contact_seconds: float = 60.0
    lease_seconds: float = 600.0
    offline_grace_seconds: float = 0.0
    visible_throttle: bool = True
    time_scale: float = 1.0
    window: int | None = None
    pace_seconds: float = 0.0
    wrap_up_seconds: float = 0.0
    call_limit_seconds: float = 3600.0
    waiting_limit_seconds: float = 86_400.0
    working_limit_seconds: float = 604_800.0
    recycle_seconds: float = 1_209_600.0
    pool_limit: int = 1_000_000
    accept_claims: bool = False
    clock_start: str = "received"

    def span_ns(self, seconds: float) -> int:
        """A duration of the floor's time as wall-clock nanoseconds."""
        return _span_ns(seconds, self.time_scale)

    def floor_seconds(self, span_ns: int) -> float:
        """Wall-clock nanoseconds as seconds of the floor's time."""
        return span_ns * self.time_scale / NANOSECONDS


class Floor(Struct, frozen=True):
    """Everything the core is told about the floor.

    ``digest`` names the settings that are in here (a hash of their meaning); decisions refer to it.
    """

    digest: str
    teams: tuple[TeamPlan, ...] = ()
    reps: tuple[RepPlan, ...] = ()
    pools: tuple[PoolPlan, ...] = ()
    flow: FlowPlan = FlowPlan()

    def members(self, pool: PoolPlan) -> tuple[RepPlan, ...]:
        """The reps who may take leads of ``pool``, in the order of the configuration."""
        return tuple(rep for rep in self.reps if _is_member(rep, pool))

    def window_of(self, rep: RepPlan, needed: Mapping[str, int]) -> int:
        """How many open leads the rep may have: as configured, else the least that the policies of its
        pools need. ``needed``: policy name -> leads, of those that need more than 1."""
        configured = self.flow.window if rep.window is None else rep.window
        if configured is not None:
            return configured
        if not needed:
            return 1
        pools = [pool for pool in self.pools if _is_member(rep, pool)]
        return min((needed.get(pool.policy or self.flow.policy, 1) for pool in pools), default=1)


@lru_cache(maxsize=256)
def _span_ns(seconds: float, time_scale: float) -> int:
    """Several spans are asked for at every lead, always the same few."""
    return round(seconds * NANOSECONDS / time_scale)


def _is_member(rep: RepPlan, pool: PoolPlan) -> bool:
    named = rep.id in pool.reps or rep.team in pool.teams
    everybody = not pool.reps and not pool.teams
    return (named or everybody) and set(pool.skills) <= set(rep.skills)
