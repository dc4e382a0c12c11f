"""The composition root: puts the rooms together and owns the order of start and stop."""

from __future__ import annotations

from distributor.app.daemon import Daemon
from distributor.app.process import run
from distributor.app.verification import verify

__all__ = ["Daemon", "run", "verify"]
