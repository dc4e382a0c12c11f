"""A floor to play every state on: broker, daemon, a dialer behind HTTP, and a Prometheus that scrapes."""

from __future__ import annotations

import itertools
import json
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from bench.actors import Client, lead_fields
from bench.broker import Mosquitto, free_port
from bench.daemon import DaemonProcess
from bench.webhooks import WebhookDialer
from distributor.demo.eyes import Labels, Metrics
from distributor.demo.prometheus import Prometheus
from distributor.errors import Unavailable
from distributor.observe.exposition import FRESH_SECONDS
from distributor.observe.table import PREFIX

NORTH: Final = ("ana", "ben", "cleo", "dan", "eva", "finn")
SOUTH: Final = ("gia", "hugo", "iris", "jon", "kim", "leo")
REPS: Final = (*NORTH, *SOUTH)
GONE: Final = "uma"
"""A rep who is on the floor until the settings change."""
VENDOR: Final = "acme"
MQTT_VENDOR: Final = "bolt"
DIALER: Final = "cloud"
POOL: Final = "default"
POOL_LIMIT: Final = 8

_UP: Final = 'up{job="distributor"}'
_WAIT_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_ATTEMPT_SECONDS: Final = 0.3

FLOW: Final = {
    "policy": "lease",
    # Forty seconds of the floor in one: the minute of the first contact lasts one and a half, and a
    # lead is stale, for the reserve, after four and a half.
    "time_scale": 40,
    "first_contact_seconds": 60,
    "lease_seconds": 80,
    "waiting_limit_seconds": 280,
    "working_limit_seconds": 520,
    "recycle_seconds": 40,
    "pool_limit": POOL_LIMIT,
}


class StatesFloor:
    """Use as a context: all parts are started and ended. ``rules``: the text of a rules file for the
    Prometheus, which scrapes and works them out every ``seconds``; it scrapes a job of others beside.
    ``instance``: the daemon, as Prometheus names it.

    ``seen``: the samples (name, labels) that were not 0 in a scrape; ``series``: all there were;
    ``text``: the last scrape.
    """

    def __init__(self, folder: Path, *, rules: str = "", seconds: float = 1.0) -> None:
        self.broker = Mosquitto(folder / "broker", durable=False)
        self.cloud = WebhookDialer()
        self.daemon = DaemonProcess(folder / "daemon", self.broker.port, self.tables())
        self.instance = f"127.0.0.1:{self.daemon.http_port}"
        port = free_port()
        self.prometheus = Prometheus(
            folder / "prometheus",
            self.instance,
            port=port,
            seconds=seconds,
            rules=rules,
            others=(
                f"127.0.0.1:{port}",
                f"127.0.0.1:{free_port()}",
            ),  # itself, and one that is dead
        )
        self.seconds = seconds
        self.seen: set[tuple[str, Labels]] = set()
        self.series: set[tuple[str, Labels]] = set()
        self.text = ""
        self._metrics = Metrics()
        self._numbers = itertools.count(1)
        self._stack = ExitStack()

    def tables(self, *, reps: tuple[str, ...] = (*REPS, GONE), **pool: str) -> dict[str, Any]:
        """The settings. ``pool``: more keys of the pool."""
        url = f"http://127.0.0.1:{self.cloud.port}"
        return {
            "flow": FLOW,
            "reps": [{"id": rep, "team": "south" if rep in SOUTH else "north"} for rep in reps],
            "pools": [{"id": POOL, **pool}],
            "vendors": [{"id": VENDOR}, {"id": MQTT_VENDOR}],
            "dialers": [
                {
                    "id": DIALER,
                    "timeout_seconds": 1.0,
                    "retry_first_seconds": 0.05,
                    "retry_max_seconds": 0.2,
                    "max_attempts": 1,
                    "breaker_failures": 2,
                    "breaker_seconds": 0.3,
                    "unknown_outcome": "hold",
                    "assign": {"url": f"{url}/assign"},
                    "revoke": {"url": f"{url}/revoke"},
                }
            ],
        }

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.broker)
            stack.enter_context(self.cloud)
            self.mqtt = Client(self.broker.port, "states", ("leads/dialer/#",))
            stack.callback(self.mqtt.close)
            stack.enter_context(self.daemon)
            self.daemon.launch()
            stack.enter_context(self.prometheus)
            self.daemon.wait_ready(time.monotonic() + _WAIT_SECONDS)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    # -- what the world does -------------------------------------------------------------------

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer to a request that must succeed."""
        status, answer = self.daemon.call(method, path, body)
        if status != 200:
            raise Unavailable(f"{method} {path} {body}: {status} {answer.decode()}")
        return json.loads(answer)

    def refused(self, path: str, body: object) -> None:
        """A POST that must be refused as a conflict."""
        status, answer = self.daemon.call("POST", path, body)
        if status != 409:
            raise Unavailable(f"POST {path} {body}: {status} {answer.decode()}, not 409")

    def name(self, prefix: str) -> str:
        """A new id."""
        return f"{prefix}-{next(self._numbers)}"

    def fields(self, **more: object) -> dict[str, object]:
        """A lead as a vendor sends it."""
        return {**lead_fields(self.name("lead")), **more}

    def lead(self, **more: object) -> str:
        """A lead over HTTP; its key, "" where it was not taken."""
        answer = self.ask("POST", f"/v1/leads/{VENDOR}", self.fields(**more))
        return str(answer["lead_key"] or "")

    def say(self, topic: str, value: object) -> None:
        """Publish (bytes as they are, else JSON)."""
        payload = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.mqtt.publish(f"leads/{topic}", payload, self.name("sent"))

    def event(self, kind: str, **more: object) -> dict[str, Any]:
        """An event over HTTP, with the dialer's evidence."""
        event = {"event_id": self.name("event"), "type": kind, "evidence": "dialer", **more}
        answer: dict[str, Any] = self.ask("POST", "/v1/events", event)
        return answer

    def be(self, state: str, *reps: str) -> None:
        """Reps report their presence."""
        for rep in reps:
            self.ask("PUT", f"/v1/reps/{rep}/presence", {"state": state})

    def leads(self, state: str) -> list[dict[str, Any]]:
        """The leads in a state."""
        found: list[dict[str, Any]] = self.ask("GET", f"/v1/leads?state={state}&limit=1000")[
            "items"
        ]
        return found

    def act(self, lead: str, action: str, **body: object) -> None:
        """A supervisor's action on a lead."""
        self.ask("POST", f"/v1/leads/{lead}/{action}", {"reason": "try", **body})

    def control(self, rep: str, action: str, **body: object) -> None:
        """A supervisor's action on a rep."""
        if action == "override":
            body["until"] = _tomorrow()
        self.ask("POST", f"/v1/reps/{rep}/{action}", {"reason": "try", **body})

    # -- what is seen of it --------------------------------------------------------------------

    def scrape(self) -> Metrics:
        """A look at /metrics, remembered. The daemon gives the same text for a second."""
        status, body = self.daemon.get("/metrics", timeout=30.0)
        if status != 200:
            raise Unavailable(f"/metrics: {status}")
        text = body.decode()
        if text != self.text:
            self.text = text
            self._metrics = Metrics.parse(text)
            self.series |= self._metrics.keys()
            self.seen |= {series for series, value in self._metrics.items() if value}
        return self._metrics

    def see(
        self,
        *goals: str,
        attempt: Callable[[], object] | None = None,
        every: float = _ATTEMPT_SECONDS,
    ) -> None:
        """Wait for one scrape in which none of the goals is 0: ``leads_in_state state=parked``, the sum
        over all series with these labels. ``attempt`` is done ``every`` so many seconds until
        then. With ``!`` in front a goal wants 0."""
        tried = -every
        end = time.monotonic() + _WAIT_SECONDS
        first: list[str] = []
        while True:
            metrics = self.scrape()
            missing = [goal for goal in goals if not _reached(metrics, goal)]
            if not missing:
                return
            first = first or missing  # what passes while the others are waited for is no cause
            if time.monotonic() > end:
                what = f"not seen: {', '.join(missing)} (at first {', '.join(first)})"
                raise Unavailable(f"{what}; {self.daemon.tail()}")
            if attempt is not None and time.monotonic() >= tried + every:
                attempt()
                tried = time.monotonic()
            time.sleep(_POLL_SECONDS)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something that no metric shows."""
        end = time.monotonic() + _WAIT_SECONDS
        while not condition():
            if time.monotonic() > end:
                raise Unavailable(f"did not happen: {what}; {self.daemon.tail()}")
            time.sleep(_POLL_SECONDS)

    def first_scrape(self) -> None:
        """Wait until Prometheus knows the daemon: it takes some five seconds to begin. What was counted
        before is no increase of anything."""
        self.until(lambda: self.prometheus.query(_UP + " == 1"), "a first scrape by Prometheus")

    def scraped(self) -> float:
        """Wait until Prometheus has seen all that is now, and its rules after it; the unix time since
        when it has."""
        now = float(self.prometheus.query("time()")[0]["value"][1])
        due = now + FRESH_SECONDS

        def late_enough() -> bool:
            found = self.prometheus.query(f"timestamp({_UP})")
            return bool(found) and float(found[0]["value"][1]) > due

        self.until(late_enough, "a scrape by Prometheus")
        time.sleep(self.seconds)  # a round of the rules
        return float(self.prometheus.query("time()")[0]["value"][1])

    def settings(self, tables: Mapping[str, Any], *, good: bool = True) -> None:
        """New settings, which the daemon takes, or refuses."""
        name = f"{PREFIX}config_last_reload_success_timestamp_seconds"
        before = self.scrape().total(name)
        self.daemon.write(tables)
        self.daemon.signal(signal.SIGHUP)
        if good:
            self.until(lambda: self.scrape().total(name) > before, "the new settings to be taken")
        else:
            self.see("!config_last_reload_successful")


def _reached(metrics: Metrics, goal: str) -> bool:
    name, *pairs = goal.removeprefix("!").split()
    labels = dict(pair.split("=", 1) for pair in pairs)
    return bool(metrics.total(PREFIX + name, **labels)) is not goal.startswith("!")


def _tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).isoformat()
