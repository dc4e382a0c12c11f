"""The two forms of the policy, and the constants that both share. Times are floor seconds."""

from __future__ import annotations

from typing import Final, NamedTuple

from distributor.domain.curve import CURVE_POINTS


class Settings(NamedTuple):
    """One form of the policy.

    ``fresh_from``: below this P(responsive) a rep is slowed. ``preferred_from``: fresh leads go to
    reps at or above it first, stale ones to those below it. ``curious_below``: such a rep may take a
    stale lead out of the reserve, because that tells most. ``belief_floor``: no belief is surer.
    ``lagging_drift``, ``absent_drift``: time constants of the way back to the resting belief.
    ``probe_limit``: a probe is withdrawn after it; ``probe_gap``: the pause until the next one.
    ``free_from``: least P(free) of an offer. A disposition lowers the beliefs to
    ``present_lagging`` and ``present_absent`` at most. ``visible``: slowing is shown to people.
    """

    fresh_from: float
    preferred_from: float
    curious_below: float
    belief_floor: float
    lagging_drift: float
    absent_drift: float
    probe_limit: float
    probe_gap: float
    free_from: float
    present_lagging: float
    present_absent: float
    visible: bool


FIRM: Final = Settings(0.6, 0.9, 0.75, 0.012, 2500.0, 3000.0, 60.0, 200.0, 0.38, 0.3, 0.1, True)
"""The default, the only visible form: two unanswered leads in a row decide."""

SOFT: Final = Settings(0.5, 0.85, 0.85, 0.001, 2000.0, 1500.0, 900.0, 0.0, 0.35, 1.0, 0.004, False)

PEAK: Final = CURVE_POINTS[0][1]
"""The worth of an immediate contact."""
STALE_AGE: Final = 180.0
PROMPT_FROM: Final = 0.25
"""Least chance of a prompt pick-up of a rep who is offered a fresh lead."""
LOOK_AGAIN: Final = 10.0
"""A lead that waits beside a free rep is looked at again so often."""
FIRST_MINUTE: Final = 60.0
USUAL_CALL: Final = 200.0
"""A rep's time counts less where leads take less than these seconds: see ``Roster.pace``."""
CALM_BACKLOG: Final = 30.0
CALM_BACKLOG_QUICK: Final = 60.0
"""The floor is calm while those at work take all waiting leads in their first minute within so many
seconds; towards the second figure where calls are short, for there a queue passes sooner. Then the oldest
of them goes first: none needs to be given up for another."""
RESERVE: Final = 0.12
RESERVE_REPS: Final = 3.0
RESERVE_MOST: Final = 0.19
"""A stale lead waits unless this share of those at work, and so many more, are likely free for fresh ones;
or RESERVE_MOST of them, where that is less: with up to four at work no lead waits beside a free rep."""
OLD_AGE: Final = 1800.0
"""From this age on a lead waits for the share alone."""
FAIRNESS: Final = 2.0
SKILL_POWER: Final = 0.3
SLOW_OUTCOME: Final = 45.0
PRICE_FRESH: Final = 0.12
PRICE_STALE: Final = 0.10
STEAL_AGE: Final = 14.0
STEAL_AGE_QUICK: Final = 8.0
"""Less silence than this never moves a lead, however short calls are."""
PANIC_STEAL_AGE: Final = 120.0
STEAL_LIMIT: Final = 2
UNLIMITED_AGE: Final = 600.0
PROBE_RECALLS: Final = 3
PANIC_SHOWN: Final = 30.0
"""A panic's begin or end is told to all slowed reps at once, and so long nothing else about it: where it
comes and goes with every event, not every event may cost a sentence for each of them."""
YOUNG_AGE: Final = 5.0
YOUNG_PROBE_LIMIT: Final = 30.0
LONG_SILENT_CALLS: Final = 7.0
LONG_SILENT_CALLS_QUICK: Final = 5.0
"""A slowed rep of whom nothing was heard for so many usual calls (the second figure where calls are short) gets a lead that has just come, for
``YOUNG_PROBE_LIMIT`` seconds: a lead up to ``YOUNG_AGE`` is still reached in its first minute if it comes
back."""
RECHECK_AGES: Final = (
    15.0, 18.0, 21.0, 25.0, 30.0, 37.0, 45.0, 61.0, 80.0, 110.0, 150.0, 200.0, 300.0, 450.0, 600.0,
)  # fmt: skip
"""The ages at which a silent lease is looked at again; before the first of them it moves on
only as somebody becomes free."""
SILENT_FROM: Final = 0.3
"""A lost lease of which slowness or absence are the reason with at least this chance counts as one more
unanswered lead in a row."""
PLENTY: Final = 0.6
"""More than this share of those at work are probably free: there is time to ask a second rep, and a third."""
PLENTY_FAIRNESS: Final = 1.0
PLENTY_PRICE_FRESH: Final = 0.02
PLENTY_PRICE_STALE: Final = 0.0
PLENTY_STEAL_LIMIT: Final = 6
PLENTY_SILENT_FROM: Final = 0.1
"""Where leases move on so early, each single one says less, and counts from less on."""
CAUTION: Final = 1.3
"""Standard deviations that are granted to a record of conversions before it counts against a rep."""
UNCONFIRMED_BUSY: Final = 30.0
"""A rep whose dialer reports states is taken for busy so long after a contact; without a report by
then the dialer did not see this call, and the usual inference goes on."""
NEWCOMER: Final = 3
"""With fewer contacts on record nobody is slowed for a single miss: until then the first guesses count
for more than what the rep has shown."""
BUSY_BELIEVED: Final = 1800.0
"""A reported ``busy`` or ``wrap_up`` explains a silence of half an hour at most: with the usual handling
time one call in 400 is longer, and then the ``ready`` is more likely lost. A lease of the usual
``lease_seconds`` (600) is over before."""
NEXT_SHIFT: Final = 7200.0
"""Who was offline so long starts a new shift: profile kept, share of work level with the others."""
SCAN: Final = 24
SAMPLE: Final = 16
"""Up to SCAN candidates are all weighed; of more, a seeded sample of SAMPLE (two where leads queue at
the reps: see ``Roster.offers``)."""
