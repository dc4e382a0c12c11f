"""The policies that come with the daemon, as the project registers them (installed again or not)."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path
from typing import cast

from distributor.domain.policy import PolicyFactory

ROOT = Path(__file__).resolve().parents[2]
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENTRIES: dict[str, str] = _PROJECT["entry-points"]["distributor.policies"]


def load(name: str) -> PolicyFactory:
    """The factory of a policy by its name."""
    module, _, attribute = ENTRIES[name].partition(":")
    return cast("PolicyFactory", getattr(import_module(module), attribute))
