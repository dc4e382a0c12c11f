"""A snapshot is of the last commit, and its failure stops nothing."""

from __future__ import annotations

from distributor.core.engine import Engine
from tests.core.floors import FACTORIES
from tests.runtime.loop import Loop, lead


async def test_snapshots_are_taken_of_the_last_commit(loop):
    await loop.end()
    keeping = Loop(snapshot_entries=5)
    await keeping.begin()
    for number in range(20):
        await keeping.give(lead(str(number)))
    await keeping.end()
    loop.task = keeping.task

    assert keeping.journal.snapshots
    for image in keeping.journal.snapshots:
        assert len(image.leads) == image.seq - 1, "every entry but the first brought a lead"
        restored = Engine(tag="T3ST", seed=7, factories=FACTORIES)
        restored.restore(image.head, image.leads)
        assert restored.state.ledger.difference == 0
    gaps = [image.seq for image in keeping.journal.snapshots]
    assert all(later - earlier >= 5 for earlier, later in zip(gaps, gaps[1:], strict=False))


async def test_a_snapshot_that_fails_stops_nothing(loop):
    await loop.end()
    keeping = Loop(snapshot_entries=2)
    keeping.journal.snapshot_failure = OSError("no room")
    await keeping.begin()
    for number in range(5):
        await keeping.give(lead(str(number)))
    await keeping.end()
    loop.task = keeping.task

    assert keeping.task.exception() is None
    assert len(keeping.journal.entries) == 6
