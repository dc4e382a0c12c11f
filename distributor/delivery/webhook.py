"""Sends the outbox to one dialer over HTTP, as its ``WebhookPlan`` describes.

What an answer means decides what happens next: ``taken`` (or taken before): done. ``refused``: the
message is at fault, a few tries and then a human. ``misdirected`` (moved, a bad secret, a wrong address):
every message would get that answer, so it is a failure; a message that gets it alone is refused.
``busy`` (408, 425, 429): later. ``failed`` (5xx, no connection, no TLS): for ever, behind the breaker.
``unknown`` (nothing came back after the request was sent): as ``unknown_outcome`` says for assignments;
a revocation is repeated, as twice revoked is revoked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from math import inf
from typing import Final

import aiohttp
import structlog

from distributor.delivery.answers import Answer, Reply, classify, lookup_says
from distributor.delivery.breaker import Breaker, Bucket
from distributor.delivery.exchange import exchange, open_session
from distributor.delivery.lanes import Item, Lanes
from distributor.delivery.suspicion import MANY_REFUSALS, Suspicion
from distributor.delivery.templates import CannotRender, Request, compile_plan, context
from distributor.delivery.timer import Timer
from distributor.domain.dialers import WebhookPlan
from distributor.domain.ids import to_ns, to_seconds

MAX_PAUSE_SECONDS: Final = 60.0
"""However long a dialer asks to be left alone: after so long it is asked again."""
_MAX_ERROR_CHARACTERS = 300
_TARGETS_FAULT: Final = ("failed", "unknown", "misdirected")

OnTarget = Callable[[str, bool, str], None]
"""Told when a target stops (False) or begins (True) to take messages, and why; also when another reason
keeps it from taking them."""


class WebhookSender:
    """A service for one dialer. Raises BadConfig when a template of the plan cannot work.

    ``random`` gives numbers from 0 to 1 for the jitter. ``on_target`` is told ``True`` when ``run``
    begins, because an earlier process may have left the target marked as down. ``secret`` may be set
    anew at any time: the next request has it.
    """

    def __init__(
        self,
        plan: WebhookPlan,
        lanes: Lanes,
        now_ns: Callable[[], int],
        *,
        random: Callable[[], float],
        secret: str = "",
        on_target: OnTarget | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.plan = plan
        self._calls = compile_plan(plan, secret)
        self._lanes = lanes
        self._now_ns = now_ns
        self._random = random
        self.secret = secret
        self._on_target = on_target
        self._clock = clock
        self._breaker = Breaker(plan.breaker_failures, plan.breaker_seconds)
        self._bucket = Bucket(plan.rate_per_second)
        self._quiet_until = -inf
        self._suspicion = Suspicion()
        self._pause_told = False
        self._up: bool | None = None
        self._cause = ""
        self._session: aiohttp.ClientSession | None = None
        self._requests: set[asyncio.Task[None]] = set()
        self._fault: BaseException | None = None
        self._wake = asyncio.Event()
        self._timer = Timer(self._wake.set)
        self._ended = asyncio.Event()
        self._ended.set()
        self._stopping = False
        self._grace_seconds = 0.0
        self._log = structlog.get_logger(__name__)
        lanes.on_ready = self._wake.set

    # --- the service

    async def run(self) -> None:
        """Send until ``stop``."""
        self._ended.clear()
        try:
            async with open_session(self.plan) as session:
                self._session = session
                self._mark(True, "started")
                try:
                    await self._serve()
                finally:
                    await self._finish()
        finally:
            self._session = None
            self._ended.set()

    async def stop(self, grace_seconds: float = 5.0) -> None:
        """Begin no request and let those under way finish, at most so long; the rest stays in the
        outbox. Returns when ``run`` has ended."""
        self._grace_seconds = grace_seconds
        self._stopping = True
        self._wake.set()
        await self._ended.wait()

    async def _serve(self) -> None:
        while not self._stopping:
            self._wake.clear()
            wait = self._dispatch()
            self._timer.arm(None if wait == inf else wait)
            await self._wake.wait()
            if self._fault is not None:
                raise self._fault

    async def _finish(self) -> None:
        self._timer.arm(None)
        if self._requests and self._stopping:
            await asyncio.wait(self._requests, timeout=self._grace_seconds)
        for task in self._requests:
            task.cancel()
        if self._requests:
            await asyncio.wait(self._requests)

    # --- what goes now

    def _dispatch(self) -> float:
        """Begin every request that may begin. Seconds until there may be another (infinite: when
        something happens)."""
        lanes, breaker = self._lanes, self._breaker
        if breaker.ripen(self._clock()):
            lanes.hurry()
        lanes.tick(self._now_ns())
        while len(self._requests) < self.plan.concurrency:
            item = self._next_item()
            if item is None:
                if breaker.state == "half_open" and breaker.delay(self._clock()) == 0.0:
                    # Nobody sends us leads while we are down, so nothing would ever try again.
                    self._mark(True, "nothing is left to try with: the next message is the trial")
                break
            if self._needless(item):
                continue
            now = self._clock()
            wait = max(breaker.delay(now), self._bucket.delay(now), self._quiet_until - now)
            if wait > 0:
                return wait
            self._begin(item, now)
        wait = inf
        if lanes.next_due_ns is not None:
            wait = to_seconds(lanes.next_due_ns - self._now_ns())
        if breaker.state == "open":
            wait = min(wait, breaker.delay(self._clock()))
        return wait

    def _next_item(self) -> Item | None:
        """The oldest message; for a trial the one least tried, so that a message which the dialer never
        answers well does not keep it down for all others."""
        breaker = self._breaker
        if breaker.state == "half_open" and breaker.delay(self._clock()) == 0.0:
            return self._lanes.least_tried()
        return self._lanes.peek()

    def _needless(self, item: Item) -> bool:
        """Settle what need not be sent: a revocation that the dialer has no request for, and an
        assignment that was revoked before it was taken (with its revocation, if the dialer certainly
        does not have it)."""
        lanes = self._lanes
        if item.message.kind == "revoke" and self._calls.revoke is None:
            lanes.done(item)
            return True
        revocation = lanes.revocation_of(item) if item.message.kind == "assign" else None
        if revocation is None:
            return False
        lanes.done(item)
        if item.untaken:
            lanes.done(revocation)
        return True

    def _begin(self, item: Item, now: float) -> None:
        self._lanes.take(item)
        try:
            request = self._request(item)
        except CannotRender as error:
            item.refusals += 1
            self._suspect(item, str(error))
            self._give_up(item, str(error))
            return
        trial = self._breaker.enter(now)
        self._bucket.take(now)
        task = asyncio.create_task(
            self._deliver(item, request, trial), name=f"webhook-{self.plan.id}"
        )
        self._requests.add(task)
        task.add_done_callback(self._task_ended)

    def _request(self, item: Item) -> Request:
        message = item.message
        call = self._calls.assign if message.kind == "assign" else self._calls.revoke
        assert call is not None
        names = context(message.payload, self.secret)
        return call.request(message.payload, names, f"{message.message_id}:{message.kind}")

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._requests.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fault = error
        self._wake.set()

    # --- one message

    async def _deliver(self, item: Item, request: Request, trial: bool) -> None:
        try:
            answer = await self._lookup(item) if self._must_ask(item) else None
            if answer is None:
                answer = await self._send(item, request)
        except asyncio.CancelledError:
            if item.message.kind == "assign" and self.plan.unknown_outcome == "hold":
                self._doubt(item, "stopped before the answer came")
            else:
                self._lanes.put_back([item])
            raise
        self._judge(item, answer, trial)

    def _must_ask(self, item: Item) -> bool:
        """Whether this assignment may have been taken already (also by an earlier process's try)."""
        if item.message.kind != "assign" or self.plan.unknown_outcome != "lookup":
            return False
        return item.uncertain or item.loaded

    async def _lookup(self, item: Item) -> Answer | None:
        """Ask whether the message was taken. None: it was not, send it."""
        item.uncertain = True
        assert self._calls.lookup is not None
        message = item.message
        names = context(message.payload, self.secret)
        try:
            request = self._calls.lookup.request(b"", names, f"{message.message_id}:lookup")
        except CannotRender as error:
            return Answer("refused", str(error))
        reply = await self._exchange(request)
        if isinstance(reply, Answer):
            return Answer("failed", f"lookup: {reply.error}", 0.0, f"lookup: {reply.cause}")
        answer = lookup_says(self.plan, self._calls, reply)
        if answer is None:
            item.uncertain = item.loaded = False
            now = self._clock()
            pause = self._bucket.delay(now)
            self._bucket.take(now)
            await asyncio.sleep(pause)
        return answer

    async def _send(self, item: Item, request: Request) -> Answer:
        reply = await self._exchange(request)
        if isinstance(reply, Answer):
            return reply
        return classify(self.plan, self._calls, reply, item.message.kind)

    async def _exchange(self, request: Request) -> Reply | Answer:
        assert self._session is not None
        return await exchange(self._session, request, self._now_ns)

    # --- what it means

    def _judge(self, item: Item, answer: Answer, trial: bool) -> None:
        now = self._clock()
        away = self._pause(answer, now)
        reason = self._line(answer.error)
        if away:
            reason += f"; it asks for a pause of {answer.pause_seconds:.0f} s"
        if self._speaks_against_target(item, answer, trial):
            if self._breaker.failure(now, trial):
                self._mark(False, reason, answer.cause)
        elif answer.outcome != "misdirected" and self._breaker.success(trial) and not away:
            self._mark(True, "the dialer answers again")
        if away:
            self._breaker.hold(now, away)
            self._mark(False, reason, answer.cause)
        self._settle(item, answer)

    def _speaks_against_target(self, item: Item, answer: Answer, trial: bool) -> bool:
        """A misdirected revocation says nothing of assignments: they have a request of their own."""
        if answer.outcome == "misdirected" and item.message.kind == "revoke":
            return trial
        return answer.outcome in _TARGETS_FAULT

    def _pause(self, answer: Answer, now: float) -> float:
        """Leave the dialer alone as long as it asks for, within limits. Seconds for which it counts as
        down: 0 for a pause that is shorter than those of the breaker."""
        asked, limit = answer.pause_seconds, MAX_PAUSE_SECONDS
        seconds = min(asked, limit)
        if asked > limit and not self._pause_told:
            self._pause_told = True
            told = {"asked_seconds": asked, "taken_seconds": limit}
            self._log.warning("pause_shortened", target=self.plan.id, **told)
        if 0.0 < seconds < min(self.plan.breaker_seconds, limit):
            self._quiet_until = max(self._quiet_until, now + seconds)
            return 0.0
        return seconds

    def _settle(self, item: Item, answer: Answer) -> None:
        error = self._line(answer.error)
        if answer.outcome in ("taken", "duplicate"):
            self._pause_told = False
            if item.message.kind == "assign":
                self._suspicion.taken()
            self._lanes.done(item)
            return
        if answer.outcome == "refused" or self._astray_alone(item, answer):
            item.refusals += 1
            self._suspect(item, error)
            if item.refusals >= self.plan.max_attempts:
                self._give_up(item, error)
                return
        elif answer.outcome == "misdirected":
            item.misdirected += 1
        elif answer.outcome == "unknown" and item.message.kind == "assign":
            if self.plan.unknown_outcome == "hold":
                self._doubt(item, error)
                return
            item.uncertain = True
        pause = max(self._backoff(item.attempts), min(answer.pause_seconds, MAX_PAUSE_SECONDS))
        hasty = self._breaker.state != "closed" or answer.outcome in _TARGETS_FAULT
        self._lanes.retry(item, self._now_ns() + to_ns(pause), error, hasty=hasty)

    def _astray_alone(self, item: Item, answer: Answer) -> bool:
        """Whether this message alone is misdirected, so that it may be its own fault (or that of its
        revocation's request)."""
        if answer.outcome != "misdirected":
            return False
        return item.message.kind == "revoke" or self._suspicion.alone(item.message.id)

    def _suspect(self, item: Item, error: str) -> None:
        """An assignment was refused: say so when it seems to be the fault of all of them."""
        if item.message.kind == "assign" and self._suspicion.many_refused(item.message.id):
            call = f"dialers[{self.plan.id}].assign"
            self._log.warning(
                "many_refused",
                target=self.plan.id,
                messages=MANY_REFUSALS,
                error=self._line(error),
                remedy=f"it took none in between: check body and headers of {call}, and success_body",
            )

    def _backoff(self, attempts: int) -> float:
        """Doubles up to the cap; half of it is left to chance, so that retries do not come at once."""
        plan = self.plan
        full = min(plan.retry_first_seconds * 2.0 ** min(attempts, 30), plan.retry_max_seconds)
        return full * (0.5 + 0.5 * self._random())

    def _give_up(self, item: Item, error: str) -> None:
        error = self._line(error)
        self._log.error("delivery_given_up", **self._about(item, error))
        assign = item.message.kind == "assign"
        revocation = self._lanes.revocation_of(item) if assign else None
        self._lanes.dead(item, error)
        if revocation is not None and item.untaken:
            self._lanes.done(revocation)  # the dialer would refuse that, too

    def _doubt(self, item: Item, error: str) -> None:
        self._log.warning("delivery_in_doubt", **self._about(item, error))
        self._lanes.in_doubt(item, error)

    def _mark(self, up: bool, reason: str, cause: str = "") -> None:
        if self._up is up and (up or self._cause == cause):
            return
        first, self._up, self._cause = self._up is None, up, cause
        if not first:
            self._log.warning("target_changed", target=self.plan.id, up=up, reason=reason)
        if self._on_target is not None:
            self._on_target(self.plan.id, up, reason)

    def _about(self, item: Item, error: str) -> dict[str, str]:
        message = item.message
        return {
            "target": self.plan.id,
            "kind": message.kind,
            "assignment_id": message.message_id,
            "error": error,
        }

    def _line(self, text: str) -> str:
        """One line for people, without the secret."""
        if self.secret:
            text = text.replace(self.secret, "***")
        return " ".join(text.split())[:_MAX_ERROR_CHARACTERS]
