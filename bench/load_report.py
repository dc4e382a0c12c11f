"""What the runs of the daemon and of its yardsticks come to: the table, the goals, the JSON."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct, structs

from bench import fsync
from bench.load_run import Kind, Plan, Run
from bench.output import finish, goal, say, table
from bench.stats import middle

SHARE_OF_BARE = 0.6
SHARE_OF_BRIDGE = 0.4
LEADS_PER_SECOND = 8_000.0

_FIGURES: Final = (
    "leads_per_second", "taken_per_second", "p50_ms", "p99_ms", "cpu_seconds_per_1000",
    "process_cpu_share", "broker_cpu_share", "sender_cpu_share", "watcher_cpu_share",
)  # fmt: skip


class Round(Struct, frozen=True):
    """The daemon's run, and those of the bridges right after it, by kind."""

    daemon: Run
    yardsticks: dict[Kind, Run]

    def ratio(self, figure: str, kind: Kind) -> float:
        """The daemon's figure over the yardstick's."""
        mine, theirs = getattr(self.daemon, figure), getattr(self.yardsticks[kind], figure)
        return float(mine / max(1e-9, theirs))


class Report:
    """Of the rounds of one plan."""

    def __init__(self, plan: Plan, policy: str, rounds: Sequence[Round]) -> None:
        self.plan = plan
        self.policy = policy
        self.rounds = rounds
        self.kinds: tuple[Kind, ...] = tuple(rounds[0].yardsticks)

    def tell(self, disks: tuple[fsync.Disk, fsync.Disk], args: argparse.Namespace) -> int:
        """Print it all. ``disks``: before and after the runs. 1 where a lead was never assigned."""
        self._table()
        before, after = disks
        say(
            f"fsync of 4 KiB before / after: median {before.median_ms:.2f} / {after.median_ms:.2f}"
            f" ms, p99 {before.p99_ms:.2f} / {after.p99_ms:.2f} ms"
        )
        met = self._goals(disks)
        missing = sum(one.daemon.missing for one in self.rounds)
        if missing:
            say(f"LOST: {missing} leads were never assigned")
        finish(self._result(disks, met), as_json=args.json)
        return 0 if not missing else 1

    def _daemon(self, figure: str) -> float:
        return middle([getattr(one.daemon, figure) for one in self.rounds])

    def _yardstick(self, figure: str, kind: Kind) -> float:
        return middle([getattr(one.yardsticks[kind], figure) for one in self.rounds])

    def _ratio(self, figure: str, kind: Kind) -> float:
        return middle([one.ratio(figure, kind) for one in self.rounds])

    def _table(self) -> None:
        heads = [f"median of {len(self.rounds)}", "daemon"]
        for kind in self.kinds:
            heads += [kind, "ratio"]
        rows = []
        for figure in _FIGURES:
            row = [figure, f"{self._daemon(figure):,.4g}"]
            for kind in self.kinds:
                row += [f"{self._yardstick(figure, kind):,.4g}", f"{self._ratio(figure, kind):.2f}"]
            rows.append(row)
        say("")
        table(heads, rows)

    def _goals(self, disks: tuple[fsync.Disk, fsync.Disk]) -> bool:
        if self.plan.rate:
            return self._latency_goals(disks)
        if self.plan.batch > 1:
            # Over MQTT "taken" is the broker's word: what was sent has been taken and committed.
            rate = self._daemon("leads_per_second")
            name = "leads/s taken, committed, assigned and sent"
            return goal(name, rate, LEADS_PER_SECOND, least=True)
        limits: tuple[tuple[Kind, float], ...] = (
            ("bare", SHARE_OF_BARE),
            ("bridge", SHARE_OF_BRIDGE),
        )
        met = [
            goal(f"share of the rate of: {kind}", self._ratio("leads_per_second", kind), limit,
                 least=True)
            for kind, limit in limits if kind in self.kinds
        ]  # fmt: skip
        return all(met)

    def _latency_goals(self, disks: tuple[fsync.Disk, fsync.Disk]) -> bool:
        half = self._yardstick("p50_ms", "bridge") + 2 * max(disk.median_ms for disk in disks)
        tail = 3 * self._yardstick("p99_ms", "bridge") + 2 * max(disk.p99_ms for disk in disks)
        first = goal(
            "median ms, bridge + 2 x fsync median", self._daemon("p50_ms"), half, least=False
        )
        last = goal("p99 ms, 3 x bridge + 2 x fsync p99", self._daemon("p99_ms"), tail, least=False)
        committing = self._yardstick("p50_ms", "committing")
        if committing > half:
            say(
                f"        out of reach here: a bridge that commits has a median of {committing:.3g} ms"
            )
        return first and last

    def _result(self, disks: tuple[fsync.Disk, fsync.Disk], met: bool) -> dict[str, Any]:
        return {
            "plan": structs.asdict(self.plan),
            "policy": self.policy,
            "daemon": [structs.asdict(one.daemon) for one in self.rounds],
            "yardsticks": {
                kind: [structs.asdict(one.yardsticks[kind]) for one in self.rounds]
                for kind in self.kinds
            },
            "medians": {
                "daemon": {figure: self._daemon(figure) for figure in _FIGURES},
                **{kind: self._each(self._yardstick, kind) for kind in self.kinds},
            },
            "ratios": {kind: self._each(self._ratio, kind) for kind in self.kinds},
            "fsync": [structs.asdict(disk) for disk in disks],
            "goals_met": met,
        }

    @staticmethod
    def _each(of: Callable[[str, Kind], float], kind: Kind) -> dict[str, float]:
        return {figure: of(figure, kind) for figure in _FIGURES}
