"""The files that ``distributor init`` writes: a floor that runs as it is, and what goes around it."""

from __future__ import annotations

import os
import pwd
import sys
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from distributor.errors import BadConfig

_SOURCES: Final = {
    "distributor.toml": "distributor.toml",
    "mosquitto.conf": "mosquitto.conf",
    "distributor.service": "distributor.service",
    "prometheus.yml": "grafana/prometheus/prometheus.yml",
    "rules.yml": "grafana/prometheus/rules.yml",
    "runbooks.md": "runbooks.md",
    "alertmanager.yml": "grafana/alertmanager/alertmanager.yml",
}
"""File in the folder -> where it comes from."""

FILES: Final = tuple(_SOURCES)

FOLDER: Final = "grafana"
"""What goes to Grafana, beside them."""

_FOR_GRAFANA: Final = ("dashboards", "provisioning")


def write(folder: Path) -> list[Path]:
    """Write the starter files into ``folder`` (made if missing) and return their paths; what is for
    Grafana is a folder of its own. Raises BadConfig, and writes nothing, when one of them is there
    already.
    """
    targets = [folder / name for name in (*FILES, FOLDER)]
    there = [target.name for target in targets if target.exists() or target.is_symlink()]
    if there:
        raise BadConfig([f"{folder} has {', '.join(there)} already; name another folder"])
    if folder.exists() and not folder.is_dir():
        raise BadConfig([f"{folder} is no folder; name another"])
    for made in (folder, folder / "data", folder / "broker"):
        made.mkdir(parents=True, exist_ok=True)
    for name, source in _SOURCES.items():
        with (folder / name).open("x", encoding="utf-8") as opened:
            opened.write(_filled(source, folder.absolute()))
    (folder / FOLDER).mkdir()
    for part in (files(__name__) / FOLDER).iterdir():
        if part.name in _FOR_GRAFANA:
            _copy(part, folder / FOLDER / part.name)
    return targets


def _copy(source: Traversable, target: Path) -> None:
    """A file, or a folder with all that is in it, as it is."""
    if source.is_dir():
        target.mkdir(parents=True)
        for part in source.iterdir():
            _copy(part, target / part.name)
    else:
        target.write_bytes(source.read_bytes())


def _filled(name: str, folder: Path) -> str:
    text = files(__name__).joinpath(name).read_text(encoding="utf-8")
    unit = name.endswith(".service")
    place = str(folder).replace("%", "%%") if unit else str(folder)
    filled = text.replace("@FOLDER@", place).replace("@PROGRAM@", _program())
    return filled.replace("@USER@", _user())


def _user() -> str:
    """Who writes the files, and owns the folders that the broker needs."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's user without a name
        return "mosquitto"


def _program() -> str:
    """The command line that starts us, quoted for a systemd unit."""
    script = Path(sys.executable).with_name("distributor")
    words = [str(script)] if script.exists() else [sys.executable, "-m", "distributor"]
    return " ".join(f'"{word}"' for word in words).replace("%", "%%")
