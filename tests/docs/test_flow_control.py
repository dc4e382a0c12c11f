"""The numbers of the pages on flow control are those of the policy."""

from __future__ import annotations

import re
from math import exp
from statistics import fmean

import pytest

from bench.simulate import tuning
from distributor.domain.curve import CURVE_POINTS, worth
from distributor.intake.http_actions import LONGEST_OVERRIDE_DAYS
from policies.lease import settings as policy_settings
from policies.lease.estimator import Estimator
from policies.lease.memory import FleetMemory, RepMemory, Slot
from policies.lease.revocation import value_of_waiting
from policies.lease.settings import (
    FIRM,
    PLENTY,
    PLENTY_STEAL_LIMIT,
    RESERVE,
    RESERVE_MOST,
    RESERVE_REPS,
    SOFT,
    STEAL_AGE,
    STEAL_LIMIT,
    Settings,
)
from tests.docs.pages import DOCS

EQUATIONS = (DOCS / "flow-control.md").read_text().replace("\N{MINUS SIGN}", "-")


def drifts(form: Settings) -> str:
    return f"{form.lagging_drift:,.0f} s / {form.absent_drift:,.0f} s"


def test_the_numbers_of_the_flow_control_are_those_of_the_policy() -> None:
    rows = [
        ("slowed below π", f"{FIRM.fresh_from:g}", f"{SOFT.fresh_from:g}"),
        ("preferred from π", f"{FIRM.preferred_from:g}", f"{SOFT.preferred_from:g}"),
        ("drift, lagging / absent", drifts(FIRM), drifts(SOFT)),
        (
            "probe, limit / gap",
            f"{FIRM.probe_limit:g} s / {FIRM.probe_gap:g} s",
            "900 s / none",
        ),
    ]
    assert (SOFT.probe_limit, SOFT.probe_gap) == (900.0, 0.0)
    for row in rows:
        assert f"| {' | '.join(row)} |" in EQUATIONS, row
    assert f"min({RESERVE_REPS:g} + {RESERVE:g} n, {RESERVE_MOST:g} n)" in EQUATIONS


def test_every_constant_on_the_page_has_the_value_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d.,]+) \| [^|]+ \|$", EQUATIONS, re.MULTILINE)
    assert {name for name, _ in rows} == set(tuning.names())
    for name, shown in rows:
        value = getattr(FIRM, name) if name in FIRM._fields else getattr(policy_settings, name)
        assert shown == f"{value:,.10g}", name


def test_half_and_half_again_are_that_of_the_constants_of_the_code() -> None:
    """A constant that was changed since makes the measured table one of another policy."""
    measured: dict[str, list[float]] = {}
    for name, value in re.findall(
        r"^\| `(\w+)` ([\d.,]+) (?:\| [\d.]+ ){9}\|$", EQUATIONS, re.MULTILINE
    ):
        measured.setdefault(name, []).append(float(value.replace(",", "")))
    assert len(measured) > 10
    for name, values in measured.items():
        value = getattr(FIRM, name) if name in FIRM._fields else getattr(policy_settings, name)
        low, high = values
        assert low < value < high, name
        assert name in ("SAMPLE", "preferred_from") or (low + high) / 2 == pytest.approx(value)


def test_the_delays_and_survivals_on_the_page_are_those_of_the_code() -> None:
    estimator = Estimator(FIRM, 1.0, FleetMemory())
    slot = Slot("k", 0, (0.2,) * 5)
    survivals = estimator.survivals(RepMemory(), slot, 50.0)
    assert "exp(-max(0, a - 3) / 60)" in EQUATIONS and survivals[1] == pytest.approx(exp(-47 / 60))
    assert "exp(-a / 150)" in EQUATIONS and survivals[2] == pytest.approx(exp(-50 / 150))
    assert "exp(-a / 1800)" in EQUATIONS and survivals[4] == pytest.approx(exp(-50 / 1800))
    long_gone = Slot("k", 0, (0.2,) * 5, handling_seconds=240.0)
    assert "r + 0.09 (1 - r)" in EQUATIONS
    assert estimator.survivals(RepMemory(), long_gone, 1e9)[2] == pytest.approx(0.09)
    delays = "| a / 2, from 3 to 15 s | 13, 45 and 110 s, a third each | 140 s | 300 s | 1,500 s |"
    assert delays in EQUATIONS
    for reason, seconds in ((0, (10,)), (1, (13, 45, 110)), (2, (140,)), (3, (300,)), (4, (1500,))):
        only = tuple(float(reason == at) for at in range(5))
        here = value_of_waiting(only, 1.0, 100.0, 20.0)  # type: ignore[arg-type]
        assert here == pytest.approx(fmean(worth(100.0 + after) for after in seconds))
    knots = [f"{value:.2f})" for _, value in CURVE_POINTS[:-1]]
    assert all(knot in EQUATIONS for knot in knots)


def test_the_numbers_of_the_supervisors_page_are_those_of_the_policy() -> None:
    text = " ".join((DOCS / "supervisors.md").read_text().split())
    assert f"more than {RESERVE * 100:.0f} %" in text
    assert f"below {FIRM.fresh_from * 100:.0f} %" in text
    assert f"After {STEAL_AGE:g} seconds of silence".lower() in text.lower()
    assert STEAL_LIMIT == 2 and "moves at most twice" in text
    assert f"back after {FIRM.probe_limit:g} seconds" in text
    assert f"{FIRM.probe_gap:g} seconds later" in text
    assert f"about every {FIRM.probe_limit + FIRM.probe_gap:g} seconds" in text
    assert f"where more than {PLENTY * 100:.0f} % of" in text and PLENTY_STEAL_LIMIT == 6
    assert f"at most {LONGEST_OVERRIDE_DAYS} days ahead" in text
