"""What is on the terminal, and on a pipe."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, ConsoleDimensions

from distributor.demo.board import Board
from distributor.demo.eyes import Metrics, View
from distributor.demo.picture import picture, reps_table
from distributor.demo.plan import rep_names
from distributor.demo.stream import AssignmentStream

BECAUSE = (
    "Gets only probes: 2 leads in a row unanswered (21 s, 18 s); P(responsive) 0.32: "
    "lagging 0.34, absent 0.34."
)
RESTORES = "One prompt contact restores full flow; next test lead as soon as one waits."
STORY = [f"0{number}:00  something happens to somebody on the floor" for number in range(6)]
SENTENCES = [
    f"{number:06d}  {'Ana: free now, usually picks up in 9 s; ' * 4}" for number in range(8)
]
SIZES = [(120, 40), (80, 24)]


def row(name, number, flow=1.0):
    full = flow == 1
    return {
        "id": name,
        "state": "ready",
        "leads": [f"7Q2M{number:010d}XHD"],
        "flow": flow,
        "reason": "full_flow" if full else "slow_contact",
        "because": "" if full else BECAUSE,
        "restores": "" if full else RESTORES,
    }


def look(count=8, slow=("ben", "cleo")):
    rows = [
        row(name, at, 0.35 if name in slow else 1.0) for at, name in enumerate(rep_names(count))
    ]
    return View(rows, Metrics())


def shown(view, width, height):
    console = Console(width=width, height=height, file=io.StringIO())
    size = ConsoleDimensions(width, height)
    head = "floor time 04:40, 20 x speed"
    console.print(picture(head, view, STORY, SENTENCES, size))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width, height", SIZES)
def test_every_rep_s_state_lead_and_flow_can_be_read(width, height):
    head, _, _, *lines = shown(look(), width, height)
    assert head.rstrip() == "floor time 04:40, 20 x speed"
    for number, name in enumerate(rep_names(8)):
        rep, state, lead, bar, flow, *reason = lines[number].split()
        assert (rep, state, lead) == (name, "ready", f"{number:03d}XHD")
        if name in {"ben", "cleo"}:
            assert (bar, flow, reason) == ("████░░░░░░", "0.35", ["slow_contact"])
        else:
            assert (bar, flow, reason) == ("██████████", "1.00", [])


@pytest.mark.parametrize("height", [10, 16, 24, 40])
@pytest.mark.parametrize("count", [1, 8, 168])
def test_a_picture_fits_its_terminal(count, height):
    """What does not fit would push the first lines out."""
    assert len(shown(look(count), 80, height)) < height


@pytest.mark.parametrize("width, height", SIZES)
def test_who_is_held_back_has_the_reason_and_what_restores_it_under_the_table(width, height):
    text = " ".join(line.strip() for line in shown(look(), width, height))
    for name in ("ben", "cleo"):
        assert f"{name} 0.35: {BECAUSE} {RESTORES}" in text


def test_the_newest_of_the_story_and_of_the_decisions_stay():
    lines = shown(look(slow=()), 120, 40)
    story = [line for line in lines if line.startswith("* ")]
    assert [line[2:7] for line in story] == ["02:00", "03:00", "04:00", "05:00"]
    assert next(line.split()[0] for line in lines if line.startswith("  ")) == "000007"


def test_where_room_is_short_the_newest_of_the_story_stays():
    lines = shown(look(), 80, 20)
    story = [line for line in lines if line.startswith("* ")]
    assert 0 < len(story) < 4
    assert story[-1].startswith("* 05:00")


def test_a_large_floor_shows_those_in_trouble_and_counts_the_rest():
    lines = shown(look(168, slow=("yara-7",)), 120, 40)
    assert lines[3].split()[0] == "yara-7"
    assert len(lines) < 40
    assert any("and 145 more" in line for line in lines)
    assert reps_table(look(168).reps, 5).row_count == 5


class Looks:
    """The daemon's answers, without a daemon."""

    def __init__(self, view):
        self.view = view

    async def look(self):
        return self.view


async def test_a_pipe_gets_the_first_names_the_floor_s_time_and_the_reason():
    console = Console(width=80, file=io.StringIO())
    view = look(12, slow=rep_names(9))
    board = Board(Looks(view), AssignmentStream(), console, 20.0)
    board.see(view)
    board.say("ben is held back, flow 0.35", BECAUSE)
    text = console.file.getvalue()
    assert "held back: ana 0.35, ben 0.35, cleo 0.35, dev 0.35, eva 0.35 and 4 more\n" in text
    assert "00:00  floor time, 20 x speed" in text
    assert f"00:00  -- ben is held back, flow 0.35: {BECAUSE}\n" in text
    assert board.held_back == set(rep_names(9))
