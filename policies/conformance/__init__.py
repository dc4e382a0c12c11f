"""A test suite for selection policies, for ours and for anybody's.

    from policies.conformance import assert_good_citizen

    def test_my_policy_is_a_good_citizen():
        assert_good_citizen(MyPolicy)

``check`` plays scenes on the daemon's own core and says what the daemon would refuse or could not live
with. Passing does not make a policy good at its work; failing makes it unusable. ``SmallFloor`` is the floor
of the scenes, for tests of your own.
"""

from __future__ import annotations

from policies.conformance.checks import (
    NotAGoodCitizen,
    assert_good_citizen,
    check,
    find_problems,
    problems_here,
    problems_of_hashing,
)
from policies.conformance.floor import SmallFloor

__all__ = [
    "NotAGoodCitizen",
    "SmallFloor",
    "assert_good_citizen",
    "check",
    "find_problems",
    "problems_here",
    "problems_of_hashing",
]
