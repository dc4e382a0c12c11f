"""The committed boards and what the daemon can emit."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from distributor.settings import Settings
from tests.docs.pages import ROOT
from tools.grafana.vocabulary import Series, vocabulary

_BOARDS = [
    json.loads(path.read_text("utf-8"))
    for path in sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
]


@pytest.fixture(scope="session")
def words() -> dict[str, Series]:
    return vocabulary(Settings())


@pytest.fixture
def boards() -> list[dict[str, Any]]:
    """The boards as they are committed, to be changed at will."""
    return deepcopy(_BOARDS)
