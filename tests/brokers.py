"""Real brokers for tests: a mosquitto of one's own on a free port, or a skip with its reason."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bench import broker
from bench.broker import RECOMMENDED, free_port

__all__ = ["RECOMMENDED", "Mosquitto", "find_mosquitto", "free_port"]


def find_mosquitto() -> str:
    """Path of the mosquitto binary; skips the test when there is none (fails where
    ``DISTRIBUTOR_REQUIRE_REAL=1`` says that real parts must be there)."""
    path = broker.find_mosquitto()
    if path is None:
        message = "mosquitto is not installed (Debian package: mosquitto)"
        if os.environ.get("DISTRIBUTOR_REQUIRE_REAL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return path


class Mosquitto(broker.Mosquitto):
    """``bench.broker.Mosquitto``, for tests."""

    def __init__(self, folder: Path, **more: Any) -> None:
        find_mosquitto()
        super().__init__(folder, **more)
