"""A changed file, or SIGHUP, brings new settings; a bad file leaves the old ones in force."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from distributor.errors import BadConfig
from distributor.settings import load
from distributor.settings.reload import Watch, reload

MINIMAL = """
[http]
[[pools]]
id = "default"
[[reps]]
id = "ana"
"""
TEN_SECONDS = 10


@pytest.fixture(autouse=True)
def looks(monkeypatch):
    monkeypatch.setattr("distributor.settings.reload.LOOK_SECONDS", 0.01)


class Watched:
    """A running watch and what it reported."""

    def __init__(self, path):
        self.path = path
        self.settings = load(path)
        self.reports = asyncio.Queue()
        self.watch = Watch(path)

    async def __aenter__(self):
        following = self.watch.run(lambda: self.settings, self._taken, self.reports.put_nowait)
        self._task = asyncio.create_task(following)
        return self

    async def __aexit__(self, *args):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _taken(self, settings):
        self.settings = settings
        self.reports.put_nowait(settings)

    async def next(self):
        return await asyncio.wait_for(self.reports.get(), TEN_SECONDS)


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "distributor.toml"
    file.write_text(MINIMAL)
    return file


def replaced(path, text):
    """Replace the file as editors and deployment tools do: write beside it and rename."""
    beside = path.with_name("beside")
    beside.write_text(text)
    beside.rename(path)


async def test_a_replaced_file_brings_new_settings(path):
    async with Watched(path) as watched:
        replaced(path, MINIMAL + "window = 3\n")
        assert (await watched.next()).reps[0].window == 3


async def test_a_bad_file_is_refused_with_every_problem_and_a_good_one_taken_after_it(path):
    async with Watched(path) as watched:
        replaced(path, MINIMAL + "window = 0\nweight = 'x'\n")
        assert await watched.next() == [
            'reps[0].weight: "x" is a text; write a number',
            "reps[0].window: 0 is out of range; write 1 to 1,000",
        ]
        assert watched.settings.reps[0].window is None
        path.write_text(MINIMAL + "window = 2\n")
        report = await watched.next()
        while isinstance(report, list):  # the file may be seen while it is written
            report = await watched.next()
        assert report.reps[0].window == 2


async def test_asked_for_again_the_file_is_read_although_it_did_not_change(path, tmp_path):
    """A secret's own file may have changed."""
    (tmp_path / "t").write_text("old")
    path.write_text(MINIMAL + "[[http.tokens]]\nname = 'mia'\nrole = 'admin'\ntoken_file = 't'\n")
    async with Watched(path) as watched:
        (tmp_path / "t").write_text("new")
        watched.watch.again()
        assert [token.token for token in (await watched.next()).tokens] == ["new"]


@pytest.mark.parametrize("how", ["changed", "asked"])
async def test_what_happens_before_the_watch_runs_is_not_missed(path, how):
    """A long recovery lies between the first reading of the file and the watch."""
    watched = Watched(path)
    if how == "changed":
        path.write_text(MINIMAL + "window = 3\n")
    else:
        watched.watch.again()
    async with watched:
        assert (await watched.next()).reps[0].window == (3 if how == "changed" else None)


async def test_a_file_that_is_being_written_is_not_taken_before_it_is_whole(path, monkeypatch):
    """Half a file may be a good one: with half the reps."""
    whole = MINIMAL + "[[reps]]\nid = 'ben'\n"
    looks = iter([MINIMAL.encode(), MINIMAL.encode() + b"\n", whole.encode(), whole.encode()])
    last = b""

    def content(_path):
        nonlocal last
        last = next(looks, last)
        return last

    monkeypatch.setattr("distributor.settings.reload._content", content)
    async with Watched(path) as watched:
        path.write_text(whole)
        assert [rep.id for rep in (await watched.next()).reps] == ["ana", "ben"]
        assert watched.reports.empty()
        assert last == whole.encode()


async def test_a_file_that_vanishes_is_told_and_one_that_comes_back_is_taken(path):
    async with Watched(path) as watched:
        path.unlink()
        assert "cannot be read" in (await watched.next())[0]
        assert watched.settings.reps[0].window is None
        path.write_text(MINIMAL + "window = 3\n")
        assert (await watched.next()).reps[0].window == 3


async def test_what_needs_a_restart_is_refused_whole(path):
    async with Watched(path) as watched:
        replaced(path, MINIMAL.replace("[http]", "[http]\nport = 9999") + "window = 3\n")
        assert await watched.next() == [
            "http.port: changed, and needs a restart; nothing was taken over"
        ]
        assert watched.settings.reps[0].window is None


@pytest.mark.parametrize(
    ("extra", "key"),
    [
        ("[store]\npath = 'other.db'", "store"),
        ("[mqtt]", "mqtt"),
        ("[log]\nlevel = 'debug'", "log"),
        ("[[dialers]]\nid = 'd'\nassign = {url = 'http://d'}", "dialers"),
    ],
)
def test_every_part_that_is_opened_at_the_start_needs_a_restart(path, extra, key):
    before = load(path)
    path.write_text(f"{MINIMAL}\n{extra}\n")
    with pytest.raises(BadConfig) as caught:
        reload(path, before)
    assert [line.split(":")[0] for line in caught.value.problems] == [key]


def test_removing_a_whole_section_is_one_problem(path):
    before = load(path)
    path.write_text(MINIMAL.replace("[http]", "[mqtt]"))
    with pytest.raises(BadConfig) as caught:
        reload(path, before)
    assert [line.split(":")[0] for line in caught.value.problems] == ["mqtt", "http"]


def test_people_and_flow_change_without_a_restart(path):
    before = load(path)
    path.write_text(
        MINIMAL + "[[reps]]\nid = 'ben'\n[flow]\ntime_scale = 2\n[[vendors]]\nid = 'v'\n"
    )
    after = reload(path, before)
    assert [rep.id for rep in after.reps] == ["ana", "ben"]
    assert (after.flow.time_scale, after.vendors[0].id) == (2.0, "v")
