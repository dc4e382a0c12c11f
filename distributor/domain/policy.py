"""The Protocols of selection policies: what a plug-in is told, what it may see, what it may ask for.

A policy is a deterministic object for ONE pool: no I/O, no clock, no random source (``PoolView.draw``
is a seeded one). The core tells it facts, then calls ``next_intent`` again and again until it answers
None. An intent is a request: the core checks it against its own state, commits it, and reports the
outcome as further facts before it asks again. An impossible ``Lease`` or ``Defer`` raises
``PolicyMisbehaved``. An impossible ``Recall`` changes nothing, for the lead may have gone on meanwhile;
who asks for it again in the same pass has gone astray.

Recovery never asks a policy. What a policy remembers travels as bytes inside ``MemoryRecorded``
decisions: after every event the core collects ``changed_memory`` and records it; after a restart it
gives every piece back through ``restore`` and then calls ``start``. Whatever is not in that memory
must be derivable in ``start`` from the view (members, waiting leads, leases).

``PoolView.may_take`` holds for the share that an override between 0 and 1 leaves a rep. A policy that goes
by weights can see to it better: ``weighs_overrides: ClassVar[bool] = True`` says that it does.

Policies are found through the entry point group ``distributor.policies``; an entry is a
``PolicyFactory``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Protocol

from msgspec import Struct

from distributor.domain.decisions import EndCause, WorkEndCause
from distributor.domain.floor import FlowPlan, PoolPlan
from distributor.domain.lead import Lead
from distributor.domain.rep import Flow, Rep


class Lease(Struct, frozen=True, gc=False):
    """Ask: give this waiting lead to this rep.

    ``reason``: a short code; ``because``: one sentence for people; ``numbers``: what it was decided
    on. ``ranked``: the best candidates considered, best first, as (rep, score, note), the chosen one
    included; at most 16. A note that begins with a number says the score in words, with its unit, and is
    told in its place. ``probe``: the lead tests a held-back rep. ``presumed_finished``: leads in
    this rep's pipeline that the policy takes for done although nobody said so; they leave the pipeline.
    """

    lead_key: str
    rep: str
    reason: str
    because: str
    numbers: dict[str, float] = {}
    ranked: tuple[tuple[str, float, str], ...] = ()
    probe: bool = False
    presumed_finished: tuple[str, ...] = ()


class Recall(Struct, frozen=True, gc=False):
    """Ask: take this uncontacted lead back from its rep. It waits in the pool again at once.

    Refused, and nothing changes, where the lead is not leased to that rep (any more) or is being
    called: ``attempted_ns`` or ``claimed_ns`` is set, or its state is not ``assigned``.
    """

    lead_key: str
    rep: str
    reason: str
    because: str
    numbers: dict[str, float] = {}


class Defer(Struct, frozen=True, gc=False):
    """Say: this lead is kept waiting on purpose. Recorded when its reason changes; moves nothing."""

    lead_key: str
    reason: str
    because: str


Intent = Lease | Recall | Defer


class PoolView(Protocol):
    """What a policy may see of its pool. All reads are cheap. Members and leads come in a fixed order; the
    order of ``receiving`` and ``available`` is not kept over a restart and must decide nothing."""

    @property
    def plan(self) -> PoolPlan: ...

    @property
    def flow(self) -> FlowPlan: ...

    @property
    def members(self) -> Mapping[str, Rep]:
        """Every rep of the pool, whatever its state, in the order of the configuration."""
        ...

    @property
    def receiving(self) -> Mapping[str, Rep]:
        """Members who are ready, not paused, and past their pace and wrap-up. Their slots may be full."""
        ...

    @property
    def available(self) -> Mapping[str, Rep]:
        """Receiving members with a free slot: fewer open leads than their window."""
        ...

    @property
    def waiting(self) -> int:
        """How many leads wait in the pool."""
        ...

    def lead(self, key: str) -> Lead | None:
        """A lead by its key, if the core has it in memory."""
        ...

    def younger(self, now_ns: int, seconds: float) -> int:
        """How many of the waiting leads are ``seconds`` (floor time) old at most."""
        ...

    def best(self, now_ns: int, *, calm: bool = False) -> Lead | None:
        """The waiting lead with the largest value order (flow-control E5) that a member who is
        receiving may take; None where there is none. ``calm``: the order for a short queue, where leads
        up to 52 s old go by age."""
        ...

    def in_order(self, now_ns: int, limit: int, *, calm: bool = False) -> Iterator[Lead]:
        """In value order, the first ``limit`` waiting leads that anybody may take; and among them the
        first of those that only some may take, as far as a receiving member is one of them."""
        ...

    def oldest(self, limit: int) -> Iterator[Lead]:
        """The first ``limit`` waiting leads by age, oldest first."""
        ...

    def may_take(self, rep: Rep, lead: Lead) -> bool:
        """Whether nothing forbids this rep this lead (exclusion after a refusal, a sticky owner, the
        share of the flow that a supervisor's override leaves the rep)."""
        ...

    def order_index(self, lead: Lead, now_ns: int, *, calm: bool = False) -> float:
        """E5 for one lead: quality times the value that a minute's wait from now would cost."""
        ...

    def age_seconds(self, lead: Lead, now_ns: int) -> float:
        """The lead's age since its clock began, at its arrival or at its latest release, in seconds of the
        floor's time."""
        ...

    def seconds(self, since_ns: int, now_ns: int) -> float:
        """A span in seconds of the floor's time (``time_scale`` applied)."""
        ...

    def span_ns(self, seconds: float) -> int:
        """Seconds of the floor's time as wall-clock nanoseconds."""
        ...

    def draw(self, *parts: int) -> float:
        """A seeded number in [0, 1) that depends on the run's seed and ``parts`` alone."""
        ...


class Policy(Protocol):
    """One pool's way of giving leads to reps. See the module for the rules of the game."""

    window: ClassVar[int] = 1
    """How many open leads a rep may have at a time where the settings name no ``window``, from 1 to 1000.
    A policy that fills pipelines, or keeps a limit of its own, names many. A rep of several pools has
    the least of theirs."""

    def start(self, pool: PoolView, now_ns: int) -> None:
        """Begin, or begin again after a restart or new settings: ``pool`` is complete, memory was
        restored before. Called again for new settings with the same memory still held."""
        ...

    def restore(self, rep: str, memory: bytes) -> None:
        """Take back what ``changed_memory`` gave out earlier (``rep`` "" = of the whole pool)."""
        ...

    def changed_memory(self) -> Iterable[tuple[str, bytes]]:
        """(rep or "", memory) that changed since the last call."""
        return ()

    def rep_changed(self, rep: Rep, now_ns: int) -> None:
        """Presence, pause, override, pace, wrap-up or slots of a member changed."""
        ...

    def lead_waiting(self, lead: Lead, now_ns: int) -> None:
        """A lead joined the waiting ones."""
        ...

    def leased(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """An assignment was committed (also one made by a supervisor)."""
        ...

    def lease_restarted(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """The rep could not have had the lead before now: judge its silence from here."""
        ...

    def lease_ended(
        self, lead: Lead, rep: Rep, cause: EndCause, *, blame: bool, now_ns: int
    ) -> None:
        """An uncontacted assignment ended. ``blame`` False: no evidence about the rep."""
        ...

    def contacted(self, lead: Lead, rep: Rep, at_ns: int, *, counted: bool, now_ns: int) -> None:
        """The first sign of life on a lease, a dial or a conversation. ``counted`` False: a bare claim
        or a fault of the dialer, no evidence; a counted one may follow it. The conversation after a
        dial is told as well."""
        ...

    def work_ended(
        self,
        lead: Lead,
        rep: Rep,
        cause: WorkEndCause,
        at_ns: int,
        now_ns: int,
        *,
        counted: bool,
    ) -> None:
        """A lead in hand left the rep's pipeline, or (``late``) the end of one that had left it before
        is told. ``counted`` False: a bare claim says so. It ends the lead, and is no evidence that anybody
        called."""
        ...

    def converted(self, lead: Lead, rep: Rep, now_ns: int) -> None:
        """The rep's lead became a conversion."""
        ...

    def next_intent(self, now_ns: int) -> Intent | None:
        """The next thing to do now, or None. Called until it answers None."""
        ...

    def wake_ns(self) -> int | None:
        """When ``next_intent`` should be asked although nothing happened; None: never."""
        ...

    def flow_changes(self, now_ns: int) -> Iterable[tuple[str, Flow, dict[str, float]]]:
        """(rep, flow, numbers) of the reps whose flow changed by a visible step since last asked."""
        return ()


class PolicyFactory(Protocol):
    """What an entry point of the group ``distributor.policies`` names."""

    def __call__(self) -> Policy: ...
