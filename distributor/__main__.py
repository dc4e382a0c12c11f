"""``python -m distributor``: the same as the command ``distributor``."""

import sys

from distributor.cli import main

sys.exit(main())
