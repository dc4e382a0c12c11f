"""What became of messages that did not reach their receiver, told to the core as events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from distributor.delivery.messages import receivers
from distributor.domain.events import DeliveryDelayed, DeliveryFailed
from distributor.runtime.inbox import Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from distributor.core.state import State
    from distributor.delivery.lanes import Item
    from distributor.delivery.messages import Routes
    from distributor.delivery.outbox import Outbox
    from distributor.domain.messages import Outgoing, Settlement
    from distributor.runtime.inbox import Inbox

log = structlog.get_logger(__name__)


class Undelivered:
    """Hears the outbox, and puts what follows from it into the inbox. ``routes``: those in force."""

    def __init__(self, inbox: Inbox, state: State, routes: Callable[[], Routes]) -> None:
        self._inbox = inbox
        self._state = state
        self._routes = routes

    def delayed(self, assignment_ids: Sequence[str], delivered: bool, reason: str) -> None:
        """Assignments did not reach their dialers at once."""
        if self._inbox.open:
            event = DeliveryDelayed(tuple(assignment_ids), delivered, reason)
            self._inbox.push(Submission([event]))

    def given_up(self, item: Item, settlement: Settlement) -> bool:
        """A dialer refused an assignment for good, or nobody knows whether it has it: a human decides
        about the lead. Also while we stop: the last commit takes it along."""
        message = item.message
        if not self._carries_assignment(message):
            return False
        doubtful = settlement.result == "in_doubt" or not item.untaken
        may_have_it = "may have it all the same, ask there first: " if doubtful else ""
        reason = f"{message.target}: {may_have_it}{settlement.error}"
        failed = DeliveryFailed(message.message_id, reason, hold=True, doubtful=doubtful)
        self._inbox.push(Submission([failed], settlement=settlement))
        return True

    def _carries_assignment(self, message: Outgoing) -> bool:
        """Whether its receiver is the one who calls: a dialer, or the rep's desktop where no dialer
        is told of the lead."""
        lead = self._state.leads.get(message.order_key)
        if message.kind != "lead" or lead is None:
            return message.kind == "assign"
        return not receivers(lead.dialer, lead, self._routes())[0]

    async def abandon_strangers(self, outbox: Outbox, targets: Sequence[str]) -> None:
        """Give up what waits for a dialer that is no longer configured: its leads go on elsewhere.
        ``targets``: all for whom something waits."""
        for target in targets:
            if target in outbox.targets:
                continue
            reason = f"dialer {target} is no longer configured"
            given_up = await outbox.abandon(target, reason)
            log.error("outbox_abandoned", target=target, messages=len(given_up), reason=reason)
            for message, settlement in given_up:
                events = []
                if message.kind == "assign":
                    events.append(DeliveryFailed(message.message_id, reason, hold=False))
                self._inbox.push(Submission(events, settlement=settlement))
