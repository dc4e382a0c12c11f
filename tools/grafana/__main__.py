"""``python -m tools.grafana [--config FILE] [--check] [DIR]``: write every made file anew."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from distributor.errors import BadConfig
from distributor.settings import Settings, load
from tools.grafana.files import made
from tools.grafana.limits import limits
from tools.grafana.lint import lint
from tools.grafana.vocabulary import vocabulary


def main(argv: list[str]) -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(prog="python -m tools.grafana", description=__doc__)
    parser.add_argument(
        "--config", metavar="FILE", help="colours and titles follow this distributor.toml"
    )
    parser.add_argument("--check", action="store_true", help="judge what is there; write nothing")
    parser.add_argument("folder", nargs="?", default="grafana", metavar="DIR")
    args = parser.parse_args(argv)
    try:
        settings = load(args.config) if args.config else Settings()
        limits(settings)
    except BadConfig as problem:
        sys.stderr.writelines(f"{line}\n" for line in problem.problems)
        return 2
    return check(settings, Path(args.folder)) if args.check else write(settings, Path(args.folder))


def check(settings: Settings, folder: Path) -> int:
    """Say what is wrong with the boards in ``folder``."""
    boards = [
        json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("dashboards/*.json"))
    ]
    if not boards:
        sys.stderr.write(
            f"{folder}/dashboards: no boards; make them with python -m tools.grafana\n"
        )
        return 1
    found = lint(boards, vocabulary(settings))
    sys.stdout.writelines(f"{text}\n" for text in found)
    return 1 if found else 0


def write(settings: Settings, folder: Path) -> int:
    """Write what changed and name it."""
    for path, text in made(settings, folder).items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
