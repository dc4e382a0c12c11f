"""What leaves the daemon: one value per outgoing message, as the outbox holds it."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

OutgoingKind = Literal["assign", "revoke", "lead", "lead_revoke", "result", "exception", "dead"]

BROKER_TARGET: Final = "mqtt"
"""The target of all that leaves by way of the MQTT broker. No dialer can be called so: as a pool's dialer it
stands for whoever listens on our topics."""


class Outgoing(Struct, frozen=True, gc=False):
    """A message to be sent after the commit and repeated until it is taken.

    ``target``: ``BROKER_TARGET`` or the id of a configured dialer. ``address``: the MQTT topic ("" for other
    targets). ``order_key``: messages of the same key leave in order (the lead key, or "" for none).
    ``message_id``: with ``kind``, what receivers drop repeats by. ``correlation``: MQTT 5 correlation
    data. ``at_ns``: when the decision was made. ``id``: the outbox number, 0 until it has one.
    """

    target: str
    kind: OutgoingKind
    address: str
    order_key: str
    message_id: str
    payload: bytes
    at_ns: int
    correlation: bytes = b""
    id: int = 0


Result = Literal["done", "retry", "dead", "in_doubt"]


class Settlement(Struct, frozen=True, gc=False):
    """What became of one outbox message; written with the next commit.

    ``done``: taken by the receiver, the row goes. ``retry``: not taken, try again at ``next_ns``.
    ``dead``: given up for a human, the row stays visible. ``in_doubt``: nobody knows whether it was
    taken and the receiver cannot tell; it is not repeated.
    """

    id: int
    result: Result
    attempts: int = 0
    next_ns: int = 0
    error: str = ""
