import asyncio
import contextlib

import pytest

from distributor.demo.plan import Habits, Plan, habits, rep_names
from distributor.demo.rep import DemoRep, Given
from distributor.demo.vendor import leads
from distributor.domain.ids import is_name
from tests.demo.virtual import run

QUICK = Habits(handling_seconds=5.0, lag_seconds=1.0, sends_states=True, sloppy=False)
WAIT_SECONDS = 60.0


class Office:
    """One rep, what it said, and the assignments it ended."""

    def __init__(self, time_scale=1000.0):
        self.said = asyncio.Queue()
        self.ended = []
        self.rep = DemoRep(
            "ana",
            QUICK,
            time_scale,
            self._tell,
            lambda *end: self.ended.append(end),
            lambda _: None,
        )

    async def _tell(self, event):
        self.said.put_nowait(event)

    async def until(self, kind):
        """The types of what is said up to the first ``kind``."""
        kinds = []
        while kinds[-1:] != [kind]:
            event = await asyncio.wait_for(self.said.get(), WAIT_SECONDS)
            kinds.append(event.get("state") or event["type"])
        return kinds

    def give(self, number):
        given = Given(f"K{number}-1", f"K{number}", f"v{number}")
        self.rep.give(given)
        return given


@contextlib.asynccontextmanager
async def working():
    made = Office()
    task = asyncio.create_task(made.rep.run())
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def office():
    async with working() as made:
        yield made


@pytest.fixture
async def colleague():
    async with working() as made:
        yield made


async def test_a_rep_reports_a_lead_from_contact_to_status(office):
    office.give(1)
    assert await office.until("ready") == ["contacted", "busy", "call_ended", "status", "ready"]


async def test_a_rep_works_one_lead_at_a_time(office):
    office.give(1)
    office.give(2)
    kinds = await office.until("ready") + await office.until("ready")
    assert [kind for kind in kinds if kind in {"contacted", "call_ended"}] == [
        *("contacted", "call_ended"),
        *("contacted", "call_ended"),
    ]


async def test_a_revoked_lead_is_not_dialled(office):
    """The only one who may call a lead is who has it."""
    office.rep.dark = True
    taken_away = office.give(1)
    taken_away.revoked = True
    office.rep.wake()
    office.give(2)
    office.rep.dark = False
    office.rep.wake()
    event = await asyncio.wait_for(office.said.get(), WAIT_SECONDS)
    assert (event["type"], event["lead_key"]) == ("contacted", "K2")


async def test_a_dark_rep_says_nothing_until_it_is_back(office, colleague):
    office.rep.dark = True
    office.give(1)
    colleague.give(1)  # takes as long to pick up, from later on
    await colleague.until("contacted")
    assert office.said.empty()
    office.rep.dark = False
    office.rep.wake()
    assert "contacted" in await office.until("ready")


async def test_a_rep_who_is_offline_takes_no_calls_and_says_so(office):
    await office.rep.go_online(False)
    office.give(1)
    assert await office.until("offline") == ["offline"]
    await office.rep.go_online(True)
    assert (await office.until("contacted")) == ["ready", "contacted"]


async def test_a_closing_status_ends_the_assignment_for_the_dialer(office):
    for number in range(12):
        office.give(number)
    statuses = []
    while len(statuses) < 12:
        event = await asyncio.wait_for(office.said.get(), WAIT_SECONDS)
        if event["type"] == "status":
            statuses.append((event["status"], (event["lead_key"], event["assignment_id"])))
    assert {end for status, end in statuses if status != "qualified"} == set(office.ended)


def test_reps_have_different_good_names_and_the_same_habits_every_time():
    names = rep_names(100)
    assert len(set(names)) == 100
    assert all(is_name(name) for name in names)
    assert habits("ana", 30.0) == habits("ana", 30.0)
    assert len({habits(name, 30.0).lag_seconds for name in names}) > 90


def test_the_vendors_leads_are_the_same_in_every_demo_and_come_at_the_rate():
    plan = Plan(seconds=1.0, rate=600.0, reps=("ana",), time_scale=1.0)
    first = [lead for lead, _ in zip(leads(plan), range(1000), strict=False)]
    again = [lead for lead, _ in zip(leads(plan), range(1000), strict=False)]
    assert first == again
    assert 85 < first[-1][0] < 115, "1,000 leads at 10 a second"
    share = sum(vendor == "acme" for _, vendor, _ in first) / 1000
    assert 0.45 < share < 0.55
    assert len({body["id"] for _, _, body in first}) == 1000


@pytest.mark.parametrize("recovers", [False, True])
def test_a_slow_rep_takes_long_and_is_quick_again_with_the_lead_in_hand(recovers):
    async def until_contact():
        office = Office(time_scale=1.0)
        task = asyncio.create_task(office.rep.run())
        await office.rep.go_slow()
        office.give(1)
        await asyncio.sleep(15)
        assert not office.rep.idle
        if recovers:
            await office.rep.recover()
        assert (await asyncio.wait_for(office.said.get(), 1000))["type"] == "contacted"
        task.cancel()
        return asyncio.get_running_loop().time()

    assert (run(until_contact()) < 16) is recovers


async def test_a_rep_with_nothing_to_do_says_ready_on_the_way_back(office):
    await office.rep.go_dark()
    assert office.rep.idle
    await office.rep.recover()
    assert await office.until("ready") == ["ready"]
