"""A rep as the core keeps it, and as policies read it."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from distributor.domain.ids import moment

RepState = Literal["ready", "busy", "wrap_up", "away", "offline"]
REP_STATES: Final[tuple[RepState, ...]] = ("ready", "busy", "wrap_up", "away", "offline")


FOREVER_NS: Final = 2**62
"""The end of a pause or an override that only a supervisor ends."""


class Flow(Struct, frozen=True, gc=False):
    """How much of the floor's flow a rep gets, and why: what the rep and the supervisor both see.

    ``value`` 1 is full flow, 0 none. ``reason`` is a code (``full_flow``, ``slow_contact``,
    ``full_pipeline``, ``paused``, ``manual``, ``warm_up``). ``because`` is one sentence with its
    numbers: what the rep gets, a colon, why. ``restores`` is one that says what brings the flow back.
    Both stay as they are until the flow changes again, so they name instants (``moment``) and no spans
    from now. ``since_ns`` is when this reason began. ``ignored``: the rep gets leads like everybody all
    the same, for the cause is not the rep.
    """

    value: float = 1.0
    reason: str = "full_flow"
    because: str = ""
    restores: str = ""
    since_ns: int = 0
    ignored: bool = False


class Rep(Struct, gc=False):
    """A rep's pipeline and presence. Only the core writes; policies read.

    ``open`` are the leads that take a slot, contacted or not (key -> True while uncontacted).
    ``state_at_ns`` is the newest event time of a presence; ``since_ns`` when the state began for us.
    ``sends_states``: whether a dialer reports busy or wrap-up for this rep, so that its ``ready`` can
    be believed to mean "free". ``free_from_ns``: pace or wrap-up ends then; ``wraps_up``: it is the
    wrap-up after a call that ends then. ``last_freed_ns``: when
    the rep last became able to receive. ``paused_until_ns``: 0 not paused, else
    until when by ``paused_by``. ``override``: a
    supervisor's flow for this rep until ``override_until_ns`` (None: none), set by ``override_by``.
    ``judged``: the policy's own flow when the override began, while no sign of life has changed it.
    ``share_due``: leads that an override between 0 and 1 makes the rep due, less those it had since;
    ``share_ns``: when another last had one of which this rep is due a part (``domain.shares``).
    """

    id: str
    team: str
    name: str = ""
    skills: tuple[str, ...] = ()
    weight: float = 1.0
    window: int = 1
    pace_ns: int = 0
    listed: bool = True
    state: RepState = "offline"
    state_at_ns: int = 0
    since_ns: int = 0
    state_reason: str = ""
    sends_states: bool = False
    open: dict[str, bool] = {}
    free_from_ns: int = 0
    last_assigned_ns: int = 0
    last_freed_ns: int = 0
    offline_due_ns: int = 0
    assignments: int = 0
    contacts: int = 0
    contacts_on_time: int = 0
    response_seconds: float = 0.0
    paused_until_ns: int = 0
    pause_reason: str = ""
    override: float | None = None
    override_until_ns: int = 0
    override_reason: str = ""
    flow: Flow = Flow()
    paused_since_ns: int = 0
    override_since_ns: int = 0
    override_by: str = ""
    judged: Flow = Flow()
    wraps_up: bool = False
    paused_by: str = ""
    share_due: float = 0.0
    share_ns: int = 0

    def flow_in_force(self, now_ns: int) -> Flow:
        """What the rep gets at ``now_ns``: nothing while paused, else the share that a supervisor set,
        else what the policy gives."""
        if self.paused_until_ns > now_ns:
            who = f" ({self.paused_by})" if self.paused_by else ""
            because = f"Paused by a supervisor{who}{_with(self.pause_reason)}."
            restores = _end(self.paused_until_ns, now_ns)
            return Flow(0.0, "paused", because, restores, self.paused_since_ns)
        return self.flow if self.override is None else self.by_hand(self.override, now_ns)

    def by_hand(self, share: float, now_ns: int) -> Flow:
        """The flow of a rep whom a supervisor gives this share."""
        who = f" ({self.override_by})" if self.override_by else ""
        because = f"Set to {share:.0%} by a supervisor{who}{_with(self.override_reason)}."
        restores = _end(self.override_until_ns, now_ns)
        return Flow(share, "manual", because, restores, self.override_since_ns)

    def state_in_force(self, now_ns: int) -> str:
        """``paused``, ``wrap_up`` while the time after a call lasts in which the rep gets nothing, else
        the state that was reported. Who is offline is offline."""
        if self.state != "offline" and self.paused_until_ns > now_ns:
            return "paused"
        if self.state == "ready" and self.wraps_up and self.free_from_ns > now_ns:
            return "wrap_up"
        return self.state

    @property
    def uncontacted(self) -> int:
        """Open leads that were not contacted yet."""
        return sum(self.open.values())


def _with(reason: str) -> str:
    return f": {reason}" if reason else ""


def _end(at_ns: int, now_ns: int) -> str:
    """What ends a pause or an override."""
    if not 0 < at_ns < FOREVER_NS:
        return "It ends when a supervisor resumes the rep."
    return f"It ends at {moment(at_ns, now_ns)}, or when a supervisor resumes the rep."
