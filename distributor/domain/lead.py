"""A lead's life: its states, the moves between them, and the record that the core keeps.

``LEAD_TRANSITIONS`` is the one table of what may happen; the diagram in ``docs/lead-life.md`` is
generated from it. ``distributor.core.lifecycle`` holds the one function that moves a lead.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

LeadState = Literal["waiting", "assigned", "working", "parked", "exception", "closed"]
LEAD_STATES: Final[tuple[LeadState, ...]] = (
    "waiting",
    "assigned",
    "working",
    "parked",
    "exception",
    "closed",
)

LeadStatus = Literal[
    "working",
    "callback",
    "qualified",
    "not_ready",
    "unqualified",
    "converted",
    "lost",
    "invalid",
    "dnc",
]

Move = Literal["assign", "return", "contact", "work", "park", "release", "hold", "close", "correct"]

LEAD_TRANSITIONS: Final[dict[LeadState, dict[Move, LeadState]]] = {
    "waiting": {
        "assign": "assigned",
        "contact": "working",
        "work": "working",
        "park": "parked",
        "hold": "exception",
        "close": "closed",
    },
    "assigned": {
        "return": "waiting",
        "contact": "working",
        "work": "working",
        "park": "parked",
        "hold": "exception",
        "close": "closed",
    },
    "working": {
        "contact": "working",
        "work": "working",
        "return": "waiting",
        "park": "parked",
        "release": "waiting",
        "hold": "exception",
        "close": "closed",
    },
    "parked": {
        "contact": "parked",
        "work": "working",
        "park": "parked",
        "release": "waiting",
        "hold": "exception",
        "close": "closed",
    },
    "exception": {
        "assign": "assigned",
        "contact": "working",
        "work": "working",
        "park": "parked",
        "release": "waiting",
        "close": "closed",
    },
    "closed": {"contact": "closed", "correct": "closed", "release": "waiting"},
}
"""state -> move -> next state. A move that is not listed is an ``ImpossibleMove`` and changes nothing."""

MOVE_MEANINGS: Final[dict[Move, str]] = {
    "assign": "a rep gets the lead",
    "return": "the lease ended: rejected, expired, recalled, rep away or offline",
    "contact": "a live conversation began",
    "work": "status working or qualified",
    "park": "status callback or not_ready",
    "release": "callback due, recycled, or decided by a supervisor",
    "hold": "no rule or rep can take it: a human decides",
    "close": "status converted, lost, invalid, dnc or unqualified",
    "correct": "a later status on a closed lead",
}

STATUS_MOVES: Final[dict[LeadStatus, Move]] = {
    "working": "work",
    "qualified": "work",
    "callback": "park",
    "not_ready": "park",
    "unqualified": "close",
    "converted": "close",
    "lost": "close",
    "invalid": "close",
    "dnc": "close",
}

Evidence = Literal["dialer", "claimed"]


class Lead(Struct, gc=False):
    """A lead as the core keeps it while it is open. Never changed in place: see ``changed``.

    ``key`` ours; ``vendor`` and ``vendor_id`` the vendor's name and its own id.
    ``quality`` is the weight of the lead's value (1 = average). ``body`` is the JSON text of what the
    rep needs to call. ``received_ns`` is our receipt. ``clock_ns``: since when it is urgent, at first the
    start of speed to contact; a lead that is released (a callback is due, a human recycles it) is as urgent
    as one that has just come, and ``first_clock_ns`` keeps where speed to contact began (0: ``clock_ns``
    still says it).
    ``attempt`` counts assignments; ``epoch`` grows with every end of an assignment, so that late
    answers can be told. ``assignment_id`` is set while an assignment is live. ``rep`` is the owner.
    ``last_rep`` and ``last_assignment`` name the last owner whose events still count though no assignment
    is live, or is another one of the same rep ("" where none); ``had_by`` who had the lead last, whatever ended that. ``in_pipeline``: takes
    one of the rep's slots.
    ``excluded``: reps who refused or let this lead lie, and are not asked again in this round.
    ``recalls``: leases ended without contact. ``blameless``: a fault of the dialer touched this
    lease, its clocks say nothing about the rep. ``standard``: the speed-to-contact verdict.
    ``deadline_ns``: when the present state ends by itself. ``reason`` and ``because``: why it is where
    it is. ``prefers``: a known relationship, asked first. ``dialer``: where its assignment went.
    ``call_ns``: when a conversation began under the present assignment (``contacted_ns``: the first ever).
    ``status_ns``: of what time the status in force is. ``parked_until_ns``: what ends a parked lead's rest;
    its ``deadline_ns`` is later while a call holds it. ``leased_ns``: when the assignment really began, where
    its clocks began anew (0: ``assigned_ns`` still says it).
    """

    key: str
    vendor: str
    vendor_id: str
    pool: str
    state: LeadState
    received_ns: int
    clock_ns: int
    quality: float = 1.0
    score: float | None = None
    status: LeadStatus | None = None
    body: bytes = b"{}"
    test: bool = False
    dialable: bool = True
    since_ns: int = 0
    attempt: int = 0
    epoch: int = 0
    rep: str = ""
    assignment_id: str = ""
    assigned_ns: int = 0
    deadline_ns: int = 0
    contact_by_ns: int = 0
    contacted_ns: int = 0
    claimed_ns: int = 0
    attempted_ns: int = 0
    in_pipeline: bool = False
    accepted: bool = False
    probe: bool = False
    blameless: bool = False
    recalls: int = 0
    excluded: tuple[str, ...] = ()
    last_rep: str = ""
    last_assignment: str = ""
    prefers: str = ""
    standard: Literal["", "met", "missed"] = ""
    reason: str = ""
    because: str = ""
    dialer: str = ""
    call_ns: int = 0
    first_clock_ns: int = 0
    had_by: str = ""
    status_ns: int = 0
    parked_until_ns: int = 0
    leased_ns: int = 0

    @property
    def speed_from_ns(self) -> int:
        """The start of speed to contact: a release does not change it."""
        return self.first_clock_ns or self.clock_ns

    @property
    def dialled(self) -> bool:
        """Whether a dial or a conversation of the present assignment is on record; a bare claim is neither."""
        return bool(self.attempted_ns or self.call_ns)

    @property
    def untouched(self) -> bool:
        """Whether it is with a rep and nothing shows, no claim either, that anybody began to call."""
        begun = self.attempted_ns or self.call_ns or self.claimed_ns
        return self.state == "assigned" and not begun
