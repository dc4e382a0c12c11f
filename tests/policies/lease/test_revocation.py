"""What decides whether a silent lead is looked at in earnest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from distributor.domain.curve import worth
from policies.lease.choice import expected_worth
from policies.lease.revocation import terms_of

_SECONDS = st.floats(0.0, 200_000.0)


@given(st.floats(0.0, 1.0), _SECONDS, _SECONDS)
def test_no_taker_is_worth_more_than_a_contact_on_the_spot(
    p: float, lag: float, age: float
) -> None:
    """By this a lease is passed over before anybody is weighed."""
    assert expected_worth((p, 1.0, lag, 0), age) <= worth(age) + 1e-9


def test_in_plenty_a_move_costs_less_and_more_of_them_are_allowed() -> None:
    """So the terms of the most that may be free pass nothing over that the exact ones would move."""
    plenty, scarce = terms_of(plenty=True), terms_of(plenty=False)
    assert plenty.fresh <= scarce.fresh
    assert plenty.stale <= scarce.stale
    assert plenty.limit >= scarce.limit
