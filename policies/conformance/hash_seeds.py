"""One scene in two processes that hash differently: what depends on the order of a set shows here."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributor.domain.policy import PolicyFactory


def two_runs(*factories: PolicyFactory) -> tuple[list[str], list[str], str]:
    """The intents under two hash seeds, and what went wrong ("" nothing). A factory that another process
    could not import by its name, such as a lambda, is left out."""
    names = [name for name in map(_importable, factories) if name]
    if not names:
        return [], [], ""
    path = ":".join(part or "." for part in sys.path)
    runs = [
        subprocess.Popen(  # noqa: S603 - this interpreter, and names that were just looked up
            [sys.executable, "-m", "policies.conformance", *names],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    said = [run.communicate() for run in runs]
    for run, (_, error) in zip(runs, said, strict=True):
        if run.returncode:
            return [], [], f"a process of its own fails: {(error.strip() or '?').splitlines()[-1]}"
    return said[0][0].splitlines(), said[1][0].splitlines(), ""


def _importable(factory: PolicyFactory) -> str:
    """``module:name`` of a factory, "" where it is not to be found there."""
    module, path = getattr(factory, "__module__", ""), getattr(factory, "__qualname__", "")
    found: object = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return f"{module}:{path}" if found is factory and module != "__main__" else ""
