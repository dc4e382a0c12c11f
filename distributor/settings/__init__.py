"""The configuration file: read, checked as a whole, and made into immutable ``Settings``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from distributor.domain.floor import Floor, TeamPlan
from distributor.errors import BadConfig
from distributor.settings.checks import check, is_loopback
from distributor.settings.files import check_files, located, read_toml, store_doubt, store_path
from distributor.settings.model import (
    AlertSettings,
    HttpSettings,
    HttpTls,
    LogSettings,
    MetricsSettings,
    MqttSettings,
    MqttTls,
    Role,
    Secret,
    Settings,
    SpeedToContactSettings,
    StandardsSettings,
    StoreSettings,
    TokenSettings,
    VendorSettings,
)
from distributor.settings.policies import Policies, check_policies
from distributor.settings.problems import Problems
from distributor.settings.secrets import fill, read_secret
from distributor.settings.walk import walk

__all__ = [
    "AlertSettings",
    "HttpSettings",
    "HttpTls",
    "LogSettings",
    "MetricsSettings",
    "MqttSettings",
    "MqttTls",
    "Problems",
    "Role",
    "Secret",
    "Settings",
    "SpeedToContactSettings",
    "StandardsSettings",
    "StoreSettings",
    "TokenSettings",
    "VendorSettings",
    "is_loopback",
    "known_policies",
    "load",
    "parse",
    "read_secret",
    "store_doubt",
    "store_path",
    "to_floor",
]

Check = Callable[[Settings, Problems], None]

_MANY_REPS: Final = 2000
_DIGEST_LETTERS: Final = 12


def known_policies() -> frozenset[str]:
    """The names of the installed selection policies."""
    return frozenset(Policies())


def load(
    path: Path | str, *, policies: Collection[str] | None = None, also: Check | None = None
) -> Settings:
    """The settings in the file ``path``; ``policies`` are the known policy names (None: the
    installed ones, of which those that are named are made and tried), ``also`` judges what this room
    cannot. Raises BadConfig with every problem of the file at once.
    """
    path = Path(path)
    return parse(read_toml(path), path.absolute().parent, policies=policies, also=also)


def parse(
    tree: dict[str, object],
    folder: Path,
    *,
    policies: Collection[str] | None = None,
    also: Check | None = None,
) -> Settings:
    """The settings in a parsed TOML document whose relative paths start at ``folder``. ``also`` is
    called with the settings as far as they are right, and reports what else is wrong. Raises
    BadConfig with every problem at once.
    """
    problems = Problems()
    settings = located(walk(tree, problems), folder)
    known = known_policies() if policies is None else policies
    check(settings, tree, known, problems)
    check_files(settings, problems)
    settings = fill(settings, problems)
    if also is not None:
        also(settings, problems)
    if policies is None:
        check_policies(settings, to_floor(settings), problems)
    if problems.lines:
        raise BadConfig(problems.lines)
    table = tree.get("metrics", {})
    chosen = isinstance(table, dict) and "per_rep" in table
    if not chosen and len(settings.reps) > _MANY_REPS:
        settings = replace(settings, metrics=MetricsSettings(per_rep="held_back"))
    return settings


def to_floor(settings: Settings) -> Floor:
    """What the core is told. Teams that only reps name are added; ``digest`` is a hash of the
    meaning of these parts (flow, teams, reps, pools), equal for files that differ in spelling or elsewhere.
    """
    listed = {team.id: team for team in settings.teams}
    for rep in settings.reps:
        listed.setdefault(rep.team, TeamPlan(id=rep.team))
    floor = Floor(
        digest="",
        teams=tuple(listed.values()),
        reps=settings.reps,
        pools=settings.pools,
        flow=settings.flow,
    )
    meaning = msgspec.json.encode(floor, order="deterministic")
    return replace(floor, digest=hashlib.sha256(meaning).hexdigest()[:_DIGEST_LETTERS])
