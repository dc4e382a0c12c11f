"""Whom the settings in force name: vendors, reps, pools."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from distributor.domain.ids import is_name
from distributor.intake.decode import LeadDefaults
from distributor.intake.wording import NAME_FORM, shown


class Directory:
    """The vendors, reps and pools that intake knows. A new one is made for new settings."""

    def __init__(
        self,
        reps: Iterable[str],
        vendors: Mapping[str, str],
        forms: Container[str] = (),
        pools: Iterable[str] = (),
        former: Container[str] = (),
    ) -> None:
        """``reps``, ``pools``: their ids. ``vendors``: id -> country of phones; empty: any vendor is
        taken. ``forms``: the vendors who send forms. ``former``: who is or was on the floor."""
        self._reps = frozenset(reps)
        self._former = former
        self.pools = tuple(pools)
        self._vendors = {
            name: LeadDefaults(country, self._reps, name in forms)
            for name, country in vendors.items()
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

    def knew_rep(self, rep: str) -> bool:
        """Whether ``rep`` is configured or was: who left the floor may have work to report on."""
        return rep in self._reps or rep in self._former


def unknown(kind: str, name: str) -> str:
    """The problem of a ``vendor`` or ``rep`` that is not known, with its remedy."""
    if is_name(name):
        return f"{kind}: {name} is not known; add it to [[{kind}s]]"
    return f"{kind}: {shown(name)} is no name; use {NAME_FORM}"
