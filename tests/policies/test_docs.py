"""The worked example of docs/policies.md is a policy that works, from its file to the daemon."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from distributor.domain.policy import Policy, PoolView
from distributor.settings import known_policies
from distributor.settings.policies import Policies
from tests.core.floors import FACTORIES, Scene
from tests.policies.shipped import ENTRIES, ROOT

TEXT = (ROOT / "docs" / "policies.md").read_text()
EXAMPLE, SUITE, SCENE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
(PROJECT,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example as the page has it: two files, installed with its entry point."""
    (tmp_path / "my_policies.py").write_text(EXAMPLE)
    (tmp_path / "test_my_policies.py").write_text(SUITE + SCENE)
    project = tomllib.loads(PROJECT)["project"]
    installed = tmp_path / f"my_policies-{project['version']}.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {where}" for name, where in entries.items())]
    (installed / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("my_policies", "test_my_policies"):
        sys.modules.pop(name, None)


def loaded(name: str) -> ModuleType:
    importlib.invalidate_caches()
    return importlib.import_module(name)


def test_the_example_passes_its_own_tests(package: Path) -> None:
    found = vars(loaded("test_my_policies")).items()
    tests = {name: test for name, test in found if name.startswith("test_")}
    assert len(tests) == 2
    for test in tests.values():
        test()


def test_the_example_is_short() -> None:
    body = EXAMPLE[EXAMPLE.index("class ") :].splitlines()
    assert len([line for line in body if line.strip()]) <= 40


def test_the_installed_example_is_found_by_its_name_and_runs_in_the_core(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importlib.invalidate_caches()
    assert "sparing" in known_policies()
    monkeypatch.setitem(FACTORIES, "sparing", Policies()["sparing"])
    scene = Scene(policy="sparing")
    scene.ready("ana", "ben")
    first = scene.lead("1")
    scene.report("rejected", first)
    assert scene.look(first).rep == "ben"
    scene.report("contacted", first)
    scene.report("status", first, status="lost")
    assert scene.look(scene.lead("2")).rep == "ben"


def test_the_page_names_every_shipped_policy() -> None:
    for name in ENTRIES:
        assert f"| `{name}` |" in TEXT


@pytest.mark.parametrize("protocol", [Policy, PoolView])
def test_the_page_names_all_that_a_policy_hears_and_may_look_at(protocol: type) -> None:
    tables = "\n".join(line for line in TEXT.splitlines() if line.startswith("| "))
    for name in vars(protocol):
        if not name.startswith("_") and name != "window":
            assert f"`{name}`" in tables, name
    assert "`window: ClassVar[int] = 1000`" in TEXT
