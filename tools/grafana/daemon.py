"""The daemon's health: for whoever is called at nine in the evening."""

from __future__ import annotations

from distributor.observe.rules import CLOCK_AHEAD_SECONDS, SLOW_COMMIT_SECONDS, STALLED_SECONDS
from tools.grafana import panels as p
from tools.grafana import queries as q
from tools.grafana import style
from tools.grafana.board import Board, Row
from tools.grafana.limits import Limits, span
from tools.grafana.panels import Column, Placed


def daemon(limits: Limits) -> Board:
    """The board."""
    return Board(
        name="daemon",
        title="Distributor / Daemon",
        about="Whether the daemon keeps its promises, and what it is made of: read from the top, the first "
        "number that is not blue is where to look.",
        variables=("job",),
        rows=(
            Row("Promises", _promises()),
            Row("Decisions", _decisions()),
            Row("Deliveries", _deliveries(limits)),
            Row("Inside", (*_loop_and_store(), *_resources(), *_surroundings())),
        ),
    )


def _promises() -> tuple[Placed, ...]:
    reload = q.m("config_last_reload_success_timestamp_seconds")
    return (
        p.stat_panel(
            "Answers Prometheus",
            "Whether the last scrape of every daemon worked. down: the process is gone or stands; systemctl "
            "status distributor, then its log. no data: none was seen for a day.",
            q.now(f"min({q.up()})"),
            unit="none",
            colours=style.steps(style.BAD, (1, style.GOOD)),
            mappings=(style.UP,),
        ),
        p.stat_panel(
            "Leads unaccounted for",
            "Leads received less leads accounted for. It must be 0. Anything else is a fault of ours: keep "
            "the store, run distributor verify, report it.",
            q.now(f"sum({q.m('lead_conservation_difference')})"),
            unit=style.COUNT,
            colours=style.steps(style.BAD, (0, style.GOOD), (0.5, style.BAD)),
        ),
        p.stat_panel(
            "Accept to durable",
            "99 of 100 messages are on disk and acknowledged within this. It holds one commit: when it "
            "grows, look at the commit time below.",
            q.now(q.quantile_shown(0.99, "intake_ack_seconds")),
            unit=style.SECONDS,
            colours=style.at_most(0.25, 1),
            last="15m",
            absent="no leads yet",
        ),
        p.stat_panel(
            "Deliveries for a human",
            "Messages that were given up (dead) or whose fate nobody knows (in_doubt). They are kept; "
            "docs/operations.md says how to read them and what to do with their leads.",
            q.now(f"sum by (state) ({q.m('outbox_set_aside_messages')})", "{{state}}"),
            unit=style.COUNT,
            colours=style.ZERO,
            absent="none",
        ),
        p.stat_panel(
            "Settings in force",
            "refused: the newest file was bad and the old settings still run; the log says what is wrong "
            "(settings_refused), distributor check-config too.",
            q.now(f"min({q.m('config_last_reload_successful')})"),
            unit="none",
            colours=style.steps(style.BAD, (1, style.GOOD)),
            mappings=(
                style.words({"0": ("refused", style.BAD), "1": ("as in the file", style.GOOD)}),
            ),
        ),
        p.stat_panel(
            "Settings taken",
            "For how long the settings in force have been so: since the daemon began with them, or took them "
            "while it ran (the marks New settings).",
            q.now(f"time() - (max({reload}) > 0)"),
            unit=style.SECONDS,
        ),
    )


def _decisions() -> tuple[Placed, ...]:
    return (
        p.lines_panel(
            "Time of a decision",
            "Time that the core takes for one event: half, and 99 of 100, are faster. Tens of microseconds "
            "are usual; it grows with reps and with waiting leads.",
            q.Query(q.quantile(0.5, "decision_seconds"), "half"),
            q.Query(q.quantile(0.99, "decision_seconds"), "99 of 100"),
            unit=style.SECONDS,
        ),
        p.heat_panel(
            "Spread of decisions",
            "How many events took how long. A second band: a policy that is dear for some kinds of leads.",
            q.cells("decision_seconds"),
            unit=style.SECONDS,
        ),
        p.lines_panel(
            "Lateness of deadlines",
            "From a deadline (a lease's end, a limit) to its handling, 99 of 100 within this. Above a "
            "second: the loop is held up, see below.",
            q.Query(q.quantile(0.99, "timer_lateness_seconds"), "99 of 100"),
            unit=style.SECONDS,
            room=0.1,
        ),
    )


def _deliveries(limits: Limits) -> tuple[Placed, ...]:
    return (
        p.lines_panel(
            "Oldest undelivered message",
            f"By target. From {span(limits.outbox)} on an alert fires: the broker or the dialer does not "
            "take messages, reps get no leads from it. Look after the target; nothing is lost.",
            q.Query(f"max by (target) ({q.m('outbox_oldest_message_age_seconds')})", "{{target}}"),
            unit=style.SHORT_SECONDS,
            decimals=0,
            colours=style.steps("transparent", (limits.outbox, style.BAD)),
        ),
        p.lines_panel(
            "Undelivered messages",
            "Waiting to be taken by the target. A few are usual; a hill after an outage goes down by itself.",
            q.Query(f"sum by (target) ({q.m('outbox_messages')})", "{{target}}"),
            unit=style.COUNT,
            room=10,
            decimals=0,
        ),
        p.lines_panel(
            "Delivered",
            "Messages each minute that the target took.",
            q.Query(
                q.per_minute("outbox_deliveries_total", f'{q.J}, result="ok"', "target"),
                "{{target}}",
            ),
            unit=style.PER_MINUTE,
            room=1,
        ),
        p.counts_panel(
            "Attempts that failed",
            "Attempts to deliver that failed in each two minutes (more where a day is shown). retry: it is "
            "tried again by itself; dead and in_doubt are for a human.",
            q.Query(
                q.counts("outbox_deliveries_total", f'{q.J}, result!="ok"', "target, result"),
                "{{target}}: {{result}}",
            ),
            words=("retry", "dead", "in_doubt"),
        ),
        p.lines_panel(
            "Time of an attempt",
            "99 of 100 attempts are over within this, by target. The target's time, not ours.",
            q.Query(q.quantile(0.99, "delivery_seconds", q.J, "target"), "{{target}}"),
            unit=style.SECONDS,
            room=0.1,
        ),
        p.counts_panel(
            "Connections made again",
            "After a loss, in each two minutes (more where a day is shown). Again and again: the network "
            "or the broker is unwell.",
            q.Query(q.counts("peer_reconnects_total", q.J, "peer"), "{{peer}}"),
        ),
    )


def _loop_and_store() -> tuple[Placed, ...]:
    return (
        p.lines_panel(
            "Event loop's lag",
            "How late the loop was for a timer, 99 of 100 within this. Above "
            f"{STALLED_SECONDS:g} s for minutes an alert fires: something holds the loop, or the machine is overloaded.",
            q.Query(q.quantile(0.99, "event_loop_lag_seconds"), "99 of 100"),
            unit=style.SECONDS,
            colours=style.steps("transparent", (STALLED_SECONDS, style.BAD)),
        ),
        p.lines_panel(
            "Time of a commit",
            "Time of one transaction, 99 of 100 within this. Above "
            f"{SLOW_COMMIT_SECONDS:g} s for minutes an alert fires: the disk is slow or full. Acknowledgements and deliveries wait for it.",
            q.Query(q.quantile(0.99, "store_commit_seconds"), "99 of 100"),
            unit=style.SECONDS,
            colours=style.steps("transparent", (SLOW_COMMIT_SECONDS, style.BAD)),
        ),
        p.lines_panel(
            "Rows in a commit",
            "Rows that one transaction writes: half, and 99 of 100, have fewer. It grows with the load, "
            "which is how a slow disk keeps up.",
            q.Query(q.quantile(0.5, "store_batch_rows"), "half"),
            q.Query(q.quantile(0.99, "store_batch_rows"), "99 of 100"),
            unit=style.COUNT,
        ),
    )


def _resources() -> tuple[Placed, ...]:
    opened = f"process_open_fds{{{q.J}}} / process_max_fds{{{q.J}}}"
    return (
        p.lines_panel(
            "Processor",
            "Share of one core that the process uses. Near 100 % the daemon is at its limit.",
            q.Query(
                f"sum by (instance) ({q.running(f'rate(process_cpu_seconds_total{{{q.J}}}[{q.RATE}])')})",
                "{{instance}}",
            ),
            unit=style.RATIO,
        ),
        p.lines_panel(
            "Memory and store",
            "Memory of the process, and the store on disk. The store grows with every lead for as long as "
            "it is kept.",
            q.Query(
                f"max by (instance) ({q.running(f'process_resident_memory_bytes{{{q.J}}}')})",
                "memory {{instance}}",
            ),
            q.Query(f"max by (instance) ({q.m('store_bytes')})", "store {{instance}}"),
            unit=style.BYTES,
            overrides=(
                p.of_query("A", color=style.fixed(style.GOOD)),
                p.of_query("B", color=style.fixed(style.SKY)),
            ),
        ),
        p.lines_panel(
            "Open files, of the most allowed",
            "Files and connections that the process has open, as a share of the most that it may have "
            "(LimitNOFILE in its systemd unit). Growing for days: something leaks, report it.",
            q.Query(
                f"max by (instance) ({q.running(opened)})",
                "{{instance}}",
            ),
            unit=style.RATIO,
            colours=style.steps("transparent", (0.8, style.BAD)),
            most=1,
        ),
    )


def _surroundings() -> tuple[Placed, ...]:
    return (
        p.lines_panel(
            "Time of a scrape",
            "How long Prometheus waits for /metrics. It grows with the reps; [metrics] per_rep = held_back "
            "makes it small.",
            q.Query(
                f"max by (instance) ({q.running(f'scrape_duration_seconds{{{q.J}}}')})",
                "{{instance}}",
            ),
            unit=style.SECONDS,
            width=12,
            room=0.1,
        ),
        p.lines_panel(
            "Ahead of the clock",
            "By how much the daemon's time is ahead of the machine's clock, which was set back: deadlines act, "
            f"recorded times are ahead. Above {CLOCK_AHEAD_SECONDS:g} s for minutes an alert fires.",
            q.Query(f"max by (instance) ({q.m('clock_ahead_seconds')})", "{{instance}}"),
            unit=style.SECONDS,
            width=12,
            colours=style.steps("transparent", (CLOCK_AHEAD_SECONDS, style.BAD)),
        ),
        p.table_panel(
            "What is running",
            "Version, Python, policy and the digest of the floor's settings (teams, reps, pools, flow), for each daemon.",
            q.cell(
                f"{q.m('policy_info')} * on (job, instance) group_left (version, python) {q.m('build_info')}"
            ),
            columns=(
                Column("instance", "Daemon"),
                Column("version", "Version"),
                Column("python", "Python"),
                Column("policy", "Policy"),
                Column("revision", "Settings"),
            ),
            width=24,
            height=8,
        ),
    )
