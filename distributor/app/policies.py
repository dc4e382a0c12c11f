"""Finds selection policies by their names: our own and those of others are installed alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points

from distributor.domain.policy import PolicyFactory
from distributor.errors import BadConfig

GROUP = "distributor.policies"


class Policies(Mapping[str, PolicyFactory]):
    """Name -> factory, loaded when first asked for."""

    def __init__(self) -> None:
        self._found: dict[str, EntryPoint] = {
            entry.name: entry for entry in entry_points(group=GROUP)
        }
        self._loaded: dict[str, PolicyFactory] = {}

    def __getitem__(self, name: str) -> PolicyFactory:
        """Raises ``BadConfig`` for a policy that cannot be loaded."""
        if name not in self._loaded:
            if name not in self._found:
                raise BadConfig([f"policy {name!r} is not installed; known: {', '.join(self)}"])
            try:
                self._loaded[name] = self._found[name].load()
            except Exception as error:
                raise BadConfig([f"policy {name!r} cannot be loaded: {error}"]) from error
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._found))

    def __len__(self) -> int:
        return len(self._found)
