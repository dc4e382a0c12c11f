"""The equations of flow control written a second time, plainly, from the description alone."""

from __future__ import annotations

import math
from statistics import NormalDist

_PHI = NormalDist().cdf


def handled(e: float, s: float) -> float:
    """F(e)."""
    return _PHI((math.log(e) - s) / 0.8326)


def free(e: float, s: float, m: float, *, failed_at: float | None = None, y: float = 1.0) -> float:
    """E1: P(free) ``e`` seconds after the contact."""
    if e < 5:
        return 0.0
    done = handled(e, s)
    late = 0.8 * (done - handled(max(5, e - 50), s)) if m > 0.1 and e > 20 else 0.0
    if failed_at is None:
        x = done * m + late * (1 - m)
        return x / (x + 1 - done)
    e1 = max(5, failed_at)
    f1 = handled(e1, s)
    d = (done - f1) / (1 - f1)
    x = y + (1 - y) * (d * m + min(late / (1 - f1), d) * (1 - m))
    return x / (x + (1 - y) * (1 - done) / (1 - f1))


def weights(pi: float, pf: float, ps: float, lagging: float, absent: float) -> list[float]:
    """E2: W of F, S, B, L, A."""
    pf = min(0.985, pf)
    return [pi * pf * (1 - ps), pi * pf * ps, pi * (1 - pf), lagging, absent]


def survival(k: int, a: float, mu: float, z: float, e0: float, s: float) -> float:
    """E2: S of the k-th reason."""
    if a <= 0:
        return 1.0
    if k == 0:
        return 1 - _PHI((math.log(a) - mu - z) / 0.65)
    if k == 1:
        return math.exp(-max(0.0, a - 3) / 60)
    if k == 2:
        if e0 == 0:
            return math.exp(-a / 150)
        r = (1 - handled(max(5, e0 + a - 3), s)) / (1 - handled(max(5, e0), s))
        r = min(1.0, r)
        return r + 0.09 * (1 - r)
    if k == 3:
        return 1 - _PHI(math.log(a) - mu - z - 3)
    return math.exp(-a / 1800)


def lost(w: list[float], a: float, mu: float, z: float, e0: float, s: float) -> list[float]:
    """E3: the posterior of the five reasons when a lease is lost after ``a`` seconds."""
    v = [w[k] * survival(k, a, mu, z, e0, s) for k in range(5)]
    return [x / sum(v) for x in v]


def contact(w: list[float], a: float, mu: float, z: float, e0: float, s: float) -> list[float]:
    """E3: the posterior of the five reasons at a contact after ``a`` seconds."""
    d = []
    for k in range(5):
        before = survival(k, max(0.0, a - 1), mu, z, e0, s)
        d.append(w[k] * max(1e-7, before - survival(k, a + 1, mu, z, e0, s)))
    return [x / sum(d) for x in d]
