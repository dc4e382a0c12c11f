"""Which documents are made, and of what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

from tools.docs.asyncapi import asyncapi
from tools.docs.commands import help_text
from tools.docs.keys import key_tables
from tools.docs.lead_life import diagram, moves, statuses
from tools.docs.openapi import openapi
from tools.docs.requests import request_table

_BLOCK: Final = re.compile(r"(<!-- made: ([a-z0-9_ \[\].-]+) -->\n).*?(<!-- end -->\n)", re.DOTALL)
_HEAD: Final = "# Made from the code by: python -m tools.docs\n"
PAGES: Final = ("lead-life.md", "configuration.md", "cli.md", "http.md")
"""The pages with made blocks."""


def made(folder: Path) -> dict[Path, str]:
    """Path -> text of every made document, as it should be."""
    documents = {
        folder / "asyncapi.yaml": _yaml(asyncapi()),
        folder / "openapi.yaml": _yaml(openapi()),
    }
    for name in PAGES:
        path = folder / name
        documents[path] = _filled(path.read_text(encoding="utf-8"))
    return documents


def _blocks() -> dict[str, str]:
    blocks = {
        "diagram": f"```mermaid\n{diagram()}```\n",
        "moves": moves(),
        "statuses": statuses(),
        "requests": request_table(),
    }
    blocks |= {f"keys {name}": table for name, table in key_tables().items()}
    blocks |= {f"help {name}": f"```text\n{text}```\n" for name, text in help_text().items()}
    return blocks


def _filled(page: str) -> str:
    blocks = _blocks()

    def fill(found: re.Match[str]) -> str:
        return f"{found[1]}\n{blocks[found[2]]}\n{found[3]}"

    return _BLOCK.sub(fill, page)


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Plain YAML: no anchors, texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> Any:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _yaml(document: dict[str, Any]) -> str:
    body: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=96)
    return _HEAD + body
