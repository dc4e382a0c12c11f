"""Errors that the pure part raises: ours or a plug-in's, never the outside's."""

from __future__ import annotations


class ImpossibleMove(Exception):
    """A lead cannot make this move from its state. Nothing was changed."""


class PolicyMisbehaved(Exception):
    """A policy asked for something that is not possible: a mistake in the policy."""


class InvariantBroken(Exception):
    """Our own mistake: what must always hold does not. The process must end."""
