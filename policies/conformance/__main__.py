"""``python -m policies.conformance MODULE:NAME ...``: what the policies that these factories make ask for in one
scene, an intent a line. See ``hash_seeds``."""

from __future__ import annotations

import functools
import importlib
import sys
from typing import TYPE_CHECKING, cast

from policies.conformance.checks import seeded_log

if TYPE_CHECKING:
    from distributor.domain.policy import PolicyFactory

for name in sys.argv[1:]:
    module, _, path = name.partition(":")
    factory = functools.reduce(getattr, path.split("."), importlib.import_module(module))
    for intent in seeded_log(cast("PolicyFactory", factory)):
        sys.stdout.write(f"{name} {intent}\n")
