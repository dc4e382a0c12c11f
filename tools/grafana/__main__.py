"""``python -m tools.grafana [--config FILE] [--check] [DIR]``: write every made file anew, unless a board
is unsound."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # its stubs are not among our tools

from distributor.errors import BadConfig
from distributor.settings import Settings, load
from tools.grafana import promql
from tools.grafana.files import made
from tools.grafana.limits import limits
from tools.grafana.lint import lint
from tools.grafana.vocabulary import Series, vocabulary


def main(argv: list[str]) -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(prog="python -m tools.grafana", description=__doc__)
    parser.add_argument(
        "--config", metavar="FILE", help="colours and titles follow this distributor.toml"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing: judge the boards and the rules that are there, and compare every made "
        "file (boards, provisioning, README, rules) with what these settings make",
    )
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
    """Say what is wrong with the boards and rules in ``folder``, and which files are stale."""
    boards = [
        json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("dashboards/*.json"))
    ]
    if not boards:
        sys.stderr.write(
            f"{folder}/dashboards: no boards; make them with python -m tools.grafana\n"
        )
        return 1
    words = vocabulary(settings)
    found = [*lint(boards, words), *_rules(folder, words), *_stale(settings, folder)]
    sys.stdout.writelines(f"{text}\n" for text in found)
    return 1 if found else 0


def _rules(folder: Path, words: Mapping[str, Series]) -> Iterator[str]:
    """What is wrong with the expressions of the rules."""
    path = folder / "prometheus" / "rules.yml"
    if not path.exists():
        return
    for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            name = rule.get("alert") or rule.get("record")
            for text in promql.complaints(rule["expr"], words, panel=False):
                yield f"{path.name}: {name}: {text}"


def _stale(settings: Settings, folder: Path) -> Iterator[str]:
    for path, text in made(settings, folder).items():
        if not path.exists():
            yield f"{path}: is missing: python -m tools.grafana"
        elif path.read_text("utf-8") != text:
            yield f"{path}: is not what these settings make: python -m tools.grafana"


def write(settings: Settings, folder: Path) -> int:
    """Write what changed and name it; nothing, with the complaints, where a board would be unsound."""
    files = made(settings, folder)
    boards = [json.loads(text) for path, text in files.items() if path.suffix == ".json"]
    if found := lint(boards, vocabulary(settings)):
        sys.stdout.writelines(f"{text}\n" for text in found)
        return 1
    for path, text in files.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
