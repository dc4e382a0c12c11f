"""A lead is offered once around: who refused it or let it lie is not asked again, then the desk decides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from distributor.core.pool import Pool
from distributor.domain.decisions import AssignmentEnded
from distributor.domain.events import FloorChanged, TargetChanged
from distributor.domain.faults import PolicyMisbehaved
from distributor.domain.policy import Recall
from policies.longest_idle import LongestIdle
from tests.core.floors import FACTORIES, Scene


@pytest.mark.parametrize("policy", ["lease", "fair"])
@pytest.mark.parametrize("asked", [True, False])
def test_a_rep_who_drops_out_for_a_moment_is_still_asked(policy: str, asked: bool) -> None:
    """It had the lead, or was never asked: either way it did not refuse it."""
    scene = Scene(["ana", "ben", "cy"], policy=policy)
    scene.ready("ana")
    scene.ready("ben", state="ready" if asked else "busy")
    key = scene.lead("1")
    scene.at(1)
    first = scene.look(key).rep
    other = "ben" if first == "ana" else "ana"
    scene.report("rejected", key)
    assert scene.look(key).rep == (other if asked else "")
    scene.ready(other, state="offline")
    assert scene.look(key).state == "waiting"
    scene.at(3)
    scene.ready(other)
    assert scene.look(key).rep == other


def test_nobody_waits_long_for_a_rep_who_went_home() -> None:
    scene = Scene(["ana", "ben", "cy"])
    scene.ready("ana", "ben")
    key = scene.lead("1")
    scene.at(10)
    scene.ready("ben", state="offline")
    scene.report("rejected", key)
    scene.at(39)
    assert scene.look(key).state == "waiting"
    scene.at(41)
    assert (scene.look(key).state, scene.look(key).reason) == ("exception", "all_refused")
    scene.ready("ben")
    scene.at(3_600)
    assert scene.look(key).state == "exception"


def test_a_rep_who_went_home_before_the_lead_came_is_not_waited_for() -> None:
    scene = Scene(["ana", "ben"])
    scene.ready("ana", "ben")
    scene.ready("ben", state="offline")
    scene.at(1)
    key = scene.lead("1")
    scene.report("rejected", key)
    assert scene.look(key).state == "exception"


def test_a_rep_who_never_signed_on_is_not_waited_for() -> None:
    scene = Scene(["ana", "ben"])
    scene.ready("ben", state="offline")
    scene.ready("ana")
    key = scene.lead("1")
    scene.report("rejected", key)
    assert scene.look(key).state == "exception"


def test_new_settings_do_not_lose_the_time_at_which_a_missing_rep_is_given_up() -> None:
    scene = Scene(["ana", "ben"])
    scene.ready("ana", "ben")
    key = scene.lead("1")
    scene.at(1)
    scene.ready("ben", state="offline")
    scene.report("rejected", key)
    flow = replace(scene.floor.flow, time_scale=10.0)
    scene.do(FloorChanged(replace(scene.floor, digest="new", flow=flow)))
    scene.at(3)
    assert scene.look(key).state == "waiting"
    scene.at(5)
    assert scene.look(key).state == "exception"


def test_a_fault_of_the_dialer_does_not_use_up_a_reps_round() -> None:
    scene = Scene(["ana", "ben"], lease_seconds=60)
    scene.ready("ana", "ben")
    key = scene.lead("1")
    first = scene.look(key).rep
    scene.do(TargetChanged("mqtt", up=False))
    scene.at(5)
    scene.do(TargetChanged("mqtt", up=True))
    scene.at(66)
    assert [d.excluded for d in scene.decided(AssignmentEnded)] == [False]
    if scene.look(key).rep != first:
        scene.report("rejected", key)
    assert scene.look(key).rep == first
    scene.report("rejected", key)
    assert first in scene.look(key).excluded


def test_a_test_lead_goes_once_around_and_ends() -> None:
    scene = Scene(["ana", "ben"])
    scene.ready("ana", "ben")
    key = scene.lead("t", test=True)
    assert scene.look(key).rep == "ana"
    scene.report("rejected", key)
    assert scene.look(key).rep == "ben"
    scene.report("rejected", key)
    assert (scene.look(key).state, scene.look(key).status) == ("closed", "invalid")


def test_a_test_lead_that_the_last_one_refused_ends_when_nobody_is_left() -> None:
    scene = Scene(["ana", "ben"])
    scene.ready("ana", "ben")
    key = scene.lead("t", test=True)
    scene.ready("ben", state="busy")
    scene.report("rejected", key)
    assert scene.look(key).state == "waiting"
    scene.at(1)
    scene.ready("ben", state="offline")
    scene.at(30)
    assert scene.look(key).state == "waiting"
    scene.at(32)
    assert scene.look(key).state == "closed"


class _Recaller(LongestIdle):
    """Asks for whatever is open, called or not, as often as it is told to."""

    times = 1

    def __init__(self) -> None:
        super().__init__()
        self.left = 0

    def contacted(self, *_: Any, **__: Any) -> None:
        self.left = self.times

    def next_intent(self, now_ns: int) -> Any:
        if self.left and self._pool:
            self.left -= 1
            for rep in self._pool.members.values():
                for key in rep.open:
                    return Recall(key, rep.id, "slow", f"{rep.id} is slow")
        return super().next_intent(now_ns)


class _Stubborn(_Recaller):
    times = 2


@pytest.fixture
def recallers() -> Iterator[None]:
    FACTORIES.update(recaller=_Recaller, stubborn=_Stubborn)
    yield
    del FACTORIES["recaller"], FACTORIES["stubborn"]


@pytest.mark.usefixtures("recallers")
@pytest.mark.parametrize("evidence", ["dialer", "claimed"])
@pytest.mark.parametrize("what", ["attempted", "contacted"])
def test_a_recall_that_comes_too_late_changes_nothing(what: str, evidence: str) -> None:
    scene = Scene(["ana"], policy="recaller")
    scene.ready("ana")
    key = scene.lead("1")
    scene.report(what, key, evidence=evidence)
    assert scene.look(key).rep == "ana"
    assert not scene.decided(AssignmentEnded)


@pytest.mark.usefixtures("recallers")
def test_a_policy_that_insists_on_a_refused_recall_has_gone_astray() -> None:
    scene = Scene(["ana"], policy="stubborn")
    scene.ready("ana")
    key = scene.lead("1")
    with pytest.raises(PolicyMisbehaved, match="asks again"):
        scene.report("attempted", key)


def test_who_signs_off_costs_the_same_however_many_leads_others_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = []
    anyone = Pool._anyone_signed_on

    def counted(pool: Pool, excluded: tuple[str, ...]) -> bool:
        looks.append(excluded)
        return anyone(pool, excluded)

    def end_of_shift(leads: int) -> int:
        scene = Scene(["ana", "ben", "cy", "dee"], policy="longest_idle")
        scene.ready("ana")
        scene.ready("ben", "cy", "dee", state="busy")
        keys = [scene.lead(str(number)) for number in range(leads)]
        for key in keys:
            scene.report("rejected", key)
        looks.clear()
        scene.ready("ben", "cy", "dee", state="offline")
        scene.at(60)
        assert {scene.look(key).reason for key in keys} == {"all_refused"}
        return len(looks)

    monkeypatch.setattr(Pool, "_anyone_signed_on", counted)
    assert end_of_shift(100) == end_of_shift(10)
