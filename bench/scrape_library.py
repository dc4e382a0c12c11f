"""The yardstick of a scrape: the same series, made by prometheus_client in one go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from distributor.domain.rep import Flow, Rep
from distributor.observe.metrics import SHOWN_STATES, Metrics
from distributor.observe.table import metric

_Family = CounterMetricFamily | GaugeMetricFamily


class LibraryScrape(Collector):
    """Everything that the daemon shows, as a collector of the library's own kind."""

    def __init__(self, metrics: Metrics, reps: Sequence[Rep], now_ns: int) -> None:
        self._metrics = metrics
        self._reps = reps
        self._now_ns = now_ns

    def collect(self) -> Iterator[Metric]:
        """The process, the fleet, the reps."""
        yield from self._metrics.process.collect()
        for family in self._metrics.families.values():
            yield from family.collect()
        yield from self._of_reps()

    def _of_reps(self) -> Iterator[Metric]:
        inflight, window = _family("rep_inflight_leads"), _family("rep_window_leads")
        throttle, why = _family("rep_throttle_ratio"), _family("rep_throttle_reason_info")
        since = _family("rep_throttle_since_timestamp_seconds")
        state, contacts = _family("rep_state"), _family("rep_contacts_total")
        assignments = _family("rep_assignments_total")
        smoothed = _family("rep_speed_to_contact_smoothed_seconds")
        for rep in self._reps:
            flow = rep.flow_in_force(self._now_ns)
            if not _wanted(self._metrics.per_rep, flow):
                continue
            both, alone = (rep.id, rep.team), (rep.id,)
            inflight.add_metric(both, len(rep.open))
            window.add_metric(both, rep.window)
            throttle.add_metric(both, flow.value)
            if flow.value < 1:
                why.add_metric((rep.id, flow.reason), 1)
                if flow.since_ns:
                    since.add_metric(both, flow.since_ns / 1e9)
            shown = rep.state_in_force(self._now_ns)
            for name in SHOWN_STATES:
                state.add_metric((rep.id, name), name == shown)
            assignments.add_metric(alone, rep.assignments)
            contacts.add_metric((rep.id, "true"), rep.contacts_on_time)
            contacts.add_metric((rep.id, "false"), rep.contacts - rep.contacts_on_time)
            if rep.contacts:
                smoothed.add_metric(alone, rep.response_seconds)
        yield from (inflight, window, throttle, why, since)
        yield from (state, assignments, contacts, smoothed)


def _wanted(per_rep: str, flow: Flow) -> bool:
    return per_rep == "all" or (per_rep == "held_back" and flow.value < 1)


def _family(name: str) -> _Family:
    row = metric(name)
    kind = CounterMetricFamily if row.type == "counter" else GaugeMetricFamily
    return kind(row.full_name, row.meaning, labels=row.labels)
