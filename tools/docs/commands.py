"""The blocks of ``docs/cli.md``: what the commands say of themselves."""

from __future__ import annotations

import os
from argparse import ArgumentParser, _SubParsersAction
from unittest.mock import patch

from distributor import cli


def help_text() -> dict[str, str]:
    """Command ("distributor" for the program itself) -> its help, 80 columns wide."""
    with patch.dict(os.environ, {"COLUMNS": "80", "NO_COLOR": "1"}):
        parser = cli._parser()  # noqa: SLF001 - the one place that knows every argument
        texts = {"distributor": parser.format_help()}
        texts |= {name: command.format_help() for name, command in subcommands(parser).items()}
    return texts


def subcommands(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    """Every command of the program."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if isinstance(action, _SubParsersAction):
            return dict(action.choices)
    return {}
