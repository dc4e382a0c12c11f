"""What a test needs of the machine: a program, a package, recorded data. Without it the test is skipped
with the reason; where ``DISTRIBUTOR_REQUIRE_REAL=1`` says that everything must be there, it fails."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def missing(what: str) -> NoReturn:
    """The test cannot run here."""
    if os.environ.get("DISTRIBUTOR_REQUIRE_REAL") == "1":
        pytest.fail(what)
    pytest.skip(what)


def need_program(name: str, package: str = "", path: str = _PATH) -> str:
    """Where a program is. ``package``: Debian's, where it has another name."""
    found = shutil.which(name, path=path)
    if found is None:
        missing(f"{name} is not installed (Debian package: {package or name})")
    return found


def need_module(name: str) -> ModuleType:
    """A module of an optional dependency."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing(f"{name} cannot be imported: {error}")


def need_data(name: str) -> Path:
    """A file or folder of the recorded data: in the folder that ``DISTRIBUTOR_DATA`` names, else in
    shared/data beside the checkout. No data at all is no fault of the machine: a skip everywhere."""
    named = os.environ.get("DISTRIBUTOR_DATA")
    folder = Path(named) if named else _BESIDE
    if not named and not folder.is_dir():
        pytest.skip(f"{folder} is not there; DISTRIBUTOR_DATA names the folder of recordings")
    found = folder / name
    if not found.exists():
        missing(f"{found} is not there; DISTRIBUTOR_DATA names the folder of recordings")
    return found
