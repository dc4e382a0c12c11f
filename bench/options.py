"""The kinds of options that the benches share. Each says in one line what is wrong with a value."""

from __future__ import annotations

import tomllib
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from distributor.errors import BadConfig
from distributor.settings.policies import Policies


def count(text: str) -> int:
    """A whole number, 1 or more."""
    return _whole(text, 1)


def count_or_none(text: str) -> int:
    """A whole number, 0 or more."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if text.isdecimal() and int(text) >= least:
        return int(text)
    raise ArgumentTypeError(f"{text}: give a whole number, {least} or more")


def rate(text: str) -> float:
    """A number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if 0.0 < number < float("inf"):
        return number
    raise ArgumentTypeError(f"{text}: give a number above 0")


def folder(text: str) -> str:
    """A folder that is there."""
    if Path(text).is_dir():
        return text
    raise ArgumentTypeError(f"{text}: no folder is there; make it first")


def add_store_folder(parser: ArgumentParser) -> None:
    """``--folder``, for the benches that run a daemon."""
    parser.add_argument(
        "--folder", type=folder, metavar="DIR", help="where the store is (a temporary folder)"
    )


def config(text: str) -> dict[str, Any]:
    """The tables of a configuration file."""
    try:
        return tomllib.loads(Path(text).read_text())
    except OSError as error:
        raise ArgumentTypeError(f"{text}: {error.strerror}") from error
    except ValueError as error:
        raise ArgumentTypeError(f"{text}: no TOML: {error}") from error


def policy(text: str) -> str:
    """The name of an installed policy."""
    try:
        Policies()[text]
    except BadConfig as error:
        raise ArgumentTypeError(str(error)) from error
    return text
