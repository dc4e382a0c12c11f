"""The ways to the outside: the broker (in and out) and the dialers behind HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from msgspec.structs import asdict

from distributor import __version__
from distributor.delivery.checking import secret_of
from distributor.delivery.messages import DaemonStatus, encode, rfc3339
from distributor.delivery.mqtt_sender import MqttSender
from distributor.delivery.templates import compile_plan
from distributor.delivery.webhook import WebhookSender
from distributor.domain.messages import BROKER_TARGET
from distributor.errors import Unavailable
from distributor.intake.mqtt_intake import MqttIntake
from distributor.mqtt import LastWill, MqttLink
from distributor.mqtt import MqttSettings as LinkSettings
from distributor.mqtt.values import TlsFiles
from distributor.runtime.clock import jitter

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any, Literal

    from distributor.app.daemon import Daemon
    from distributor.delivery.outbox import Outbox
    from distributor.domain.dialers import WebhookPlan
    from distributor.runtime.clock import Clock
    from distributor.settings import MqttSettings, Settings

log = structlog.get_logger(__name__)


class BrokerSide:
    """Everything that goes through the broker."""

    def __init__(self, settings: MqttSettings, daemon: Daemon) -> None:
        self._daemon = daemon
        self._topic = f"{settings.topic_prefix}/daemon/status"
        self._attempt_ns = 0
        earlier = daemon.store.epoch > 1
        self.link = MqttLink(
            link_settings(settings), jitter=jitter, will=self._will, expect_session=earlier
        )
        self.intake = MqttIntake(
            self.link,
            daemon.inbox,
            daemon.directory,
            daemon.clock.now_ns,
            daemon.clock.wall_ns,
            prefix=settings.topic_prefix,
            max_payload_bytes=settings.max_payload_bytes,
            results=settings.results,
        )
        self.sender = MqttSender(
            daemon.outbox.lanes(BROKER_TARGET),
            self.link,
            daemon.clock.now_ns,
            assign_topic=f"{settings.topic_prefix}/dialer/assign",
            assign_batch=settings.assign_batch,
            desktops=settings.rep_topics,
            on_unheard=daemon.delays.unheard,
        )
        self.link.listen(self.intake.subscriptions, self.intake.on_message)
        self.link.on_connected.append(self._connected)
        self.link.on_disconnected.append(self._disconnected)

    def services(self) -> list[Coroutine[Any, Any, None]]:
        """What must run."""
        return [self.link.run(), self.sender.run()]

    @property
    def problem(self) -> str | None:
        """Why the broker session is not up, None when it is."""
        return self.link.problem

    def totals(self) -> dict[str, int]:
        """What the link, the intake and the sender have counted (event -> total)."""
        counted: dict[str, int] = asdict(self.link.counters)
        counted["ignored_response_topics"] = self.intake.ignored_response_topics
        counted["unheard_assignments"] = self.sender.no_subscriber.get("assign", 0)
        return counted

    def _will(self) -> LastWill:
        """The last will of the next connection. Its ``at`` cannot be the time at which it comes; it is
        that of the ``online`` which it takes back, so that who ignores what is older heeds it."""
        self._attempt_ns = self._daemon.clock.now_ns()
        return LastWill(self._topic, self._status("offline", self._attempt_ns), retain=True)

    def _status(
        self, state: Literal["online", "draining", "offline"], at_ns: int | None = None
    ) -> bytes:
        at = rfc3339(self._daemon.clock.now_ns() if at_ns is None else at_ns)
        return encode(DaemonStatus(state, __version__, at))

    def _connected(self, session_present: bool) -> None:
        self.link.publish(self._topic, self._status("online", self._attempt_ns), retain=True)
        self._daemon.mark_target(BROKER_TARGET, True, "connected")
        self.sender.connected()

    def _disconnected(self, reason: str) -> None:
        self.sender.disconnected()
        self._daemon.mark_target(BROKER_TARGET, False, reason)

    async def drain(self) -> None:
        """Take nothing more from the broker and say that we are going."""
        self.intake.close()
        await self._say("draining")

    async def flush(self, seconds: float) -> None:
        """Send what is committed, at most so long."""
        end = asyncio.get_running_loop().time() + seconds
        lanes = self._daemon.outbox.lanes(BROKER_TARGET)
        while len(lanes) and self.link.connected.is_set():
            if asyncio.get_running_loop().time() > end:
                break
            await asyncio.sleep(0.02)
        await self.sender.stop(1.0)

    async def close(self) -> None:
        """Say that we are gone, and go."""
        await self._say("offline")
        await self.link.close()

    async def _say(self, state: Literal["draining", "offline"]) -> None:
        if not self.link.connected.is_set():
            return
        try:
            async with asyncio.timeout(1.0):
                await self.link.publish(self._topic, self._status(state), retain=True)
        except (TimeoutError, Unavailable) as error:
            log.warning("status_not_sent", state=state, error=str(error))


class DialerSide:
    """The dialers behind HTTP: one sender for each."""

    def __init__(
        self,
        settings: Settings,
        outbox: Outbox,
        clock: Clock,
        mark: Callable[[str, bool, str], None],
    ) -> None:
        self._plans: tuple[WebhookPlan, ...] = settings.dialers
        self._outbox = outbox
        self._clock = clock
        self._mark = mark
        self.senders: list[WebhookSender] = []

    def services(self) -> list[Coroutine[Any, Any, None]]:
        """Make the senders; what must run. Raises ``BadConfig`` for a secret or a template."""
        for plan in self._plans:
            self.senders.append(
                WebhookSender(
                    plan,
                    self._outbox.lanes(plan.id),
                    self._clock.now_ns,
                    random=jitter,
                    secret=secret_of(plan),
                    on_target=self._mark,
                )
            )
        return [sender.run() for sender in self.senders]

    def take_secrets(self, plans: Sequence[WebhookPlan]) -> None:
        """Read the secrets again: their files may have changed. Raises ``BadConfig``, and takes
        none, where one cannot be read or does not fit its templates."""
        secrets = {plan.id: secret_of(plan) for plan in plans}
        for plan in plans:
            compile_plan(plan, secrets[plan.id])
        for sender in self.senders:
            sender.secret = secrets[sender.plan.id]

    async def stop(self, seconds: float) -> None:
        """Finish what is under way, at most so long."""
        await asyncio.gather(*(sender.stop(seconds) for sender in self.senders))


def link_settings(settings: MqttSettings) -> LinkSettings:
    """The link's own settings from those of the file."""
    tls = settings.tls
    return LinkSettings(
        host=settings.host,
        port=settings.port,
        client_id=settings.client_id,
        username=settings.username,
        password=settings.password,
        tls=None if tls is None else TlsFiles(tls.ca_file, tls.cert_file, tls.key_file),
        protocol=settings.protocol,
        max_payload_bytes=settings.max_payload_bytes,
    )
