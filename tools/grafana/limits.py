"""The settings that colours and titles follow. Lines and targets are drawn from metrics instead."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from distributor.observe.burn import Row, rows
from distributor.settings import Settings


class Limits(Struct, frozen=True):
    """``contact``: seconds of the speed-to-contact standard; ``target``: the share to be contacted by
    then. ``unassigned``, ``outbox``, ``exception``: seconds after which an alert fires.
    ``burns``: the paces at which an alert on the month's budget fires.
    """

    contact: float
    target: float
    unassigned: float
    outbox: float
    exception: float
    burns: tuple[Row, ...]

    @property
    def contact_text(self) -> str:
        """The standard's limit in words, for titles."""
        return "the first minute" if self.contact == 60 else span(self.contact)


def limits(settings: Settings) -> Limits:
    """What the boards need of the settings."""
    promised, alerts = settings.standards, settings.alerts
    return Limits(
        contact=settings.flow.first_contact_seconds,
        target=promised.speed_to_contact.target,
        unassigned=alerts.unassigned_seconds,
        outbox=alerts.outbox_seconds,
        exception=alerts.exception_seconds,
        burns=rows(promised),
    )


_SPANS: Final = ((3600, "h"), (60, "min"), (1, "s"))


def span(seconds: float) -> str:
    """A duration in the largest unit that fits it whole: ``90 s``, ``2 min``."""
    for size, name in _SPANS:
        if seconds % size == 0:
            return f"{seconds / size:g} {name}"
    return f"{seconds:g} s"
