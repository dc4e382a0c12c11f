"""A new kind of decision cannot be overlooked: who reads decisions has a word for every kind."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import get_args

import pytest

from distributor.core.apply import Apply
from distributor.core.engine import Engine
from distributor.core.state import State
from distributor.domain.decisions import Decision
from distributor.domain.events import Event
from distributor.domain.floor import Floor
from distributor.observe.metrics import Metrics
from distributor.observe.projection import Projection
from distributor.store import history, projection

READERS: dict[str, Callable[[], Collection[type]]] = {
    "apply": lambda: Apply(State(tag="T3ST", seed=1))._by_type,
    "projection": lambda: projection._HANDLERS,
    "history": lambda: history._DESCRIBE,
    "metrics": lambda: Projection(Metrics(Floor(""), []), Floor(""))._handlers,
}


@pytest.mark.parametrize("reader", READERS)
def test_every_decision_is_handled_or_named_as_on_record_alone(reader: str) -> None:
    assert set(READERS[reader]()) == set(get_args(Decision))


def test_every_event_has_a_room() -> None:
    assert set(Engine(tag="T3ST", seed=1, factories={})._by_type) == set(get_args(Event))
