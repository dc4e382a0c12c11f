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
QUIET: Final = "#999999"

STATE_COLOURS: Final = {
    "ready": SKY,
    "busy": GOOD,
    "wrap_up": TEAL,
    "away": PINK,
    "paused": WARN,
    "offline": QUIET,
}
"""Reps' states, always together with the word."""

RATIO: Final = units.PercentUnit
SECONDS: Final = units.Seconds
BYTES: Final = units.BytesIEC
COUNT: Final = units.Short
LEADS: Final = "suffix: leads"
REPS: Final = "suffix: reps"
PER_MINUTE: Final = "suffix: /min"
PER_HOUR: Final = "suffix: /h"
TIMES: Final = "suffix: x"

Step = tuple[float, str]


def steps(first: str, *rest: Step) -> build.ThresholdsConfig:
    """Colour ``first``, and from each value on its own colour."""
    found = [models.Threshold(value=None, color=first)]
    found += [models.Threshold(value=value, color=color) for value, color in rest]
    return build.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


def at_most(warn: float, bad: float) -> build.ThresholdsConfig:
    """For what should be small."""
    return steps(GOOD, (warn, WARN), (bad, BAD))


def at_least(target: float, bad: float) -> build.ThresholdsConfig:
    """For what should reach a target: below ``bad`` it is bad."""
    return steps(BAD, (bad, WARN), (target, GOOD))


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
