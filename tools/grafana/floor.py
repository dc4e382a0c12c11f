"""The floor's wallboard: what a supervisor of forty reps looks at all day."""

from __future__ import annotations

from distributor.observe.metrics import DEFERRAL_REASONS
from distributor.observe.rep_lines import AT_WORK
from distributor.observe.rules import THROTTLED_SHARE, recorded
from tools.grafana import panels as p
from tools.grafana import queries as q
from tools.grafana import style
from tools.grafana.board import Board, Row
from tools.grafana.limits import Limits, span
from tools.grafana.panels import Column, Placed

_RECENT = "15m"
_ACCEPTED = f'{q.J}, result="accepted"'
_NOT_ACCEPTED = f'{q.J}, result!="accepted"'
_ALL_LEADS = f"{q.S}, {q.STANDARD}"
_MISSED = f'{_ALL_LEADS}, result="missed"'
_NOT_CLOSED = f'{q.J}, state!="closed"'
_ENOUGH = "full_pipeline"
_AT_WORK = f'{q.T}, state=~"{"|".join(AT_WORK)}"'
_THROTTLED = f'{q.J}, reason!="{_ENOUGH}"'
_MIDDLE = 9
"""Rows of the panels that hold ten bars."""


def floor(limits: Limits) -> Board:
    """The board."""
    return Board(
        name="floor",
        title="Distributor / Floor",
        about="The floor now: are leads called in time, does one wait, who is held back and why. "
        "Made for a screen on the wall; click a rep for the rep's own board.",
        variables=("job", "queue", "team"),
        since="now-1h",
        refresh="5s",
        rows=(
            Row("Now", _now(limits)),
            Row("Who is held back, and why", _held_back(limits)),
            Row("How it goes", _trend(limits)),
        ),
    )


def _now(limits: Limits) -> tuple[Placed, ...]:
    return (*_promise(limits), *_work(limits))


def _promise(limits: Limits) -> tuple[Placed, ...]:
    """Whether the figures are of now, and whether the promise is kept."""
    target = style.at_least(limits.target, max(0.0, 1 - 2 * (1 - limits.target)))
    waits = style.at_most(limits.contact, limits.unassigned)
    contacted = q.share(
        q.grown("standard_events_total", _MISSED), q.grown("standard_events_total", _ALL_LEADS)
    )
    return (
        p.stat_panel(
            "Daemon",
            "Whether the daemon answers Prometheus. down, or no data: nothing on this board is of now; see "
            "the daemon's board.",
            q.now(f"min({q.up()})"),
            unit="none",
            width=2,
            colours=style.steps(style.BAD, (1, style.GOOD)),
            mappings=(style.UP,),
        ),
        p.stat_panel(
            f"In {limits.contact_text}",
            f"Of the leads whose verdict fell in the last {_RECENT}, the share that a rep reached within "
            f"{span(limits.contact)} of their arrival; a lead that nobody reached counts as missed at the "
            "limit. Beside it the target. Below the target: look at the longest waiting lead and at who is "
            "held back. More: docs/supervisors.md.",
            q.now(f"1 - {contacted}", "now"),
            q.now(q.target(), "target"),
            unit=style.RATIO,
            width=5,
            colours=target,
            last=_RECENT,
            overrides=(p.named("target", color=style.fixed(style.QUIET)),),
            absent="no leads yet",
        ),
        p.stat_panel(
            "Longest waiting lead",
            "How long the lead without a rep that waits longest has waited, beside the standard's limit; one "
            "that is released for another call counts from then. "
            f"From {span(limits.unassigned)} on an alert fires. Nobody ready: call people in or resume "
            "those who are paused; reps ready and it still grows: see Intake, Where leads go.",
            q.now(f"max({q.m('queue_oldest_lead_age_seconds', q.S)})", "now"),
            q.now(q.limit(), "limit"),
            unit=style.SHORT_SECONDS,
            decimals=0,
            colours=waits,
            overrides=(p.named("limit", color=style.fixed(style.QUIET)),),
        ),
    )


def _work(limits: Limits) -> tuple[Placed, ...]:
    """Leads and the people for them, and what went wrong."""
    return (
        p.stat_panel(
            "Leads waiting, and at a rep",
            "waiting: leads without a rep, of the chosen pools. at a rep: leads that a rep has and has not "
            "reached yet, of all pools and teams whatever is chosen, test leads among them. Many waiting "
            "with reps ready is a fault; many at reps means that people are slow to dial.",
            q.now(f"sum({q.m('queue_leads', q.S)})", "waiting"),
            q.now(f"sum({q.m('leads_in_state', q.J, state='assigned')})", "at a rep"),
            unit=style.COUNT,
        ),
        p.stat_panel(
            "Cases for a human",
            "Leads on the exception desk: nobody could be given them, or a dialer refused them. They wait "
            "until somebody assigns, recycles or closes them (GET /v1/exceptions). Beside it the age of the "
            f"oldest; from {span(limits.exception)} on an alert fires.",
            q.now(f"sum({q.m('exceptions_open')})", "open"),
            q.now(f"max({q.m('exceptions_oldest_age_seconds')}) / 60", "oldest, minutes"),
            unit=style.COUNT,
            colours=style.ZERO,
            overrides=(
                p.named(
                    "oldest, minutes",
                    decimals=0,
                    thresholds=style.at_most(limits.exception / 120, limits.exception / 60),
                ),
            ),
        ),
        p.stat_panel(
            "Reps",
            "Reps who are ready and not paused; and of the reps at work (ready, in a call, after one) the "
            "share that is ready and gets less than full flow. More than half held back means that the floor "
            "is short of people, not that one rep is slow.",
            q.now(f"sum({q.m('reps_available', q.T)})", "ready"),
            q.now(_throttled_share(), "held back"),
            unit=style.COUNT,
            width=3,
            overrides=(
                p.named(
                    "held back",
                    unit=style.RATIO,
                    decimals=0,
                    thresholds=style.at_most(0.001, THROTTLED_SHARE),
                ),
            ),
        ),
        p.stat_panel(
            "Missed",
            "Leads of the shown time that nobody reached within the limit. Each is counted once, at the "
            "limit, also when it is reached later. By pool: the board on the standard.",
            q.now(q.grown("standard_events_total", _MISSED), "missed"),
            unit=style.COUNT,
            width=2,
            colours=style.ZERO,
            decimals=0,
        ),
    )


def _held_back(limits: Limits) -> tuple[Placed, ...]:
    held = q.held_back(q.T)
    return (
        p.bars_panel(
            "Reps by state",
            "Where everybody is. paused: a supervisor's doing; away and offline: as the dialer or the rep's "
            "desktop reports; wrap_up: after a call.",
            *q.each("reps", q.T, "state", style.STATE_COLOURS, instant=True),
            unit=style.COUNT,
            width=7,
            height=9,
            overrides=tuple(map(style.colour_of, style.STATE_COLOURS)),
        ),
        _held_back_table(held),
        p.bars_panel(
            "Slowest ten",
            "Of the reps with contacts in the shown time, the ten with the smallest share on time. Few "
            "contacts make a rough number: look at the rep's board before you speak to somebody.",
            q.now(f"sort(bottomk(10, {_on_time()}))", "{{rep}}"),
            unit=style.RATIO,
            height=_MIDDLE,
            colours=style.at_least(limits.target, limits.target / 2),
            most=1,
            absent="no contacts yet",
            to_rep=True,
        ),
        p.lines_panel(
            "Leads that passed over a held-back rep",
            "How often each minute a lead went to somebody else because a rep was held back by the throttle, "
            "or paused. It costs nothing while others are ready. Reps who have enough leads in hand are "
            "passed over all the time and are not in it. Why each rep is held back: the board on reps.",
            q.Query(
                f"{q.per_minute('throttle_deferrals_total', _THROTTLED, 'reason')} and "
                f"{q.happened('throttle_deferrals_total', _THROTTLED, 'reason')}",
                "{{reason}}",
            ),
            unit=style.PER_MINUTE,
            height=_MIDDLE,
            overrides=[style.reason(code) for code in DEFERRAL_REASONS if code != _ENOUGH],
            room=1,
            absent="nobody passed over, or no daemon: see Daemon above",
        ),
        p.lines_panel(
            "Share of reps at work held back",
            "By team, of the reps who are ready, in a call or after one: the share that is ready and gets less "
            "than full flow. Above a half for some minutes an alert fires: the floor is short of people. A "
            "single rep shows in the table above.",
            q.Query(_throttled_share("team"), "{{team}}"),
            unit=style.RATIO,
            height=_MIDDLE,
            colours=style.steps("transparent", (THROTTLED_SHARE, style.BAD)),
            most=1,
        ),
    )


def _held_back_table(held: str) -> Placed:
    """A row for each rep at work with less than full flow."""
    usual = q.m("rep_speed_to_contact_smoothed_seconds")
    return p.table_panel(
        "Held back: who, why, for how long",
        "Reps at work with less than full flow. Flow: 100 % is full, 0 % gets nothing. For: how "
        "long the reason has held. Usual: seconds from "
        "assignment to contact over the last contacts; a rep who is slow gets back by reaching leads "
        "quickly. Paused or set by a supervisor: only a supervisor lifts it. Click the name for the rep's "
        "board; GET /v1/reps has the sentence with the numbers. More: docs/supervisors.md.",
        q.cell(f"min by (rep, team) ({held})"),
        q.cell(
            f"max by (rep, reason) ({q.m('rep_throttle_reason_info')} and on (job, instance, rep) "
            f"({held}))"
        ),
        q.cell(
            f"max by (rep) ((time() - {q.m('rep_throttle_since_timestamp_seconds', q.T)}) "
            f"and on (job, instance, rep) ({held}))"
        ),
        q.cell(f"max by (rep) ({usual} and on (job, instance, rep) ({held}))"),
        q.cell(
            f"max by (rep) ({q.m('rep_inflight_leads', q.T)} and on (job, instance, rep) ({held}))"
        ),
        columns=(
            Column("rep", "Rep", to_rep=True),
            Column("team", "Team"),
            Column("reason", "Why", mappings=(style.reason_words(),), wide=200),
            Column(
                "Value #A",
                "Flow",
                style.RATIO,
                colours=style.steps(style.BAD, (0.01, style.WARN), (1, style.GOOD)),
            ),
            Column("Value #C", "For", style.SECONDS),
            Column("Value #D", "Usual", style.SECONDS, absent="no contact yet"),
            Column("Value #E", "In hand", style.COUNT),
        ),
        join="rep",
        width=17,
        height=9,
        sort="Flow",
        absent="nobody held back, or no series of reps: see Daemon above",
    )


def _trend(limits: Limits) -> tuple[Placed, ...]:
    pools = f"{recorded('15m')}{{{q.S}}}"
    contacts = q.m("speed_to_contact_seconds_count", q.S)
    return (
        p.lines_panel(
            "Speed to contact",
            "From a lead's arrival to the contact, of the leads that were reached: half were faster than "
            "the lower line, nine in ten faster than the upper. Leads that nobody reached are not in it; "
            "the share in time is above.",
            q.Query(q.quantile(0.5, "speed_to_contact_seconds", q.S), "half"),
            q.Query(q.quantile(0.9, "speed_to_contact_seconds", q.S), "nine in ten"),
            q.Query(q.limit(), "limit"),
            unit=style.SHORT_SECONDS,
            decimals=0,
            overrides=(p.as_limit("limit"),),
        ),
        p.heat_panel(
            "Spread of the speed to contact",
            "How many leads were reached after how long. Two bands mean two kinds of work: look for a team "
            "or a pool that is slower than the others.",
            q.cells("speed_to_contact_seconds", q.S),
            unit=style.SECONDS,
        ),
        p.lines_panel(
            "Leads in, assigned, contacted",
            "Each minute, without test leads: leads that vendors sent, by the answer; assignments; contacts. "
            "What came in is of all pools, the rest of the chosen ones; a lead that is assigned again counts "
            "again. Whether leads pile up: Leads waiting, above. Contacted far below assigned: people do not "
            "reach them.",
            q.Query(
                f"clamp_min({q.rate('leads_received_total', _ACCEPTED)} - "
                f"{q.rate('test_leads_received_total')}, 0) * 60",
                "accepted",
            ),
            q.Query(q.per_minute("leads_received_total", _NOT_ACCEPTED, "result"), "{{result}}"),
            q.Query(q.per_minute("assignments_total", f'{q.S}, result="assigned"'), "assigned"),
            q.Query(f"sum(rate({contacts}[{q.RATE}])) * 60", "contacted"),
            unit=style.PER_MINUTE,
            words=("duplicate", "rejected", "error"),
            room=1,
        ),
        p.lines_panel(
            "In time, by pool",
            "The share of each pool's leads contacted in time over 15 minutes, and the target. Needs the "
            "recording rules. One pool below the others: it has too few reps, or reps who are slow.",
            q.Query(f"1 - {pools}", "{{queue}}"),
            q.Query(q.target(), "target"),
            unit=style.RATIO,
            overrides=(p.as_limit("target"),),
            most=1,
        ),
        p.lines_panel(
            "Where the time goes",
            "Nine in ten leads were faster than this: from arrival to the first rep (waiting), from the rep "
            "to the first attempt (response). Waiting is for whoever staffs the floor, response for the "
            "reps. Reps are judged on response alone.",
            q.Query(q.quantile(0.9, "queue_wait_seconds", q.S), "waiting for a rep"),
            q.Query(q.quantile(0.9, "rep_response_seconds", q.T), "response of the rep"),
            unit=style.SHORT_SECONDS,
        ),
        p.lines_panel(
            "Open leads by state",
            "Every lead that is not closed, by what is its state (test leads are among them). parked: for a "
            "later call; exception: a human must decide. What the states mean: docs/lead-life.md.",
            q.Query(f"sum by (state) ({q.m('leads_in_state', _NOT_CLOSED)})", "{{state}}"),
            unit=style.COUNT,
            words=("exception", "waiting", "assigned", "working", "parked"),
            stacked=True,
            room=10,
            decimals=0,
        ),
    )


def _throttled_share(by: str = "") -> str:
    """Reps who are ready and held back, of those at work; 0 where nobody is at work."""
    of = f"sum by ({by}) " if by else "sum"
    return f"{of}({q.m('reps_throttled', q.T)}) / clamp_min({of}({q.m('reps', _AT_WORK)}), 1)"


def _on_time() -> str:
    """Each rep's share of contacts on time, in the shown time."""
    on_time = q.grown("rep_contacts_total", f'{q.J}, on_time="true"', "rep")
    return q.share(on_time, q.grown("rep_contacts_total", q.J, "rep"))
