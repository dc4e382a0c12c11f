"""The loop: drain what has arrived, decide, commit once, and only then tell anyone."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec
import structlog

from distributor.domain.decisions import EventRecorded
from distributor.domain.events import LeadReceived, LeadRefused, Ticked, Undecodable
from distributor.domain.faults import PolicyMisbehaved
from distributor.domain.journal import Batch, Entry
from distributor.runtime.answers import answered
from distributor.runtime.lookup import Lookup, informed, mark_of
from distributor.runtime.snapshots import SNAPSHOT_ENTRIES, Snapshots
from distributor.runtime.times import StandStills, in_our_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from distributor.core.engine import Engine
    from distributor.domain.decisions import Decision
    from distributor.domain.events import Channel, Event
    from distributor.domain.journal import CommitStats, Journal, SnapshotImage
    from distributor.domain.messages import Outgoing, Settlement
    from distributor.domain.rep import Rep
    from distributor.runtime.inbox import Inbox, Submission
    from distributor.runtime.lookup import Known
    from distributor.runtime.quarantine import Quarantine

log = structlog.get_logger(__name__)

BATCH_EVENTS = 256
YIELD_EVENTS = 64
SETTLE_SECONDS = 0.05
DEAD_BYTES = 64 * 1024
SHORTEST_SLEEP_SECONDS = 0.001


class Hooks(msgspec.Struct):
    """What the loop hands on; the composition root fills it in.

    ``compose``: decisions -> outgoing messages. ``send``: committed messages. ``settlements``: what
    became of older ones. ``changed``: the reps that decisions changed, told before the commit.
    ``committed``: entries that are on disk now. ``decided``: seconds that one event took. ``late``:
    seconds a tick came after its time. ``acked``: seconds from receipt to durable and answered.
    ``repeated``: the type of an event that was known already. ``now_ns``: our time; ``ahead_ns``: by how
    much it is ahead of the clock that others' times are told by; ``steady_ns``: a clock that nobody sets.
    """

    now_ns: Callable[[], int]
    ahead_ns: Callable[[], int]
    steady_ns: Callable[[], int]
    compose: Callable[[Sequence[Decision], int], list[Outgoing]]
    send: Callable[[Sequence[Outgoing]], None]
    settlements: Callable[[], list[Settlement]]
    changed: Callable[[Sequence[Rep]], None]
    committed: Callable[[Sequence[Entry], CommitStats], None]
    decided: Callable[[float], None]
    late: Callable[[float], None]
    acked: Callable[[Channel, float], None]
    repeated: Callable[[str], None]


class _Decided:
    """A batch between its decisions and its commit. ``now_ns``: the time of what is being decided;
    ``ahead_ns``: by how much it is ahead of the machine's clock."""

    __slots__ = ("ahead_ns", "answered", "entries", "now_ns", "outgoing", "settlements")

    def __init__(self) -> None:
        self.now_ns = 0
        self.ahead_ns = 0
        self.entries: list[Entry] = []
        self.outgoing: list[Outgoing] = []
        self.settlements: list[Settlement] = []
        self.answered: list[tuple[Submission, list[Decision]]] = []

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write and nobody to tell."""
        return not (self.entries or self.outgoing or self.settlements or self.answered)


class Dispatcher:
    """Owns the engine: nobody else changes it. While one batch is written, the next one is decided:
    memory may be one batch ahead of the disk, and nobody is told before the disk has it. A commit that
    fails ends the process. The batches grow with the load by themselves."""

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        inbox: Inbox,
        hooks: Hooks,
        *,
        epoch: int,
        next_outbox_id: int,
        snapshot_entries: int = SNAPSHOT_ENTRIES,
        quarantine: Quarantine | None = None,
    ) -> None:
        self.engine = engine
        self.journal = journal
        self.inbox = inbox
        self.hooks = hooks
        self._quarantine = quarantine
        self._epoch = epoch
        self._next_outbox_id = next_outbox_id
        self._seq = journal.last_seq
        self._decided_seq = journal.last_seq
        self._committing: asyncio.Task[None] | None = None
        self._lookup = Lookup(engine, journal)
        self._snapshots = Snapshots(engine, journal, snapshot_entries)
        self._stopping = False
        self._begun = False
        self._stand_stills = StandStills()
        self._idle_ticks: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._settle_timer: asyncio.TimerHandle | None = None

    # -- the service ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Until ``stop``: returns when everything that was taken in is committed. Raises
        ``StoreFailed`` when a commit fails; the process must end then."""
        while True:
            self._arm()
            if not self._stopping:
                await self.inbox.wait()
            if self._committing is not None and self._committing.done():
                await self._committed()
            decided = await self._decide_next()
            await self._committed()
            self._begin_commit(decided)
            if self._stopping and not self.inbox.events:
                break
            await asyncio.sleep(0)  # the commit takes what it needs of the state before it changes
        await self._committed()
        await self._last_words()

    async def round(self) -> None:
        """Commit what is queued, what is due and the settlements, and wait for it. For use after
        ``run``."""
        while True:
            decided = await self._decide_next()
            await self._committed()
            self._begin_commit(decided)
            await self._committed()
            if not self.inbox.events:
                break

    def stop(self) -> None:
        """Take nothing more in, commit what is here, and end."""
        self.inbox.open = False
        self._stopping = True
        self.inbox.wake()

    def settle_soon(self) -> None:
        """There are settlements: write them with the next commit, within 50 ms."""
        if self._settle_timer is None:
            loop = asyncio.get_running_loop()
            self._settle_timer = loop.call_later(SETTLE_SECONDS, self._settle_now)

    def _settle_now(self) -> None:
        self._settle_timer = None
        self.inbox.wake()

    async def _last_words(self) -> None:
        for timer in (self._timer, self._settle_timer):
            if timer is not None:
                timer.cancel()
        await self._snapshots.finish()

    def _arm(self) -> None:
        """Wake up at the engine's next deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_ns = self.engine.next_deadline_ns()
        if due_ns is None:
            return
        due_ns = max(due_ns, self._stand_stills.no_deadline_before_ns)
        delay = max(SHORTEST_SLEEP_SECONDS, (due_ns - self.hooks.now_ns()) / 1e9)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(delay, 3600.0), self._deadline)

    def _deadline(self) -> None:
        self._timer = None
        self.inbox.wake()

    # -- one batch -----------------------------------------------------------------------------

    async def _decide_next(self) -> _Decided:
        """Decide what has arrived, and what else arrives while the batch before is being written."""
        decided = _Decided()
        self._lookup.begin_batch()
        await self._decide_arrived(decided)
        while self._is_writing() and len(decided.entries) < BATCH_EVENTS:
            if self._timer is None:
                self._arm()  # a disk that takes its time is no stand-still
            await self.inbox.wait()  # for an arrival, or for the end of the commit
            await self._decide_arrived(decided)
        return decided

    def _is_writing(self) -> bool:
        return self._committing is not None and not self._committing.done()

    async def _decide_arrived(self, decided: _Decided) -> None:
        work = self.inbox.take(BATCH_EVENTS)
        known = await self._lookup.ask(work)
        decided.now_ns, decided.ahead_ns = self.hooks.now_ns(), self.hooks.ahead_ns()
        steady_ns = self.hooks.steady_ns()
        if self._begun:
            self._tick(steady_ns, decided)
        self._begun = True  # nothing comes before the event that begins an epoch
        self._stand_stills.looked(decided.now_ns, steady_ns)
        await self._decide(work, known, decided)

    def _tick(self, steady_ns: int, decided: _Decided) -> None:
        now_ns = decided.now_ns
        due_ns = self.engine.next_deadline_ns()
        if due_ns is None or due_ns > now_ns:
            return
        still = self._stand_stills.before(due_ns, now_ns, steady_ns)
        if still is not None:
            self.hooks.late(still.seconds)  # of the leases that begin anew nothing is late any more
            self._handle(still, decided)
        if now_ns < self._stand_stills.no_deadline_before_ns:
            return
        self.hooks.late((now_ns - due_ns) / 1e9)
        if not self._handle(Ticked(), decided):
            self._idle_ticks.append(self.engine.state.now_ns)

    async def _decide(
        self,
        work: Sequence[Submission],
        known: Known,
        decided: _Decided,
    ) -> None:
        count = 0
        for submission in work:
            answers: list[Decision] = []
            for event in submission.events:
                answer = self._answer(event, known, decided, submission)
                if answer is not None:
                    answers.append(answer)
                count += 1
                if count % YIELD_EVENTS == 0:
                    await asyncio.sleep(0)
            if submission.reply is not None:
                decided.outgoing += submission.reply(answers)
            if submission.letters is not None:
                for letter in submission.letters(answers):
                    self._handle(letter, decided)
            if submission.settlement is not None:
                decided.settlements.append(submission.settlement)
            decided.answered.append((submission, answers))

    def _answer(
        self,
        event: Event,
        known: Known,
        decided: _Decided,
        submission: Submission,
    ) -> Decision | None:
        """The first decision about the event; None where it was one of our own that changed nothing."""
        mark = mark_of(event)
        if mark is not None and mark in known.seen:
            answer = answered(event, "duplicate", "this event_id was recorded before")
            self.hooks.repeated(answer.type)
            return answer
        reason = self._quarantine.reason(event) if self._quarantine is not None else ""
        if reason:
            if submission.letters is None:
                self._keep_letter(event, reason, decided)
            return self._refuse(event, reason, decided)
        if known.found is not None:
            event = informed(event, known.found)
        decision = next(iter(self._handle(event, decided)), None)
        refused = isinstance(decision, EventRecorded) and decision.outcome == "rejected"
        if mark is not None and not refused:
            # What was refused may be mended and sent again under its id.
            self._lookup.recorded(mark, known)
        return decision

    def _refuse(self, event: Event, reason: str, decided: _Decided) -> Decision:
        """Answer that an event that is set aside is refused."""
        if isinstance(event, LeadReceived):
            refused = LeadRefused(event.vendor, event.vendor_id, event.channel, reason)
            return self._handle(refused, decided)[0]
        return answered(event, "rejected", reason)

    def _keep_letter(self, event: Event, reason: str, decided: _Decided) -> None:
        """A dead letter of an event that is set aside, for a human."""
        text = msgspec.json.encode(event)
        letter = Undecodable("quarantine", reason, text[:DEAD_BYTES], len(text) > DEAD_BYTES)
        self._handle(letter, decided)

    def _handle(self, event: Event, decided: _Decided) -> list[Decision]:
        begun = perf_counter()
        told = event  # by this one it is known, should it make the engine fail
        if decided.ahead_ns:
            event = in_our_time(event, decided.ahead_ns, decided.now_ns)
        try:
            decisions = self.engine.handle(event, decided.now_ns)
        except Exception as error:
            # A policy that asks for the impossible would have every lead set aside in turn.
            if self._quarantine is not None and not isinstance(error, PolicyMisbehaved):
                self._quarantine.add(told, error, decided.now_ns)
            raise
        self.hooks.decided(perf_counter() - begun)
        if decisions:
            self._decided_seq += 1
            at_ns = self.engine.state.now_ns
            ticks, self._idle_ticks = tuple(self._idle_ticks), []
            entry = Entry(self._decided_seq, at_ns, event, tuple(decisions), ticks)
            decided.entries.append(entry)
            decided.outgoing += self.hooks.compose(decisions, at_ns)
        return decisions

    # -- committing ----------------------------------------------------------------------------

    def _begin_commit(self, decided: _Decided) -> None:
        """Write a batch while the next one is decided. ``_committed`` must be awaited before."""
        if not decided.empty or self._settle_timer is None or self._stopping:
            self._take_settlements(decided)
        if decided.empty:
            return  # the end of a commit wakes the loop: an empty one would wake it for ever
        numbered = []
        for message in decided.outgoing:
            numbered.append(_numbered(message, self._next_outbox_id))
            self._next_outbox_id += 1
        decided.outgoing = numbered
        leads, reps = self.engine.take_touched()
        self.hooks.changed(reps)
        batch = Batch(decided.entries, leads, reps, numbered, decided.settlements)
        image = self._snapshots.image_if_due(self._decided_seq)
        self._committing = asyncio.get_running_loop().create_task(
            self._commit(batch, decided, image), name="commit"
        )
        self._committing.add_done_callback(lambda _: self.inbox.wake())

    def _take_settlements(self, decided: _Decided) -> None:
        """They go with a commit that is made anyway. Alone they wait for their timer: else the answers of
        the broker to one lead's messages would cost two more commits."""
        decided.settlements += self.hooks.settlements()
        if self._settle_timer is not None:
            self._settle_timer.cancel()
            self._settle_timer = None

    async def _commit(self, batch: Batch, decided: _Decided, image: SnapshotImage | None) -> None:
        stats = None
        if decided.entries or decided.outgoing or decided.settlements:
            stats = await self.journal.append(batch, expect=self._seq, epoch=self._epoch)
            self._seq += len(decided.entries)
            self.hooks.send(decided.outgoing)
        for submission, answers in decided.answered:
            if submission.done is not None:
                submission.done(answers)
        if image is not None:
            self._snapshots.keep(image)
        self._observe(decided, stats)

    def _observe(self, decided: _Decided, stats: CommitStats | None) -> None:
        """Let it be counted. All that matters is done: what fails here is told and costs figures."""
        try:
            for submission, _ in decided.answered:
                if submission.channel is not None:
                    self.hooks.acked(submission.channel, perf_counter() - submission.received)
            if stats is not None:
                self.hooks.committed(decided.entries, stats)
        except Exception:
            log.exception("not_counted", entries=len(decided.entries))

    async def _committed(self) -> None:
        """Wait for the batch that is being written. Raises what made it fail."""
        if self._committing is not None:
            committing, self._committing = self._committing, None
            await committing

    def image(self) -> SnapshotImage:
        """The engine's state as of the last decided entry, for a snapshot once that is on disk."""
        return self._snapshots.image(self._decided_seq)


def _numbered(message: Outgoing, number: int) -> Outgoing:
    return type(message)(
        message.target,
        message.kind,
        message.address,
        message.order_key,
        message.message_id,
        message.payload,
        message.at_ns,
        message.correlation,
        number,
    )
