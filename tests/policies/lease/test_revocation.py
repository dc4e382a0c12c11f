"""What decides whether a silent lead is looked at in earnest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from distributor.domain.curve import worth
from policies.lease.choice import expected_worth
from policies.lease.revocation import kindest_terms, terms_of

_SECONDS = st.floats(0.0, 200_000.0)


@given(st.floats(0.0, 1.0), _SECONDS, _SECONDS)
def test_no_taker_is_worth_more_than_a_contact_on_the_spot(
    p: float, lag: float, age: float
) -> None:
    """By this a lease is passed over before anybody is weighed."""
    assert expected_worth((p, 1.0, lag, 0), age) <= worth(age) + 1e-9


@given(st.floats(0.01, 1.0), st.booleans(), st.booleans())
def test_the_kindest_terms_pass_nothing_over_that_the_true_ones_would_move(
    pace: float, may_be: bool, is_so: bool
) -> None:
    best = kindest_terms(plenty=may_be, pace=pace)
    true = terms_of(plenty=may_be and is_so, pace=pace)
    assert best.fresh <= true.fresh
    assert best.stale <= true.stale
    assert best.limit >= true.limit
