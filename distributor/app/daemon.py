"""The daemon: every service, started from the store outwards and stopped from the inlet inwards."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import structlog

from distributor import __version__
from distributor.app.census import EngineCensus, rep_view
from distributor.app.links import BrokerSide, DialerSide
from distributor.app.recovery import recover
from distributor.app.services import Services
from distributor.app.surroundings import watch_clock, watch_store
from distributor.app.undelivered import Undelivered
from distributor.app.web import WebSide
from distributor.delivery.delays import DelayWatch
from distributor.delivery.messages import Routes, compose, rfc3339
from distributor.delivery.outbox import Outbox
from distributor.domain.events import (
    Event,
    FloorChanged,
    Started,
    TargetChanged,
)
from distributor.domain.messages import BROKER_TARGET
from distributor.errors import BadConfig, StoreFailed
from distributor.intake.directory import Directory
from distributor.observe import standards
from distributor.observe.exposition import Exposition
from distributor.observe.logs import lead_lines
from distributor.observe.loop_lag import watch_loop_lag
from distributor.observe.metrics import Metrics
from distributor.observe.projection import Projection
from distributor.runtime.clock import Clock, entropy, new_salt, steady_ns
from distributor.runtime.dispatcher import Dispatcher, Hooks
from distributor.runtime.inbox import Inbox, Submission
from distributor.runtime.quarantine import Quarantine
from distributor.settings import Settings, to_floor
from distributor.settings.policies import Remembered
from distributor.store.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Container, Coroutine, Iterator, Sequence

    from distributor.app.recovery import Recovered
    from distributor.domain.decisions import Decision
    from distributor.domain.journal import CommitStats, Entry
    from distributor.domain.messages import Outgoing, Result

log = structlog.get_logger(__name__)

_NEW_STORE_REMEDY = (
    "if there should be one already: set [store] path, or mount its disk, and start again"
)
FLUSH_SECONDS = 2.0
"""How long an orderly stop waits until what is committed has left; the rest stays in the outbox."""


class Daemon:
    """One running distributor: ``start``, then ``failed`` ends when a service did, then ``stop``.
    ``start`` is ``recover``, which may be cancelled, and ``open``."""

    def __init__(
        self, settings: Settings, clock: Clock, store: SQLiteStore, recovered: Recovered
    ) -> None:
        if problems := standards.unreadable(settings.flow):
            raise BadConfig(problems)
        self.settings = settings
        self.clock = clock
        self.store = store
        self.recovered = recovered
        self.engine = recovered.engine
        self.inbox = Inbox()
        self._services = Services()
        self.failed = self._services.failed
        self._dispatching: asyncio.Task[None] | None = None
        self._directory = _directory(settings, self.engine.state.reps)
        self._routes = _routes(settings)
        self._floor_sent = to_floor(settings)
        vendors = [vendor.id for vendor in settings.vendors]
        self.metrics = Metrics(self._floor_sent, vendors, settings.metrics.per_rep)
        self.projection = Projection(self.metrics, self._floor_sent)
        self._undelivered = Undelivered(self.inbox, self.engine.state, lambda: self._routes)
        self.outbox = self._make_outbox()
        self.delays = DelayWatch(
            self.outbox, clock.now_ns, lambda: self.settings.flow, self._undelivered.delayed
        )
        self._census = EngineCensus(self.engine.state, self.outbox, store.path, clock.now_ns)
        self.exposition = Exposition(self.metrics, self._census)
        self.dispatcher = Dispatcher(
            self.engine,
            store,
            self.inbox,
            self._hooks(),
            epoch=store.epoch,
            next_outbox_id=store.next_outbox_id,
            quarantine=Quarantine(store.path.with_suffix(".quarantine.jsonl")),
        )
        self.dialers = DialerSide(settings, self.outbox, clock, self.mark_target)
        self.broker = BrokerSide(settings.mqtt, self) if settings.mqtt is not None else None
        self.web: WebSide | None = None

    def _make_outbox(self) -> Outbox:
        targets = [dialer.id for dialer in self.settings.dialers]
        if self.settings.mqtt is not None:
            targets.insert(0, BROKER_TARGET)
        return Outbox(
            targets,
            self.store.pending,
            self.clock.now_ns,
            on_settlement=lambda: self.dispatcher.settle_soon(),
            on_result=self._settled,
            on_given_up=self._undelivered.given_up,
        )

    def _hooks(self) -> Hooks:
        return Hooks(
            now_ns=self.clock.now_ns,
            ahead_ns=self.clock.ahead_ns,
            steady_ns=steady_ns,
            compose=self._compose,
            send=self.outbox.add,
            settlements=self.outbox.take_settlements,
            changed=lambda reps: self.exposition.changed(reps),
            committed=self._committed,
            decided=self.metrics.decided,
            late=self.metrics.timer_lateness,
            acked=self.metrics.acked,
            repeated=self.metrics.repeated,
        )

    # -- start ---------------------------------------------------------------------------------

    @classmethod
    async def start(cls, settings: Settings, *, clock: Clock | None = None) -> Self:
        """Recover, open the ways out, then the ways in."""
        daemon = await cls.recover(settings, clock=clock)
        await daemon.open()
        return daemon

    @classmethod
    async def recover(cls, settings: Settings, *, clock: Clock | None = None) -> Self:
        """Take the store and come to where its last commit was. Raises ``StoreFailed``, and ``BadConfig``
        where the store cannot be, or for a limit that the metrics cannot judge."""
        clock = clock or Clock()
        path, synchronous = settings.store.path, settings.store.synchronous
        with _told("start_failed"):
            store = await SQLiteStore.open(path, synchronous, entropy=entropy)
            try:
                recovered = await recover(store, Remembered())
                recovered.engine.resume()
                clock.go_on_from(recovered.engine.state.now_ns)
                daemon = cls(settings, clock, store, recovered)
            except BaseException:
                await store.close()
                raise
            if store.is_new:
                log.warning("new_store_made", store=str(store.path), remedy=_NEW_STORE_REMEDY)
        return daemon

    async def open(self) -> None:
        """Open the ways out, then the ways in. Raises ``BadConfig`` (a template), ``Unavailable``
        (a port in use) before anything was taken in."""
        with _told("start_failed"):
            try:
                await self._open_exits()
                self._dispatch()
                await self._undelivered.abandon_strangers(
                    self.outbox, await self.store.outbox_targets()
                )
                await self._open_entrances()
            except BaseException:
                await self.abandon()
                raise
        log.info("ready", version=__version__, epoch=self.store.epoch, store=str(self.store.path))

    async def _open_exits(self) -> None:
        self._show_settings()
        self.metrics.targets(self.outbox.targets)
        for dialer in self.settings.dialers:
            self.metrics.connected(dialer.id, True)  # a dialer is asked until it fails
        if self.settings.mqtt is not None:
            self.metrics.connected(BROKER_TARGET, False)
        for set_aside in await self.store.set_aside():
            self.metrics.set_aside(*set_aside)
        await self.outbox.load()

    def _dispatch(self) -> None:
        begin = self._services.begin
        self.inbox.push(Submission(self._first_events()))
        self._dispatching = begin(self.dispatcher.run(), "dispatcher")
        begin(self.outbox.run(), "outbox")
        begin(self.delays.run(), "delays")
        begin(watch_loop_lag(self.metrics.loop_lag), "loop lag")
        begin(watch_store(self.store), "store watch")
        begin(watch_clock(self.clock.ahead_seconds, self.metrics.clock_ahead), "clock watch")

    def _first_events(self) -> list[Event]:
        """What every start tells the engine: a new epoch, the floor if it changed, the targets."""
        events: list[Event] = [Started(self.store.epoch, __version__, new_salt())]
        if self._floor_sent != self.engine.state.floor:
            events.append(FloorChanged(self._floor_sent))
        known = {dialer.id for dialer in self.settings.dialers}
        for target in sorted(self.engine.state.targets_down):
            if target in known or (target == BROKER_TARGET and self.settings.mqtt is None):
                events.append(TargetChanged(target, True, "the daemon started"))
        if self.settings.mqtt is not None and BROKER_TARGET not in self.engine.state.targets_down:
            events.append(TargetChanged(BROKER_TARGET, False, "not connected yet"))
        return events

    async def _open_entrances(self) -> None:
        for coroutine in self.dialers.services():
            self._services.begin(coroutine, "webhook")
        if self.broker is not None:
            for coroutine in self.broker.services():
                self._services.begin(coroutine, "mqtt")
        if self.settings.http is not None:
            self.web = WebSide(self.settings.http, self)
            await self.web.start()

    # -- what the loop and delivery hand on ----------------------------------------------------

    def _compose(self, decisions: Sequence[Decision], at_ns: int) -> list[Outgoing]:
        return compose(decisions, self.engine.state.leads, self._routes, at_ns)

    def _committed(self, entries: Sequence[Entry], stats: CommitStats) -> None:
        self.metrics.commit(stats)
        lead_of = self.engine.state.leads.get
        for entry in entries:
            self.projection.project(entry, lead_of)
        if self.settings.log.level in ("debug", "info"):
            for entry in entries:
                for line in lead_lines(entry):
                    tell = log.info if line["attempt"] == 1 else log.debug
                    tell("assigned", **line)

    def _settled(self, message: Outgoing, result: Result, seconds: float) -> None:
        self.metrics.delivered(message.target, result, seconds)
        self.delays.settled(message, result, seconds)

    def mark_target(self, target: str, up: bool, reason: str) -> None:
        """A dialer stopped or began to take messages: the core learns it like everything else."""
        self.metrics.connected(target, up)
        if self.inbox.open:
            self.inbox.push(Submission([TargetChanged(target, up, reason)]))

    async def scrape(self, *, compressed: bool) -> Sequence[bytes]:
        """The metrics as text, in pieces."""
        if self.broker is not None:
            self.metrics.link_totals(BROKER_TARGET, self.broker.totals())
            self.metrics.oldest_unacked(self.broker.link.oldest_unacked_seconds())
        if self.web is not None:
            self.metrics.link_totals("http", self.web.totals())
        if self.inbox.refused:
            self.metrics.count("intake_refused_total", "http", amount=self.inbox.refused)
            self.inbox.refused = 0
        return await self.exposition.render(compressed=compressed)

    # -- what entrances ask --------------------------------------------------------------------

    def directory(self) -> Directory:
        """Vendors and reps of the settings in force."""
        return self._directory

    def reps(self) -> list[dict[str, Any]]:
        """Every rep as the contract shows it."""
        now_ns = self.clock.now_ns()
        reps = self.engine.state.reps.values()
        return [rep_view(rep, now_ns, rfc3339) for rep in reps if rep.listed]

    def rep(self, rep_id: str) -> dict[str, Any] | None:
        """One rep as the contract shows it."""
        rep = self.engine.state.reps.get(rep_id)
        if rep is None or not rep.listed:
            return None
        return rep_view(rep, self.clock.now_ns(), rfc3339)

    def health(self) -> list[str]:
        """Reasons why this process should be replaced."""
        problems = []
        if self.failed.done():
            problems.append(f"a service ended: {self.failed.result()}")
        if self.engine.state.ledger.difference:
            problems.append(f"the ledger is off by {self.engine.state.ledger.difference} leads")
        return problems

    def ready(self) -> list[str]:
        """Reasons why no leads should be sent here now."""
        problems = self.health()
        if not self.inbox.open:
            problems.append("stopping")
        if self.broker is not None and self.broker.problem:
            problems.append(self.broker.problem)
        return problems

    # -- new settings --------------------------------------------------------------------------

    async def take_settings(self, settings: Settings) -> None:
        """Put new settings in force, which were checked as a whole: they are when this returns."""
        if problems := standards.unreadable(settings.flow):
            self.refuse_settings(problems)
            return
        try:
            self.dialers.take_secrets(settings.dialers)
        except BadConfig as error:
            self.refuse_settings(error.problems)
            return
        self.settings = settings
        self._directory = _directory(settings, self.engine.state.reps)
        self._routes = _routes(settings)
        if self.metrics.per_rep != settings.metrics.per_rep:
            self.metrics.per_rep = settings.metrics.per_rep
            self.exposition = Exposition(self.metrics, self._census)
        self.metrics.meet(vendor.id for vendor in settings.vendors)
        floor = to_floor(settings)
        if floor != self._floor_sent:
            self._floor_sent = floor
            committed = asyncio.Event()
            self.inbox.push(Submission([FloorChanged(floor)], done=lambda _: committed.set()))
            await committed.wait()
        self._show_settings()
        log.info("settings_taken", digest=floor.digest)

    def _show_settings(self) -> None:
        """Let the metrics say what the settings in force promise, and since when."""
        self.metrics.take_standard_targets(standards.targets(self.settings.standards))
        self.metrics.reloaded(True, self.clock.now_ns())

    def refuse_settings(self, problems: list[str]) -> None:
        """A new file was bad: the old settings stay in force, and everybody can see it."""
        self.metrics.reloaded(False, self.clock.now_ns())
        log.error("settings_refused", problems=problems, remedy="mend the file; the old one rules")

    # -- stop ----------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Close the inlet, commit what was taken in, send what is committed, say goodbye. Raises
        ``StoreFailed`` when the last commit fails; the store is free in any case."""
        try:
            with _told("stop_failed"):
                await self._wind_down()
        finally:
            await self.abandon()
        log.info("stopped")

    async def _wind_down(self) -> None:
        self.inbox.open = False  # first of all: a broker that hangs must not keep the doors open
        await asyncio.gather(*self._close_entrances())
        self.dispatcher.stop()
        if self._dispatching is not None:
            await asyncio.wait({self._dispatching})
        await self._empty_outbox()
        if not self.failed.done():
            await self.dispatcher.round()
        if self.broker is not None:
            await self.broker.close()
        if not self.failed.done():
            await self.dispatcher.round()
            await self._last_snapshot()

    def _close_entrances(self) -> Iterator[Coroutine[Any, Any, None]]:
        if self.broker is not None:
            yield self.broker.drain()
        if self.web is not None:
            yield self.web.stop(answering=not self.failed.done())

    async def _last_snapshot(self) -> None:
        """Makes the next start quick; without it, it reads more of the journal."""
        try:
            await self.store.put_snapshot(self.dispatcher.image())
        except StoreFailed as error:
            log.warning("snapshot_failed", error=str(error))

    async def _empty_outbox(self) -> None:
        """Give the senders a moment for what was just committed."""
        senders = [self.dialers.stop(FLUSH_SECONDS + 1.0)]
        if self.broker is not None:
            senders.append(self.broker.flush(FLUSH_SECONDS))
        await asyncio.gather(*senders, return_exceptions=True)

    async def abandon(self) -> None:
        """End every service as it stands and give the store free."""
        await self._services.end()
        await self.store.close()


@contextmanager
def _told(event: str) -> Iterator[None]:
    """What fails here ends the process: the log says why, beside the line on standard error."""
    try:
        yield
    except Exception as error:
        log.error(event, error=str(error) or repr(error))
        raise


def _directory(settings: Settings, former: Container[str]) -> Directory:
    vendors = {vendor.id: vendor.country for vendor in settings.vendors}
    forms = {vendor.id for vendor in settings.vendors if vendor.format == "form"}
    reps, pools = (rep.id for rep in settings.reps), (pool.id for pool in settings.pools)
    return Directory(reps, vendors, forms, pools, former)


def _routes(settings: Settings) -> Routes:
    prefix = settings.mqtt.topic_prefix if settings.mqtt is not None else ""
    rep_topics = settings.mqtt is not None and settings.mqtt.rep_topics
    return Routes(prefix, rep_topics)
