"""Seeded draws: reproducible numbers for policies, in place of a random source."""

from __future__ import annotations

_MASK = (1 << 64) - 1


def draw(seed: int, *parts: int) -> float:
    """A number in [0, 1) that depends on ``seed`` and ``parts`` alone.

    The mixer is SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
    OOPSLA 2014), applied once for each part.
    """
    state = seed & _MASK
    for part in parts:
        state = _mix((state ^ (part & _MASK)) & _MASK)
    return (_mix(state) >> 11) / (1 << 53)


def _mix(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
