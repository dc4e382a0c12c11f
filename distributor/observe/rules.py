"""The rules that Prometheus evaluates: what is recorded, and what somebody is told about.

Made from the same settings as the daemon's; ``distributor rules`` prints them. Every alert has its
section in ``docs/runbooks.md``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from msgspec import Struct, field

from distributor.observe.burn import WINDOWS, Row, Severity, rows
from distributor.settings import AlertSettings, Settings

Scope = Literal["floor", "daemon"]

RUNBOOKS: Final = "docs/runbooks.md"

STALLED_SECONDS: Final = 0.25
SLOW_COMMIT_SECONDS: Final = 0.5
THROTTLED_SHARE: Final = 0.5
FEW_REPS: Final = 2
"""In a team of so few available reps half of them is one slow rep, not a shortage of people."""

_EVENTS: Final = 'distributor_standard_events_total{standard="speed_to_contact"'
_SPOKEN: Final = {"1h": "hour", "3h": "3 hours", "1d": "day"}


class Alert(Struct, frozen=True):
    """One alert rule. ``hold``: for so long the expression must be true (Prometheus' ``for``). ``scope``:
    whether the floor's manager or the operator of the daemon can do something. ``labels``: further ones.
    """

    name: str
    expression: str
    hold: str
    severity: Severity
    scope: Scope
    summary: str
    labels: Mapping[str, str] = field(default_factory=dict)


def recorded(window: str) -> str:
    """The name under which the share of missed leads of each pool over ``window`` is recorded."""
    return f"queue:distributor_speed_to_contact:miss_ratio_rate{window}"


def records() -> dict[str, str]:
    """Name -> expression of every recording rule."""
    return {
        recorded(window): (
            f'sum by (job, queue) (rate({_EVENTS}, result="missed"}}[{window}]))\n'
            f"/ sum by (job, queue) (rate({_EVENTS}}}[{window}]))"
        )
        for window in WINDOWS
    }


def alerts(settings: Settings) -> list[Alert]:
    """Every alert for these settings. Raises BadConfig where one could never fire."""
    return [*_burns(settings), *_of_the_floor(settings.alerts), *_of_the_daemon(settings.alerts)]


def text(settings: Settings) -> str:
    """The rules file, YAML. Raises BadConfig where an alert could never fire."""
    return "".join(f"{line}\n" for line in _lines(settings))


def _burns(settings: Settings) -> Iterator[Alert]:
    limit = _span(settings.flow.first_contact_seconds)
    for row in rows(settings.standards):
        yield Alert(
            name="SpeedToContactBudgetBurn",
            expression=_burn(row, settings.alerts.least_leads),
            hold=row.hold,
            severity=row.severity,
            scope="floor",
            summary=(
                "{{ $labels.queue }}: {{ $value | humanizePercentage }} of the leads of the last "
                f"{_SPOKEN[row.long]} were not contacted within {limit}: at least {row.factor:.3g} times "
                "what the month allows."
            ),
            labels={"long": row.long, "short": row.short},
        )


def _burn(row: Row, least_leads: int) -> str:
    share = f"{row.threshold:g}"
    return (
        f"{recorded(row.long)} > {share}\n"
        f"and {recorded(row.short)} > {share}\n"
        f"and on (job, queue) sum by (job, queue) (increase({_EVENTS}}}[{row.long}])) > {least_leads}"
    )


def _of_the_floor(limits: AlertSettings) -> list[Alert]:
    received = "sum by (job, vendor) (increase(distributor_leads_received_total[15m]"
    return [
        Alert(
            "LeadUnassignedTooLong",
            "max by (job, queue) (distributor_queue_oldest_lead_age_seconds) > "
            f"{limits.unassigned_seconds:g}",
            "1m",
            "page",
            "floor",
            "{{ $labels.queue }}: a lead has been waiting for {{ $value | humanizeDuration }}, and nobody "
            "has it.",
        ),
        Alert(
            "EverybodyThrottled",
            "avg by (job, team) (distributor_reps_throttled / clamp_min(distributor_reps_available, 1)) > "
            f"{THROTTLED_SHARE:g}\n"
            f"and on (job, team) sum by (job, team) (distributor_reps_available) > {FEW_REPS}",
            "5m",
            "page",
            "floor",
            "Team {{ $labels.team }}: {{ $value | humanizePercentage }} of the available reps are held "
            "back, which is a shortage of people and not one slow rep.",
        ),
        Alert(
            "ExceptionUndecided",
            "max by (job, kind) (distributor_exceptions_oldest_age_seconds) > "
            f"{limits.exception_seconds:g}",
            "0s",
            "ticket",
            "floor",
            "A lead has been waiting for {{ $value | humanizeDuration }} for a person to decide about it "
            "({{ $labels.kind }}).",
        ),
        Alert(
            "IntakeSilent",
            f"{received})) == 0\n"
            f"and on (job, vendor) {received} offset 1w)) > {limits.least_leads}",
            "5m",
            "page",
            "floor",
            "Vendor {{ $labels.vendor }} has sent nothing for 15 minutes; a week ago it sent more than "
            f"{limits.least_leads} leads in the same time.",
        ),
        Alert(
            "UnreadableMessages",
            "sum by (job, channel) (increase(distributor_intake_dead_letters_total[15m])) > 0",
            "0s",
            "ticket",
            "floor",
            "Somebody sends by {{ $labels.channel }} what the daemon cannot read; leads may be among it.",
        ),
        Alert(
            "MessagesSetAside",
            "sum by (job, target) (increase("
            'distributor_outbox_deliveries_total{result=~"dead|in_doubt"}[15m])) > 0',
            "0s",
            "ticket",
            "floor",
            "{{ $labels.target }} refused messages for good, or nobody knows whether it took them; a "
            "person must look at their leads.",
        ),
    ]


def _of_the_daemon(limits: AlertSettings) -> list[Alert]:
    return [
        Alert(
            "Down",
            'up{job="distributor"} == 0',
            "1m",
            "page",
            "daemon",
            "The daemon at {{ $labels.instance }} does not answer: no lead is given out.",
        ),
        Alert(
            "DaemonRestarting",
            'changes(process_start_time_seconds{job="distributor"}[15m]) > 2',
            "0s",
            "page",
            "daemon",
            "The daemon at {{ $labels.instance }} was started {{ $value }} times in 15 minutes: it fails "
            "again and again.",
        ),
        Alert(
            "LeadConservationBroken",
            "distributor_lead_conservation_difference != 0",
            "0s",
            "page",
            "daemon",
            "Leads unaccounted for: {{ $value }}; trust no figure before somebody has looked.",
        ),
        Alert(
            "PeerDisconnected",
            "max by (job, peer) (distributor_intake_connected) == 0",
            "3m",
            "page",
            "daemon",
            "{{ $labels.peer }} has been away for minutes: what should come or go that way waits.",
        ),
        Alert(
            "OutboxStuck",
            "max by (job, target) (distributor_outbox_oldest_message_age_seconds) > "
            f"{limits.outbox_seconds:g}",
            "1m",
            "page",
            "daemon",
            "{{ $labels.target }} has not taken a message for {{ $value | humanizeDuration }}: reps may "
            "not hear of their leads.",
        ),
        Alert(
            "DaemonLoopStalled",
            f"{_p99('event_loop_lag_seconds')} > {STALLED_SECONDS:g}",
            "5m",
            "page",
            "daemon",
            "The daemon is late with everything, by {{ $value | humanizeDuration }} or more once in a "
            "hundred times.",
        ),
        Alert(
            "StoreSlow",
            f"{_p99('store_commit_seconds')} > {SLOW_COMMIT_SECONDS:g}",
            "5m",
            "ticket",
            "daemon",
            "The disk is slow: one write in a hundred takes {{ $value | humanizeDuration }} or more, and "
            "every lead waits for its write.",
        ),
        Alert(
            "ConfigRejected",
            "distributor_config_last_reload_successful == 0",
            "0s",
            "ticket",
            "daemon",
            "The newest settings are wrong and were refused; the ones before them are still in force.",
        ),
    ]


def _p99(histogram: str) -> str:
    buckets = f"distributor_{histogram}_bucket"
    return f"histogram_quantile(0.99, sum by (job, le) (rate({buckets}[5m])))"


def _span(seconds: float) -> str:
    """``60`` as "1 minute", ``45`` as "45 seconds"."""
    whole = seconds >= 60 and seconds % 60 == 0
    number, unit = (seconds / 60, "minute") if whole else (seconds, "second")
    return f"{number:g} {unit}{'' if number == 1 else 's'}"


def _lines(settings: Settings) -> Iterator[str]:
    standards = settings.standards
    yield "# Made by `distributor rules`. After a change of [standards], [alerts] or [flow], make it again."
    yield (
        f"# Speed to contact: {standards.speed_to_contact.target:.4g} of the leads within "
        f"{_span(settings.flow.first_contact_seconds)}; open {standards.open_hours_per_month:g} hours a "
        f"month, {standards.open_hours_per_day:g} a day."
    )
    yield "groups:"
    yield "  - name: distributor-records"
    yield "    rules:"
    for name, expression in records().items():
        yield f"      - record: {name}"
        yield from _block("expr", expression)
    yield "  - name: distributor-alerts"
    yield "    rules:"
    for alert in alerts(settings):
        yield from _alert(alert)


def _alert(alert: Alert) -> Iterator[str]:
    yield f"      - alert: {alert.name}"
    yield from _block("expr", alert.expression)
    yield f"        for: {alert.hold}"
    yield "        labels:"
    for name, value in {"severity": alert.severity, "scope": alert.scope, **alert.labels}.items():
        yield f"          {name}: {value}"
    yield "        annotations:"
    yield f"          summary: {json.dumps(alert.summary)}"
    yield f"          runbook_url: {RUNBOOKS}#{alert.name.lower()}"


def _block(key: str, value: str) -> Iterator[str]:
    yield f"        {key}: |-"
    for line in value.split("\n"):
        yield f"          {line}"
