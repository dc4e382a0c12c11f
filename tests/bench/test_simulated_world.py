"""The simulated world: what belongs to the model happens, and nothing that a policy does changes chance."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import msgspec
import numpy as np
import pytest

from bench.simulate import curves, draws
from bench.simulate.draws import FIFO, LIFO, RANDOM, SECOND, Leads, Person, Roster, Shift
from bench.simulate.record import Record
from bench.simulate.runs import play
from bench.simulate.scenario import Scenario, parse
from bench.simulate.world import World
from distributor.domain.curve import worth

QUIET = {"lag_share": 0, "absent_share": 0, "break_share": 0, "sloppy_share": 0, "side_share": 0}
ALWAYS = [0.0, 0.0]
EVEN = parse({**QUIET, "reps": 1, "hours": 1, "pickup_sigma": 0})
"""Nothing is left to chance but what a test gives."""


def person(**more: Any) -> Person:
    usual: dict[str, Any] = {
        "name": "ana", "handling": 100.0, "pickup": 10.0, "skill": 1.0, "order": FIFO, "sloppy": False,
        "burner": False, "gamer": False, "reports": False, "groups": frozenset({0}),
    }  # fmt: skip
    return Person(**(usual | more))


def leads(*seconds: float, **more: Any) -> Leads:
    n = len(seconds)
    usual: dict[str, Any] = {
        "at": [round(s * SECOND) for s in seconds], "quality": [1.0] * n, "work": [1.0] * n,
        "side": [0] * n, "heard": [0.9] * n, "delay": [1.0] * n, "chance": [0.9] * n, "group": [0] * n,
    }  # fmt: skip
    return Leads(**(usual | more))


class Script:
    """A dispatcher that gives lead number N to rep 0 on arrival, and writes down what it hears."""

    def __init__(self, *, give: bool = True) -> None:
        self.fresh: dict[int, int] = {}
        self.give = give
        self.heard: list[tuple[float, str, Any]] = []
        self.at: dict[float, Any] = {}

    def note(self, what: str, about: Any) -> None:
        self.heard.append((round(self.world.now_ns / SECOND, 3), what, about))

    def begin(self, world: World) -> None:
        self.world = world

    def next_ns(self) -> int | None:
        return min((round(s * SECOND) for s in self.at), default=None)

    def tick(self) -> None:
        self.at.pop(self.world.now_ns / SECOND)()

    def arrived(self, lead: int) -> None:
        if self.give:
            self.world.deliver(0, lead)

    def contacted(self, rep: int, lead: int, *, claimed: bool) -> None:
        self.note("claimed" if claimed else "contacted", lead)

    def disposed(self, rep: int, lead: int, *, converted: bool) -> None:
        self.note("converted" if converted else "disposed", lead)

    def presence(self, rep: int, state: str, at_ns: int) -> None:
        self.note(state, round(at_ns / SECOND, 3))

    def changed(self, rep: int) -> None:
        pass

    def looks_idle(self, rep: int) -> bool:
        return False


def play_script(
    script: Script, given: Leads, *, who: Person | None = None, roster: Roster | None = None,
    scenario: Scenario = EVEN,
) -> Record:  # fmt: skip
    shift = Shift(given, (roster or Roster(),))
    record = Record(scenario, (who or person(),), shift, "script")
    World(record, seed=1).run(script)
    return record


def span(begin: float, end: float) -> tuple[int, int]:
    return round(begin * SECOND), round(end * SECOND)


# -- chance ---------------------------------------------------------------------------------------


def same_world(a: Record, b: Record) -> bool:
    return a.crew == b.crew and a.shift == b.shift


def test_every_policy_sees_the_same_world() -> None:
    brief = parse({"hours": 0.2, "reps": 8})
    records = [play(brief, name, 5) for name in ("lease", "longest_idle", "pool", "longest_idle:1")]
    assert all(same_world(records[0], other) for other in records[1:])


def test_a_run_can_be_repeated() -> None:
    brief = parse({"hours": 0.3, "reps": 8})
    first, again = play(brief, "lease", 5), play(brief, "lease", 5)
    assert first.deliveries == again.deliveries
    assert first.contact_ns == again.contact_ns


def test_seeds_differ() -> None:
    brief = parse({"hours": 0.2, "reps": 8})
    assert not same_world(play(brief, "pool", 1), play(brief, "pool", 2))


def test_a_scenario_that_changes_one_thing_changes_nothing_else() -> None:
    usual, gamers = (
        parse({}),
        parse({"gamer_share": 1.0, "sloppy_share": 1.0, "agent_events": True}),
    )
    crews = [draws.people(world, 3) for world in (usual, gamers)]
    shifts = [
        draws.shift(world, crew, 3) for world, crew in zip((usual, gamers), crews, strict=True)
    ]
    assert shifts[0] == shifts[1]
    assert [p.handling for p in crews[0]] == [p.handling for p in crews[1]]
    assert all(p.gamer and p.sloppy and p.reports for p in crews[1])


def test_earlier_shifts_have_other_days_and_the_same_people() -> None:
    world = parse({})
    crew = draws.people(world, 3)
    today, before = draws.shift(world, crew, 3, 0), draws.shift(world, crew, 3, 1)
    assert today.leads.at != before.leads.at
    assert today.rosters != before.rosters


def test_the_draws_have_the_shape_of_the_model() -> None:
    world = parse({"reps": 2000, "hours": 1})
    crew = draws.people(world, 1)
    shift = draws.shift(world, crew, 1)
    near = pytest.approx
    handling = [p.handling for p in crew]
    assert min(handling) >= 120
    assert max(handling) <= 480
    assert fmean(p.skill for p in crew) == near(1.0, abs=0.05)
    assert fmean(p.sloppy for p in crew) == near(0.2, abs=0.03)
    orders = [sum(p.order == order for p in crew) / 2000 for order in (FIFO, LIFO, RANDOM)]
    assert orders == near([0.7, 0.2, 0.1], abs=0.04)
    assert sum(bool(r.lag[1]) for r in shift.rosters) / 2000 == near(0.15, abs=0.03)
    assert sum(bool(r.absent[1]) for r in shift.rosters) / 2000 == near(0.1, abs=0.03)
    assert not any(r.lag[1] and r.absent[1] for r in shift.rosters)
    assert all(r.away[1] - r.away[0] == 900 * SECOND for r in shift.rosters)
    found = shift.leads
    assert len(found) == near(0.9 * 0.88 * draws.capacity(crew) * 3600 * 1.06, rel=0.25)
    assert fmean(found.work) == near(1.0, abs=0.05)
    assert np.std(found.work) == near(1.0, abs=0.1)
    assert fmean(s > 0 for s in found.side) == near(0.15, abs=0.02)
    shares = [found.quality.count(q) / len(found) for q in (2.5, 1.0, 0.4)]
    assert shares == near([0.2, 0.6, 0.2], abs=0.03)
    assert found.at == sorted(found.at)


def test_a_burst_brings_ten_times_the_leads() -> None:
    usual = {"modulation": 0, "overdispersion": 0, "hours": 1, "reps": 500}
    world = parse({**usual, "burst": 10, "burst_window": [1200, 1800]})
    at = np.array(draws.shift(world, draws.people(world, 1), 1).leads.at) / SECOND
    inside = ((at >= 1200) & (at < 1800)).sum() / 600
    outside = ((at < 1200) | (at >= 1800)).sum() / 3000
    assert inside / outside == pytest.approx(10, rel=0.1)


def test_every_rep_has_the_skill_of_a_group() -> None:
    groups = [{"id": name, "leads": 1, "reps": 0.3} for name in "abc"]
    crew = draws.people(parse({"reps": 300, "groups": groups}), 1)
    assert all(p.groups for p in crew)
    assert {len(p.groups) for p in crew} >= {1, 2}


# -- the work of a rep ----------------------------------------------------------------------------


def test_an_idle_rep_picks_up_after_the_usual_lag_and_handling_begins_there() -> None:
    script = Script()
    record = play_script(script, leads(5.0))
    assert record.contact_ns == [15 * SECOND]
    assert script.heard == [(15.0, "contacted", 0), (117.0, "disposed", 0)]


def test_a_lead_that_waits_when_handling_ends_is_picked_up_soon() -> None:
    record = play_script(Script(), leads(0.0, 1.0))
    assert record.contact_ns == [10 * SECOND, (110 + 3) * SECOND]


def test_a_side_task_keeps_the_rep_although_the_disposition_is_sent() -> None:
    script = Script()
    record = play_script(script, leads(0.0, 1.0, side=[60 * SECOND, 0]))
    assert (112.0, "disposed", 0) in script.heard
    assert record.contact_ns[1] == (110 + 60 + 3) * SECOND


@pytest.mark.parametrize(("order", "second"), [(FIFO, 1), (LIFO, 3)])
def test_a_rep_takes_the_leads_in_its_own_order(order: int, second: int) -> None:
    record = play_script(Script(), leads(0.0, 20.0, 21.0, 22.0), who=person(order=order))
    by_contact = sorted(range(4), key=record.contact_ns.__getitem__)
    assert by_contact[1] == second


def test_a_rep_without_an_order_takes_every_lead_in_the_end() -> None:
    record = play_script(Script(), leads(0.0, *range(20, 30)), who=person(order=RANDOM))
    assert all(at > 0 for at in record.contact_ns)
    assert record.contact_ns != sorted(record.contact_ns)


def test_lag_and_handling_are_longer_while_the_rep_lags() -> None:
    record = play_script(Script(), leads(100.0, 101.0), roster=Roster(lag=span(50, 4000)))
    assert record.contact_ns == [400 * SECOND, (400 + 200 + 90) * SECOND]


def test_everybody_is_slow_in_the_slow_hour() -> None:
    slow = msgspec.structs.replace(EVEN, allslow_window=(0.0, 600.0))
    record = play_script(Script(), leads(0.0, 1.0), scenario=slow)
    assert record.contact_ns == [60 * SECOND, (60 + 150 + 18) * SECOND]


def test_a_lead_that_was_taken_back_is_not_picked_up() -> None:
    script = Script()
    script.at[5.0] = lambda: script.world.take_back(0, 0)
    record = play_script(script, leads(0.0, 20.0))
    assert record.contact_ns == [-1, 30 * SECOND]
    assert record.returned == [1, 0]


def test_a_break_is_logged_and_stops_the_pick_up() -> None:
    script = Script()
    record = play_script(script, leads(0.0), roster=Roster(away=span(5, 905)))
    assert record.contact_ns == [(905 + 3) * SECOND]
    assert script.heard[:2] == [(5.0, "away", 5.0), (905.0, "ready", 905.0)]


def test_an_absence_is_silent_and_the_pipeline_stays() -> None:
    script = Script()
    record = play_script(script, leads(0.0), roster=Roster(absent=span(5, 905)))
    assert record.contact_ns == [(905 + 3) * SECOND]
    assert [what for _, what, _ in script.heard] == ["contacted", "disposed"]


@pytest.mark.parametrize(
    ("away", "absent", "heard"),
    [
        # Who is silently gone logs no break; who stays away after one comes back late.
        ((100, 1000), (50, 500), []),
        ((100, 1000), (500, 1200), [(100.0, "away", 100.0), (1200.0, "ready", 1200.0)]),
    ],
)
def test_a_break_and_an_absence_may_meet(away: Any, absent: Any, heard: list[Any]) -> None:
    script = Script()
    play_script(script, leads(), roster=Roster(away=span(*away), absent=span(*absent)))
    assert script.heard == heard


def test_who_leaves_goes_offline_for_good() -> None:
    script = Script()
    record = play_script(script, leads(0.0, 100.0), roster=Roster(leaves=5 * SECOND))
    assert record.contact_ns == [-1, -1]
    assert script.heard == [(5.0, "offline", 5.0)]


# -- what is said of it ---------------------------------------------------------------------------


def test_a_sloppy_rep_loses_some_dispositions_and_sends_the_others_late() -> None:
    script = Script()
    play_script(script, leads(0.0, 300.0, heard=[0.29, 0.31]), who=person(sloppy=True))
    told = [(at, what, lead) for at, what, lead in script.heard if what == "disposed"]
    assert told == [(300 + 10 + 100 + 60.0, "disposed", 1)]


def test_conversion_depends_on_quality_skill_and_delay() -> None:
    chance = 0.02 * 2.5 * 1.5 * 4.91
    script = Script()
    given = leads(0.0, 500.0, quality=[2.5, 2.5], chance=[chance - 1e-6, chance + 1e-6])
    play_script(script, given, who=person(skill=1.5))
    assert [what for _, what, _ in script.heard] == [
        "contacted",
        "converted",
        "contacted",
        "disposed",
    ]


def test_without_dispositions_only_conversions_are_told() -> None:
    script = Script()
    only = msgspec.structs.replace(EVEN, dispositions="conversions")
    play_script(script, leads(0.0, 500.0, chance=[0.0, 0.9]), scenario=only)
    assert [what for _, what, _ in script.heard] == ["contacted", "converted", "contacted"]


def test_a_gamers_true_contact_is_invisible() -> None:
    script = Script()
    record = play_script(script, leads(0.0), who=person(gamer=True))
    assert script.heard == [(1.5, "contacted", 0), (112.0, "disposed", 0)]
    assert record.contact_ns == [10 * SECOND]


def test_a_gamers_click_is_a_claim_where_the_dialer_keeps_records() -> None:
    script = Script()
    clicks = msgspec.structs.replace(EVEN, gamer_evidence="claimed")
    play_script(script, leads(0.0), who=person(gamer=True), scenario=clicks)
    assert script.heard[:2] == [(1.5, "claimed", 0), (10.0, "contacted", 0)]


def test_a_gamer_who_is_quick_has_nothing_to_fake() -> None:
    script = Script()
    play_script(script, leads(0.0), who=person(gamer=True, pickup=1.0))
    assert script.heard[0] == (1.0, "contacted", 0)
    assert len(script.heard) == 2


def test_agent_states_come_late_with_their_true_time() -> None:
    script = Script()
    play_script(script, leads(0.0, side=[30 * SECOND]), who=person(reports=True))
    states = {
        what: (heard, true) for heard, what, true in script.heard if what in ("busy", "ready")
    }
    assert states["busy"][1] == 10.0
    assert states["ready"][1] == 140.0  # handling and the side task are over
    for heard, true in states.values():
        assert 1.0 <= heard - true <= 5.0


def test_no_agent_state_is_reported_in_a_logged_break() -> None:
    script = Script()
    play_script(script, leads(0.0), who=person(reports=True), roster=Roster(away=span(50, 950)))
    assert [what for _, what, _ in script.heard] == [
        "contacted",
        "busy",
        "away",
        "disposed",
        "ready",
    ]


# -- a fresh lead beside an idle rep --------------------------------------------------------------


class Idler(Script):
    """Keeps the lead although the rep is idle."""

    def arrived(self, lead: int) -> None:
        self.fresh[lead] = self.world.now_ns

    def looks_idle(self, rep: int) -> bool:
        return True


def test_minutes_in_which_a_fresh_lead_waits_beside_an_idle_rep_are_counted() -> None:
    record = play_script(Idler(give=False), leads(62.0))
    assert record.idle_minutes == {1, 2, 3, 4}  # from 5 s of age to 180


def test_nobody_idles_who_is_away_or_unwell() -> None:
    for roster in (Roster(away=span(0, 900)), Roster(absent=span(0, 900)), Roster(lag=span(0, 9))):
        assert play_script(Idler(give=False), leads(62.0), roster=roster).idle_minutes == set()


# -- the core in it -------------------------------------------------------------------------------


def test_the_core_takes_back_what_a_rep_on_a_break_has() -> None:
    world = parse({"hours": 0.5, "reps": 6, "break_start": [0.3, 0.4], "pickup_median": 120})
    record = play(world, "longest_idle", 1)
    assert record.returns
    for at_ns, rep, _ in record.returns:
        assert at_ns == record.shift.rosters[rep].away[0]


def test_a_push_baseline_queues_leads_and_a_window_of_one_does_not() -> None:
    world = parse({"hours": 0.5, "reps": 4, "load": 1.5})

    def deepest(name: str) -> int:
        record, depth, most = play(world, name, 1), {}, 0
        steps = [(at, 1, rep) for at, rep, *_ in record.deliveries]
        steps += [
            (at, -1, rep)
            for at, rep in zip(record.contact_ns, record.contact_rep, strict=True)
            if rep >= 0
        ]
        steps += [(at, -1, rep) for at, rep, _ in record.returns]
        for _, step, rep in sorted(steps, key=lambda s: s[0]):
            depth[rep] = depth.get(rep, 0) + step
            most = max(most, depth[rep])
        return most

    assert deepest("longest_idle") > 2
    assert deepest("lease") == 1


def test_qualities_reach_the_core_exactly() -> None:
    from bench.simulate.desk import CoreDesk
    from distributor.settings.policies import Policies

    world = parse({"hours": 0.2, "reps": 4})
    crew = draws.people(world, 1)
    desk = CoreDesk(world, crew, "lease", Policies(), seed=1, window=1, lease_seconds=600.0)
    shift = draws.shift(world, crew, 1)
    World(Record(world, crew, shift, "lease"), 1).run(desk)
    leads = desk._engine.state.leads
    assert {lead.quality for lead in leads.values()} <= {2.5, 1.0, 0.4}
    for key, lead in leads.items():
        assert lead.quality == shift.leads.quality[desk._leads[key]]


def test_earlier_shifts_leave_profiles_and_no_leads() -> None:
    from bench.simulate.desk import CoreDesk
    from distributor.settings.policies import Policies

    world = parse({"hours": 0.5, "reps": 4, "history": 1, "load": 1.5, "drain_seconds": 60})
    crew = draws.people(world, 1)
    desk = CoreDesk(world, crew, "lease", Policies(), seed=1, window=1, lease_seconds=600.0)
    for number in (1, 0):
        shift = draws.shift(world, crew, 1, number)
        World(Record(world, crew, shift, "lease"), 1, number).run(desk)
        if number:
            desk.night()
            state = desk._engine.state
            assert {rep.state for rep in state.reps.values()} == {"offline"}
            assert all(lead.state == "closed" for lead in state.leads.values())
            assert desk._begin_ns > state.now_ns
    memories = desk._engine._core.policies["default"]._memories
    assert all(memory.seasoned for memory in memories.values())
    assert desk._engine.state.ledger.difference == 0


def test_a_lead_goes_only_to_reps_with_its_skill() -> None:
    groups = [{"id": name, "leads": 1, "reps": 0.5} for name in ("auto", "home", "life")]
    world = parse({"hours": 0.3, "reps": 8, "groups": groups})
    for name in ("lease", "longest_idle", "pool"):
        record = play(world, name, 1)
        assert record.held == 0
        for _, rep, lead, _ in record.deliveries:
            assert record.shift.leads.group[lead] in record.crew[rep].groups


# -- curves ---------------------------------------------------------------------------------------


def test_the_default_curve_is_the_cores() -> None:
    delays = np.array([0.0, 30.0, 45.0, 60.0, 1e3, 1e5, 1e6])
    assert curves.worths("default", delays) == pytest.approx([worth(d) for d in delays], abs=1e-3)
    assert curves.peak("default") == worth(0.0)


def test_the_other_curve_goes_through_its_points() -> None:
    one = curves.function("lrm")
    for delay, value in curves.LRM_POINTS:
        assert one(delay) == pytest.approx(value)
    assert (one(0.0), one(1e6)) == (2.0, 0.01)
    between = np.array([100.0, 4000.0])
    assert curves.worths("lrm", between) == pytest.approx([one(d) for d in between])
