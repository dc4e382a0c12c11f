"""``python -m tools.grafana [--config FILE] [--check] [DIR]``: write every made file anew."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from distributor.settings import Settings, load
from tools.grafana.files import made


def main(argv: list[str]) -> int:
    """Write what changed and name it."""
    parser = argparse.ArgumentParser(prog="python -m tools.grafana", description=__doc__)
    parser.add_argument(
        "--config", metavar="FILE", help="colours and titles follow this distributor.toml"
    )
    parser.add_argument("folder", nargs="?", default="grafana", metavar="DIR")
    args = parser.parse_args(argv)
    settings = load(args.config) if args.config else Settings()
    for path, text in made(settings, Path(args.folder)).items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
