"""The lock file, the Makefile and the version say what the project file says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import distributor
from tests.real import need_program

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()


def wanted() -> set[str]:
    """Normalised names of everything that the demo and the tests need."""
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *extras["demo"], *extras["dev"]]
    names = [re.split(r"[<>=;\[ ]", line)[0] for line in lines]
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


def test_every_dependency_is_locked() -> None:
    assert wanted() <= set(re.findall(r"^([a-z0-9-]+)==", LOCK, re.MULTILINE))


def test_every_locked_package_has_hashes() -> None:
    blocks = re.split(r"\n(?=[a-z0-9-]+==)", LOCK)[1:]
    assert len(blocks) > 40
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_the_lock_names_no_place_to_load_from() -> None:
    """It must work with whatever index the machine is set up for."""
    assert not re.search(r"https?:|file:|find-links|index-url|trusted-host|^-", LOCK, re.MULTILINE)


def test_compiled_packages_have_a_file_for_each_python() -> None:
    """One hash would tie the lock to one interpreter and one machine."""
    for name in ("aiohttp", "msgspec", "numpy", "orjson"):
        block = re.search(rf"^{name}==.*?(?=^[a-z]|\Z)", LOCK, re.MULTILINE | re.DOTALL)
        assert block is not None
        assert block[0].count("--hash") >= 6, name


def test_the_version_is_the_same_everywhere_and_has_an_entry_in_the_changelog() -> None:
    assert distributor.__version__ == PROJECT["version"]
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_dependency_has_a_line_of_reasons() -> None:
    reasons = (ROOT / "docs" / "decisions" / "0006-dependencies.md").read_text().lower()
    assert [name for name in sorted(wanted()) if f"`{name}`" not in reasons] == []


def test_what_is_needed_to_run_is_what_the_program_imports() -> None:
    modules = {"paho-mqtt": "paho", "prometheus-client": "prometheus_client"}
    names = {re.split(r"[<>=;\[ ]", line)[0] for line in PROJECT["dependencies"]}
    imported = set()
    for package in ("distributor", "policies"):
        for path in (ROOT / package).rglob("*.py"):
            if "demo" not in path.parts:
                found = re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
                imported.update(found)
    assert {name for name in names if modules.get(name, name) not in imported} == set()
    developing = {"numpy", "scipy", "psutil", "hypothesis", "matplotlib"}
    assert developing & imported == set()


def test_the_ci_installs_every_program_that_a_test_needs() -> None:
    """Else the test would be skipped or, with real parts required, fail there."""
    installed = (ROOT / ".ci" / "run").read_text().split()
    needed = re.compile(r'need_program\("([a-z_]+)"(?:, "([a-z-]+)")?')
    asked = set()
    for path in (ROOT / "tests").rglob("*.py"):
        asked |= {package or name for name, package in needed.findall(path.read_text())}
    assert len(asked) > 4
    assert asked <= set(installed)


def test_make_without_the_venv_module_says_what_to_install(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    broken = tmp_path / "broken-python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    done = subprocess.run(
        [need_program("make"), "demo", f"PYTHON={broken}"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "apt-get install python3-venv" in done.stderr


def made(folder: Path, **codes: int) -> subprocess.CompletedProcess[str]:
    """``make test`` with tools that do nothing but say their arguments and end with these codes."""
    bin_ = folder / ".venv" / "bin"
    bin_.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    for name in ("python", "ruff", "mypy", "lint-imports"):
        tool = bin_ / name
        tool.write_text(f'#!/bin/sh\necho {name} "$@"\nexit {codes.get(name, 0)}\n')
        tool.chmod(0o755)
    (folder / ".venv" / ".installed").touch()
    return subprocess.run(
        [need_program("make"), "test", "ARGS=tests/core -k 'one or two'"],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_test_runs_every_check_and_the_tests_with_their_arguments(tmp_path: Path) -> None:
    done = made(tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert "python -m pytest -n 3 --dist worksteal tests/core -k one or two" in said
    assert {"ruff check .", "ruff format --check .", "mypy", "lint-imports --no-logo"} <= set(said)


@pytest.mark.parametrize("tool", ["ruff", "mypy", "lint-imports", "python"])
def test_make_test_fails_where_a_check_or_a_test_fails(tmp_path: Path, tool: str) -> None:
    done = made(tmp_path, **{tool: 1})
    assert done.returncode != 0
