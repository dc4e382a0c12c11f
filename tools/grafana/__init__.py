"""Makes what ``grafana/`` holds: ``python -m tools.grafana`` writes the dashboards and their provisioning.

One file for each board (``floor``, ``rep``, ``sla``, ``intake``, ``daemon``), what they share in
``style``, ``queries``, ``panels`` and ``board``. ``lint`` judges the JSON, ``promql`` an expression, both
against ``vocabulary``: what the daemon can emit. A test makes everything again and compares the bytes.
"""

import warnings

with warnings.catch_warnings():
    # The SDK warns of the classic form of boards. It is the one that every Grafana from 10 on loads from files.
    warnings.simplefilter("ignore", DeprecationWarning)
    import grafana_foundation_sdk.builders.dashboard
    import grafana_foundation_sdk.builders.prometheus  # noqa: F401 - imported here for the first time
