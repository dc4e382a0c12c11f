"""The figures of one simulated shift (flow-control 3.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bench.simulate import curves
from bench.simulate.draws import FOREVER, SECOND
from bench.simulate.record import Record
from bench.simulate.world import FRESH_NS

NEVER_SECONDS: Final = 86_400.0
"""The delay of a lead that nobody contacted."""
BIN_NS: Final = 300 * SECOND
BEFORE_BINS: Final = 6
LAG_BINS: Final = (2, 9)
"""Lagging reps' flow is taken from 10 to 45 minutes after the onset."""
RECOVERY_BIN: Final = 9
RECOVERY_BINS: Final = 6
FREED_NS: Final = 60 * SECOND
MANY_RETURNS: Final = 3


class Ratio(Struct, frozen=True):
    """Sums over the episodes of one run, so that runs can be pooled: ``top`` over ``bottom``."""

    top: float
    bottom: float

    @property
    def value(self) -> float | None:
        """None where nothing was counted."""
        return self.top / self.bottom if self.bottom else None


def pooled(ratios: Iterable[Ratio]) -> Ratio:
    """One ratio of the sums."""
    listed = list(ratios)
    return Ratio(sum(r.top for r in listed), sum(r.bottom for r in listed))


class Figures(Struct, frozen=True):
    """One run. Shares are 0 to 1, delays seconds; None: there was nothing to measure.

    See ``docs/simulator.md`` for each. ``dv_lrm``: the value by the curve of the other study. ``fresh_per_absence`` has one entry for each silent absence;
    ``lag_flow``, ``lag_before`` (the half hour before the onset), ``lag_bins`` (after it) and
    ``recovery`` (5-minute bins) are sums, to be pooled over runs.
    """

    leads: int
    w60: float
    w300: float
    p50: float
    p95: float
    p99: float
    dv: float
    dv_lrm: float
    conv: float
    never_contacted: float
    over_1h: float
    gini: float | None
    lowest_share: float | None
    share_p5: float | None
    reclaims_per_lead: float
    recalled_over_3: float
    false_throttle: float | None
    fresh_per_absence: tuple[int, ...]
    freed_60: Ratio
    lag_episodes: int
    lag_flow: Ratio
    lag_before: tuple[Ratio, ...]
    lag_bins: tuple[Ratio, ...]
    recovery: tuple[Ratio, ...]
    w60_allslow: float | None
    false_throttle_allslow: float | None
    idle_minutes: int
    swings_healthy: float | None
    swings_lagging: float | None
    allan_healthy: float | None
    allan_lagging: float | None
    held: int
    delays: tuple[float, ...] = ()


def measure(record: Record, *, delays: bool = False) -> Figures:
    """All figures of a run. ``delays``: keep every delay, for a plot."""
    at = np.array(record.shift.leads.at, dtype=np.int64)
    chosen = _measured(record, at)
    delay = _delays(record, at)
    all_delays = delay[chosen]
    returned = np.array(record.returned)[chosen]
    work = _work(record)
    absences = _absences(record)
    flow = _lag_flow(record)
    lag_bins = flow[BEFORE_BINS:]
    return Figures(
        leads=int(chosen.sum()),
        w60=_share(all_delays <= 60.0),
        w300=_share(all_delays <= 300.0),
        p50=_percentile(all_delays, 50),
        p95=_percentile(all_delays, 95),
        p99=_percentile(all_delays, 99),
        dv=_value(record, chosen, all_delays, record.scenario.curve),
        dv_lrm=_value(record, chosen, all_delays, "lrm"),
        conv=_conversions(record, chosen, all_delays),
        never_contacted=_share(np.array(record.contact_ns)[chosen] < 0),
        over_1h=_share(all_delays > 3600.0),
        gini=gini(work),
        lowest_share=float(work.min() / work.mean()) if work.sum() else None,
        share_p5=float(np.percentile(work, 5) / work.mean()) if work.sum() else None,
        reclaims_per_lead=float(returned.mean()) if len(returned) else 0.0,
        recalled_over_3=_share(returned > MANY_RETURNS),
        false_throttle=_throttle(record, 0, round(record.scenario.shift_seconds * SECOND)),
        fresh_per_absence=tuple(count for count, _ in absences),
        freed_60=Ratio(
            float(sum(freed for _, freed in absences)), float(sum(c for c, _ in absences))
        ),
        lag_episodes=sum(bool(roster.lag[1]) for roster in record.shift.rosters),
        lag_flow=pooled(lag_bins[LAG_BINS[0] : LAG_BINS[1]]),
        lag_before=flow[:BEFORE_BINS],
        lag_bins=lag_bins,
        recovery=lag_bins[RECOVERY_BIN:],
        w60_allslow=_allslow(record, at, delay),
        false_throttle_allslow=_throttle_allslow(record),
        idle_minutes=len(record.idle_minutes),
        swings_healthy=_swings(record, lagging=False),
        swings_lagging=_swings(record, lagging=True),
        allan_healthy=_allan(record, lagging=False),
        allan_lagging=_allan(record, lagging=True),
        held=record.held,
        delays=tuple(all_delays.tolist()) if delays else (),
    )


# -- leads ----------------------------------------------------------------------------------------


def _measured(record: Record, at: NDArray[np.int64]) -> NDArray[np.bool_]:
    limit = record.scenario.measured_seconds
    if not limit:
        return np.ones(len(at), dtype=bool)
    return np.asarray(at < limit * SECOND)


def _delays(record: Record, at: NDArray[np.int64]) -> NDArray[np.float64]:
    contact = np.array(record.contact_ns, dtype=np.int64)
    return np.where(contact < 0, NEVER_SECONDS, (contact - at) / SECOND)


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if len(hits) else 0.0


def _percentile(delays: NDArray[np.float64], percent: float) -> float:
    if not len(delays):
        return 0.0
    return float(np.percentile(delays, percent, method="inverted_cdf"))


def _value(
    record: Record, chosen: NDArray[np.bool_], delays: NDArray[np.float64], curve: str
) -> float:
    """What the leads were worth when they were contacted, of what they could have been worth."""
    quality = np.array(record.shift.leads.quality)[chosen]
    most = quality.sum() * curves.peak(curve)
    return float((quality * curves.worths(curve, delays)).sum() / most) if most else 0.0


def _conversions(record: Record, chosen: NDArray[np.bool_], delays: NDArray[np.float64]) -> float:
    """As the value, with the skill of whoever made the contact (nobody's is 1)."""
    quality = np.array(record.shift.leads.quality)[chosen]
    skills = np.array([*(person.skill for person in record.crew), 1.0])
    skill = skills[np.array(record.contact_rep, dtype=np.int64)[chosen]]
    curve = record.scenario.curve
    most = quality.sum() * curves.peak(curve)
    return float((quality * skill * curves.worths(curve, delays)).sum() / most) if most else 0.0


def _allslow(record: Record, at: NDArray[np.int64], delay: NDArray[np.float64]) -> float | None:
    window = record.scenario.allslow_window
    if window is None:
        return None
    inside = (at >= window[0] * SECOND) & (at < window[1] * SECOND)
    return _share(delay[inside] <= 60.0)


# -- shares of work -------------------------------------------------------------------------------


def _work(record: Record) -> NDArray[np.float64]:
    """Contacts times usual handling of each healthy rep."""
    counts = np.zeros(len(record.crew) + 1)
    np.add.at(counts, np.array(record.contact_rep, dtype=np.int64), 1.0)
    healthy = [i for i in range(len(record.crew)) if record.is_healthy(i)]
    handling = np.array([record.crew[i].handling for i in healthy])
    return np.asarray(counts[healthy] * handling)


def gini(values: Iterable[float]) -> float | None:
    """How unequal the values are: 0 all alike, towards 1 one has everything. None without any."""
    ordered = np.sort(np.array(list(values), dtype=float))
    total = float(ordered.sum())
    if not total:
        return None
    n = len(ordered)
    ranks = np.arange(1, n + 1)
    return float((2.0 * (ranks * ordered).sum() / (n * total)) - (n + 1.0) / n)


# -- slowed reps ----------------------------------------------------------------------------------


def slowed_spans(record: Record) -> dict[int, list[tuple[int, int]]]:
    """For each rep, when its visible flow was below 1 (until the end of the drain at the latest)."""
    since: dict[int, int] = {}
    spans: dict[int, list[tuple[int, int]]] = {}
    for at_ns, rep, value in record.flows:
        if value < 1.0:
            since.setdefault(rep, at_ns)
        elif rep in since:
            spans.setdefault(rep, []).append((since.pop(rep), at_ns))
    end_ns = round(record.scenario.end_seconds * SECOND)
    for rep, begin_ns in since.items():
        spans.setdefault(rep, []).append((begin_ns, end_ns))
    return spans


def _throttle(record: Record, from_ns: int, until_ns: int) -> float | None:
    """Share of the healthy reps' time in which they were slowed."""
    healthy = [i for i in range(len(record.crew)) if record.is_healthy(i)]
    if not healthy:
        return None
    spans = slowed_spans(record)
    total = sum(
        max(0, min(end, until_ns) - max(begin, from_ns))
        for rep in healthy
        for begin, end in spans.get(rep, ())
    )
    return total / (len(healthy) * (until_ns - from_ns))


def _throttle_allslow(record: Record) -> float | None:
    window = record.scenario.allslow_window
    if window is None:
        return None
    return _throttle(record, round(window[0] * SECOND), round(window[1] * SECOND))


# -- the reaction to absent and lagging reps ------------------------------------------------------


def _absences(record: Record) -> list[tuple[int, int]]:
    """For each silent absence that ends: fresh leads delivered in it, and those freed within 60 s."""
    taken: dict[tuple[int, int], list[int]] = {}
    for at_ns, rep, lead in record.returns:
        taken.setdefault((rep, lead), []).append(at_ns)
    found = []
    for rep, roster in enumerate(record.shift.rosters):
        begin, end = roster.absent
        if not end or end == FOREVER:
            continue
        hits = [
            (at_ns, lead)
            for at_ns, to, lead, age in record.deliveries
            if to == rep and begin <= at_ns < end and age < FRESH_NS
        ]
        freed = sum(
            end <= at_ns + FREED_NS
            or any(at_ns <= t <= at_ns + FREED_NS for t in taken.get((rep, lead), ()))
            for at_ns, lead in hits
        )
        found.append((len(hits), freed))
    return found


def _lag_flow(record: Record) -> tuple[Ratio, ...]:
    """Fresh deliveries to lagging reps in each 5-minute bin from half an hour before the onset to half
    an hour after the end, over their mean in the half hour before the onset."""
    tops = [0.0] * (BEFORE_BINS + RECOVERY_BIN + RECOVERY_BINS)
    for rep, roster in enumerate(record.shift.rosters):
        begin = roster.lag[0]
        if not roster.lag[1]:
            continue
        for at_ns, to, _, age in record.deliveries:
            if to != rep or age >= FRESH_NS:
                continue
            place = (at_ns - begin) // BIN_NS + BEFORE_BINS
            if 0 <= place < len(tops):
                tops[place] += 1.0
    before = sum(tops[:BEFORE_BINS]) / BEFORE_BINS
    return tuple(Ratio(top, before) for top in tops)


# -- oscillation ----------------------------------------------------------------------------------


def _swings(record: Record, *, lagging: bool) -> float | None:
    """How often: times an hour that a rep's visible flow falls from full to less."""
    reps = _observed(record, lagging=lagging)
    hours = sum(end - begin for begin, end in reps.values()) / (3600.0 * SECOND)
    if not hours:
        return None
    spans = slowed_spans(record)
    falls = sum(
        begin <= at_ns < end
        for rep, (begin, end) in reps.items()
        for at_ns, _ in spans.get(rep, ())
    )
    return falls / hours


def _allan(record: Record, *, lagging: bool) -> float | None:
    """How strongly: the Allan factor of the fresh deliveries to a rep in neighbouring 5-minute bins,
    ``mean((x' - x)^2) / (2 mean(x))``: 1 for arrivals by chance, more where flow swings up and down,
    less where it is steadier."""
    reps = _observed(record, lagging=lagging)
    counts = {
        rep: np.zeros(max(0, int((end - begin) // BIN_NS))) for rep, (begin, end) in reps.items()
    }
    for at_ns, rep, _, age in record.deliveries:
        if rep in counts and age < FRESH_NS:
            place = (at_ns - reps[rep][0]) // BIN_NS
            if 0 <= place < len(counts[rep]):
                counts[rep][place] += 1.0
    steps = [np.diff(found) for found in counts.values()]
    squares = float(sum((step**2).sum() for step in steps))
    pairs = sum(len(step) for step in steps)
    bins = sum(len(found) for found in counts.values())
    total = float(sum(found.sum() for found in counts.values()))
    if not pairs or not total:
        return None
    return (squares / pairs) / (2.0 * total / bins)


def _observed(record: Record, *, lagging: bool) -> dict[int, tuple[int, int]]:
    """The reps of a kind and when they are looked at: the shift, or the time of their lag."""
    end_ns = round(record.scenario.shift_seconds * SECOND)
    if lagging:
        return {i: roster.lag for i, roster in enumerate(record.shift.rosters) if roster.lag[1]}
    return {i: (0, end_ns) for i in range(len(record.crew)) if record.is_healthy(i)}
