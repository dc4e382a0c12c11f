"""Colours, units and thresholds. The colours are Okabe and Ito's: nobody has to tell green from red."""

from __future__ import annotations

from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import units

GOOD: Final = "#0072B2"
WARN: Final = "#E69F00"
BAD: Final = "#D55E00"
SKY: Final = "#56B4E9"
TEAL: Final = "#009E73"
PINK: Final = "#CC79A7"
YELLOW: Final = "#F0E442"
QUIET: Final = "#999999"

STATE_COLOURS: Final = {
    "ready": SKY,
    "busy": GOOD,
    "wrap_up": TEAL,
    "paused": WARN,
    "away": PINK,
    "offline": QUIET,
}
"""Reps' states in the order of their use, always together with the word."""

REASON_COLOURS: Final = {
    "slow_contact": BAD,
    "full_pipeline": SKY,
    "status_overdue": PINK,
    "paused": WARN,
    "manual": TEAL,
    "warm_up": GOOD,
    "held_back": QUIET,
}
"""Why a rep is held back."""

COLOURS: Final = {
    # vendors' leads, reps' and dialers' events
    "accepted": GOOD,
    "duplicate": QUIET,
    "rejected": BAD,
    "error": WARN,
    "stale": PINK,
    "received": GOOD,
    "dead letters": WARN,
    "refused": BAD,
    "http": GOOD,
    "mqtt": SKY,
    # leads by state, what is decided about them, what becomes of them
    "waiting": WARN,
    "assigned": SKY,
    "working": GOOD,
    "parked": QUIET,
    "exception": BAD,
    "no_owner": BAD,
    "deferred": QUIET,
    "expired": WARN,
    "contacted": TEAL,
    "qualified": SKY,
    "converted": GOOD,
    "lost": QUIET,
    "callback_due": GOOD,
    "recycled": TEAL,
    "supervisor": WARN,
    # the standard
    "met": GOOD,
    "missed": BAD,
    "on time": GOOD,
    "late": WARN,
    # the exception desk
    "opened": WARN,
    "closed": QUIET,
    "all_refused": BAD,
    "delivery_failed": PINK,
    "no_pool": QUIET,
    "waiting_limit": WARN,
    "working_limit": SKY,
    # deliveries and the broker's link
    "ok": GOOD,
    "retry": WARN,
    "dead": BAD,
    "in_doubt": PINK,
    "unheard_assignments": BAD,
    "refused_publishes": WARN,
    "taken_over": GOOD,
    "failed_attempts": PINK,
    "lost_publishes": TEAL,
    "lost_sessions": SKY,
    "stale_acks": QUIET,
    "handler_errors": YELLOW,
    # two lines of one histogram, or two ways of looking at one thing
    "half": SKY,
    "nine in ten": GOOD,
    "99 of 100": GOOD,
    "waiting for a rep": WARN,
    "response of the rep": GOOD,
    **STATE_COLOURS,
    **REASON_COLOURS,
}
"""A word has one colour on all boards: a series that is named by it, or whose name ends with it after a
colon."""

RATIO: Final = units.PercentUnit
SECONDS: Final = units.Seconds
SHORT_SECONDS: Final = "suffix: s"
"""For axes that end at a few minutes: 100 s, not 1.67 mins."""
MINUTES: Final = "suffix: min"
BYTES: Final = units.BytesIEC
COUNT: Final = units.Short
LEADS: Final = "suffix: leads"
REPS: Final = "suffix: reps"
PER_MINUTE: Final = "suffix: /min"
TIMES: Final = "suffix: x"

Step = tuple[float, str]


def steps(first: str, *rest: Step) -> build.ThresholdsConfig:
    """Colour ``first``, and from each value on its own colour."""
    found = [models.Threshold(value=None, color=first)]
    found += [models.Threshold(value=value, color=color) for value, color in rest]
    return build.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


def at_most(warn: float, bad: float) -> build.ThresholdsConfig:
    """For what should be small. Where ``warn`` is not below ``bad`` there is nothing between the two."""
    return steps(GOOD, (warn, WARN), (bad, BAD)) if warn < bad else steps(GOOD, (bad, BAD))


def at_least(target: float, bad: float) -> build.ThresholdsConfig:
    """For what should reach a target: below ``bad`` it is bad, and below the target where ``bad`` is not
    below that."""
    return steps(BAD, (bad, WARN), (target, GOOD)) if bad < target else steps(BAD, (target, GOOD))


PLAIN: Final = steps(GOOD)
ZERO: Final = steps(GOOD, (0.5, WARN))
"""For counts of things that somebody should look at."""
NEVER: Final = steps(GOOD, (0.5, BAD))
"""For counts that must be 0."""


def words(meanings: dict[str, tuple[str, str | None]]) -> models.ValueMap:
    """A mapping of values to a word and a colour."""
    return models.ValueMap(
        options={
            value: models.ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(meanings.items())
        }
    )


UP: Final = words({"0": ("down", BAD), "1": ("up", GOOD)})
"""For what is there or not."""

REASON_WORDS: Final = {
    "slow_contact": "slow to contact",
    "full_pipeline": "enough leads in hand",
    "status_overdue": "statuses overdue",
    "paused": "paused by a supervisor",
    "manual": "set by a supervisor",
    "warm_up": "warming up",
    "held_back": "gets less for now",
}
"""Why a rep is held back, in the words of the floor."""


def reason_words() -> models.ValueMap:
    """The codes of the reasons as words."""
    return words({code: (text, None) for code, text in REASON_WORDS.items()})


def fixed(colour: str) -> dict[str, str]:
    """One colour, as Grafana writes it."""
    return {"mode": "fixed", "fixedColor": colour}


def colour_by_name(name: str, colour: str) -> tuple[models.MatcherConfig, list[Any]]:
    """An override that gives the series ``name`` its colour."""
    return (
        models.MatcherConfig(id_val="byName", options=name),
        [models.DynamicConfigValue(id_val="color", value=fixed(colour))],
    )


def colour_by_end(word: str) -> tuple[models.MatcherConfig, list[Any]]:
    """An override that gives the series whose names end with ``: word`` the colour of the word."""
    return (
        models.MatcherConfig(id_val="byRegexp", options=f"/: {word}$/"),
        [models.DynamicConfigValue(id_val="color", value=fixed(COLOURS[word]))],
    )


def colour_of(word: str) -> tuple[models.MatcherConfig, list[Any]]:
    """An override that gives the series ``word`` its colour."""
    return colour_by_name(word, COLOURS[word])


def reason(code: str) -> tuple[models.MatcherConfig, list[Any]]:
    """An override that gives the series of a reason its colour, and shows the words of the floor."""
    matcher, properties = colour_of(code)
    text = models.DynamicConfigValue(id_val="displayName", value=REASON_WORDS[code])
    return matcher, [*properties, text]
