"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

# No limit on the time of an example: a busy machine must not fail a test of what is true.
settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("house")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each worker begins with its share of the long tests, whatever order was drawn: the last one to
    begin decides when all are done. (``worksteal`` gives every worker an equal run of the list.)"""
    long = [item for item in items if item.get_closest_marker("long")]
    rest = [item for item in items if not item.get_closest_marker("long")]
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    size = -(-len(items) // workers)
    items.clear()
    for first in range(workers):
        share = long[first::workers]
        items += share + rest[: size - len(share)]
        del rest[: size - len(share)]


@pytest.fixture(autouse=True)
def _loggers_forget() -> Iterator[None]:
    """A module's logger may keep the configuration of its first use, and a test that sets logging up leaves
    it so: both would reach the tests after it."""
    configure = structlog.configure

    def forgetful(**options: Any) -> None:
        configure(**options | {"cache_logger_on_first_use": False})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", forgetful)
        yield
    structlog.reset_defaults()
