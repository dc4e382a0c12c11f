"""Many runs on all cores."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from msgspec import Struct

from bench.output import Progress
from bench.simulate import tuning
from bench.simulate.runs import Ran, run
from bench.simulate.scenario import Scenario
from distributor.domain.faults import InvariantBroken, PolicyMisbehaved
from distributor.errors import DistributorError

Overrides = Mapping[str, float]


class Task(Struct, frozen=True):
    """One run to do. ``name``: a policy, ``POLICY:WINDOW``, or the bound."""

    place: str
    scenario: Scenario
    name: str
    seed: int
    delays: bool = False


def do_all(
    tasks: Sequence[Task], jobs: int, overrides: Overrides
) -> dict[tuple[str, str, int], Ran]:
    """Every run, by (scenario, policy, seed). The constants of ``overrides`` hold in them alone."""
    progress = Progress("simulating", len(tasks))
    found: dict[tuple[str, str, int], Ran] = {}
    try:
        for task, ran in _done(tasks, jobs, overrides):
            found[task.place, task.name, task.seed] = ran
            progress.show(len(found), f"{task.place} {task.name} {task.seed}")
    finally:
        progress.end()
    # In the order of the tasks, whichever ended first.
    return {key: found[key] for key in ((t.place, t.name, t.seed) for t in tasks)}


def _done(tasks: Sequence[Task], jobs: int, overrides: Overrides) -> Iterator[tuple[Task, Ran]]:
    if jobs == 1 or len(tasks) == 1:
        with tuning.tuned(overrides):
            yield from ((task, _one(task)) for task in tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(jobs, len(tasks)), context, tuning.tune, (dict(overrides),)
    ) as pool:
        yield from _collect(pool, tasks)


def _collect(pool: ProcessPoolExecutor, tasks: Iterable[Task]) -> Iterator[tuple[Task, Ran]]:
    pending = {pool.submit(_one, task): task for task in tasks}
    try:
        for future in as_completed(pending):
            yield pending[future], future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _one(task: Task) -> Ran:
    try:
        return run(task.scenario, task.name, task.seed, delays=task.delays)
    except (PolicyMisbehaved, InvariantBroken) as error:
        where = f"{task.name} on {task.place}, seed {task.seed}"
        raise DistributorError(f"{where}: {error}") from error
