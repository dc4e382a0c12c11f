"""The runs of one command, by scenario, policy and seed, and the tables made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.output import say, table
from bench.simulate.bound import BOUND
from bench.simulate.metrics import Figures
from bench.simulate.runs import Ran
from bench.simulate.scenario import Scenario
from bench.simulate.summary import COLUMNS, Estimate, Summary, summarise

_MORE: Final = ("conv", "over_1h", "lowest_share", "recalled_over_3", "idle_minutes",
                "swings_healthy", "swings_lagging", "allan_healthy", "allan_lagging")  # fmt: skip
_REACTION: Final = {
    "fresh/absence": "fresh_per_absence",
    "p50": "fresh_per_absence_p50",
    "p90": "fresh_per_absence_p90",
    "freed 60": "freed_60",
    "lag flow": "lag_flow",
    "rec 5-10": "recovery_5_10",
    "10-15": "recovery_10_15",
    "15-20": "recovery_15_20",
}


class Results:
    """What was found. Every policy was run on the same worlds, seed by seed. ``seeds``: those of each
    scenario."""

    def __init__(
        self,
        scenarios: Mapping[str, Scenario],
        seeds: Mapping[str, Sequence[int]],
        runs: Mapping[tuple[str, str, int], Ran],
    ) -> None:
        self.scenarios = scenarios
        self.seeds = seeds
        self.runs = runs
        self._summaries: dict[tuple[str, str], Summary] = {}

    def policies(self, place: str) -> list[str]:
        """What was run on a scenario, in the order in which it was asked for."""
        return list(dict.fromkeys(name for at, name, _ in self.runs if at == place))

    def figures(self, place: str, name: str) -> list[Figures]:
        """One policy's runs on a scenario, by seed."""
        return [self.runs[place, name, seed].figures for seed in self.seeds[place]]

    def summary(self, place: str, name: str) -> Summary:
        """Their means."""
        if (place, name) not in self._summaries:
            bound = self.figures(place, BOUND)
            self._summaries[place, name] = summarise(self.figures(place, name), bound)
        return self._summaries[place, name]

    def built(self, place: str) -> dict[str, Any]:
        """A scenario's results for JSON."""
        return {
            "scenario": place,
            "seeds": list(self.seeds[place]),
            "policies": {name: self.summary(place, name).built() for name in self.policies(place)},
        }

    # -- for people ----------------------------------------------------------------------------

    def show(self, place: str) -> None:
        """The tables of one scenario."""
        names = self.policies(place)
        rows = {name: self.summary(place, name) for name in names}
        count = len(self.seeds[place])
        leads = sum(figures.leads for figures in self.figures(place, BOUND)) / count
        runs = f"{count} run{'s' if count > 1 else ''}"
        say(f"{place}: {self.scenarios[place].reps} reps, {leads:,.0f} leads, {runs}")
        table(
            ("", *COLUMNS, "dv of pool"),
            [
                (name, *(cell(found.estimates.get(key), key) for key in COLUMNS),
                 cell(found.of_pool, "dv"))
                for name, found in rows.items()
            ],
        )  # fmt: skip
        slow = ("w60_allslow", "false_throttle_allslow") if "allslow" in place else ()
        table(
            ("", *_MORE, *slow),
            [
                (name, *(cell(found.estimates.get(key), key) for key in (*_MORE, *slow)))
                for name, found in rows.items()
            ],
        )
        if any(found.reaction["lag_flow"] is not None for found in rows.values()):
            table(
                ("", *_REACTION),
                [
                    (name, *(_plain(found.reaction[key]) for key in _REACTION.values()))
                    for name, found in rows.items()
                ],
            )

    def show_cost(self) -> None:
        """How fast the simulation itself was."""
        ran = [one for one in self.runs.values() if one.core_events]
        if not ran:
            return
        agenda = sum(one.agenda_events for one in ran)
        events = agenda + sum(one.core_events for one in ran)
        seconds, core = sum(one.seconds for one in ran), sum(one.core_seconds for one in ran)
        say(
            f"{seconds / len(ran):.2f} s a run of a policy: {events / seconds:,.0f} events/s, "
            f"{core / seconds:.0%} of the time in the core; the world alone does "
            f"{agenda / max(1e-9, seconds - core):,.0f} events/s"
        )


def cell(found: Estimate | None, key: str) -> str:
    """A figure as it stands in a table, with half of its interval."""
    if found is None:
        return "-"
    digits = 0 if key in ("p50", "p95", "p99") else 1 if key == "idle_minutes" else 3
    text = f"{found.mean:.{digits}f}"
    return text if found.half is None else f"{text}±{found.half:.{digits}f}"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
