"""The standard: its budget, how fast it burns, what was missed, and the exception desk."""

from __future__ import annotations

from typing import get_args

from distributor.domain.decisions import HoldKind
from distributor.observe import burn
from distributor.observe.rules import recorded
from tools.grafana import panels as p
from tools.grafana import queries as q
from tools.grafana import style
from tools.grafana.board import Board, Row
from tools.grafana.limits import Limits, span
from tools.grafana.panels import Column, Placed

_ALL_LEADS = f"{q.S}, {q.STANDARD}"
_MISSED = f'{_ALL_LEADS}, result="missed"'
_KINDS = get_args(HoldKind)


def sla(limits: Limits) -> Board:
    """The board."""
    return Board(
        name="sla",
        title="Distributor / Standard and exceptions",
        about="The promise to contact leads in time: what is left of the month's budget of missed leads, "
        "how fast it goes, and what waits for a human.",
        variables=("job", "queue"),
        since="now-6h",
        refresh="30s",
        rows=(
            Row("Budget", _budget(limits)),
            Row("Missed leads", _missed(limits)),
            Row("Exceptions and overrides", _exceptions(limits)),
        ),
    )


def _budget(limits: Limits) -> tuple[Placed, ...]:
    allowed = f"(1 - {q.target()})"
    month = q.share(
        q.grown("standard_events_total", _MISSED, over=q.MONTH),
        q.grown("standard_events_total", _ALL_LEADS, over=q.MONTH),
    )
    shown = q.share(
        q.grown("standard_events_total", _MISSED), q.grown("standard_events_total", _ALL_LEADS)
    )
    return (
        p.stat_panel(
            "Budget left, 30 days",
            "The target allows a share of leads to be missed; this much of it is left over the last 30 "
            "days. Below 0 the month's promise is broken. Prometheus must keep 30 days for it "
            "(--storage.tsdb.retention.time); with less it says what the kept days say.",
            q.now(f"1 - {month} / {allowed}"),
            unit=style.RATIO,
            width=5,
            colours=style.at_least(0.25, 0),
            absent="no leads yet",
        ),
        p.stat_panel(
            f"Contacted in {limits.contact_text}",
            "Share of the leads whose verdict fell in the shown time; beside it the target.",
            q.now(f"1 - {shown}", "shown time"),
            q.now(q.target(), "target"),
            unit=style.RATIO,
            width=6,
            colours=style.at_least(limits.target, max(0.0, 1 - 2 * (1 - limits.target))),
            overrides=(p.named("target", color=style.fixed(style.QUIET)),),
            absent="no leads yet",
        ),
        p.stat_panel(
            "The standard",
            "Seconds from a lead's arrival in which it should be contacted: [flow] first_contact_seconds of "
            "the daemon that runs.",
            q.now(q.limit(), "limit"),
            unit=style.SECONDS,
            width=4,
        ),
        p.table_panel(
            "Alerts that fire",
            "What Prometheus says is wrong with the daemons and their floors now, of every kind. What each means and what to do: "
            "the runbooks (runbooks.md).",
            q.cell(
                'sum by (alertname, severity, queue) (ALERTS{alertstate="firing", job=~"$job"} '
                f"and on (job) last_over_time({q.m('build_info')}[{q.SEEN}]))"
            ),
            columns=(
                Column("alertname", "Alert"),
                Column("severity", "Severity"),
                Column("queue", "Pool"),
            ),
            width=9,
            height=5,
            absent="nothing fires",
        ),
        *map(_burn_panel, limits.burns),
    )


def _burn_panel(row: burn.Row) -> Placed:
    """How fast the budget burns over a long window and a short one, with the line of the alert."""
    allowed = f"(1 - max by (job) ({q.m('standard_target_ratio', q.ON_TIME)}))"
    return p.lines_panel(
        f"Burn rate: {row.long} and {row.short}",
        f"1 is the pace that the month allows, more spends it early. With both lines above {row.factor:.3g} "
        f"for {row.hold} a {row.severity} is sent: {row.long} says that it matters, {row.short} that it "
        "still goes on. Needs the recording rules. What to do: the runbooks (runbooks.md).",
        *(
            q.Query(
                f"{recorded(window)}{{{q.S}}} / on (job) group_left () {allowed}",
                f"{{{{queue}}}} {window}",
            )
            for window in (row.long, row.short)
        ),
        unit=style.TIMES,
        overrides=(
            p.of_query("A", color=style.fixed(style.GOOD)),
            p.of_query("B", color=style.fixed(style.SKY)),
        ),
        colours=style.steps("transparent", (round(row.factor, 2), style.BAD)),
    )


def _missed(limits: Limits) -> tuple[Placed, ...]:
    return (
        p.counts_panel(
            "Verdicts",
            "Leads whose verdict fell in each two minutes (more where a day is shown): met within "
            f"{span(limits.contact)}, or missed. Every lead gets one, at its contact or at the limit.",
            q.Query(q.counts("standard_events_total", _ALL_LEADS, "result"), "{{result}}"),
            words=("met", "missed"),
        ),
        p.counts_panel(
            "Missed by pool",
            "Leads that nobody reached within the limit, in each two minutes (more where a day is shown). "
            "One pool above the others: it has too few reps for its leads.",
            q.Query(q.counts("standard_events_total", _MISSED, "queue"), "{{queue}}"),
        ),
        p.counts_panel(
            "Stages reached",
            "Leads that reached a stage of an SLA, in each two minutes (more where a day is shown). missed: "
            "the limit passed without a contact.",
            q.Query(q.counts("sla_stage_total", q.J, "sla, stage"), "{{sla}}: {{stage}}"),
            words=("missed",),
        ),
    )


def _exceptions(limits: Limits) -> tuple[Placed, ...]:
    return (
        p.bars_panel(
            "Open cases",
            "Leads on the exception desk, by why. no_pool: no pool takes it; all_refused: everybody signed "
            "on was asked; waiting_limit, working_limit: nothing happened for too long; delivery_failed: a "
            "dialer refused it, or did not say.",
            q.now(f"sum by (kind) ({q.m('exceptions_open')})", "{{kind}}"),
            unit=style.COUNT,
            colours=style.ZERO,
        ),
        p.lines_panel(
            "Oldest case",
            "How long the oldest open case of each kind has waited for a human. From "
            f"{span(limits.exception)} on an alert fires. Decide: POST /v1/leads/{{lead_key}}/assign, "
            "recycle or close.",
            q.Query(f"max by (kind) ({q.m('exceptions_oldest_age_seconds')}) / 60", "{{kind}}"),
            unit=style.MINUTES,
            width=11,
            decimals=0,
            words=_KINDS,
            colours=style.steps("transparent", (limits.exception / 60, style.BAD)),
        ),
        p.stat_panel(
            "Time to a decision",
            "Nine in ten cases that left the desk in the shown time were decided within this.",
            q.now(q.quantile_shown(0.9, "exception_decision_seconds")),
            unit=style.SECONDS,
            width=5,
            height=8,
            colours=style.at_most(limits.exception / 2, limits.exception),
            absent="none yet",
        ),
        p.counts_panel(
            "Cases opened and decided",
            "In each two minutes (more where a day is shown), by what became of them. Opened above the "
            "rest for long: the desk does not keep up.",
            q.Query(q.counts("exceptions_total", q.J, "result"), "{{result}}"),
            width=12,
            words=("opened", "assigned", "recycled", "closed"),
            apart=True,
        ),
        p.bars_panel(
            "Supervisors' actions",
            "Pauses, overrides, and decisions about leads in the shown time, done or refused. When they "
            "were: the marks across all boards.",
            q.now(
                q.tally("operator_actions_total", q.J, "action, result"), "{{action}}: {{result}}"
            ),
            unit=style.COUNT,
            width=12,
            decimals=0,
            absent=p.NONE,
        ),
    )
