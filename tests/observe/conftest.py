"""A small floor, and a census that says what a test wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest

from distributor.domain.floor import Floor, FlowPlan, PoolPlan, RepPlan, TeamPlan
from distributor.domain.rep import Rep
from distributor.observe.metrics import Metrics
from distributor.observe.projection import Projection

NOW_NS = 1_800_000_000_000_000_000


class FakeCensus:
    """Settable answers."""

    def __init__(self) -> None:
        self.states: Mapping[str, int] = {"waiting": 3, "closed": 2}
        self.difference = 0
        self.waiting: list[tuple[str, int, float]] = [("default", 3, 12.5)]
        self.people: list[Rep] = []
        self.cases: list[tuple[str, int, float]] = [("all_refused", 1, 40.0)]
        self.messages: list[tuple[str, int, float]] = [("mqtt", 4, 0.5)]
        self.restless = True  # another list each time: all reps are looked at
        self.now = NOW_NS
        self.scrapes = 0

    def leads_in_state(self) -> Mapping[str, int]:
        return self.states

    def conservation_difference(self) -> int:
        return self.difference

    def pools(self) -> Iterable[tuple[str, int, float]]:
        return self.waiting

    def reps(self) -> Sequence[Rep]:
        self.scrapes += 1
        return list(self.people) if self.restless else self.people

    def exceptions(self) -> Iterable[tuple[str, int, float]]:
        return self.cases

    def outbox(self) -> Iterable[tuple[str, int, float]]:
        return self.messages

    def store_bytes(self) -> int:
        return 4096

    def now_ns(self) -> int:
        return self.now


@pytest.fixture
def census() -> FakeCensus:
    return FakeCensus()


@pytest.fixture
def floor() -> Floor:
    return Floor(
        digest="d1",
        teams=(TeamPlan("north"),),
        reps=(RepPlan("ana", team="north"), RepPlan("bob", team="north")),
        pools=(PoolPlan("default"), PoolPlan("spanish", policy="fair")),
        flow=FlowPlan(first_contact_seconds=75.0),
    )


@pytest.fixture
def metrics(floor: Floor) -> Metrics:
    return Metrics(floor, ["acme"])


@pytest.fixture
def projection(metrics: Metrics, floor: Floor) -> Projection:
    return Projection(metrics, floor)


class Reader:
    """Reads samples of a ``Metrics``."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __call__(self, name: str, **labels: str) -> float | None:
        return self._metrics.registry.get_sample_value(f"distributor_{name}", labels)


@pytest.fixture
def read(metrics: Metrics) -> Reader:
    return Reader(metrics)
