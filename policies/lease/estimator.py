"""What silence means: P(free), the five reasons for silence, and the beliefs (E1 to E3, E10's offset).

Stamps are nanoseconds; every duration inside is floor seconds. A survival is the chance that a lead
is still uncontacted ``a`` seconds after delivery, given the reason.
"""

from __future__ import annotations

import math
from typing import Final

from distributor.domain.rep import Rep
from policies.lease.memory import (
    FIRST_HANDLING,
    REST_ABSENT,
    REST_LAGGING,
    FleetMemory,
    RepMemory,
    Slot,
    Weights,
)
from policies.lease.settings import (
    BUSY_BELIEVED,
    CAUTION,
    NEWCOMER,
    NEXT_SHIFT,
    PLENTY_SILENT_FROM,
    SILENT_FROM,
    UNCONFIRMED_BUSY,
    Settings,
)

_SPREAD: Final = 0.8326 * math.sqrt(2.0)
"""Handling is lognormal with a coefficient of variation of 1."""
_FREE_SPREAD: Final = 0.65 * math.sqrt(2.0)
_LAGGING_SPREAD: Final = 1.0 * math.sqrt(2.0)
_MEAN_SHIFT: Final = 0.3466
_LEAST: Final = 1e-12
_MOST_BELIEF: Final = 0.97
_LONGEST_DRIFT: Final = 172800.0
"""Two days: who has been asked in vain again and again is asked ever more seldom, until a sign of life."""
_OFFSET_STEP: Final = 0.12
_OFFSET_LIMIT: Final = 2.5
_SIDE_SPAN: Final = 60.0
HANDLING_GUESSES: Final = 3.0
"""As how many observed handling times the first guess counts."""
_LOSSES_KEPT: Final = 5


def _phi(x: float, spread: float) -> float:
    return 0.5 * math.erfc(-x / spread)


class Estimator:
    """The equations, for one form of the policy and one time scale."""

    def __init__(self, settings: Settings, seconds_per_ns: float, fleet: FleetMemory) -> None:
        self.settings = settings
        self.rate = seconds_per_ns
        self.fleet = fleet

    # What is believed now.

    def belief(self, m: RepMemory, now_ns: int) -> tuple[float, float]:
        """(P(lagging), P(absent)) at ``now_ns``: what was believed, drifted towards rest."""
        passed = (now_ns - m.stamp_ns) * self.rate
        if passed <= 0.0:
            return m.lagging, m.absent
        slow, gone = self.settings.lagging_drift, self.settings.absent_drift
        if m.fails > 1:
            stretch = 2.0 ** min(20, m.fails - 1)
            slow, gone = min(_LONGEST_DRIFT, slow * stretch), min(_LONGEST_DRIFT, gone * stretch)
        return (
            REST_LAGGING + (m.lagging - REST_LAGGING) * math.exp(-passed / slow),
            REST_ABSENT + (m.absent - REST_ABSENT) * math.exp(-passed / gone),
        )

    def responsive(self, m: RepMemory, now_ns: int) -> float:
        """pi: the chance that the rep answers at all, and promptly."""
        lagging, absent = self.belief(m, now_ns)
        return max(0.0, 1.0 - lagging - absent)

    def slows(self, m: RepMemory, pi: float) -> bool:
        """Whether a rep of this P(responsive) is slowed (E4). Of a newcomer a single miss says too little."""
        return pi < self.settings.fresh_from and (m.contacts >= NEWCOMER or m.fails > 1)

    def side_work(self, m: RepMemory, now_ns: int) -> float:
        """P(side): the rep finished a lead and does something else first."""
        if m.side <= 0.0:
            return 0.0
        if m.busy_ns:
            return 0.06
        return m.side * math.exp(-max(0.0, (now_ns - m.side_ns) * self.rate) / _SIDE_SPAN)

    def free(self, rep: Rep, m: RepMemory, now_ns: int) -> float:
        """pf (E1): the chance that the rep has nothing in hand."""
        if self.unconfirmed_busy(rep, m, now_ns) or self.reported_busy(rep, now_ns):
            return 0.0
        if not m.busy_ns:
            return 1.0
        return self.free_after(m, (now_ns - m.busy_ns) * self.rate)

    def unconfirmed_busy(self, rep: Rep, m: RepMemory, now_ns: int) -> bool:
        """Whether a call began of which the dialer will soon report the agent's state."""
        if not m.own_contact_ns or not rep.sends_states:
            return False
        return (now_ns - m.own_contact_ns) * self.rate < UNCONFIRMED_BUSY

    def reported_busy(self, rep: Rep, now_ns: int) -> bool:
        """Whether the dialer's last word is that the rep is on a call, and it is not too old."""
        if not rep.sends_states or rep.state not in ("busy", "wrap_up"):
            return False
        return (now_ns - rep.state_at_ns) * self.rate < BUSY_BELIEVED

    def free_after(self, m: RepMemory, e: float) -> float:
        """pf (E1) ``e`` seconds after the contact of the lead in hand."""
        if e < 5.0:
            return 0.0
        done = _phi(math.log(e) - m.handling, _SPREAD)
        lost = m.missed / m.total
        late = 0.0
        if lost > 0.1 and e > 20.0:
            late = 0.8 * (done - _phi(math.log(max(5.0, e - 50.0)) - m.handling, _SPREAD))
        if not m.failed_ns:
            x = done * lost + late * (1.0 - lost)
            return x / (x + 1.0 - done) if x > 0.0 else 0.0
        e1 = max(5.0, (m.failed_ns - m.busy_ns) * self.rate)
        left = max(_LEAST, 1.0 - _phi(math.log(e1) - m.handling, _SPREAD))
        since = max(0.0, 1.0 - (1.0 - done) / left)
        y = m.not_busy
        x = y + (1.0 - y) * (since * lost + min(late / left, since) * (1.0 - lost))
        return x / (x + (1.0 - y) * min(1.0, (1.0 - done) / left))

    def weights(self, rep: Rep, m: RepMemory, now_ns: int) -> Weights:
        """W (E2): the reasons that silence on a lead delivered now would have."""
        lagging, absent = self.belief(m, now_ns)
        pi = max(0.0, 1.0 - lagging - absent)
        pf = min(0.985, self.free(rep, m, now_ns))
        ps = self.side_work(m, now_ns)
        return (pi * pf * (1.0 - ps), pi * pf * ps, pi * (1.0 - pf), lagging, absent)

    def slot(self, rep: Rep, m: RepMemory, key: str, now_ns: int, *, probe: bool = False) -> Slot:
        """A lease that begins now."""
        e0 = max(1e-3, (now_ns - m.busy_ns) * self.rate) if m.busy_ns else 0.0
        on_call = self.reported_busy(rep, now_ns)
        return Slot(key, now_ns, self.weights(rep, m, now_ns), e0, probe, on_call=on_call)

    def survivals(self, m: RepMemory, slot: Slot, a: float) -> Weights:
        """S (E2): the chance of silence for ``a`` seconds under each reason."""
        if a <= 0.0:
            return (1.0, 1.0, 1.0, 1.0, 1.0)
        late = math.log(a) - m.lag - self.fleet.offset
        return (
            1.0 - _phi(late, _FREE_SPREAD),
            math.exp(-max(0.0, a - 3.0) / _SIDE_SPAN),
            self._still_handling(m, slot.handling_seconds, a),
            1.0 - _phi(late - 3.0, _LAGGING_SPREAD),
            math.exp(-a / 1800.0),
        )

    def _still_handling(self, m: RepMemory, e0: float, a: float) -> float:
        if e0 <= 0.0:
            return math.exp(-a / 150.0)
        then = 1.0 - _phi(math.log(max(5.0, e0)) - m.handling, _SPREAD)
        later = 1.0 - _phi(math.log(max(5.0, e0 + a - 3.0)) - m.handling, _SPREAD)
        r = min(1.0, later / max(_LEAST, then))
        return r + 0.09 * (1.0 - r)

    def silence(self, m: RepMemory, slot: Slot, a: float) -> tuple[Weights, float]:
        """(v, T): the weight of each reason after ``a`` silent seconds, and their sum. On a call that
        the dialer reports the rep is neither free nor in side work, and the call goes on until ``ready``."""
        w, s = slot.weights, self.survivals(m, slot, a)
        if slot.on_call and a < BUSY_BELIEVED:
            w = (0.0, 0.0, w[0] + w[1] + w[2], w[3], min(w[4], self.settings.present_absent))
            s = (s[0], s[1], 1.0, s[3], s[4])
        v = (w[0] * s[0], w[1] * s[1], w[2] * s[2], w[3] * s[3], w[4] * s[4])
        return v, max(_LEAST, v[0] + v[1] + v[2] + v[3] + v[4])

    def usual_lag(self, m: RepMemory) -> float:
        """Seconds that the rep usually needs to pick up, as things are now."""
        return math.exp(m.lag + self.fleet.offset)

    def mean_handling(self, m: RepMemory) -> float:
        """Seconds that the rep needs for a lead on average."""
        return math.exp(m.handling + _MEAN_SHIFT)

    def handled(self, m: RepMemory) -> tuple[float, float]:
        """What a rep's handling times tell of the floor's: how many they are, and the sum of their
        logs above the first guess."""
        n = m.handling_weight
        return n, (m.handling - FIRST_HANDLING) * (n + HANDLING_GUESSES)

    def usual_handling(self, handled: float, longer: float) -> float:
        """Seconds that a lead usually takes on the floor, from the sums of ``handled``."""
        return math.exp(FIRST_HANDLING + longer / (handled + HANDLING_GUESSES) + _MEAN_SHIFT)

    def share(self, m: RepMemory) -> float:
        """Work that the rep got so far, in leads of usual length."""
        return m.served * self.mean_handling(m) / 240.0

    def skill(self, m: RepMemory, level: float) -> float:
        """Conversions against what the others would have had of the same leads (``level``: how many
        the floor has for each expected one)."""
        return (4.0 + m.conversions) / (4.0 + level * m.expected)

    def skill_at_most(self, m: RepMemory, level: float) -> float:
        """The best skill that the rep's record still leaves room for, 1 at most: the upper end of what a
        Poisson count allows. A short record speaks against nobody."""
        c = 1.0 + m.conversions
        return min(1.0, (c + CAUTION * math.sqrt(c)) / (1.0 + level * m.expected))

    # What facts teach.

    def _believe(self, m: RepMemory, lagging: float, absent: float, now_ns: int) -> None:
        low = self.settings.belief_floor
        m.lagging = min(_MOST_BELIEF, max(low, lagging))
        m.absent = min(_MOST_BELIEF, max(low, absent))
        m.stamp_ns = now_ns

    def answered(
        self, m: RepMemory, slot: Slot, at_ns: int, now_ns: int, worth: float, *, deep: bool
    ) -> None:
        """A counted contact with the lead of ``slot``; ``worth``: quality times value of its delay."""
        a = max(0.0, (at_ns - slot.since_ns) * self.rate)
        before = self.survivals(m, slot, max(0.0, a - 1.0))
        after = self.survivals(m, slot, a + 1.0)
        d = [w * max(1e-7, b - c) for w, b, c in zip(slot.weights, before, after, strict=True)]
        total = max(_LEAST, sum(d))
        was_free = d[0] / total
        offset = self.fleet.offset
        surprise = math.log(max(1.0, a)) - m.lag - offset
        m.lag_weight = min(40.0 if m.seasoned else 8.0, m.lag_weight + was_free)
        step = math.log(min(90.0, max(1.0, a))) - offset - m.lag
        m.lag += was_free * step / (m.lag_weight + 3.0)
        self._believe(m, d[3] / total, 0.002, now_ns)
        if not slot.probe and not deep:
            self._move_offset(math.copysign(_OFFSET_STEP, surprise) if surprise else 0.0)
        self.took(m, slot.lead_key, at_ns, worth)

    def took(self, m: RepMemory, lead_key: str, at_ns: int, worth: float) -> None:
        """The lead is in the rep's hand since ``at_ns``; an earlier one's disposition was missed."""
        if m.busy_ns:
            m.missed += 1.0
            m.total += 1.0
        m.busy_ns, m.busy_lead = at_ns, lead_key
        m.not_busy, m.failed_ns, m.side = 1.0, 0, 0.0
        m.fails, m.losses = 0, []
        m.served += 1.0
        m.contacts += 1
        m.expected += 0.02 * worth

    def lost(
        self, m: RepMemory, slot: Slot, now_ns: int, *, deep: bool, plenty: bool = False
    ) -> None:
        """The lease of ``slot`` ended in silence: fold what that says. ``plenty``: leases end early
        because most reps are free."""
        a = (now_ns - slot.since_ns) * self.rate
        v, total = self.silence(m, slot, a)
        silent = (v[3] + v[4]) / total
        self._believe(m, v[3] / total, v[4] / total, now_ns)
        if m.busy_ns:
            here = v[0] + v[1]
            m.not_busy = max(0.02, here / max(_LEAST, here + v[2]))
            m.failed_ns = now_ns
        m.side, m.side_ns = v[1] / max(_LEAST, v[0] + v[1]), now_ns
        if silent > (PLENTY_SILENT_FROM if plenty else SILENT_FROM):
            m.fails += 1
            m.losses = [*m.losses, round(a, 1)][-_LOSSES_KEPT:]
        # An unanswered lead was offered all the same; each further one in a row counts one more.
        m.served += silent * max(1, m.fails)
        trusted = sum(slot.weights[:3]) >= 0.9 and not slot.on_call
        late = math.log(max(1e-3, a)) - m.lag > self.fleet.offset
        if trusted and late and not slot.probe and not deep:
            self._move_offset(_OFFSET_STEP)

    def _move_offset(self, step: float) -> None:
        self.fleet.offset = min(_OFFSET_LIMIT, max(0.0, self.fleet.offset + step))

    def disposed(self, m: RepMemory, lead_key: str, at_ns: int, now_ns: int) -> None:
        """A disposition came: the person is there, and handling of the lead in hand is over."""
        lagging, _ = self.belief(m, now_ns)
        m.total += 1.0
        if m.busy_ns and lead_key == m.busy_lead:
            if lagging < 0.5:
                took = math.log(max(5.0, (at_ns - m.busy_ns) * self.rate))
                m.handling_weight = min(150.0 if m.seasoned else 40.0, m.handling_weight + 1.0)
                m.handling += (took - m.handling) / (m.handling_weight + HANDLING_GUESSES)
            self.let_go(m)
            m.side, m.side_ns = 0.09 if m.missed / m.total >= 0.15 else 0.15, at_ns
        self.present(m, now_ns)

    def unheard(self, m: RepMemory, lead_key: str) -> None:
        """The lead in hand is over by a limit; its disposition never came."""
        m.missed += 1.0
        m.total += 1.0
        if lead_key == m.busy_lead:
            self.let_go(m)

    def let_go(self, m: RepMemory) -> None:
        """Nothing is in the rep's hand."""
        m.busy_ns, m.busy_lead = 0, ""
        m.not_busy, m.failed_ns = 1.0, 0

    def present(self, m: RepMemory, now_ns: int) -> None:
        """Something shows that the person is there (a disposition, the agent's ``ready``)."""
        lagging, absent = self.belief(m, now_ns)
        lagging = min(lagging, self.settings.present_lagging)
        self._believe(m, lagging, min(absent, self.settings.present_absent), now_ns)
        m.fails, m.losses = 0, []

    def agent_busy(self, m: RepMemory, now_ns: int) -> None:
        """The dialer reports the agent on a call: the person is there, prompt or not."""
        lagging, absent = self.belief(m, now_ns)
        self._believe(m, lagging, min(absent, self.settings.present_absent), now_ns)

    def agent_ready(self, m: RepMemory, now_ns: int) -> None:
        """The dialer reports the agent as free."""
        self.let_go(m)
        m.side, m.own_contact_ns = 0.0, 0
        self.present(m, now_ns)

    def left(self, m: RepMemory, now_ns: int, *, offline: bool) -> None:
        """A logged pause: nothing is in hand, nothing is learned."""
        self.let_go(m)
        m.away, m.own_contact_ns = True, 0
        if offline and not m.left_ns:
            m.left_ns = now_ns

    def returned(self, m: RepMemory, level: float, now_ns: int) -> bool:
        """Back from a logged pause: a clean slate. ``level``: the mean share of those at work.

        A new shift (True) begins level with the others, whatever was served before: shares of
        yesterday would make one rep catch up with another all morning.
        """
        self._believe(m, REST_LAGGING, REST_ABSENT, now_ns)
        m.fails, m.losses, m.side, m.not_busy, m.failed_ns = 0, [], 0.0, 1.0, 0
        m.away = False
        left, m.left_ns = m.left_ns, 0
        if not left or (now_ns - left) * self.rate < NEXT_SHIFT:
            return False
        m.seasoned = m.seasoned or m.lag_weight > 0.0
        m.served = level * 240.0 / self.mean_handling(m)
        return True
