"""The worked example of docs/policies.md is a policy that works."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from policies.conformance import check
from policies.miniature import MiniFloor
from tests.policies.shipped import ENTRIES

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "policies.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def example() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "example"}
    for block in PYTHON:
        exec(block, names)
    return names


def test_the_worked_example_passes_the_suite_and_its_own_test() -> None:
    names = example()
    assert check(names["Sparing"]) == []
    names["test_sparing_is_a_good_citizen"]()


def test_the_worked_example_does_what_the_page_says() -> None:
    floor = MiniFloor(example()["Sparing"], 2)
    floor.presence("rep0", "ready")
    floor.presence("rep1", "busy")
    floor.lead("A")
    floor.end("A", "rejected", blame=True, excluded=True)
    floor.presence("rep1", "ready")
    assert floor.pool.leads["A"].rep == "rep1"
    floor.contact("A")
    floor.finish("A")
    floor.lead("B")
    assert floor.pool.leads["B"].rep == "rep1"


def test_the_page_names_every_shipped_policy_and_the_right_group() -> None:
    for name in ENTRIES:
        assert f"| `{name}` |" in TEXT
    (block,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert "distributor.policies" in tomllib.loads(block)["project"]["entry-points"]
