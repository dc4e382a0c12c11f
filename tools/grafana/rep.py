"""One rep, some, or a team: state, flow, pace, and what is in hand."""

from __future__ import annotations

from distributor.observe.metrics import SHOWN_STATES, THROTTLE_REASONS
from tools.grafana import panels as p
from tools.grafana import queries as q
from tools.grafana import style
from tools.grafana.board import Board, Row
from tools.grafana.limits import Limits, span
from tools.grafana.panels import Column, Placed

_CHOSEN = f"and on (job, instance, rep) {q.m('rep_throttle_ratio', q.PT)}"
"""Keeps the chosen team's reps, for metrics without the label ``team``."""
_TALL = 14
"""Rows of the panels that hold a team of eighteen."""


def rep(limits: Limits) -> Board:
    """The board."""
    return Board(
        name="rep",
        title="Distributor / Reps",
        about="One rep or a team: state, flow and why, pace, speed. Opened from the floor by a click on "
        "a name. With [metrics] per_rep = held_back only held-back reps have data here.",
        variables=("job", "team", "rep"),
        rows=(
            Row("Now", _now()),
            Row("Over time", _over_time()),
            Row("Work", _work(limits)),
            Row("The team", _team()),
        ),
    )


def _now() -> tuple[Placed, ...]:
    return (
        p.table_panel(
            "The reps now",
            "State, flow, why it is less than full and for how long, leads in hand and the most that are allowed, and the "
            "usual time from assignment to contact. Click a name to see that rep alone.",
            q.cell(f"min by (rep, team) ({q.m('rep_throttle_ratio', q.PT)})"),
            q.cell(f"max by (rep, state) (({q.m('rep_state', q.P)} == 1) {_CHOSEN})"),
            q.cell(f"max by (rep, reason) ({q.m('rep_throttle_reason_info', q.P)} {_CHOSEN})"),
            q.cell(f"max by (rep) ({q.m('rep_inflight_leads', q.PT)})"),
            q.cell(f"max by (rep) ({q.m('rep_window_leads', q.PT)})"),
            q.cell(f"max by (rep) ({q.m('rep_speed_to_contact_smoothed_seconds', q.P)} {_CHOSEN})"),
            q.cell(f"max by (rep) (time() - {q.m('rep_throttle_since_timestamp_seconds', q.PT)})"),
            columns=(
                Column("rep", "Rep", to_rep=True),
                Column("team", "Team"),
                Column("state", "State"),
                Column(
                    "Value #A",
                    "Flow",
                    style.RATIO,
                    colours=style.steps(style.BAD, (0.01, style.WARN), (1, style.GOOD)),
                ),
                Column(
                    "reason", "Why", mappings=(style.reason_words(),), absent="full flow", wide=200
                ),
                Column("Value #G", "For", style.SECONDS),
                Column("Value #D", "In hand", style.COUNT),
                Column("Value #E", "At most", style.COUNT),
                Column("Value #F", "Usual", style.SECONDS, absent="no contact yet"),
            ),
            join="rep",
            height=_TALL,
            sort="Rep",
            absent="no rep has series: see [metrics] per_rep",
        ),
    )


def _over_time() -> tuple[Placed, ...]:
    return (
        p.timeline_panel(
            "State",
            "What each rep was, as the dialer or the desktop reported it (paused: by a supervisor).",
            q.Query(_coded("rep_state", "state", SHOWN_STATES, f" {_CHOSEN}"), "{{rep}}"),
            mappings=(
                style.words(
                    {
                        str(code): (state, style.STATE_COLOURS[state])
                        for code, state in enumerate(SHOWN_STATES, 1)
                    }
                ),
            ),
            height=_TALL,
        ),
        p.timeline_panel(
            "Held back, and why",
            "A bar while the rep gets less than full flow, with the reason; nothing while flow is full. "
            "What lifts it: GET /v1/reps says it for each rep.",
            q.Query(
                _coded("rep_throttle_reason_info", "reason", THROTTLE_REASONS, f" {_CHOSEN}"),
                "{{rep}}",
            ),
            mappings=(
                style.words(
                    {
                        str(code): (style.REASON_WORDS[reason], style.REASON_COLOURS[reason])
                        for code, reason in enumerate(THROTTLE_REASONS, 1)
                    }
                ),
            ),
        ),
        p.lines_panel(
            "Flow",
            "100 % is full flow, 0 % none. It falls when the rep is slow to reach leads and comes back with "
            "quick contacts, by itself. Of a few reps: choose them above. More: docs/supervisors.md.",
            q.Query(f"min by (rep) ({q.m('rep_throttle_ratio', q.PT)})", "{{rep}}"),
            unit=style.RATIO,
            width=24,
            most=1,
        ),
    )


def _coded(name: str, label: str, values: tuple[str, ...], only: str) -> str:
    """A series for each rep whose value says which of ``values`` holds, counted from 1."""
    parts = [f"{q.m(name, q.P, **{label: value})} * {code}" for code, value in enumerate(values, 1)]
    return f"max by (rep) (({' or '.join(parts)}){only}) > 0"


def _work(limits: Limits) -> tuple[Placed, ...]:
    on_time = q.share(_grown("rep_contacts_total", on_time="true"), _grown("rep_contacts_total"))
    used = (
        f"max by (rep) ({q.m('rep_inflight_leads', q.PT)} / "
        f"clamp_min({q.m('rep_window_leads', q.PT)}, 1))"
    )
    return (
        p.bars_panel(
            "Share on time",
            "Of the rep's contacts in the shown time, those within "
            f"{span(limits.contact)} of the lead's arrival, or of its release for another call. A lead that "
            "had waited long before it came to the rep counts too: compare with the usual time.",
            q.now(f"sort({on_time})", "{{rep}}"),
            unit=style.RATIO,
            height=_TALL,
            colours=style.at_least(limits.target, limits.target / 2),
            most=1,
            absent="no contacts yet",
        ),
        p.bars_panel(
            "Leads given",
            "Leads assigned to the rep in the shown time: the pace. A rep with full flow and few leads is "
            "not ready often, or others come first.",
            q.now(f"sort_desc({_grown('rep_assignments_total')})", "{{rep}}"),
            unit=style.COUNT,
            height=_TALL,
            decimals=0,
            absent="no leads yet",
        ),
        p.bars_panel(
            "Leads in hand, of the most allowed",
            "At 100 % the rep gets nothing new until one is done: enough leads in hand. It is headroom, not "
            "a fault; at 100 % all day, look whether calls are reported as ended.",
            q.now(f"sort_desc({used})", "{{rep}}"),
            unit=style.RATIO,
            height=_TALL,
            most=1,
        ),
        p.lines_panel(
            "Usual time to contact",
            "From assignment to contact, smoothed over the rep's last contacts: what the throttle judges by. "
            "Above the limit for long, the rep gets fewer leads. Of a few reps: choose them above.",
            q.Query(
                f"max by (rep) ({q.m('rep_speed_to_contact_smoothed_seconds', q.P)} {_CHOSEN})",
                "{{rep}}",
            ),
            q.Query(q.limit(), "limit"),
            unit=style.SHORT_SECONDS,
            width=12,
            decimals=0,
            overrides=(p.as_limit("limit"),),
        ),
        p.counts_panel(
            "Contacts, on time and late",
            "Of the chosen reps together, in each two minutes (more where a day is shown). Late contacts "
            "are worth having: a late call beats none.",
            q.Query(_contacts("true"), "on time"),
            q.Query(_contacts("false"), "late"),
            width=12,
        ),
    )


def _grown(name: str, **equal: str) -> str:
    """By how much a counter of each chosen rep grew in the shown time."""
    return f"sum by (rep) (increase({q.m(name, q.P, **equal)}[{q.SHOWN}]) {_CHOSEN})"


def _contacts(on_time: str) -> str:
    of = q.m("rep_contacts_total", q.P, on_time=on_time)
    return f"sum(increase({of}[{q.RATE}]) {_CHOSEN})"


def _team() -> tuple[Placed, ...]:
    return (
        p.lines_panel(
            "Reps by state",
            "Where the reps of the chosen teams were. Many away at the same hour: plan the breaks.",
            *q.each("reps", q.T, "state", style.STATE_COLOURS),
            unit=style.COUNT,
            stacked=True,
            room=10,
            decimals=0,
        ),
        p.lines_panel(
            "Response of the team",
            "From assignment to the first attempt, nine in ten faster than this. For the shape; the share "
            "on time is what counts.",
            q.Query(q.quantile(0.9, "rep_response_seconds", q.T, "team"), "{{team}}"),
            q.Query(q.limit(), "limit"),
            unit=style.SHORT_SECONDS,
            decimals=0,
            overrides=(p.as_limit("limit"),),
        ),
        p.stat_panel(
            "Reps whose state nobody reports",
            "Reps at work of whom no dialer ever said busy or wrap-up: when they are free is guessed. Beside "
            "it the estimated share of the leads' value that this costs the floor. Let the dialer send "
            "agent states: docs/mqtt.md, docs/http.md.",
            q.now(f"sum({q.m('reps_without_state_reports', q.T)})", "reps"),
            q.now(f"max({q.m('unreported_state_cost_ratio')})", "costs"),
            unit=style.COUNT,
            width=8,
            height=8,
            colours=style.ZERO,
            overrides=(
                p.named(
                    "costs",
                    unit=style.RATIO,
                    decimals=1,
                    thresholds=style.steps(style.GOOD, (0.001, style.WARN)),
                ),
            ),
        ),
    )
