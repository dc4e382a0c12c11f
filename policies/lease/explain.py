"""The sentences: each says what was decided and the numbers behind it, and claims nothing else."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from distributor.domain.ids import moment
from distributor.domain.lead import Lead
from distributor.domain.rep import Flow, Rep
from policies.lease.choice import Ranked
from policies.lease.memory import RepMemory, Slot
from policies.lease.revocation import Steal
from policies.lease.roster import Offer, Roster
from policies.lease.seat import Seat
from policies.lease.settings import STALE_AGE
from policies.lease.timing import flow_step


def name(rep: Rep) -> str:
    """What people call the rep."""
    return rep.name or rep.id


def span(seconds: float) -> str:
    """A duration in the words of a floor: ``41 s``, ``4 min``, ``2 h``."""
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    if seconds < 7200.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds / 3600.0:.0f} h"


def numbers_of(roster: Roster, offer: Offer, now_ns: int) -> dict[str, float]:
    """The factors of one candidate. Not rounded: that is for those who read them."""
    seat = roster.seats[offer[3]]
    estimator, m = roster.estimator, seat.memory
    lagging, absent = estimator.belief(m, now_ns)
    return {
        "prompt": offer[0],
        "free": estimator.free(seat.rep, m, now_ns) if m.busy_ns or m.own_contact_ns else 1.0,
        "responsive": 1.0 - lagging - absent,
        "lagging": lagging,
        "absent": absent,
        "side_work": estimator.side_work(m, now_ns) if m.side else 0.0,
        "lag_seconds": offer[2],
        "share": m.served * seat.handling / 240.0,
        "mean_share": roster.mean_share,
        "skill": estimator.skill(m, roster.level),
    }


def ranking(roster: Roster, ranked: list[Ranked]) -> tuple[tuple[str, float, str], ...]:
    """The best candidates as (rep, score, note)."""
    return tuple(
        (roster.seats[o[3]].rep.id, score, f"prompt pick-up {o[0]:.0%} in {o[2]:.0f} s")
        for score, o in ranked
    )


def assigned(roster: Roster, offer: Offer, free: float, now_ns: int) -> str:
    """Why this rep got the lead, and who was skipped. ``free``: the chance of that."""
    seat = roster.seats[offer[3]]
    state = "free now" if free >= 0.995 else f"free with {free:.0%} chance"
    text = (
        f"{name(seat.rep)}: {state}, usually picks up in {offer[2]:.0f} s, "
        f"{offer[0]:.0%} chance of a prompt pick-up"
    )
    for index in () if roster.panic else roster.low[:1]:
        skipped = roster.seats[index]
        if index != offer[3]:
            why = silence(skipped.memory) or belief(roster, skipped, now_ns)
            text += f"; {name(skipped.rep)} skipped: {why}"
    return text + "."


def panicked(roster: Roster) -> str:
    """Why slowed reps get fresh leads after all."""
    return f"Slowing ignored: {roster.slowed} of {roster.at_work} reps slow."


def curious(roster: Roster, seat: Seat, age: float, now_ns: int) -> str:
    """Why a rep in doubt got an old lead that the reserve would have kept waiting."""
    pi = roster.estimator.responsive(seat.memory, now_ns)
    return (
        f"{name(seat.rep)} gets an old lead ({span(age)}): P(responsive) {pi:.2f} is in doubt, "
        "and an answer tells most."
    )


def kept(roster: Roster, age: float, likely_free: float) -> str:
    """Why an old lead waits."""
    idle, kept_back = likely_free, roster.reserve(age)
    return (
        f"An old lead ({span(age)}) waits for a quiet moment: {idle:.1f} reps likely free, "
        f"{kept_back:.1f} are kept for fresh leads."
    )


def probe(seat: Seat, age: float, limit: float) -> str:
    """Why a slowed rep got a lead."""
    kind = "Old" if age > STALE_AGE else "New"
    back = "" if seat.deep else f", back in {span(limit)}"
    return f"{kind} lead ({span(age)}) sent to {name(seat.rep)} as a probe{back}."


def probe_over(seat: Seat, silent: float) -> str:
    """Why a probe came back."""
    return f"Probe unanswered by {name(seat.rep)} for {span(silent)}: taken back."


def stolen(steal: Steal) -> str:
    """Why a lead moves on."""
    return (
        f"Moved {name(steal.holder.rep)} → {name(steal.taker.rep)}: {span(steal.silent)} unanswered; "
        f"worth {steal.lead.quality * (steal.worth_there - steal.worth_here):.2f}, "
        f"price {steal.price:.2f}; waiting 6 s more would be worse."
    )


def silence(m: RepMemory) -> str:
    """The unanswered leads that count against a rep, "" if there are none."""
    if not m.fails:
        return ""
    times = ", ".join(f"{seconds:.0f} s" for seconds in m.losses)
    if m.fails == 1:
        return f"1 lead unanswered ({times})"
    more = "last " if m.fails > len(m.losses) else ""
    return f"{m.fails} leads in a row unanswered ({more}{times})"


def belief(roster: Roster, seat: Seat, now_ns: int) -> str:
    """What is believed of a rep."""
    lagging, absent = roster.estimator.belief(seat.memory, now_ns)
    return (
        f"P(responsive) {max(0.0, 1.0 - lagging - absent):.2f}: "
        f"lagging {lagging:.2f}, absent {absent:.2f}"
    )


def flow(roster: Roster, seat: Seat, test_ns: int, now_ns: int) -> Flow:
    """The rep's share of fresh leads, as the rep and the supervisor see it. ``test_ns``: see
    ``test_told``."""
    rep, m, settings = seat.rep, seat.memory, roster.estimator.settings
    if rep.override is not None:
        return replace(rep.by_hand(rep.override, now_ns), since_ns=now_ns)
    pi = roster.estimator.responsive(m, now_ns)
    if not roster.estimator.slows(m, pi) or not settings.visible:
        return Flow(1.0, "full_flow", "", "", now_ns)
    ignored = test_ns == IGNORED
    silent, believed = silence(m), belief(roster, seat, now_ns)
    why = f"{silent}; {believed}" if silent else believed
    return Flow(
        flow_step(pi, settings.fresh_from),
        "slow_contact",
        f"{_ignored_at(roster, now_ns) if ignored else 'Gets only probes'}: {why}.",
        f"One prompt contact restores full flow; {_next_test(test_ns, now_ns)}.",
        now_ns,
        ignored,
    )


def _ignored_at(roster: Roster, now_ns: int) -> str:
    reps = f"{roster.slowed} of {roster.at_work} reps slow at {moment(now_ns, now_ns)}"
    return f"Slowing ignored, {reps}"


IGNORED: Final = 1
UNDER_WAY: Final = 2
"""A probe that stays until it is decided: the rep says that it is being called, or the pipeline is deep."""


def test_told(roster: Roster, seat: Seat, *, panic: bool) -> int:
    """What there is to tell of a slowed rep's next probe, as a number that changes with it: one of the
    names above, the instant from which it can come, or, negative, until when it stays."""
    m = seat.memory
    if panic:
        return IGNORED
    probe = next((slot for slot in m.slots if slot.probe), None)
    if probe is None:
        return m.next_probe_ns
    if probe.claimed:
        return UNDER_WAY
    return -probe.since_ns - roster.probe_span_ns(probe)


def _next_test(test_ns: int, now_ns: int) -> str:
    """What ``test_told`` says, true whenever it is read."""
    lead = f"a waiting lead over {span(STALE_AGE)} old, or a new one if nothing was heard for long"
    if test_ns == IGNORED:
        return "slowing counts again once half of those at work are not slow"
    if test_ns == UNDER_WAY:
        return "a probe is with the rep"
    if test_ns < 0:
        return f"a probe is with the rep until {moment(-test_ns, now_ns)}"
    if test_ns <= now_ns:
        return f"the next probe can come at any time: {lead}"
    return f"the next probe can come from {moment(test_ns, now_ns)}: {lead}"


def slot_numbers(roster: Roster, m: RepMemory, slot: Slot, now_ns: int) -> dict[str, float]:
    """What the silence on a lease says."""
    silent = (now_ns - slot.since_ns) * roster.estimator.rate
    v, total = roster.estimator.silence(m, slot, silent)
    names = ("free", "side_work", "handling", "lagging", "absent")
    return {"silent_seconds": silent} | {
        key: part / total for key, part in zip(names, v, strict=True)
    }


def lead_numbers(lead: Lead, age: float) -> dict[str, float]:
    """What a decision depends on of the lead."""
    return {"age_seconds": age, "quality": lead.quality}
