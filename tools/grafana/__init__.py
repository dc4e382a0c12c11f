"""Makes what ``grafana/`` holds: ``python -m tools.grafana`` writes the dashboards and their provisioning.

One file for each board (``floor``, ``rep``, ``sla``, ``intake``, ``daemon``), what they share in
``style``, ``queries``, ``panels`` and ``board``. ``lint`` judges the JSON, ``promql`` an expression, both
against ``vocabulary``: what the daemon can emit. A test makes everything again and compares the bytes.
"""
