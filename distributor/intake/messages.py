"""The inbound messages as they stand on the wire, and the reply that vendors get.

``docs/asyncapi.yaml`` and ``docs/openapi.yaml`` are generated from these types. A field that is
null counts as absent. Unknown fields are ignored.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from distributor.domain.events import LeadEventType
from distributor.domain.ids import NAME_PATTERN, NANOSECONDS
from distributor.domain.lead import Evidence, LeadStatus
from distributor.domain.rep import RepState

_INT64_MAX: Final = 2**63 - 1
_WEEK_SECONDS: Final = 604_800
LONGEST_REASON: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Text = Annotated[str, Meta(description="Text.")]
Name = Annotated[
    str,
    Meta(
        pattern=NAME_PATTERN,
        description="1 to 64 characters from A-Z a-z 0-9 . _ : -",
    ),
]
Reference = Annotated[str, Meta(min_length=1, max_length=64, description="A key that we gave out.")]
Instant = Annotated[
    datetime,
    Meta(tz=True, description="RFC 3339 with an offset, with or without fractions of a second."),
]
Reason = Annotated[str, Meta(max_length=LONGEST_REASON, description="Why.")]
Integer = Annotated[int, Meta(ge=-_INT64_MAX - 1, le=_INT64_MAX)]
Scalar = str | Integer | float | bool | None


class WireLead(Struct, gc=False, omit_defaults=True):
    """A lead from a vendor. ``id`` and at least one of ``phone`` and ``email`` are required."""

    id: Annotated[
        str | int,
        Meta(
            description="The vendor's own id: 1 to 255 printable ASCII characters, or an integer, "
            "which is taken as its decimal text. With the vendor it is the idempotency key."
        ),
    ]
    submitted_at: (
        Annotated[Instant, Meta(description="When the person asked, by the vendor's clock.")] | None
    ) = None
    first_name: Text | None = None
    last_name: Text | None = None
    phone: Annotated[str, Meta(description="Any usual spelling; kept as E.164.")] | None = None
    email: Text | None = None
    postal_code: Text | None = None
    state: Annotated[str, Meta(description="State or region.")] | None = None
    country: (
        Annotated[str, Meta(description="ISO 3166-1 code of two letters; default of the vendor.")]
        | None
    ) = None
    language: Annotated[str, Meta(description="Language code, such as es.")] | None = None
    product: Text | None = None
    segment: Text | None = None
    source: Text | None = None
    campaign: Text | None = None
    score: Annotated[float, Meta(description="The vendor's own score; a finite number.")] | None = (
        None
    )
    price: (
        Annotated[float | str, Meta(description="What the lead costs, in the vendor's currency.")]
        | None
    ) = None
    owner: (
        Annotated[str, Meta(description="Rep id of a known relationship; asked first.")] | None
    ) = None
    consent: (
        Annotated[
            dict[str, Any], Meta(description="What the person agreed to, as the vendor has it.")
        ]
        | None
    ) = None
    comments: Text | None = None
    attributes: (
        Annotated[
            dict[str, Scalar],
            Meta(description="More facts, each a scalar; rules use them by name."),
        ]
        | None
    ) = None
    test: (
        Annotated[bool, Meta(description="True: runs through everything, never dialled.")] | None
    ) = None


class WireEvent(Struct, gc=False):
    """What a dialer or a rep desktop reports. Repeats of an ``event_id`` are dropped.

    Names the lead by ``lead_key`` or ``assignment_id``, except for ``agent_state``, which names a
    ``rep`` and a ``state``.
    """

    event_id: Name
    type: LeadEventType | Literal["agent_state"]
    lead_key: Reference | None = None
    assignment_id: Reference | None = None
    rep: Name | None = None
    at: Instant | None = None
    reason: Text | None = None
    dialed: Annotated[str, Meta(description="attempted: the number dialled.")] | None = None
    result: (
        Annotated[
            str,
            Meta(
                description="attempted: no_answer, busy, machine, wrong_number, disconnected, ..."
            ),
        ]
        | None
    ) = None
    evidence: (
        Annotated[
            Evidence, Meta(description="contacted: a call record (dialer) or a click (claimed).")
        ]
        | None
    ) = None
    talk_seconds: (
        Annotated[float, Meta(ge=0, le=_WEEK_SECONDS, description="call_ended: seconds talked.")]
        | None
    ) = None
    status: Annotated[LeadStatus, Meta(description="status: the lead's new status.")] | None = None
    note: Text | None = None
    callback_at: (
        Annotated[Instant, Meta(description="status callback: when to call again.")] | None
    ) = None
    value: Annotated[float, Meta(description="status: what the lead is worth.")] | None = None
    state: Annotated[RepState, Meta(description="agent_state: the rep's state.")] | None = None


class WirePresence(Struct, gc=False):
    """A rep's presence. Without ``at`` it is of now; an older ``at`` than known is ignored."""

    state: RepState
    at: Instant | None = None
    reason: Reason | None = None
    rep: Annotated[str, Meta(description="Optional; must be the rep of the topic.")] | None = None


class UnifiedReply(Struct, frozen=True, gc=False):
    """The answer to one lead. ``rejected`` is final; ``error`` means that nothing was kept.

    ``reason`` says what was wrong, or what an accepted lead was kept without. ``lead_id`` is the
    vendor's id, ``lead_key`` ours (of a duplicate: the original one).
    """

    outcome: Literal["accepted", "duplicate", "rejected", "error"]
    reason: str | None
    lead_id: str | None
    lead_key: str | None
    retryable: bool = False


def moment_ns(moment: datetime) -> int:
    """An aware datetime as nanoseconds since the epoch, exact to the microsecond."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * NANOSECONDS + delta.microseconds * 1_000
