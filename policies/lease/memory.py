"""What the policy remembers, as bytes: one record per rep and one of the fleet."""

from __future__ import annotations

import math
from typing import Final

import msgspec
from msgspec import Struct

Weights = tuple[float, float, float, float, float]
"""P(reason for silence) at delivery: free, side work, still handling, lagging, absent."""

REST_LAGGING: Final = 0.03
REST_ABSENT: Final = 0.015
_FIRST_LAG: Final = math.log(9.0)
FIRST_HANDLING: Final = math.log(240.0) - 0.3466


class Slot(Struct, array_like=True):
    """An uncontacted lead with its rep.

    ``since_ns``: its silence is judged from here. ``weights``: the reasons it could have, as believed
    then. ``handling_seconds`` (e0): how long the rep had the earlier lead in hand then, 0 if none.
    ``claimed``: the rep says that the person was reached; no evidence, but the lead stays. ``on_call``:
    the dialer has reported the rep on a call since, or at delivery, and no ``ready`` yet.
    """

    lead_key: str
    since_ns: int
    weights: Weights
    handling_seconds: float = 0.0
    probe: bool = False
    claimed: bool = False
    on_call: bool = False


class RepMemory(Struct, array_like=True):
    """One rep. The letters are those of the equations E1 to E12.

    ``slots``: the leases, of a rep with a window of 1. Where leads may queue there is one ``pulse``
    instead: the silence since the last sign of life is judged, whatever lead it is on.

    ``busy_ns``, ``busy_lead``: the contact of the lead in hand (b), 0 if none. ``lag`` (mu),
    ``lag_weight`` (nl): mean log pick-up lag. ``handling`` (s), ``handling_weight`` (sn): mean log
    handling time. ``missed``, ``total``: dispositions that were lost, and all. ``lagging`` (L),
    ``absent`` (A): beliefs at ``stamp_ns``. ``fails``: losses in a row that looked like silence, and
    ``losses``: how many seconds each of the last ones was silent. ``side`` (sp) at ``side_ns``.
    ``not_busy`` (y): P(not busy) after the lease that failed at ``failed_ns``. ``conversions`` (c),
    ``expected`` (e), ``served`` (o). ``next_probe_ns``: no probe before. ``own_contact_ns``: a
    contact that no agent state has followed yet. ``ready_ns``, ``told_busy_ns``: the newest agent
    ``ready``, and ``busy`` or ``wrap_up``, used.
    ``away``: in a logged pause. ``left_ns``: offline since then, 0 when not (1: since ever). ``seasoned``:
    knows more than one shift. ``contacts``: those that counted, ever. ``shown``, ``shown_reason``: the
    flow that people were told, and ``shown_test_ns`` what they were told of the next probe
    (``explain.test_told``).
    """

    slots: list[Slot] = []
    pulse: Slot | None = None
    busy_ns: int = 0
    busy_lead: str = ""
    lag: float = _FIRST_LAG
    lag_weight: float = 0.0
    handling: float = FIRST_HANDLING
    handling_weight: float = 0.0
    missed: float = 0.3
    total: float = 6.0
    lagging: float = REST_LAGGING
    absent: float = REST_ABSENT
    stamp_ns: int = 0
    fails: int = 0
    losses: list[float] = []
    side: float = 0.0
    side_ns: int = 0
    not_busy: float = 1.0
    failed_ns: int = 0
    conversions: float = 0.0
    expected: float = 0.0
    served: float = 0.0
    next_probe_ns: int = 0
    own_contact_ns: int = 0
    ready_ns: int = 0
    away: bool = True
    left_ns: int = 1
    seasoned: bool = False
    shown: float = 1.0
    shown_reason: str = "full_flow"
    shown_test_ns: int = 0
    told_busy_ns: int = 0
    contacts: int = 0

    def slot_of(self, lead_key: str) -> Slot | None:
        """This rep's lease of a lead, if it stands."""
        for slot in self.slots:
            if slot.lead_key == lead_key:
                return slot
        return None


class FleetMemory(Struct, array_like=True):
    """``offset`` (z): how much slower than usual everybody picks up now, as a log factor.
    ``panic_shown``: people were told that slowing is ignored, or at ``panic_told_ns`` that it counts
    again. ``evidence``: a contact has counted in this pool, so that a bare claim need not do.
    """

    offset: float = 0.0
    panic_shown: bool = False
    panic_told_ns: int = 0
    evidence: bool = False


_ENCODER: Final = msgspec.msgpack.Encoder()
_REP: Final = msgspec.msgpack.Decoder(RepMemory)
_FLEET: Final = msgspec.msgpack.Decoder(FleetMemory)


def encode(memory: RepMemory | FleetMemory) -> bytes:
    """Memory as bytes; floats are kept to the last bit."""
    return _ENCODER.encode(memory)


def decode_rep(memory: bytes) -> RepMemory:
    """The opposite of ``encode``. Raises ``msgspec.DecodeError`` when it is not one of ours."""
    return _REP.decode(memory)


def decode_fleet(memory: bytes) -> FleetMemory:
    """The opposite of ``encode``. Raises ``msgspec.DecodeError`` when it is not one of ours."""
    return _FLEET.decode(memory)
