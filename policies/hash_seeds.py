"""One scene in two processes that hash differently: what depends on the order of a set shows here.

    python -m policies.hash_seeds MODULE:NAME ...

prints the intents of the policies that the factories make, a line each.
"""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys
from typing import TYPE_CHECKING, cast

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
            [sys.executable, "-m", "policies.hash_seeds", *names],
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


def main(names: list[str]) -> None:
    """Print the intents of one scene under each policy."""
    from policies.conformance import seeded_log  # noqa: PLC0415 - which imports this module

    for name in names:
        module, _, path = name.partition(":")
        factory = functools.reduce(getattr, path.split("."), importlib.import_module(module))
        for intent in seeded_log(cast("PolicyFactory", factory)):
            sys.stdout.write(f"{name} {intent}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
