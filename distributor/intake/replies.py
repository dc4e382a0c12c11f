"""The replies to vendors, from the engine's answers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from distributor.domain.decisions import (
    Decision,
    LeadAccepted,
    LeadDuplicate,
    LeadRejected,
)
from distributor.intake.messages import UnifiedReply

_encode = msgspec.json.Encoder().encode


def unified(answer: Decision) -> UnifiedReply:
    """The reply to one lead. What is no answer to a lead says that nothing was kept."""
    if isinstance(answer, LeadAccepted):
        lead = answer.lead
        return UnifiedReply("accepted", answer.note or None, lead.vendor_id, lead.key)
    if isinstance(answer, LeadDuplicate):
        return UnifiedReply("duplicate", None, answer.vendor_id, answer.lead_key)
    if isinstance(answer, LeadRejected):
        lead_id = answer.vendor_id or None
        if answer.retryable:
            return UnifiedReply("error", answer.reason, lead_id, None, True)
        return UnifiedReply("rejected", answer.reason, lead_id, None)
    return UnifiedReply("error", "nothing was kept; send it again", None, None, True)


def encode_replies(answers: Sequence[Decision], *, array: bool) -> bytes:
    """The reply to a payload as JSON: an array of replies in its order, or a single one."""
    replies = [unified(answer) for answer in answers]
    return _encode(replies if array else replies[0])
