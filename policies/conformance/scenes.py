"""The scenes that the conformance suite plays: what happens on a floor from the first rep to the last lead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from distributor.domain.draws import draw
from distributor.domain.floor import RepPlan
from distributor.domain.lead import LeadStatus
from distributor.domain.rep import RepState
from policies.conformance.floor import SmallFloor

Scene = Callable[[SmallFloor], None]
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


def one_lead(floor: SmallFloor) -> None:
    """A fresh lead and free reps."""
    floor.ready()
    floor.lead("L0")
    floor.advance(floor.pool.flow.first_contact_seconds)


def nothing_to_do(floor: SmallFloor) -> None:
    """Reps and no leads; and what is said of leads and times that are not."""
    floor.ready()
    for seconds in (0.0, 1.0, 600.0, 86_400.0):
        floor.advance(seconds)
        floor.tick()
        floor.ready("rep0")
        floor.stray()
    floor.settings()


def faults_and_claims(floor: SmallFloor) -> None:
    """Leads that never arrive, or arrive late, and reps who only claim."""
    floor.ready()
    for number in range(24):
        floor.lead(f"L{number}")
        floor.advance(10.0)
        for name in floor.those("assigned"):
            floor.fail(name)
    floor.advance(60.0)
    for name in floor.those("assigned"):
        floor.delay(name)
        floor.advance(5.0)
    for name in floor.those("assigned"):
        floor.report("contacted", name, evidence="claimed")
        floor.report("status", name, status="lost", evidence="claimed")


def quiet_morning(floor: SmallFloor) -> None:
    """Leads come one by one and are contacted and finished."""
    floor.ready()
    for number in range(8):
        floor.lead(f"L{number}", score=(0.2, 0.5, 1.0)[number % 3])
        floor.advance(5.0)
        _work(floor, contact_share=1.0, seed=number)
        floor.advance(20.0)


def silent_reps(floor: SmallFloor) -> None:
    """Nobody ever answers: leases run out, and somebody recovers late."""
    floor.ready()
    for number in range(6):
        floor.lead(f"L{number}")
        floor.advance(40.0)
    floor.advance(1800.0)
    _work(floor, contact_share=1.0, seed=1)
    floor.advance(600.0)


def refusals(floor: SmallFloor) -> None:
    """Reps refuse leads until one lead has been refused by all."""
    floor.ready()
    floor.lead("L0")
    for _ in range(len(floor.reps)):
        if floor.leads["L0"].state == "assigned":
            floor.report("rejected", "L0")
        floor.advance(3.0)
    floor.lead("L1")
    floor.advance(60.0)
    if floor.leads["L0"].state == "exception":
        floor.supervise("recycle", lead="L0")
    floor.advance(60.0)


def supervisors(floor: SmallFloor) -> None:
    """Pauses, overrides and leads that are given by hand: nobody gets what a supervisor keeps from it."""
    first, second, *_, last = floor.reps
    floor.ready()
    floor.supervise("override", first, flow=0.0)
    floor.supervise("override", second, flow=0.5)
    floor.supervise("pause", last, 300.0)
    for number in range(6):
        floor.lead(f"L{number}", test=number == 2)
        floor.advance(30.0)
        _work(floor, contact_share=0.5, seed=number)
    floor.lead("M0")
    if floor.leads["M0"].rep != first:
        floor.supervise("assign", first, lead="M0")
    floor.advance(400.0)
    floor.supervise("resume", first)
    floor.supervise("override", second, 60.0, flow=0.2)
    floor.lead("M1")
    floor.advance(120.0)
    floor.supervise("close", lead="M0", status="lost")
    floor.advance(60.0)


def new_settings(floor: SmallFloor) -> None:
    """Members go and come, with other weights and windows, while leads are under way."""
    everybody = list(floor.reps)
    floor.ready()
    for number in range(3):
        floor.lead(f"L{number}")
    floor.settings(everybody[1:])
    floor.advance(30.0)
    floor.settings([*everybody[1:], "rep_new"])
    floor.ready("rep_new")
    floor.lead("L3")
    _work(floor, contact_share=0.5, seed=5)
    floor.settings([RepPlan(everybody[0], "north", weight=2.0), *everybody[1:]])
    floor.ready(everybody[0])
    floor.lead("L4")
    floor.advance(120.0)


def dials_and_claims(floor: SmallFloor) -> None:
    """What reps and dialers say of leads that stay leased: dialled, claimed, in work; and late ends."""
    reps = list(floor.reps)
    floor.settings(call_limit_seconds=300.0)
    for round_ in range(3):
        floor.ready()
        names = [f"L{round_}{number}" for number in range(len(reps))]
        for name in names:
            floor.lead(name)
            floor.advance(2.0)
        for name in [name for name in names if floor.leads[name].state == "assigned"]:
            if round_ == 0:
                floor.report("attempted", name, result="no_answer")
            elif round_ == 1:
                floor.report("contacted", name, evidence="claimed")
            else:
                floor.report("status", name, status="working", evidence="claimed")
            floor.advance(3.0)
        floor.lead(f"M{round_}")
        floor.advance(200.0)
        floor.presence(reps[0], "busy")
        floor.ready(reps[0])
        floor.presence(reps[1], "away")
        floor.advance(floor.pool.flow.lease_seconds)
        _work(floor, contact_share=1.0, seed=round_)
        # Of those in work no end is heard: that is inferred, and told late.
        floor.advance(floor.pool.flow.call_limit_seconds)
        for name in floor.those("working"):
            floor.report("status", name, status="lost")
        floor.advance(60.0)


def known_reps(floor: SmallFloor) -> None:
    """Leads that have an owner: held for one who is at work, given to others after a while."""
    reps = list(floor.reps)
    for number in range(3):
        floor.lead(f"L{number}", prefers=reps[number])
    for rep in reps:
        floor.ready(rep)
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


def wrap_up_and_pace(floor: SmallFloor) -> None:
    """Reps who are ready and have a free slot, and get nothing for a while: after a call, or because the
    last lead is too short a time ago."""
    reps = list(floor.reps)
    plans: list[str | RepPlan] = [*reps[:-1], RepPlan(reps[-1], "north", pace_seconds=45.0)]
    floor.settings(plans, wrap_up_seconds=30.0)
    floor.ready()
    for number in range(12):
        floor.lead(f"L{number:02}")
        floor.advance(4.0)
        _work(floor, contact_share=1.0, seed=number)
        if number == 6:
            floor.presence(reps[0], "away")
            floor.ready(reps[0])
    floor.settings(plans[1:])
    floor.lead("M0")
    floor.settings(plans)
    floor.ready(reps[0])
    floor.lead("M1")
    floor.advance(120.0)


def crowded(floor: SmallFloor) -> None:
    """Many leads wait before the first rep comes, and reps come and go; so does the dialer."""
    for number in range(20):
        floor.lead(f"L{number:02}", score=0.2 + 0.2 * (number % 4))
        floor.advance(2.0)
    for rep in list(floor.reps):
        floor.ready(rep)
        floor.advance(15.0)
        _work(floor, contact_share=0.8, seed=3)
    floor.presence("rep0", "away")
    floor.advance(60.0)
    floor.ready("rep0")
    floor.dialer(up=False)
    floor.advance(30.0)
    floor.dialer(up=True)
    for round_ in range(4):
        _work(floor, contact_share=0.8, seed=round_)
        floor.advance(45.0)


def _work(floor: SmallFloor, *, contact_share: float, seed: int) -> None:
    """Some of the leads that reps have are contacted; those contacted before are finished."""
    for place, (name, lead) in enumerate(list(floor.leads.items())):
        if lead.state == "working" and lead.in_pipeline:
            status: LeadStatus = "invalid" if place % 4 == 1 else "lost"
            if place % 4 == 2:
                floor.report("call_ended", name)
            floor.report("status", name, status="converted" if place % 3 == 0 else status)
        elif lead.state == "assigned" and draw(seed, place) < contact_share:
            floor.report("contacted", name, evidence="claimed" if place % 4 == 3 else "dialer")


def seeded(seed: int) -> Scene:
    """A scene of events drawn from a seed."""

    def scene(floor: SmallFloor) -> None:
        floor.ready()
        for step in range(SEEDED_STEPS):
            _something(floor, seed, step)

    return scene


def _something(floor: SmallFloor, seed: int, step: int) -> None:
    """One drawn event."""
    what, which = draw(seed, step, 1), draw(seed, step, 2)
    names = [name for name, lead in floor.leads.items() if lead.in_pipeline]
    name = names[int(which * len(names))] if names else ""
    rep = list(floor.reps)[int(which * len(floor.reps))]
    states: tuple[RepState, ...] = ("ready", "ready", "busy", "away", "offline")
    if what < 0.3:
        owner = rep if draw(seed, step, 4) < 0.2 else ""
        floor.lead(f"L{step:03}", score=0.2 + which * 0.8, prefers=owner)
    elif what < 0.4:
        floor.presence(rep, states[int(draw(seed, step, 3) * 5)])
    elif what < 0.6 or not name:
        floor.advance(which * 90.0)
    elif floor.leads[name].state == "working":
        floor.report("status", name, status="converted" if which < 0.2 else "lost")
    elif what < 0.65:
        floor.report("status", name, status="working", evidence="claimed")
    elif what < 0.72:
        floor.report("attempted", name, result="busy")
    elif what < 0.85:
        floor.report("contacted", name, evidence="dialer" if which < 0.7 else "claimed")
    elif what < 0.9:
        floor.delay(name)
    elif which < 0.5:
        floor.fail(name)
    else:
        floor.report("rejected", name)
