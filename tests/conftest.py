"""What holds for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No limit on the time of an example: a busy machine must not fail a test of what is true.
settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("house")
