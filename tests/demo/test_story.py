"""The story of a demo as ``GET /v1/reps`` shows it, in virtual time: flow leaves and comes back."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from distributor.demo.plan import DEFAULT_SECONDS, MOST_SECONDS, Plan, rep_names
from distributor.demo.story import Story
from tests.demo.virtual import VirtualDemo, run

LOOK_SECONDS = 0.5


class Watcher:
    """Looks at the floor as the board does, and remembers what it saw of each rep."""

    def __init__(self, plan, monkeypatch):
        self.plan = plan
        self.monkeypatch = monkeypatch
        self.rows = {rep: [] for rep in plan.reps}
        self.said = []

    async def watch(self, seconds, first_look):
        """Look until the demo would end: after ``seconds``, or later when the story is not told."""
        now = asyncio.get_running_loop().time
        demo = VirtualDemo(self.plan, self.monkeypatch)
        self.story = Story(
            self.plan, demo.floor.reps, lambda text, why: self.said.append((now(), text, why))
        )
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(demo.run()), group.create_task(self.story.play())]
            await asyncio.sleep(first_look)
            while now() < seconds or (not self.story.over.is_set() and now() < MOST_SECONDS):
                view = demo.view()
                self.story.see(view)
                for row in view.reps:
                    self.rows[row["id"]].append(row | {"at": now()})
                await asyncio.sleep(LOOK_SECONDS)
            for task in tasks:
                task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)

    def told(self, text):
        """When the story said this."""
        (at,) = [at for at, said, _ in self.said if said.startswith(text)]
        return at

    def seen(self, rep, since, until):
        """What the looks from ``since`` to ``until`` showed of a rep."""
        return [row for row in self.rows[rep] if since <= row["at"] <= until]


def plan(**more):
    given = {"seconds": None, "rate": 120.0, "reps": rep_names(8), "time_scale": 20.0}
    return Plan(**(given | more))


@pytest.mark.parametrize(
    "given, first_look",
    [
        pytest.param({}, 0.0, id="default"),
        pytest.param({}, 0.17, id="other looks"),
        pytest.param({}, 0.38, id="still other looks"),
        pytest.param({"reps": rep_names(5)}, 0.0, id="five reps"),
        pytest.param({"reps": rep_names(24), "rate": 400.0}, 0.0, id="many reps"),
        pytest.param({"time_scale": 60.0, "rate": 360.0}, 0.0, id="fast"),
        pytest.param({"time_scale": 10.0, "rate": 60.0}, 0.0, id="slow"),
    ],
)
def test_flow_leaves_the_dark_and_the_slow_rep_and_comes_back(given, first_look, monkeypatch):
    watcher = Watcher(plan(**given), monkeypatch)
    # Some time beyond the end: the next lead for somebody comes when it comes.
    run(watcher.watch(DEFAULT_SECONDS + 900 / watcher.plan.time_scale, first_look))
    assert watcher.story.unseen == []
    for rep in (watcher.plan.dark, watcher.plan.slow):
        held, ends, back = (
            watcher.told(f"{rep} {what}")
            for what in ("is held back, flow 0.", "works as before", "is back at full flow")
        )
        assert ends - held >= 2, "long enough to be watched"
        first, *rest = watcher.seen(rep, held, ends)
        assert (first["flow"] < 1, first["reason"], first["state"]) == (
            True,
            "slow_contact",
            "ready",
        )
        (why,) = [why for at, said, why in watcher.said if at == held and said.startswith(rep)]
        assert why == f"{first['because']} {first['restores']}"
        assert min(row["flow"] for row in rest) < 1
        after = watcher.seen(rep, back, float("inf"))
        assert after[0]["flow"] == 1
        assert after[-1]["contacts"] > after[0]["contacts"], "leads flow again"


def test_forty_seconds_are_enough(monkeypatch):
    watcher = Watcher(plan(seconds=40.0), monkeypatch)
    run(watcher.watch(40.0, 0.0))
    assert watcher.story.unseen == []
    assert watcher.told("cleo is back at full flow") < 40
    assert watcher.told("ben is back at full flow") < 40


def test_what_was_not_seen_by_the_end_is_said(monkeypatch):
    watcher = Watcher(plan(seconds=10.0), monkeypatch)
    watcher.monkeypatch.setattr("tests.demo.test_story.MOST_SECONDS", 0.0)
    run(watcher.watch(2.0, 0.0))
    assert watcher.story.unseen == [
        *("ben is held back", "ben is back at full flow"),
        *("cleo is held back", "cleo is back at full flow"),
    ]


@pytest.mark.parametrize("count, actors", [(1, 0), (2, 1), (3, 1), (4, 2)])
def test_never_more_than_half_of_a_floor_is_in_trouble(count, actors):
    """Else nobody is slowed, and there is nothing to see."""
    small = plan(reps=rep_names(count))
    assert len({small.dark, small.slow} - {None}) == actors
