"""Everything that can happen to us: the inputs of the core, each journalled before it has an effect.

Events are compact arrays on disk (``array_like``): new fields are added at the end, with a default.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from distributor.domain.floor import Floor
from distributor.domain.lead import Evidence, Lead, LeadStatus
from distributor.domain.rep import RepState

LeadEventType = Literal["accepted", "rejected", "attempted", "contacted", "call_ended", "status"]
LEAD_EVENT_TYPES: tuple[LeadEventType, ...] = (
    "accepted",
    "rejected",
    "attempted",
    "contacted",
    "call_ended",
    "status",
)
Channel = Literal["mqtt", "http"]
SupervisorAction = Literal["pause", "resume", "override", "assign", "recycle", "close"]


class _Input(Struct, frozen=True, array_like=True, tag=True, tag_field="event", gc=False):
    """How every event is kept: as a compact array that begins with its name."""


class LeadReceived(_Input, frozen=True):
    """A vendor's valid lead.

    ``body``: JSON text of the cleaned lead. ``submitted_ns``: the vendor's own time, 0 unknown.
    ``dialable``: has a usable phone. ``note``: what was dropped while cleaning. ``original``: the key
    this vendor id got earlier, where the store knows it ("" otherwise). ``raw``: the item as it came,
    where it has more than ``body`` holds (unknown fields, a dropped phone or email).
    """

    vendor: str
    vendor_id: str
    received_ns: int
    channel: Channel
    body: bytes
    submitted_ns: int = 0
    score: float | None = None
    test: bool = False
    dialable: bool = True
    prefers: str = ""
    note: str = ""
    original: str = ""
    raw: bytes = b""


class LeadRefused(_Input, frozen=True):
    """A vendor's JSON object that is no valid lead. ``vendor_id`` is "" where there is none.
    ``original``: as of a lead received."""

    vendor: str
    vendor_id: str
    channel: Channel
    reason: str
    original: str = ""


class Undecodable(_Input, frozen=True):
    """Bytes that could not be decoded, or an item that means nothing to us: a dead letter.

    ``payload`` holds at most the first 64 KiB; ``truncated`` says whether there was more.
    """

    topic: str
    reason: str
    payload: bytes
    truncated: bool = False


class LeadEvent(_Input, frozen=True):
    """What a rep or a dialer reports about one lead.

    At least one of ``lead_key`` and ``assignment_id`` is set. ``source`` scopes ``event_id``.
    ``at_ns`` 0 means now. ``recalled``: a closed lead that the core no longer keeps in memory, as the
    store has it.
    """

    event_id: str
    source: str
    type: LeadEventType
    lead_key: str = ""
    assignment_id: str = ""
    rep: str = ""
    at_ns: int = 0
    reason: str = ""
    dialed: str = ""
    result: str = ""
    evidence: Evidence = "claimed"
    talk_seconds: float | None = None
    status: LeadStatus | None = None
    note: str = ""
    callback_ns: int = 0
    value: float | None = None
    recalled: Lead | None = None


class PresenceReported(_Input, frozen=True):
    """A rep's presence, from a desktop or a dialer. ``at_ns`` 0 means now. ``retained``: the broker
    repeats what it was told at some earlier time; without a time it only counts for a rep never heard of.
    """

    rep: str
    state: RepState
    source: str
    at_ns: int = 0
    reason: str = ""
    event_id: str = ""
    retained: bool = False


class SupervisorActed(_Input, frozen=True):
    """An action of a supervisor, with who, why and until when. ``recalled`` as in ``LeadEvent``."""

    action: SupervisorAction
    who: str
    reason: str
    rep: str = ""
    lead_key: str = ""
    until_ns: int = 0
    flow: float | None = None
    status: LeadStatus | None = None
    force: bool = False
    recalled: Lead | None = None


class DeliveryFailed(_Input, frozen=True):
    """Handing an assignment to its dialer is given up. ``hold``: another rep would fare no better (the
    dialer refused the lead itself), or might be the second to call, so a human decides. ``doubtful``:
    the dialer may have it all the same; False: it certainly has not, or is no longer there."""

    assignment_id: str
    reason: str
    hold: bool
    doubtful: bool = False


class DeliveryDelayed(_Input, frozen=True):
    """Assignments that did not reach their dialers at once. ``delivered``: they have by now; False: they
    still have not, for ``reason`` where it is known. Until then their reps could not call."""

    assignment_ids: tuple[str, ...]
    delivered: bool
    reason: str = ""


class TargetChanged(_Input, frozen=True):
    """A delivery target (a dialer) stopped or began to take messages again."""

    target: str
    up: bool
    reason: str = ""


class FloorChanged(_Input, frozen=True):
    """The settings in force from now on."""

    floor: Floor


class Started(_Input, frozen=True):
    """A process began to own the journal. ``epoch`` grows with each start; ``salt`` ends the lead keys
    that this process gives out, so that a store that was put back from a copy repeats none."""

    epoch: int
    version: str
    salt: str = ""


class StoodStill(_Input, frozen=True):
    """For so many seconds the process did not run, or (``jumped``) its clock was put forward by as much.
    What reps and dialers said meanwhile is not read yet."""

    seconds: float
    jumped: bool = False


class Ticked(_Input, frozen=True):
    """Time passed: deadlines that are due fire."""


Event = (
    LeadReceived
    | LeadRefused
    | Undecodable
    | LeadEvent
    | PresenceReported
    | SupervisorActed
    | DeliveryFailed
    | DeliveryDelayed
    | TargetChanged
    | FloorChanged
    | Started
    | StoodStill
    | Ticked
)
