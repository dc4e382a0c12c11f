"""Real brokers for tests: a mosquitto of one's own on a free port, or a skip with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import broker
from bench.broker import RECOMMENDED, free_port
from tests.real import need_program

__all__ = ["RECOMMENDED", "Mosquitto", "find_mosquitto", "free_port"]


def find_mosquitto() -> str:
    """Path of the mosquitto binary; skips the test when there is none (see ``tests.real``)."""
    return need_program("mosquitto")


class Mosquitto(broker.Mosquitto):
    """``bench.broker.Mosquitto``, for tests."""

    def __init__(self, folder: Path, **more: Any) -> None:
        find_mosquitto()
        super().__init__(folder, **more)
