"""Which pool a lead belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributor.core.state import State


def route(state: State) -> str | None:
    """The pool of a new lead: the only one there is. None when there is none, or a choice to make."""
    pools = state.floor.pools
    return pools[0].id if len(pools) == 1 else None
