"""The rules that Prometheus evaluates: what is recorded, and what somebody is told about.

Made from the same settings as the daemon's; ``distributor rules`` writes them. Every alert has its
section in ``docs/runbooks.md``, of which the page that ``[alerts] runbooks`` names is a copy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from msgspec import Struct, field

from distributor.observe.burn import WINDOWS, Row, Severity, rows
from distributor.settings import AlertSettings, Settings

Scope = Literal["floor", "daemon"]

STALLED_SECONDS: Final = 0.25
SLOW_COMMIT_SECONDS: Final = 0.5
CLOCK_AHEAD_SECONDS: Final = 5.0
"""What NTP corrects of a sound clock is less."""
THROTTLED_SHARE: Final = 0.5
LEAST_REPS: Final = 2
"""One rep at work who is held back is one slow rep, not a shortage of people."""

_AT_WORK: Final = 'sum by (job, team) (distributor_reps{state=~"ready|busy|wrap_up"})'
_OURS: Final = "and on (job, instance) last_over_time(distributor_build_info"
"""How a target of Prometheus is known to be a daemon of ours, whatever its job is called."""

_EVENTS: Final = 'distributor_standard_events_total{standard="speed_to_contact"'
_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"))
_SPOKEN: Final = {"1h": "hour", "3h": "3 hours", "1d": "day"}


class Alert(Struct, frozen=True):
    """One alert rule. ``hold``: for so long the expression must be true (Prometheus' ``for``). ``scope``:
    whether the floor's manager or the operator of the daemon can do something. ``labels``: further ones.
    ``note``: a comment above it.
    """

    name: str
    expression: str
    hold: str
    severity: Severity
    scope: Scope
    summary: str
    labels: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


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
    """Every alert for these settings."""
    return [
        *_burns(settings),
        *_of_the_floor(settings.alerts),
        *_of_the_daemon(),
        *_of_the_peers(settings.alerts),
        *_of_the_machine(),
        *_of_the_settings(settings),
    ]


def text(settings: Settings) -> str:
    """The rules file, YAML."""
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
                f"{_SPOKEN[row.long]} were not contacted within {limit}: at least {row.factor:.4g} times "
                "what the month allows."
            ),
            labels={"long": row.long, "short": row.short},
            note=_capped(row) if row.capped else "",
        )


def _capped(row: Row) -> str:
    return (
        f"Nine leads in ten missed for the last {_SPOKEN[row.long]}: {row.budget:.2%} of the month's budget. "
        "More could hardly be missed in that time."
    )


def _burn(row: Row, least_leads: int) -> str:
    share = _number(row.threshold)
    return (
        f"{recorded(row.long)} > {share}\n"
        f"and {recorded(row.short)} > {share}\n"
        f"and on (job, queue) sum by (job, queue) (increase({_EVENTS}}}[{row.long}])) > {least_leads}"
    )


def _of_the_floor(limits: AlertSettings) -> list[Alert]:
    received = (
        'sum by (job, vendor) (increase(distributor_leads_received_total{vendor!="(other)"}[15m]'
    )
    return [
        Alert(
            "LeadUnassignedTooLong",
            "max by (job, queue) (distributor_queue_oldest_lead_age_seconds) > "
            f"{_number(limits.unassigned_seconds)}",
            "1m",
            "page",
            "floor",
            "{{ $labels.queue }}: a lead has been waiting for {{ $value | humanizeDuration }}, and nobody "
            "has it.",
        ),
        Alert(
            "EverybodyThrottled",
            "sum by (job, team) (distributor_reps_throttled)\n"
            f"/ {_AT_WORK} > {THROTTLED_SHARE:g}\n"
            f"and on (job, team) {_AT_WORK} >= {LEAST_REPS}",
            "5m",
            "page",
            "floor",
            "Team {{ $labels.team }}: {{ $value | humanizePercentage }} of the reps at work are ready and "
            "held back, which is a shortage of people and not one slow rep.",
        ),
        Alert(
            "ExceptionUndecided",
            "max by (job, kind) (distributor_exceptions_oldest_age_seconds) > "
            f"{_number(limits.exception_seconds)}",
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
            "sum by (job, channel) (increase(distributor_intake_dead_letters_total[12h])) > 0",
            "0s",
            "ticket",
            "floor",
            "Somebody sends by {{ $labels.channel }} what the daemon cannot read; leads may be among it.",
        ),
        Alert(
            "MessagesSetAside",
            "sum by (job, target) (delta(distributor_outbox_set_aside_messages[3d])) > 0",
            "0s",
            "ticket",
            "floor",
            "{{ $labels.target }} refused messages for good, or nobody knows whether it took them; a "
            "person must look at their leads.",
        ),
    ]


def _of_the_daemon() -> list[Alert]:
    return [
        Alert(
            "Down",
            f'up == 0 {_OURS}[1d])\nor up{{job="distributor"}} == 0',
            "1m",
            "page",
            "daemon",
            "The daemon at {{ $labels.instance }} does not answer: no lead is given out.",
        ),
        Alert(
            "DaemonRestarting",
            f"changes(process_start_time_seconds[15m]) > 2\n{_OURS}[15m])",
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
    ]


def _of_the_peers(limits: AlertSettings) -> list[Alert]:
    return [
        Alert(
            "PeerDisconnected",
            "min by (job, instance, peer) (distributor_intake_connected) == 0",
            "3m",
            "page",
            "daemon",
            "{{ $labels.peer }} has been away from {{ $labels.instance }} for minutes: what should come or "
            "go that way waits.",
        ),
        Alert(
            "OutboxStuck",
            "max by (job, target) (distributor_outbox_oldest_message_age_seconds) > "
            f"{_number(limits.outbox_seconds)}",
            "1m",
            "page",
            "daemon",
            "{{ $labels.target }} has not taken a message for {{ $value | humanizeDuration }}: reps may "
            "not hear of their leads.",
        ),
    ]


def _of_the_machine() -> list[Alert]:
    return [
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
            "ClockBehind",
            f"max by (job, instance) (distributor_clock_ahead_seconds) > {CLOCK_AHEAD_SECONDS:g}",
            "5m",
            "ticket",
            "daemon",
            "The clock of {{ $labels.instance }} was set back: the daemon's times are "
            "{{ $value | humanizeDuration }} ahead of it.",
        ),
    ]


def _of_the_settings(settings: Settings) -> list[Alert]:
    return [
        Alert(
            "ConfigRejected",
            "distributor_config_last_reload_successful == 0",
            "0s",
            "ticket",
            "daemon",
            "The newest settings are wrong and were refused; the ones before them are still in force.",
        ),
        _out_of_date(settings),
    ]


def _out_of_date(settings: Settings) -> Alert:
    """The daemon says itself what it promises; these rules were made for what the settings say."""
    exported = {
        "target_ratio": settings.standards.speed_to_contact.target,
        "limit_seconds": settings.flow.first_contact_seconds,
    }
    return Alert(
        "RulesOutOfDate",
        "\nor ".join(
            f'max by (job, instance) (distributor_standard_{name}{{standard="speed_to_contact"}}) '
            f"!= {_number(value)}"
            for name, value in exported.items()
        ),
        "10m",
        "ticket",
        "daemon",
        "{{ $labels.instance }} promises another target or limit than these rules were made for: run "
        "`distributor rules --output rules.yml` with its configuration, and reload Prometheus.",
    )


def _p99(histogram: str) -> str:
    buckets = f"distributor_{histogram}_bucket"
    return f"histogram_quantile(0.99, sum by (job, le) (rate({buckets}[5m])))"


def _span(seconds: float) -> str:
    """``60`` as "1 minute", ``45`` as "45 seconds", a long one in the largest unit that fits it whole."""
    number, unit = next(
        (
            (seconds / size, unit)
            for size, unit in _UNITS
            if seconds >= size and seconds % size == 0
        ),
        (seconds, "second"),
    )
    return f"{number:,.10g} {unit}{'' if number == 1 else 's'}"


def _number(value: float) -> str:
    """Exact, and without an exponent where people write none: the daemon exports the same."""
    return repr(float(value)).removesuffix(".0")


def _lines(settings: Settings) -> Iterator[str]:
    standards = settings.standards
    yield "# Made by distributor rules --output rules.yml"
    yield "# After a change of [standards], [alerts] or [flow], make it again and reload Prometheus."
    yield (
        f"# Speed to contact: {standards.speed_to_contact.target:.10g} of the leads within "
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
        yield from _alert(alert, settings.alerts.runbooks)


def _alert(alert: Alert, runbooks: str) -> Iterator[str]:
    if alert.note:
        yield f"      # {alert.note}"
    yield f"      - alert: {alert.name}"
    yield from _block("expr", alert.expression)
    yield f"        for: {alert.hold}"
    yield "        labels:"
    for name, value in {"severity": alert.severity, "scope": alert.scope, **alert.labels}.items():
        yield f"          {name}: {value}"
    yield "        annotations:"
    yield f"          summary: {json.dumps(alert.summary)}"
    yield f"          runbook_url: {json.dumps(f'{runbooks}#{alert.name.lower()}')}"


def _block(key: str, value: str) -> Iterator[str]:
    yield f"        {key}: |-"
    for line in value.split("\n"):
        yield f"          {line}"
