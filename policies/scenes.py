"""The scenes that the conformance suite plays: what happens on a floor from the first rep to the last lead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from distributor.domain.draws import draw
from distributor.domain.rep import RepState
from policies.miniature import MiniFloor

Scene = Callable[[MiniFloor], None]
"""Something that happens on a floor."""

SEEDS: Final = (1, 2, 3)
SEEDED_STEPS: Final = 70


def scenes() -> dict[str, Scene]:
    """The scenes by name: the scripted ones, then those drawn from a seed."""
    named: dict[str, Scene] = {
        "a quiet morning": quiet_morning,
        "silent reps": silent_reps,
        "refusals": refusals,
        "supervisors": supervisors,
        "new settings": new_settings,
        "more leads than reps": crowded,
        "dials and claims": dials_and_claims,
        "known reps": known_reps,
        "wrap-up and pace": wrap_up_and_pace,
    }
    for seed in SEEDS:
        named[f"seed {seed}"] = seeded(seed)
    return named


def quiet_morning(floor: MiniFloor) -> None:
    """Leads come one by one and are contacted and finished."""
    for rep in list(floor.pool.reps):
        floor.presence(rep, "ready")
    for number in range(8):
        floor.lead(f"L{number}", quality=(0.4, 1.0, 2.5)[number % 3])
        floor.advance(5.0)
        _work(floor, contact_share=1.0, seed=number)
        floor.advance(20.0)


def silent_reps(floor: MiniFloor) -> None:
    """Nobody ever answers: leases run out, and somebody recovers late."""
    for rep in list(floor.pool.reps):
        floor.presence(rep, "ready")
    for number in range(6):
        floor.lead(f"L{number}")
        floor.advance(40.0)
    floor.advance(1800.0)
    _work(floor, contact_share=1.0, seed=1)
    floor.advance(600.0)


def refusals(floor: MiniFloor) -> None:
    """Reps refuse leads until one lead has been refused by all."""
    for rep in list(floor.pool.reps):
        floor.presence(rep, "ready")
    floor.lead("L0")
    for _ in range(len(floor.pool.reps)):
        if floor.pool.leads["L0"].state == "assigned":
            floor.end("L0", "rejected", blame=True, excluded=True)
        floor.advance(3.0)
    floor.lead("L1")
    floor.advance(60.0)


def supervisors(floor: MiniFloor) -> None:
    """Pauses, overrides and full slots: nobody gets what a supervisor keeps from it."""
    reps = list(floor.pool.reps.values())
    for rep in reps:
        floor.presence(rep.id, "ready")
    for rep, override in zip(reps, (0.0, 0.5, None, None), strict=False):
        rep.override, rep.override_reason = override, "training"
        floor.changed(rep)
    reps[-1].paused_until_ns = floor.now_ns + floor.pool.span_ns(300.0)
    floor.changed(reps[-1])
    for number in range(6):
        floor.lead(f"L{number}", test=number == 2)
        floor.advance(30.0)
        _work(floor, contact_share=0.5, seed=number)
    floor.advance(400.0)
    reps[0].override = None
    reps[-1].paused_until_ns = 0
    for rep in (reps[0], reps[-1]):
        floor.changed(rep)
    floor.advance(60.0)


def new_settings(floor: MiniFloor) -> None:
    """Members go and come while leads are under way."""
    for rep in list(floor.pool.reps):
        floor.presence(rep, "ready")
    for number in range(3):
        floor.lead(f"L{number}")
    everybody = list(floor.pool.reps)
    floor.settings(everybody[1:])
    floor.advance(30.0)
    floor.settings([*everybody[1:], "rep_new"])
    floor.presence("rep_new", "ready")
    floor.lead("L3")
    _work(floor, contact_share=0.5, seed=5)
    floor.settings(everybody)
    floor.presence(everybody[0], "ready")
    floor.lead("L4")
    floor.advance(120.0)


def dials_and_claims(floor: MiniFloor) -> None:
    """What reps and dialers say of leads that stay leased: dialled, claimed, in work; and late ends."""
    reps = list(floor.pool.reps)
    for round_, say in enumerate((floor.attempt, floor.claim, floor.working)):
        for rep in reps:
            floor.presence(rep, "ready")
        keys = [f"L{round_}{number}" for number in range(len(reps))]
        for key in keys:
            floor.lead(key)
            floor.advance(2.0)
        for key in [key for key in keys if floor.pool.leads[key].state == "assigned"]:
            say(key)
            floor.advance(3.0)
        floor.lead(f"M{round_}")
        floor.advance(200.0)
        floor.presence(reps[0], "busy")
        floor.presence(reps[0], "ready")
        floor.presence(reps[1], "away")
        floor.advance(floor.pool.flow.lease_seconds)
        _work(floor, contact_share=1.0, seed=round_)
        for lead in [lead for lead in floor.pool.leads.values() if lead.in_pipeline]:
            floor.finish(lead.key, cause="call_limit" if lead.state == "working" else "status")
        floor.advance(30.0)
        for lead in list(floor.pool.leads.values()):
            if lead.state == "working":
                floor.late(lead.key)
        floor.advance(60.0)


def known_reps(floor: MiniFloor) -> None:
    """Leads that have an owner: held for one who is at work, given to others after a while."""
    reps = list(floor.pool.reps)
    for number in range(3):
        floor.lead(f"L{number}", prefers=reps[number])
    for rep in reps:
        floor.presence(rep, "ready")
        floor.advance(4.0)
    for number in range(3, 9):
        floor.lead(f"L{number}", prefers=reps[number % 2])
        floor.lead(f"M{number}")
        floor.advance(12.0)
        _work(floor, contact_share=0.6, seed=number)
    floor.presence(reps[1], "busy")
    floor.lead("N0", prefers=reps[1])
    floor.presence(reps[2], "away")
    floor.lead("N1", prefers=reps[2])
    floor.advance(90.0)


def wrap_up_and_pace(floor: MiniFloor) -> None:
    """Reps who are ready and have a free slot, and get nothing for a while: after a call, or because the
    last lead is too short a time ago."""
    reps = list(floor.pool.reps)
    floor.pool.flow = replace(floor.pool.flow, wrap_up_seconds=30.0)
    floor.pool.reps[reps[-1]].pace_ns = floor.pool.span_ns(45.0)
    floor.settings(reps)
    for rep in reps:
        floor.presence(rep, "ready")
    for number in range(12):
        floor.lead(f"L{number:02}")
        floor.advance(4.0)
        _work(floor, contact_share=1.0, seed=number)
        if number == 6:
            floor.presence(reps[0], "away")
            floor.presence(reps[0], "ready")
    floor.settings(reps[1:])
    floor.lead("M0")
    floor.settings(reps)
    floor.presence(reps[0], "ready")
    floor.lead("M1")
    floor.advance(120.0)


def crowded(floor: MiniFloor) -> None:
    """Many leads wait before the first rep comes, and reps come and go."""
    for number in range(20):
        floor.lead(f"L{number:02}", quality=0.4 + number % 4)
        floor.advance(2.0)
    for rep in list(floor.pool.reps):
        floor.presence(rep, "ready")
        floor.advance(15.0)
        _work(floor, contact_share=0.8, seed=3)
    floor.presence("rep0", "away")
    floor.advance(60.0)
    floor.presence("rep0", "ready")
    for round_ in range(4):
        _work(floor, contact_share=0.8, seed=round_)
        floor.advance(45.0)


def _work(floor: MiniFloor, *, contact_share: float, seed: int) -> None:
    """Some of the leads that reps have are contacted; those contacted before are finished."""
    for place, lead in enumerate(list(floor.pool.leads.values())):
        if lead.state == "working" and lead.in_pipeline and place % 4 == 1:
            floor.finish(lead.key, cause="status", status="invalid")
        elif lead.state == "working" and lead.in_pipeline:
            floor.finish(lead.key, converted=place % 3 == 0)
        elif lead.state == "assigned" and draw(seed, place) < contact_share:
            floor.contact(lead.key, counted=place % 4 != 3)


def seeded(seed: int) -> Scene:
    """A scene of events drawn from a seed."""

    def scene(floor: MiniFloor) -> None:
        for rep in list(floor.pool.reps):
            floor.presence(rep, "ready")
        for step in range(SEEDED_STEPS):
            _something(floor, seed, step)

    return scene


def _something(floor: MiniFloor, seed: int, step: int) -> None:
    """One drawn event."""
    what, which = draw(seed, step, 1), draw(seed, step, 2)
    leads = [lead for lead in floor.pool.leads.values() if lead.in_pipeline]
    lead = leads[int(which * len(leads))] if leads else None
    rep = list(floor.pool.reps)[int(which * len(floor.pool.reps))]
    states: tuple[RepState, ...] = ("ready", "ready", "busy", "away", "offline")
    if what < 0.3:
        owner = rep if draw(seed, step, 4) < 0.2 else ""
        floor.lead(f"L{step:03}", quality=0.4 + which * 2.0, prefers=owner)
    elif what < 0.4:
        floor.presence(rep, states[int(draw(seed, step, 3) * 5)])
    elif what < 0.6 or lead is None:
        floor.advance(which * 90.0)
    elif lead.state == "working":
        floor.finish(lead.key, converted=which < 0.2)
    elif what < 0.65:
        floor.working(lead.key)
    elif what < 0.72:
        floor.attempt(lead.key)
    elif what < 0.85:
        floor.contact(lead.key, counted=which < 0.7)
    elif what < 0.9:
        floor.restarted(lead.key)
    else:
        failed = which < 0.5
        floor.end(lead.key, "delivery_failed" if failed else "rejected", blame=not failed)
