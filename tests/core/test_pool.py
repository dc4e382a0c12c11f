"""What a pool shows its policy: nobody's lead is hidden behind leads that only others may have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from distributor.core.engine import Engine
from distributor.core.pool import GUARD_SECONDS, OWNER_HOLD_SECONDS, Pool, back_by_ns
from distributor.domain.floor import FlowPlan, PoolPlan
from distributor.domain.lead import Lead
from distributor.domain.rep import Rep
from tests.core.floors import BEGIN, FACTORIES, SECOND, Scene

REPS = ("ana", "ben", "cy", "dee")


@pytest.mark.parametrize(("policy", "count"), [("lease", 20), ("longest_idle", 70), ("fair", 70)])
def test_leads_held_for_a_busy_owner_stop_nobody_elses(policy: str, count: int) -> None:
    scene = Scene(policy=policy)
    scene.ready("ana")
    scene.lead("takes ana's slot")
    for number in range(count):
        scene.lead(f"ana's {number}", prefers="ana")
    scene.at(1)
    scene.ready("ben")
    free = scene.lead("anybody's")
    assert scene.look(free).rep == "ben"


@pytest.mark.parametrize("policy", ["lease", "longest_idle", "fair"])
def test_leads_that_a_rep_refused_do_not_hide_its_own_customers(policy: str) -> None:
    scene = Scene(policy=policy)
    scene.ready("ben")
    scene.ready("ana", state="busy")
    for number in range(150):
        scene.report("rejected", scene.lead(str(number)))
    scene.at(1)
    own = scene.lead("own", prefers="ben")
    assert scene.look(own).rep == "ben"


def test_leads_that_only_full_reps_may_have_do_not_hide_those_that_a_free_one_may_have() -> None:
    """All wait under an exclusion: many may go to a rep whose slots are full, one to a free one."""
    rows = [(1.0, 20, 20, {"ben", "cy", "dee"}, "")] * 500
    pool, held = _pool([*rows, (0.4, 200, 200, {"ana"}, "")], ["full_pipeline", "available"])
    listed = list(pool.in_order(BEGIN, 16))
    assert "L500" in {lead.key for lead in listed}
    assert len(listed) < len(held)


leads = st.lists(
    st.tuples(
        st.sampled_from([0.4, 1.0]),
        st.integers(0, 200),  # age
        st.integers(0, 60),  # waiting for
        st.sets(st.sampled_from(REPS)),
        st.sampled_from(["", "", *REPS, "zoe"]),
    ),
    max_size=30,
)
standings = st.lists(
    st.sampled_from(["available", "full_pipeline", "busy", "away"]),
    min_size=len(REPS),
    max_size=len(REPS),
)


def _pool(rows: list[tuple[Any, ...]], verdicts: list[str]) -> tuple[Pool, dict[str, Lead]]:
    held: dict[str, Lead] = {}
    pool = Pool(PoolPlan("default"), FlowPlan(), held, 7, {}, SimpleNamespace(now_ns=BEGIN))
    for rep_id, verdict in zip(REPS, verdicts, strict=False):
        state: Any = verdict if verdict in ("busy", "away", "offline") else "ready"
        rep = pool.members[rep_id] = Rep(rep_id, "north", state=state, open={})
        pool.place(rep, verdict)
    for number, (quality, age, waits, excluded, prefers) in enumerate(rows):
        key, clock_ns = f"L{number:03}", BEGIN - age * SECOND - number
        lead = Lead(key, "acme", key, "default", "waiting", clock_ns, clock_ns, quality)
        since_ns = BEGIN - waits * SECOND
        lead = replace(lead, excluded=tuple(sorted(excluded)), prefers=prefers, since_ns=since_ns)
        held[key] = lead
        pool.add(lead)
    return pool, held


@settings(deadline=None, derandomize=True, max_examples=300)
@given(leads, st.lists(st.integers(-40, 300), min_size=len(REPS), max_size=len(REPS)))
def test_all_leads_that_nobody_is_left_to_ask_for_are_found_oldest_first(
    rows: list[tuple[Any, ...]], gone_for: list[int]
) -> None:
    """A rep who is gone for less than no time is signed on."""
    pool, held = _pool(rows, ["offline" if seconds > 0 else "busy" for seconds in gone_for])
    for rep, seconds in zip(pool.members.values(), gone_for, strict=True):
        rep.since_ns = BEGIN - abs(seconds) * SECOND

    def left(lead: Lead) -> list[Rep]:
        others = [rep for rep in pool.members.values() if rep.id not in lead.excluded]
        here = [rep for rep in others if rep.state != "offline"]
        soon = [rep for rep in others if back_by_ns(rep, pool.flow) > BEGIN]
        return here + [rep for rep in soon if lead.received_ns < rep.since_ns]

    def found() -> list[str]:
        return [lead.key for lead in pool.all_exhausted()]

    old = [lead for lead in pool.oldest(99) if lead.excluded and not left(lead)]
    assert found() == [lead.key for lead in old]
    assert all(pool.exhausted(lead) == (lead in old) for lead in held.values())
    assert list(pool.in_order(BEGIN, 99)) is not None  # holds that are over end here
    assert found() == [lead.key for lead in old]
    for lead in list(held.values()):
        pool.remove(lead)
    assert found() == []


@settings(deadline=None, derandomize=True, max_examples=300)
@given(leads, standings, st.booleans())
def test_the_best_lead_and_the_order_are_those_of_a_plain_sort(
    rows: list[tuple[Any, ...]], verdicts: list[str], calm: bool
) -> None:
    assert OWNER_HOLD_SECONDS < 60 < GUARD_SECONDS
    pool, held = _pool(rows, verdicts)

    def rank(lead: Lead) -> tuple[float, int, str]:
        return pool.order_index(lead, BEGIN, calm=calm), -lead.clock_ns, lead.key

    def may_have(reps: dict[str, Rep]) -> list[Lead]:
        fitting = [x for x in held.values() if any(pool.may_take(r, x) for r in reps.values())]
        return sorted(fitting, key=rank, reverse=True)

    assert pool.best(BEGIN, calm=calm) == next(iter(may_have(pool.receiving)), None)
    assert pool.younger(BEGIN, 60.0) == sum(
        BEGIN - x.clock_ns <= 60 * SECOND for x in held.values()
    )
    for limit in (1, 5):
        listed = list(pool.in_order(BEGIN, limit, calm=calm))
        assert listed == sorted(listed, key=rank, reverse=True)
        assert len({lead.key for lead in listed}) == len(listed) <= 3 * limit
        for rep in pool.available.values():
            first = next(iter(may_have({rep.id: rep})), None)
            takes = [lead for lead in listed if pool.may_take(rep, lead)]
            assert bool(takes) or first is None or limit == 1
    assert [*pool.oldest(99)] == sorted(held.values(), key=lambda x: (x.clock_ns, x.key))
    for lead in list(held.values()):
        pool.remove(lead)
    assert pool.waiting == 0
    assert pool.oldest_clock_ns() is None


def test_a_pool_has_the_time_of_what_was_folded_last() -> None:
    scene = Scene()
    scene.ready("ana")
    scene.at(60)
    scene.lead("1")
    folded = Engine(tag="T3ST", seed=7, factories=FACTORIES)
    for entry in scene.entries:
        folded.fold(entry.at_ns, entry.decisions)
    assert folded.state.pool("default").now_ns == BEGIN + 60 * SECOND
