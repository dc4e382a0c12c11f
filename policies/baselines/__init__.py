"""Baselines: what other systems do, as policies, to be compared with.

None of them is meant for a floor that wants its leads called in a minute; ``docs/policies.md`` says what
each is for. They are written against ``distributor.domain.policy`` like anybody's own.
"""
