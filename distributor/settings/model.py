"""What the configuration file says, as immutable values.

Every field is a key of the file with the same name, except the secrets (``password``, ``token``):
the file names where they are kept (``*_file``, ``*_env``) and ``load`` fills them in. Paths are
absolute after ``load``. Allowed values beyond the types are in ``limits``.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from distributor.domain.dialers import WebhookPlan
from distributor.domain.floor import FlowPlan, PoolPlan, RepPlan, TeamPlan

MIB = 1024 * 1024

Role = Literal["vendor", "dialer", "rep", "supervisor", "decider", "admin"]


class Secret(str):
    """A secret text that does not show itself in a log or a repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(***)"


class StoreSettings(Struct, frozen=True):
    """``[store]``. ``synchronous``: ``full`` survives a power loss, ``normal`` a crash of ours."""

    path: str = "data/distributor.db"
    synchronous: Literal["full", "normal"] = "full"


class MqttTls(Struct, frozen=True):
    """``[mqtt.tls]``. Without ``ca_file`` the system's authorities are trusted; ``cert_file`` and
    ``key_file`` are our own certificate.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class MqttSettings(Struct, frozen=True):
    """``[mqtt]``: the broker connection.

    ``protocol``: ``auto`` tries MQTT 5 first, then 3.1.1. ``results``, ``rep_topics``: whether
    messages go to the result topics and to rep desktops. ``assign_batch``: how many assignments may
    share one message to the dialer.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    topic_prefix: str = "leads"
    client_id: str = "distributor"
    username: str | None = None
    password_file: str | None = None
    password_env: str | None = None
    tls: MqttTls | None = None
    max_payload_bytes: int = MIB
    results: bool = True
    rep_topics: bool = True
    assign_batch: int = 1
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    password: Secret | None = None


class HttpTls(Struct, frozen=True):
    """``[http.tls]``: our certificate and its key, PEM."""

    cert_file: str
    key_file: str


class TokenSettings(Struct, frozen=True):
    """``[[http.tokens]]``: who may call. ``vendor``, ``rep``: for whom a token of that role speaks;
    without the key, for the one with the token's own name.
    """

    name: str
    role: Role
    token_file: str | None = None
    token_env: str | None = None
    vendor: str | None = None
    rep: str | None = None
    token: Secret | None = None


class HttpSettings(Struct, frozen=True):
    """``[http]``: the listener. No tokens (here or at a vendor): open, on a loopback address only.
    Port 0 takes any free port.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    tls: HttpTls | None = None
    tokens: tuple[TokenSettings, ...] = ()
    max_body_bytes: int = MIB


class VendorSettings(Struct, frozen=True):
    """``[[vendors]]``. ``country``: of phone numbers without one. ``token_*``: its HTTP token.
    ``format``: what an HTTP body is that comes without a content type.
    """

    id: str
    token_file: str | None = None
    token_env: str | None = None
    country: str = "US"
    format: Literal["native", "form"] = "native"
    token: Secret | None = None


class MetricsSettings(Struct, frozen=True):
    """``[metrics]``. ``per_rep``: the reps with series of their own (``all``, those ``held_back``,
    ``off``); without the key it is ``held_back`` on a floor of more than 2,000 reps.
    """

    per_rep: Literal["all", "held_back", "off"] = "all"


class SpeedToContactSettings(Struct, frozen=True):
    """``[standards.speed_to_contact]``. ``target``: the share of leads that are to be contacted within
    ``first_contact_seconds`` of ``[flow]``.
    """

    target: float = 0.9


class StandardsSettings(Struct, frozen=True):
    """``[standards]``: what the floor promises. ``open_hours_per_month``, ``open_hours_per_day``: when
    leads can be contacted, for the pace at which a month's misses may be spent.
    """

    open_hours_per_month: float = 220.0
    open_hours_per_day: float = 10.0
    speed_to_contact: SpeedToContactSettings = SpeedToContactSettings()


class AlertSettings(Struct, frozen=True):
    """``[alerts]``: the thresholds that ``distributor rules`` writes. A lead that waits longer than
    ``unassigned_seconds``, a message that no target took for ``outbox_seconds`` and a case undecided for
    ``exception_seconds`` raise an alert; shares are judged above ``least_leads`` leads. ``runbooks``:
    the address of the page that says what to do about each alert.
    """

    unassigned_seconds: float = 120.0
    outbox_seconds: float = 30.0
    exception_seconds: float = 900.0
    least_leads: int = 20
    runbooks: str = "runbooks.md"


class LogSettings(Struct, frozen=True):
    """``[log]``: lines on standard output; ``level`` is the least that is written."""

    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Struct, frozen=True):
    """The whole file. ``vendors`` empty: any vendor id is taken. ``mqtt`` or ``http`` is there."""

    store: StoreSettings = StoreSettings()
    mqtt: MqttSettings | None = None
    http: HttpSettings | None = None
    flow: FlowPlan = FlowPlan()
    teams: tuple[TeamPlan, ...] = ()
    reps: tuple[RepPlan, ...] = ()
    pools: tuple[PoolPlan, ...] = ()
    vendors: tuple[VendorSettings, ...] = ()
    dialers: tuple[WebhookPlan, ...] = ()
    metrics: MetricsSettings = MetricsSettings()
    standards: StandardsSettings = StandardsSettings()
    alerts: AlertSettings = AlertSettings()
    log: LogSettings = LogSettings()

    @property
    def tokens(self) -> tuple[TokenSettings, ...]:
        """Every HTTP token: the listener's, and one of role ``vendor`` for each vendor's own."""
        own = tuple(
            TokenSettings(name=vendor.id, role="vendor", vendor=vendor.id, token=vendor.token)
            for vendor in self.vendors
            if vendor.token is not None
        )
        return (self.http.tokens if self.http else ()) + own
