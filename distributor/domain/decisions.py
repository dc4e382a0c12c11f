"""Everything we can decide. A decision is a fact: ``apply`` alone changes the core's state.

The first decision of every handled event is its answer (``LeadAccepted``, ``LeadDuplicate``,
``LeadRejected``, ``DeadLettered``, ``EventRecorded``, ...): intake makes its reply from it. Decisions
are compact arrays on disk (``array_like``): new fields are added at the end, with a default.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from distributor.domain.events import Channel
from distributor.domain.floor import Floor
from distributor.domain.lead import Evidence, Lead, LeadStatus
from distributor.domain.rep import Flow, RepState

EndCause = Literal[
    "rejected",
    "expired",
    "recalled",
    "rep_away",
    "rep_offline",
    "supervisor",
    "rep_removed",
    "closed",
    "parked",
    "delivery_failed",
    "waiting_limit",
    "working_limit",
]
"""Why an assignment ended. ``closed`` and ``parked`` come from a status and need no revocation."""

HoldKind = Literal[
    "no_pool",
    "all_refused",
    "waiting_limit",
    "working_limit",
    "delivery_failed",
]
ReleaseReason = Literal["callback_due", "recycled", "supervisor"]
EventOutcome = Literal["accepted", "stale", "duplicate", "rejected"]
WorkEndCause = Literal[
    "call_ended",
    "status",
    "agent_ready",
    "presumed",
    "call_limit",
    "unheard",
    "taken_back",
    "late",
]
"""Why a lead in hand left the pipeline. ``presumed``: a policy takes it for done. ``unheard``: a limit
ended it and nobody said how it went. ``taken_back``: somebody else's doing, it says nothing about the
rep. ``late``: its end is told after it had left; policies hear of that, no decision carries it."""


class _Fact(Struct, frozen=True, array_like=True, tag=True, tag_field="decision", gc=False):
    """How every decision is kept: as a compact array that begins with its name."""


class LeadAccepted(_Fact, frozen=True):
    """A new lead is ours. ``lead`` is its first record, state ``waiting``."""

    lead: Lead
    number: int
    channel: Channel
    submitted_ns: int = 0
    note: str = ""


class LeadDuplicate(_Fact, frozen=True):
    """The vendor sent this id before; ``lead_key`` is what it got then."""

    vendor: str
    vendor_id: str
    lead_key: str
    channel: Channel


class LeadRejected(_Fact, frozen=True):
    """No valid lead: final. With ``retryable`` nothing was kept and the vendor may try again."""

    vendor: str
    vendor_id: str
    reason: str
    channel: Channel
    retryable: bool = False


class DeadLettered(_Fact, frozen=True):
    """What could not be decoded is kept for operators."""

    topic: str
    reason: str
    payload: bytes
    truncated: bool


class EventRecorded(_Fact, frozen=True):
    """An event about a lead is on record; ``outcome`` says whether it counts."""

    event_id: str
    source: str
    type: str
    lead_key: str
    assignment_id: str
    rep: str
    at_ns: int
    outcome: EventOutcome
    reason: str = ""


class LeadRevived(_Fact, frozen=True):
    """A closed lead is back in memory because something arrived for it."""

    lead: Lead


class Assigned(_Fact, frozen=True):
    """A rep gets the lead, from now until the assignment ends.

    ``ranked``: the best candidates, best first, as (rep, score, note). ``passed_over``: verdict code
    -> reps that were not asked, at most 64 each; ``passed_over_counts`` has the full numbers.
    ``presumed_finished``: leads of this rep whose end was not reported and is inferred. ``dialer``: the
    pool's dialer at this time ("" = the default), which a revocation must reach as well.
    """

    lead_key: str
    assignment_id: str
    rep: str
    team: str
    pool: str
    policy: str
    attempt: int
    epoch: int
    at_ns: int
    contact_by_ns: int
    lease_expires_ns: int
    reason: str
    because: str
    numbers: dict[str, float] = {}
    ranked: tuple[tuple[str, float, str], ...] = ()
    passed_over: dict[str, tuple[str, ...]] = {}
    passed_over_counts: dict[str, int] = {}
    presumed_finished: tuple[str, ...] = ()
    probe: bool = False
    test: bool = False
    dialer: str = ""


class AssignmentEnded(_Fact, frozen=True):
    """A live assignment is over. ``revoke``: the receivers must be told (they did not end it).

    ``blame``: whether the end says something about the rep. ``excluded``: the rep is not asked again
    for this lead. The lead goes back to the pool unless ``cause`` is ``closed`` or ``parked``.
    ``untaken``: its dialer never had it and is not told, whoever else is.
    """

    lead_key: str
    assignment_id: str
    rep: str
    cause: EndCause
    at_ns: int
    revoke: bool
    blame: bool
    excluded: bool
    because: str
    numbers: dict[str, float] = {}
    by: str = ""
    dialer: str = ""
    untaken: bool = False


class DeliveryAccepted(_Fact, frozen=True):
    """The rep or the dialer took the assignment."""

    lead_key: str
    assignment_id: str
    rep: str


class AttemptRecorded(_Fact, frozen=True):
    """A dial was placed. ``response_seconds``: assignment to the first dial (None: a later one)."""

    lead_key: str
    rep: str
    at_ns: int
    result: str
    response_seconds: float | None = None


class ContactRecorded(_Fact, frozen=True):
    """A conversation began. ``counted``: the evidence sets ``contacted_at`` (first such contact only
    carries ``speed_seconds`` and ``response_seconds``). ``blameless``: no evidence about the rep.
    ``late``: older than what was said since, it moves nothing. ``doubted_ns``: the sender's own time, where
    it cannot be and our receipt stands in its place.
    """

    lead_key: str
    assignment_id: str
    rep: str
    team: str
    pool: str
    at_ns: int
    evidence: Evidence
    counted: bool
    deadline_ns: int
    speed_seconds: float | None = None
    response_seconds: float | None = None
    on_time: bool = False
    blameless: bool = False
    late: bool = False
    doubted_ns: int = 0


class StandardCounted(_Fact, frozen=True):
    """The speed-to-contact verdict of one lead, given once: at its contact or at the limit."""

    lead_key: str
    pool: str
    standard: str
    met: bool
    test: bool = False


class WorkEnded(_Fact, frozen=True):
    """The lead leaves the rep's pipeline (it may stay the rep's own)."""

    lead_key: str
    rep: str
    cause: WorkEndCause
    at_ns: int
    talk_seconds: float | None = None
    free_from_ns: int = 0


class StatusChanged(_Fact, frozen=True):
    """The lead's new status. ``correction``: the lead was closed already and stays so."""

    lead_key: str
    status: LeadStatus
    rep: str
    vendor: str
    at_ns: int
    deadline_ns: int = 0
    correction: bool = False
    note: str = ""
    value: float | None = None
    because: str = ""
    by: str = ""


class LeadHeld(_Fact, frozen=True):
    """A human must decide: the lead goes to the exception desk."""

    lead_key: str
    kind: HoldKind
    at_ns: int
    because: str


class LeadReleased(_Fact, frozen=True):
    """A lead that has no assignment (parked, held, closed, or in work still) waits in its pool again.
    ``prefers``: the rep asked first."""

    lead_key: str
    reason: ReleaseReason
    at_ns: int
    deadline_ns: int
    because: str
    prefers: str = ""
    by: str = ""


class LeadRerouted(_Fact, frozen=True):
    """A waiting lead goes on in another pool, because its own is no longer configured."""

    lead_key: str
    pool: str
    because: str


class LeaseRestarted(_Fact, frozen=True):
    """The clocks of a lease begin anew, because the rep could not have had the lead before, or could not
    be heard. ``blameless``: its end will say nothing of the rep either."""

    lead_key: str
    rep: str
    at_ns: int
    lease_expires_ns: int
    because: str
    blameless: bool = True


class LeadDeferred(_Fact, frozen=True):
    """A policy keeps a lead waiting on purpose, and says why."""

    lead_key: str
    pool: str
    reason: str
    because: str


class PresenceChanged(_Fact, frozen=True):
    """A rep's presence as we now hold it. An older report than the last known one changes nothing."""

    rep: str
    state: RepState
    at_ns: int
    source: str
    reason: str = ""
    offline_due_ns: int = 0


class RepControlled(_Fact, frozen=True):
    """A supervisor paused, resumed or overrode a rep (or that ended by time, ``who`` = ``time``)."""

    rep: str
    action: Literal["pause", "resume", "override", "override_ended"]
    who: str
    reason: str
    until_ns: int = 0
    flow: float | None = None


class FlowChanged(_Fact, frozen=True):
    """A rep's flow changed by a step, with why and what restores it."""

    rep: str
    flow: Flow
    numbers: dict[str, float] = {}


class MemoryRecorded(_Fact, frozen=True):
    """A policy's memory of one rep, or of the whole pool (``rep`` ""), as the policy encoded it."""

    pool: str
    rep: str
    memory: bytes


class TargetMarked(_Fact, frozen=True):
    """A delivery target is down (leads bound for it wait) or up again."""

    target: str
    up: bool
    reason: str


class FloorApplied(_Fact, frozen=True):
    """The settings in force from now on. ``windows``: how many open leads a rep may have at a time where
    the settings do not say, by policy; of those policies alone that need more than 1."""

    floor: Floor
    windows: dict[str, int] = {}


class EpochBegan(_Fact, frozen=True):
    """A process owns the journal from now on."""

    epoch: int
    version: str
    salt: str = ""


Decision = (
    LeadAccepted
    | LeadDuplicate
    | LeadRejected
    | DeadLettered
    | EventRecorded
    | LeadRevived
    | Assigned
    | AssignmentEnded
    | DeliveryAccepted
    | AttemptRecorded
    | ContactRecorded
    | StandardCounted
    | WorkEnded
    | StatusChanged
    | LeadHeld
    | LeadReleased
    | LeadRerouted
    | LeaseRestarted
    | LeadDeferred
    | PresenceChanged
    | RepControlled
    | FlowChanged
    | MemoryRecorded
    | TargetMarked
    | FloorApplied
    | EpochBegan
)
