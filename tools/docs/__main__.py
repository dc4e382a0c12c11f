"""Write every made document anew."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.docs.documents import made


def main(argv: list[str]) -> int:
    """Write what changed and name it."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs"), metavar="FOLDER")
    for path, text in made(parser.parse_args(argv).folder).items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
