"""The demo's own MQTT broker: inside this process, in a thread with a loop of its own.

It keeps nothing on disk and forgets what was in flight when a connection breaks. That is enough for a
show, and for nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import Any

from distributor.errors import BadConfig, Unavailable

ENVIRONMENT = "DISTRIBUTOR_DEMO_BROKER"
USERNAME = "demo"
_START_SECONDS = 10.0


def outside_broker() -> tuple[str, int] | None:
    """The broker that the environment names, None to use our own. Raises ``BadConfig``."""
    text = os.environ.get(ENVIRONMENT, "")
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise BadConfig([f"{ENVIRONMENT}={text}: write HOST:PORT, or unset it for our own broker"])
    return host, int(port)


def missing_extras() -> str:
    """The line for people who have not installed what only the demo needs, "" when all is there."""
    from importlib.util import find_spec  # noqa: PLC0415 - nobody else needs it

    needed = ["rich"] if os.environ.get(ENVIRONMENT) else ["amqtt", "rich"]
    absent = [name for name in needed if find_spec(name) is None]
    if not absent:
        return ""
    return f"the demo needs {' and '.join(absent)}: pip install 'distributor[demo]'"


class EmbeddedBroker:
    """An amqtt broker on a free port of 127.0.0.1, which speaks MQTT 3.1.1."""

    def __init__(self) -> None:
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._leave = asyncio.Event()
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="demo-broker", daemon=True)

    def start(self) -> None:
        """Return once the port answers. Raises ``Unavailable``."""
        self._thread.start()
        if not self._ready.wait(_START_SECONDS) or not self.port:
            reason = self._problem or "no answer"
            raise Unavailable(
                f"the demo's broker does not start ({reason}); "
                f"{ENVIRONMENT}=HOST:PORT names one that runs already"
            )

    def stop(self) -> None:
        """Hang up on everybody and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._leave.set)
            self._thread.join(_START_SECONDS)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as error:  # noqa: BLE001 - told to who waits for the start
            self._problem = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        from amqtt.broker import Broker  # noqa: PLC0415 - an extra

        broker: Any = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:0"}},
                "plugins": {
                    # Who may be anonymous has no session here: everybody must give a name.
                    "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": False}
                },
            }
        )
        await broker.start()
        self.port = _port(broker)
        self._ready.set()
        await self._leave.wait()
        with contextlib.suppress(Exception):  # it is the end anyway
            await broker.shutdown()
        await _cancel_rest()


def _port(broker: Any) -> int:
    """The port it was given: the library does not tell."""
    (server,) = broker._servers.values()  # noqa: SLF001
    port: int = server.instance.sockets[0].getsockname()[1]
    return port


async def _cancel_rest() -> None:
    """End what the library left running."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
