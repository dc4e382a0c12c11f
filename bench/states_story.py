"""Everything that can happen on a floor, played once in half a minute, and the tableau at its end.

Each scene goes on until the daemon's own metrics show what it is about: nothing is timed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bench.states import DIALER, GONE, MQTT_VENDOR, POOL_LIMIT, REPS, VENDOR, StatesFloor

STALE_SECONDS = 4.7
"""After this a lead is old, for the policy, at this floor's speed."""
LATE_SECONDS = 1.6
"""After this a first contact is late."""
PAUSED = "eva"
"""Paused by a supervisor in the tableau."""
STOPPED = "jon"
"""Without any flow in the tableau: a supervisor set it to 0."""


def play(floor: StatesFloor) -> float:
    """Play it all; the unix time at which Prometheus has seen all, the tableau among it."""
    _broker_restarts(floor)
    _settings_change(floor)
    floor.first_scrape()
    _intake(floor)
    _nonsense(floor)
    _reserve(floor)
    _desk(floor)
    _work(floor)
    _supervisors(floor)
    _refusals(floor)
    _dialer_in_trouble(floor)
    _silence(floor)
    _tableau(floor)
    return floor.scraped()


def _soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def _intake(floor: StatesFloor) -> None:
    """Nobody is at work: what vendors send waits, until the pool is full."""
    received = "leads_received_total"
    first = [floor.fields(score=0.7, submitted_at=_soon(-5)) for _ in range(3)]
    floor.ask("POST", f"/v1/leads/{VENDOR}", [*first, first[0], {"id": "no-phone"}])
    floor.lead(test=True)
    own = [floor.fields(score=0.4, submitted_at=_soon(-20)) for _ in range(3)]
    floor.say(f"in/{MQTT_VENDOR}", [*own, own[0], {"id": "no-phone"}])
    floor.see(
        *(f"{received} channel=mqtt result={r}" for r in ("accepted", "duplicate", "rejected"))
    )
    more = [floor.fields() for _ in range(POOL_LIMIT)]
    floor.ask("POST", f"/v1/leads/{VENDOR}", more)
    floor.say(f"in/{MQTT_VENDOR}", floor.fields())
    floor.see(*(f"{received} channel={c} result=error" for c in ("http", "mqtt")))


def _nonsense(floor: StatesFloor) -> None:
    floor.say("dialer/event", b"hello")
    floor.event("contacted", lead_key="NOBODY")
    key = floor.leads("waiting")[0]["lead_key"]
    floor.refused(f"/v1/leads/{key}/recycle", {})
    floor.refused(f"/v1/leads/{key}/assign", {"rep": "ana"})


def _broker_restarts(floor: StatesFloor) -> None:
    floor.broker.stop()
    floor.see("!intake_connected peer=mqtt")
    floor.broker.start()
    floor.see("intake_connected peer=mqtt", "peer_reconnects_total peer=mqtt")


def _settings_change(floor: StatesFloor) -> None:
    """A bad file, and a good one in which a rep is no more who has a lead."""
    bad = floor.tables() | {"flow": {"policy": "no-such-policy"}}
    floor.settings(bad, good=False)

    def dismiss() -> None:
        if floor.daemon.get(f"/v1/reps/{GONE}")[0] != 200:
            floor.settings(floor.tables())
        floor.be("busy", GONE)
        floor.act(floor.lead(), "assign", rep=GONE, force=True)
        floor.settings(floor.tables(reps=REPS))

    # A lease that ends before the settings change asks for another go.
    floor.see("assignments_ended_total cause=rep_removed", attempt=dismiss, every=5.0)


def _reserve(floor: StatesFloor) -> None:
    """One rep is free, all others are in calls: old leads wait on purpose, then too long."""
    for rep in REPS[1:7]:
        floor.event("agent_state", rep=rep, state="busy")
    floor.be("busy", *REPS[7:])

    def wait_long() -> None:
        floor.be("away", REPS[0])
        if not floor.leads("waiting"):
            floor.lead()
        floor.until(lambda: _all_old(floor), "leads to grow old")
        floor.be("ready", REPS[0])

    floor.see(
        "assignments_total result=deferred",
        "reps state=busy",
        "reps state=ready",
        attempt=wait_long,
        every=3.0,
    )
    floor.see("exceptions_open kind=waiting_limit", "!queue_leads")


def _all_old(floor: StatesFloor) -> bool:
    limit = _utc(-STALE_SECONDS)
    return all(lead["received_at"] < limit for lead in floor.leads("waiting"))


def _desk(floor: StatesFloor) -> None:
    """Humans decide: one case each way, the others stay."""
    cases = [lead["lead_key"] for lead in floor.leads("exception")]
    floor.act(cases[0], "close", status="lost")
    floor.refused(f"/v1/leads/{cases[0]}/close", {"status": "lost"})
    floor.act(cases[1], "assign", rep=REPS[0], force=True)
    floor.act(cases[2], "recycle")
    floor.see(*(f"exceptions_total result={r}" for r in ("closed", "assigned", "recycled")))


def _work(floor: StatesFloor) -> None:
    """Everybody is ready; each lead ends in another way."""
    floor.be("ready", *REPS)
    floor.see("standard_events_total result=met", attempt=lambda: _served(floor, "converted"))
    floor.see(
        "leads_recycled_total reason=callback_due",
        "leads_recycled_total reason=recycled",
        "leads_in_state state=parked",
        "leads_in_state state=working",
        attempt=lambda: _endings(floor),
        every=4.0,
    )
    floor.be("wrap_up", REPS[3])
    floor.see("rep_contacts_total on_time=false", attempt=lambda: _answer(floor, late=True))
    floor.see("reps state=wrap_up")


def _endings(floor: StatesFloor) -> None:
    endings: tuple[dict[str, Any], ...] = (
        {"status": "qualified"},
        {"status": "working"},
        {"status": "callback", "callback_at": _soon(1.5)},
        {"status": "callback", "callback_at": _soon(3600)},
        {"status": "not_ready"},
        {"status": "lost"},
    )
    for ending in endings:
        _served(floor, **ending)


def _served(floor: StatesFloor, status: str, **more: object) -> bool:
    """A new lead goes its whole way, where it is with a rep at once; whether it did: on a slow machine
    it may be with another rep before the first event is told."""
    key = floor.lead(score=0.6)
    lead = _with_rep(floor, key)
    if lead is None:
        return False
    own = {"assignment_id": lead["assignment_id"], "rep": lead["rep"]}
    floor.event("accepted", **own)
    floor.event("attempted", result="answered", **own)
    twice = {"event_id": floor.name("twice"), "type": "contacted", "evidence": "dialer", **own}
    for _ in range(2):
        floor.ask("POST", "/v1/events", twice)
    floor.event("contacted", lead_key=key, rep="nobody")
    floor.event("contacted", assignment_id=f"{key}-99")
    if status != "working":
        floor.event("call_ended", talk_seconds=30, **own)
    floor.event("status", status=status, **own, **more)
    return bool(floor.ask("GET", f"/v1/leads/{key}")["status"] == status)


def _with_rep(floor: StatesFloor, key: str) -> dict[str, Any] | None:
    """The lead, where somebody has it; "" is one that a full pool refused."""
    lead: dict[str, Any] | None = floor.ask("GET", f"/v1/leads/{key}") if key else None
    return lead if lead is not None and lead["rep"] else None


def _answer(floor: StatesFloor, *, but: str = "", late: bool = False) -> None:
    """Every rep but one reaches who was given to them, ``late`` only those after the minute."""
    for lead in floor.leads("assigned"):
        if lead["rep"] == but:
            continue
        if late and lead["received_at"] > _utc(-LATE_SECONDS):
            continue
        floor.event("contacted", lead_key=lead["lead_key"])
        floor.event("status", lead_key=lead["lead_key"], status="lost")
    if late:
        floor.lead(score=0.5)


def _utc(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _supervisors(floor: StatesFloor) -> None:
    floor.be("ready", *REPS)
    floor.control("eva", "pause")
    floor.control("cleo", "override", flow=0.5)
    floor.see(
        "reps state=paused",
        "rep_throttle_reason_info reason=paused",
        "rep_throttle_reason_info reason=manual",
        "throttle_deferrals_total reason=paused",
        attempt=lambda: _served(floor, "lost"),
    )
    floor.control("eva", "resume")
    floor.until(lambda: _taken_back(floor), "a lead to be taken from a rep")


def _taken_back(floor: StatesFloor) -> bool:
    """A supervisor takes a new lead from the rep who has it, where one has."""
    key = floor.lead()
    if _with_rep(floor, key) is None:
        return False
    floor.act(key, "recycle")
    floor.act(key, "close", status="invalid")
    return True


def _silence(floor: StatesFloor) -> None:
    """One rep never answers: alone the leads wait for the end of the lease, later they move on."""
    quiet, others = "dan", [rep for rep in REPS if rep != "dan"]
    floor.be("away", *others)
    floor.be("ready", quiet)
    floor.see(
        "assignments_ended_total cause=expired",
        "reps state=away",
        attempt=lambda: floor.lead(owner=quiet),
        every=1.0,
    )
    floor.be("ready", *others)

    def ignored() -> None:
        floor.lead(owner=quiet)
        _answer(floor, but=quiet)

    floor.see(
        "assignments_ended_total cause=recalled",
        "rep_throttle_reason_info reason=slow_contact",
        "throttle_deferrals_total reason=held_back",
        "throttle_deferrals_total reason=full_pipeline",
        attempt=ignored,
    )
    _leave(floor, "away", *others)
    floor.be("ready", *others)


def _leave(floor: StatesFloor, state: str, *reps: str) -> None:
    """Reps leave with leads that they have not called."""

    def leave() -> None:
        if any(lead["rep"] in reps for lead in floor.leads("assigned")):
            floor.be(state, *reps)
        else:
            floor.be("ready", *reps)
            floor.lead()

    floor.see(f"assignments_ended_total cause=rep_{state}", attempt=leave)


def _refusals(floor: StatesFloor) -> None:
    """One rep is signed on, and refuses."""
    floor.be("offline", *REPS)
    floor.be("ready", "ben")

    def refuse() -> None:
        floor.lead()
        for lead in floor.leads("assigned"):
            floor.event("rejected", assignment_id=lead["assignment_id"], rep=lead["rep"])

    floor.see("exceptions_open kind=all_refused", "reps state=offline", attempt=refuse)
    _leave(floor, "offline", "ben")


def _dialer_in_trouble(floor: StatesFloor) -> None:
    """The dialer behind HTTP takes leads, refuses one for good, leaves one in doubt."""
    floor.settings(floor.tables(reps=REPS, dialer=DIALER))
    floor.be("ready", *REPS)
    to_cloud = f"outbox_deliveries_total target={DIALER} result="

    def given() -> None:
        floor.lead()
        _answer(floor)

    floor.see(to_cloud + "ok", attempt=given)
    floor.cloud.status = 422
    floor.see(to_cloud + "dead", "exceptions_open kind=delivery_failed", attempt=given)
    floor.cloud.status = 200
    floor.cloud.hang = True
    floor.see(to_cloud + "in_doubt", attempt=given)
    floor.cloud.hang = False
    floor.see(f"!outbox_messages target={DIALER}", f"intake_connected peer={DIALER}")


def _tableau(floor: StatesFloor) -> None:
    """How it stands at the end, for pictures: the dialer is down, and nothing moves any more."""
    floor.until(lambda: _served(floor, "qualified"), "a lead in work")
    floor.until(lambda: _called(floor), "a lead in a call")
    floor.be("away", "finn")
    floor.be("offline", "gia")
    floor.be("wrap_up", "hugo")
    floor.event("agent_state", rep="iris", state="busy")
    floor.control(PAUSED, "pause")
    floor.control(STOPPED, "override", flow=0)
    floor.until(lambda: _cut_off(floor), "a lead that waits for the dialer with its rep")
    for _ in range(2):
        floor.lead(score=0.8)
    floor.settings(floor.tables() | {"flow": {"policy": "no-such-policy"}}, good=False)
    floor.see(
        "queue_leads",
        "exceptions_open",
        f"outbox_messages target={DIALER}",
        f"outbox_oldest_message_age_seconds target={DIALER}",
        f"outbox_deliveries_total target={DIALER} result=retry",
        "rep_inflight_leads",
        *(
            f"reps state={state}"
            for state in ("ready", "busy", "wrap_up", "away", "offline", "paused")
        ),
        *(f"rep_throttle_reason_info reason={r}" for r in ("slow_contact", "manual", "paused")),
        *(
            f"leads_in_state state={state}"
            for state in ("waiting", "assigned", "working", "parked", "exception", "closed")
        ),
    )


def _cut_off(floor: StatesFloor) -> bool:
    """The dialer goes: nobody takes what is given out. Whether a lead stays with its rep all the same: of a
    request that is cut nobody knows the outcome, and its lead goes to the desk."""

    def give() -> None:
        if _room(floor):
            floor.lead()

    floor.cloud.start()
    drained = f"intake_connected peer={DIALER}", f"!outbox_messages target={DIALER}"
    floor.see(*drained, attempt=give)
    floor.cloud.stop()
    floor.see(f"!intake_connected peer={DIALER}", attempt=give)
    return bool(floor.leads("assigned"))


def _room(floor: StatesFloor) -> bool:
    """Whether the pool takes a lead, and the tableau's two after it: reps may have stopped to take them."""
    return len(floor.leads("waiting")) < POOL_LIMIT - 2


def _called(floor: StatesFloor) -> bool:
    lead = _with_rep(floor, floor.lead())
    if lead is None:
        return False
    floor.event("contacted", assignment_id=lead["assignment_id"], rep=lead["rep"])
    return bool(floor.ask("GET", f"/v1/leads/{lead['lead_key']}")["state"] == "working")
