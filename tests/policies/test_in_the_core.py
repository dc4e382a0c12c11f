"""Every policy in the real core: it may be restarted in the middle of a day and decides the same."""

from __future__ import annotations

from typing import Any

import pytest

from bench.world import World
from distributor.core.engine import Engine
from distributor.domain.decisions import Decision
from distributor.domain.events import Event
from tests.policies.shipped import ENTRIES, load

FACTORIES = {name: load(name) for name in ENTRIES}


class _Noted(World):
    """Keeps what was decided about every event."""

    def __init__(self, *args: Any) -> None:
        self.noted: list[tuple[int, Event, list[Decision]]] = []
        super().__init__(*args)

    def do(self, event: Event) -> list[Decision]:
        decisions = super().do(event)
        self.noted.append((self.now_ns, event, decisions))
        return decisions


@pytest.mark.parametrize("policy", ENTRIES)
def test_a_restart_in_the_middle_of_the_day_changes_no_decision(policy: str) -> None:
    world = _Noted(6, policy, FACTORIES, 1.1)
    world.run(lambda: world.leads >= 60)
    middle = len(world.noted) // 2
    again = Engine(tag="BNCH", seed=7, factories=FACTORIES)
    for at_ns, _, decisions in world.noted[:middle]:
        again.fold(at_ns, decisions)
    again.resume()
    for at_ns, event, decisions in world.noted[middle:]:
        assert again.handle(event, at_ns) == decisions
    assert world.assignments >= 40
