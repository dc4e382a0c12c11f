"""Why a lead is where it is, and why a rep receives nothing."""

from __future__ import annotations

import msgspec
import pytest

from distributor.domain.decisions import (
    FloorApplied,
    FlowChanged,
    LeadDeferred,
    LeadHeld,
    LeadReleased,
    PresenceChanged,
    RepControlled,
    TargetMarked,
)
from distributor.domain.floor import Floor, PoolPlan, RepPlan
from distributor.domain.rep import FOREVER_NS, Flow, Rep
from distributor.store.explain import VERDICTS

from . import builders as b

AT = "2026-11-21T09:00:59.250Z"


async def test_why_names_the_chosen_the_outranked_and_the_passed_over(one_assigned, reader):
    answer = reader.why(b.key(1))
    assert answer["rep"] == "ana"
    assert answer["assignment_id"] == f"{b.key(1)}-1"
    assert (answer["reason"], answer["because"]) == ("best", "ana scored 0.9")
    verdicts = [(one["rep"], one["verdict"]) for one in answer["candidates"]]
    assert verdicts == [("ana", "chosen"), ("ben", "outranked"), ("cleo", "offline")]
    assert answer["candidates"][1]["because"] == "ben scored 0.4"
    assert answer["candidates"][2]["because"] == "cleo was offline"
    assert reader.why("NOBODY") is None


@pytest.mark.parametrize(
    ("rep", "code"),
    [("ben", "outranked"), ("cleo", "offline"), ("ana", "chosen"), ("zoe", "not_a_member")],
)
async def test_why_with_a_rep_is_about_that_rep_alone(one_assigned, reader, rep, code):
    (one,) = reader.why(b.key(1), rep)["candidates"]
    assert (one["rep"], one["verdict"]) == (rep, code)


async def test_a_rep_the_record_does_not_name_is_judged_by_its_state_at_the_time(tell, reader):
    reps = [Rep(name, "north") for name in ("dan", "eve", "flo", "gus", "hal")]
    await tell(
        PresenceChanged("dan", "away", b.T0, "mqtt"),
        *(PresenceChanged(name, "ready", b.T0, "mqtt") for name in ("eve", "flo", "gus")),
        RepControlled("eve", "pause", "mia", "coaching", b.T0 + b.SECOND),
        FlowChanged(
            "flo",
            Flow(0.5, "slow_contact", "flo answers in 90 s", "Two calls within 60 s restore it."),
        ),
        reps=reps,
    )
    await tell(b.assign(1), leads=[b.assigned(1)])
    await tell(
        PresenceChanged("dan", "ready", b.T0, "mqtt"),  # Too late to matter.
        RepControlled("eve", "resume", "mia", ""),
        FlowChanged("flo", Flow()),
    )

    def judged(rep):
        (one,) = reader.why(b.key(1), rep)["candidates"]
        return one["verdict"], one["because"]

    assert judged("dan")[0] == "away"
    assert judged("eve") == (
        "paused",
        "eve was paused by mia at 09:00:59Z until 09:01:00Z: coaching",
    )
    assert judged("flo") == (
        "slow_contact",
        "flo answers in 90 s. Two calls within 60 s restore it.",
    )
    assert judged("gus")[0] == "not_asked"
    assert judged("hal")[0] == "offline"


@pytest.mark.parametrize(
    ("decision", "state", "reason"),
    [
        (LeadDeferred(b.key(1), "default", "better_soon", "ana is free in 3 s"), "waiting", None),
        (LeadHeld(b.key(1), "all_refused", b.T0, "all 3 refused"), "exception", "all_refused"),
        (LeadReleased(b.key(1), "callback_due", b.T0, 0, "it is time"), "waiting", None),
        (b.ended(1, "recalled"), "waiting", "recalled"),
    ],
)
async def test_why_says_why_nobody_has_it(one_assigned, tell, reader, decision, state, reason):
    lead = msgspec.structs.replace(b.waiting(1), state=state)
    await tell(b.ended(1, "rejected"), decision, leads=[lead])
    answer = reader.why(b.key(1))
    assert (answer["rep"], answer["assignment_id"]) == (None, None)
    assert answer["reason"] == (reason or decision.reason)
    assert answer["because"] == decision.because
    assert [(one["rep"], one["verdict"]) for one in answer["candidates"]] == [("ana", "excluded")]


async def test_why_of_a_lead_that_nothing_happened_to_yet(store, reader):
    await store.append(b.leads_in(1, 1), expect=0, epoch=1)
    answer = reader.why(b.key(1))
    assert (answer["reason"], answer["because"]) == ("queued", "it waits its turn")
    assert answer["candidates"] == []


@pytest.mark.parametrize("cause", ["closed", "parked"])
async def test_a_lead_that_ended_with_its_rep_is_still_that_reps_in_why(
    one_assigned, tell, reader, cause
):
    await tell(b.status_changed(1), b.ended(1, cause), leads=[b.closed(1)])
    assert reader.why(b.key(1))["rep"] == "ana"


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"state": "offline"}, "offline", "is offline"),
        ({"state": "away", "state_reason": "lunch"}, "away", "lunch"),
        ({"paused_until_ns": b.T0 + 9, "pause_reason": "coaching"}, "paused", "coaching"),
        ({"open": {"L1": True}}, "full_pipeline", "1 of 1"),
        ({"free_from_ns": b.T0 + 9}, "pace", "09:00:59Z on: the pace"),
        ({"free_from_ns": b.T0 + 9, "wraps_up": True}, "wrap_up", "till then the wrap-up"),
        ({"listed": False}, "not_a_member", "configuration"),
        (
            {
                "flow": Flow(
                    0.5,
                    "slow_contact",
                    "contacts in 90 s",
                    "two calls within 60 s",
                    b.T0 - b.SECOND,
                )
            },
            "slow_contact",
            "contacts in 90 s. Since 09:00:58Z. two calls within 60 s",
        ),
        ({"override": 0.0}, "manual", "Set to 0% by a supervisor"),
        ({}, "no_pool", "ana belongs to no pool"),
    ],
)
async def test_why_idle_names_what_is_in_the_way(tell, reader, change, code, says):
    rep = msgspec.structs.replace(Rep("ana", "north", state="ready"), **change)
    await tell(reps=[rep])
    answer = reader.why_idle("ana", b.T0)
    assert answer["rep"] == "ana"
    assert answer["flow"] == rep.flow_in_force(b.T0).value
    assert [reason["code"] for reason in answer["reasons"]] == [code]
    assert says in answer["reasons"][0]["because"]


def _on_floor(*pools: PoolPlan) -> FloorApplied:
    reps = (RepPlan("ana", "north"), RepPlan("ben", "north"))
    return FloorApplied(Floor("digest", reps=reps, pools=pools))


async def test_why_idle_looks_at_the_pool_and_its_dialer(store, tell, reader):
    ana = Rep("ana", "north", state="ready")
    await tell(_on_floor(PoolPlan("default")), reps=[ana])

    def code() -> tuple[str, str]:
        (reason,) = reader.why_idle("ana", b.T0)["reasons"]
        return reason["code"], reason["because"]

    assert code()[0] == "no_waiting_lead"
    await store.append(b.leads_in(store.last_seq + 1, 2), expect=store.last_seq, epoch=1)
    assert code() == (
        "not_chosen",
        "leads wait (2 in pool default), but none is for ana now: ask why of such a lead",
    )
    await tell(TargetMarked("mqtt", False, "not connected"))
    assert code() == (
        "dialer_down",
        "the MQTT broker is away (not connected): 2 leads of pool default wait for it",
    )
    await tell(TargetMarked("mqtt", True, ""))
    assert code()[0] == "not_chosen"


async def test_why_of_a_waiting_lead_says_who_could_not_take_it(store, tell, reader):
    ana = Rep("ana", "north", state="ready", override=0.0, override_reason="training")
    await store.append(b.leads_in(1, 1), expect=0, epoch=1)
    await tell(_on_floor(PoolPlan("default")), reps=[ana, Rep("ben", "north")])
    answer = reader.why(b.key(1), now_ns=b.T0)
    assert answer["rep"] is None
    assert "nobody can take it now (1 held by a supervisor; 1 offline)" in answer["because"]
    verdicts = {one["rep"]: (one["verdict"], one["because"]) for one in answer["candidates"]}
    assert verdicts["ana"][0] == "manual"
    assert "training" in verdicts["ana"][1]
    assert verdicts["ben"][0] == "offline"
    await tell(TargetMarked("mqtt", False, "not connected"))
    assert "the MQTT broker is away (not connected)" in reader.why(b.key(1))["because"]
    await tell(TargetMarked("mqtt", True, ""), reps=[Rep("ana", "north", state="ready")])
    assert "nobody" not in reader.why(b.key(1))["because"]


async def test_behind_a_clock_that_was_set_back_what_is_over_is_over(store, tell, reader):
    ana = Rep("ana", "north", state="ready", free_from_ns=b.T0 - 60 * b.SECOND)
    await tell(_on_floor(PoolPlan("default")), reps=[ana])
    (reason,) = reader.why_idle("ana", b.T0 - 3600 * b.SECOND)["reasons"]
    assert reason["code"] == "no_waiting_lead"


async def test_why_idle_of_an_unknown_rep_is_none(reader):
    assert reader.why_idle("nobody") is None


def test_every_code_of_the_engine_has_a_sentence():
    codes = (
        "offline away busy wrap_up paused full_pipeline pace held_back excluded probe_only"
        " not_a_member"
    )
    assert set(codes.split()) <= set(VERDICTS)


SLOW = Flow(
    0.35,
    "slow_contact",
    "Gets only probes: 2 leads in a row unanswered (21 s, 18 s).",
    "One prompt contact restores full flow; from 09:04:00Z on a waiting lead comes as a probe.",
    b.T0 - 60 * b.SECOND,
)
SLOW_TOLD = f"{SLOW.because} Since 08:59:59Z. {SLOW.restores}"


def _cleo_too(*pools: PoolPlan) -> FloorApplied:
    reps = tuple(RepPlan(name, "north") for name in ("ana", "ben", "cleo"))
    return FloorApplied(Floor("digest", reps=reps, pools=pools))


async def test_a_slowed_rep_who_is_free_is_counted_with_what_restores_it(store, tell, reader):
    """The very case of the visible throttle: one is free, and it is not offered to that one."""
    await store.append(b.leads_in(1, 1), expect=0, epoch=1)
    ana = Rep("ana", "north", state="ready", flow=SLOW)
    ben = Rep("ben", "north", state="busy")
    await tell(_cleo_too(PoolPlan("default")), reps=[ana, ben, Rep("cleo", "north")])
    answer = reader.why(b.key(1), now_ns=b.T0)
    assert (
        "since 09:00:59Z: nobody can take it now (1 held back, gets only probes; 1 on a call;"
        f" 1 offline). ana: {SLOW.restores.rstrip('.')}" in answer["because"]
    )
    assert [(one["rep"], one["verdict"]) for one in answer["candidates"]] == [
        ("ana", "slow_contact"),
        ("ben", "busy"),
        ("cleo", "offline"),
    ]
    assert answer["candidates"][0]["because"] == SLOW_TOLD
    (one,) = reader.why(b.key(1), "ana", now_ns=b.T0)["candidates"]
    assert one == {"rep": "ana", "verdict": "slow_contact", "because": SLOW_TOLD}
    await tell(reps=[msgspec.structs.replace(ben, state="ready", flow=SLOW)])
    because = reader.why(b.key(1), now_ns=b.T0)["because"]
    assert "(2 held back, gets only probes; 1 offline)" in because
    assert "restores" not in because, "of two, none stands out"


async def test_in_a_panic_a_slowed_rep_could_take_it_and_is_told_so(store, tell, reader):
    await store.append(b.leads_in(1, 1), expect=0, epoch=1)
    because = "Slowing ignored, 1 of 1 reps slow at 09:00:00Z: 2 leads in a row unanswered."
    flow = msgspec.structs.replace(SLOW, because=because, ignored=True)
    ana = Rep("ana", "north", state="ready", flow=flow)
    await tell(_on_floor(PoolPlan("default")), reps=[ana, Rep("ben", "north")])
    answer = reader.why(b.key(1), now_ns=b.T0)
    assert "ana could take it" in answer["candidates"][0]["because"]
    assert "nobody" not in answer["because"]
    codes = [one["code"] for one in reader.why_idle("ana", b.T0)["reasons"]]
    assert codes == ["slow_contact", "not_chosen"]


async def test_who_refused_a_waiting_lead_is_nobody_who_could_take_it(one_assigned, tell, reader):
    ana = Rep("ana", "north", state="ready")
    refused = msgspec.structs.replace(b.ended(1, "rejected"), excluded=True)
    waits = msgspec.structs.replace(b.waiting(1), reason="", because="")
    floor = _on_floor(PoolPlan("default"))
    await tell(floor, refused, leads=[waits], reps=[ana, Rep("ben", "north")])
    assert "(1 had it before; 1 offline)" in reader.why(b.key(1), now_ns=b.T0)["because"]
    await tell(LeadReleased(b.key(1), "recycled", b.T0, 0, "its time is over"), leads=[waits])
    assert "nobody" not in reader.why(b.key(1), now_ns=b.T0)["because"]


async def test_who_was_held_back_at_an_assignment_has_the_numbers_of_that_moment(tell, reader):
    """What the same entry decides after the assignment was not in force yet."""
    reps = [Rep(name, "north", state="ready") for name in ("ana", "ben", "cleo")]
    await tell(
        *(PresenceChanged(rep.id, "ready", b.T0, "mqtt") for rep in reps),
        FlowChanged("ben", SLOW),
        RepControlled("cleo", "pause", "mia", "coaching", FOREVER_NS),
        reps=reps,
    )
    passed = {"held_back": ("ben",), "paused": ("cleo",)}
    given = msgspec.structs.replace(b.assign(1), ranked=(), passed_over=passed)
    await tell(given, FlowChanged("ben", Flow()), leads=[b.assigned(1)])
    told = {one["rep"]: one for one in reader.why(b.key(1))["candidates"]}
    assert told["ben"] == {"rep": "ben", "verdict": "slow_contact", "because": SLOW_TOLD}
    assert told["cleo"]["because"] == "cleo was paused by mia at 09:00:59Z: coaching"
    assert reader.why(b.key(1), "ben")["candidates"] == [told["ben"]]


@pytest.mark.parametrize("state", ["ready", "offline"])
async def test_a_rep_outside_the_pool_is_told_so_whatever_else_it_was(tell, reader, state):
    """The same that ``why_idle`` says, for a lead that somebody has and for one that waits."""
    reps = [Rep(name, "north", state=state) for name in ("ana", "ben", "outs", "west")]
    plans = tuple(
        RepPlan(rep.id, rep.id if rep.id in ("outs", "west") else "north") for rep in reps
    )
    pools = (PoolPlan("default", teams=("north",)), PoolPlan("other", teams=("west",)))
    await tell(
        FloorApplied(Floor("digest", reps=plans, pools=pools)),
        *(PresenceChanged(rep.id, state, b.T0, "mqtt") for rep in reps),
        reps=reps,
    )
    await tell(b.assign(1), leads=[b.assigned(1)])
    await tell(leads=[b.waiting(2)])
    for number in (1, 2):
        (outs,) = reader.why(b.key(number), "outs", now_ns=b.T0)["candidates"]
        assert outs["verdict"] == "no_pool"
        assert outs["because"] == "outs belongs to no pool: see [[pools]]"
        (west,) = reader.why(b.key(number), "west", now_ns=b.T0)["candidates"]
        assert west["verdict"] == "not_a_member"
        assert "no member of the lead's pool default, but of other" in west["because"]
    if state == "ready":
        reasons = reader.why_idle("outs", b.T0)["reasons"]
        assert reasons == [{"code": outs["verdict"], "because": outs["because"]}]


@pytest.mark.parametrize(
    ("score", "note", "told"),
    [
        (5.329e-15, "0 leads from its share", "ana: 0 leads from its share"),
        (0.83, "prompt pick-up 81% in 9 s", "ana scored 0.83: prompt pick-up 81% in 9 s"),
        (5.329e-15, "", "ana scored 0"),
    ],
)
async def test_a_candidate_is_told_in_words_with_a_unit(tell, reader, score, note, told):
    given = msgspec.structs.replace(b.assign(1), ranked=(("ana", score, note),))
    await tell(given, leads=[b.assigned(1)])
    assert reader.why(b.key(1))["candidates"][0]["because"] == told


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("supervisor", "ben was free too; a supervisor chose ana"),
        ("test", "ben was free too; a test lead is shown to one rep, ana"),
        ("fair", "ben was free too, and not the best for this lead"),
    ],
)
async def test_who_was_free_beside_somebody_elses_choice(tell, reader, policy, told):
    passed = {"available": ("ben",)}
    given = msgspec.structs.replace(b.assign(1), ranked=(), policy=policy, passed_over=passed)
    await tell(given, leads=[b.assigned(1)])
    assert reader.why(b.key(1), "ben")["candidates"][0]["because"] == told


async def test_who_had_had_its_share_of_the_leads_is_not_told_it_was_worse(tell, reader):
    reps = [Rep(name, "north", state="ready") for name in ("ana", "ben")]
    await tell(
        *(PresenceChanged(rep.id, "ready", b.T0, "mqtt") for rep in reps),
        RepControlled("ben", "override", "mia", "new here", b.T0 + 60 * b.SECOND, flow=0.5),
        reps=reps,
    )
    passed = {"available": ("ben",)}
    given = msgspec.structs.replace(b.assign(1), ranked=(), passed_over=passed)
    await tell(given, leads=[b.assigned(1)])
    (ben,) = reader.why(b.key(1), "ben")["candidates"]
    assert ben["verdict"] == "manual"
    assert ben["because"] == "ben was set to 50% by mia at 09:00:59Z until 09:01:59Z: new here"


async def test_a_lead_waits_beside_a_rep_who_has_had_its_share(store, tell, reader):
    await store.append(b.leads_in(1, 1), expect=0, epoch=1)
    slowed = Rep("ana", "north", state="ready", override=0.5, share_due=-0.6)
    slowed.override_by, slowed.override_reason = "mia", "new here"
    busy = Rep("ben", "north", state="busy")
    await tell(_on_floor(PoolPlan("default")), reps=[slowed, busy])
    answer = reader.why(b.key(1), now_ns=b.T0)
    assert (
        "nobody can take it now (1 held back, set to 50% by a supervisor (mia)" in answer["because"]
    )
    told = answer["candidates"][0]
    assert told["verdict"] == "manual"
    assert "ana has had its share for now: others come first" in told["because"]
