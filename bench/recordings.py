"""Where recorded floors are kept: outside of the project, which comes without any."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

VARIABLE: Final = "DISTRIBUTOR_DATA"


def folder() -> Path:
    """The folder that ``DISTRIBUTOR_DATA`` names, else ``shared/data`` beside the checkout."""
    return Path(os.environ.get(VARIABLE) or Path(__file__).parents[2] / "shared" / "data")
