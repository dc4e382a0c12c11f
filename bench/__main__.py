"""``python -m bench COMMAND``: measures the distributor. The last line is JSON with ``--json``."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Final

from distributor.errors import BadConfig, DistributorError

COMMANDS: Final = {
    "core": "decisions/s of the core alone, and its memory",
    "load": "the running daemon beside a bare bridge on the same broker",
    "crash": "kill -9 of the daemon under load",
    "faults": "broker gone, daemon stopped, disk full: is anything lost?",
    "trace": "recorded floors through the daemon: is every lead accounted for?",
    "recovery": "the time to start with many open leads",
    "scrape": "what a scrape costs the loop, and holds in memory",
    "fsync": "what the disk costs",
    "dark": "one rep goes dark, two become slow: which leads wait for them?",
    "simulate": "the policies on a simulated floor, beside a bound",
}
"""Each is a module of this package with ``arguments(parser)`` and ``run(args) -> exit code``."""


def main(argv: list[str] | None = None) -> int:
    """Run one bench; only its own module is imported. 2: what was asked for cannot be; 1: the bench
    failed, or found the daemon failing."""
    given = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    wanted = next((word for word in given if not word.startswith("-")), "")
    for name, about in COMMANDS.items():
        sub = commands.add_parser(name, help=about, description=about)
        sub.add_argument("--json", action="store_true", help="end with one JSON object")
        if name == wanted:
            module = importlib.import_module(f"bench.{name}")
            module.arguments(sub)
    args = parser.parse_args(given)
    try:
        code: int = module.run(args)
    except (DistributorError, OSError) as error:
        print(f"bench {args.command}: {error}", file=sys.stderr)
        return 2 if isinstance(error, BadConfig) else 1
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
