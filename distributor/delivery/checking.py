"""What a configuration file says about dialers, tried before anything is sent."""

from __future__ import annotations

from distributor.delivery.templates import compile_plan
from distributor.domain.dialers import WebhookPlan
from distributor.errors import BadConfig
from distributor.settings import Problems, Settings, read_secret


def check_dialers(settings: Settings, problems: Problems) -> None:
    """Report every template of ``[[dialers]]`` that cannot be filled in with a sample message."""
    for at, plan in enumerate(settings.dialers):
        try:
            compile_plan(plan, secret_of(plan, unreadable="secret"), where=f"dialers[{at}]")
        except BadConfig as error:
            for line in error.problems:
                path, _, text = line.partition(": ")
                if not problems.covers(path):
                    problems.add(path, text)


def secret_of(plan: WebhookPlan, *, unreadable: str | None = None) -> str:
    """The secret that the dialer's templates use; "" where none is named. ``unreadable``: what to
    take where it cannot be read (None: raises BadConfig)."""
    try:
        return read_secret(plan.secret_file, plan.secret_env)
    except BadConfig:
        if unreadable is None:
            raise
        return unreadable
