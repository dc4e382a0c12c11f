"""What is installed from the wheel works without the checkout."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.policies.shipped import ENTRIES

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("distributor", "policies")


def run(*command: str | Path, cwd: Path, code: int = 0) -> str:
    """Run a command away from the checkout; its standard output."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def tree(folder: Path) -> dict[str, bytes]:
    """Relative path -> content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built offline from a copy, so that no leftovers of the checkout get in."""
    source = tmp_path_factory.mktemp("source")
    for name in (*PACKAGES, "grafana"):
        shutil.copytree(
            ROOT / name,
            source / name,
            symlinks=True,
            ignore=shutil.ignore_patterns("__pycache__", "*_cache"),
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "runbooks.md", source / "docs")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", source / "dist", source, cwd=source)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel; the libraries come from the one that runs the tests."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
    # --python, or pip would take the editable install of the checkout for one to be replaced.
    pip = (sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", wheel, cwd=home)
    # Behind our own packages on the path, and without the .pth of the editable install.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    ours = {
        path.relative_to(ROOT).as_posix()
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "_cache" not in str(path) and path.name != "ruff.toml"
    }
    # Through the link distributor/starter/grafana, which the walk above does not follow.
    ours |= {
        f"distributor/starter/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / "grafana").rglob("*")
        if path.suffix in (".json", ".yml")
    }
    assert {name for name in ours if "__pycache__" not in name} - packed == set()
    assert not [name for name in packed if name.startswith(("tests/", "bench/"))]


def test_the_installed_command_comes_from_the_wheel_and_says_its_version(bin_folder: Path) -> None:
    where = run(
        bin_folder / "python",
        "-c",
        "import distributor; print(distributor.__file__)",
        cwd=bin_folder,
    )
    assert where.startswith(str(bin_folder.parent))
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert version[1] in run(bin_folder / "distributor", "--version", cwd=bin_folder)


@pytest.mark.long
def test_the_installed_command_writes_a_configuration_that_it_accepts(
    bin_folder: Path, tmp_path: Path
) -> None:
    run(bin_folder / "distributor", "init", tmp_path / "site", cwd=tmp_path)
    config = tmp_path / "site" / "distributor.toml"
    run(bin_folder / "distributor", "check-config", config, cwd=tmp_path)
    rules = run(bin_folder / "distributor", "rules", "--config", config, cwd=tmp_path)
    assert rules == (tmp_path / "site" / "rules.yml").read_text()
    page = (tmp_path / "site" / "runbooks.md").read_bytes()
    assert page == (ROOT / "docs" / "runbooks.md").read_bytes()
    for name in ("dashboards", "provisioning"):
        assert tree(tmp_path / "site" / "grafana" / name) == tree(ROOT / "grafana" / name)


def test_every_shipped_policy_is_found_by_its_entry_point(bin_folder: Path) -> None:
    code = (
        "from importlib.metadata import entry_points\n"
        "for entry in entry_points(group='distributor.policies'):\n"
        "    print(entry.name, entry.load()().next_intent.__name__)\n"
    )
    found = run(bin_folder / "python", "-c", code, cwd=bin_folder).split()[::2]
    assert set(found) == set(ENTRIES)
