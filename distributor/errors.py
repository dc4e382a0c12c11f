"""The errors of the product, by whose fault they are."""

from __future__ import annotations


class DistributorError(Exception):
    """Base of all: ``str()`` is one line that says what to do."""


class RejectedInput(DistributorError):
    """Theirs: what came in is wrong. The message names the field and the remedy."""


class Unavailable(DistributorError):
    """The weather: something outside does not answer. Trying again may help."""


class BadConfig(DistributorError):
    """The operator's: the settings are wrong. ``problems`` has one line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class StoreFailed(DistributorError):
    """The store could not keep its promise (disk full, I/O error). The process must end."""


class Damaged(StoreFailed):
    """What the store holds cannot be read back. The message says what, and where."""


class Fenced(StoreFailed):
    """Another process owns the journal, or the journal is not where we left it."""
