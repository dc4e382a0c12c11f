"""The pages as the tests see them: their blocks and their words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/RESULTS.md")),
    *sorted(DOCS.rglob("*.md")),
]
ALL_TEXT = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)

_BLOCK = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: its language, its text, and its line in the page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, *languages: str) -> list[Block]:
    """The blocks of a page in their order, of these languages (none: of all)."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        if not languages or match[1] in languages:
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(name_of(path), line, match[1], match[2]))
    return found


def every(*languages: str) -> list[Block]:
    return [block for path in PAGES for block in blocks(path, *languages)]
