"""Who may speak to us: the vendors and reps of the settings in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from distributor.domain.ids import is_name
from distributor.intake.decode import LeadDefaults


class Directory:
    """The vendors and reps that intake knows. A new one is made for new settings."""

    def __init__(self, reps: Iterable[str], vendors: Mapping[str, str]) -> None:
        """``reps``: their ids. ``vendors``: id -> country of phones; empty: any vendor is taken."""
        self._reps = frozenset(reps)
        self._vendors = {
            name: LeadDefaults(country, self._reps) for name, country in vendors.items()
        }
        self._anybody = LeadDefaults(reps=self._reps)

    def vendor(self, name: str) -> LeadDefaults | None:
        """How this vendor's leads are read; None for a vendor that is not taken."""
        if self._vendors:
            return self._vendors.get(name)
        return self._anybody if is_name(name) else None

    def knows_rep(self, rep: str) -> bool:
        """Whether ``rep`` is configured."""
        return rep in self._reps
