"""What holds for every test."""

from __future__ import annotations

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
