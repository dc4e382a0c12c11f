"""A real ``prometheus`` beside a daemon: for the demo, for tests and for benches."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode

from distributor.errors import DistributorError, Unavailable

_PLACES: Final = ("/usr/local/bin", "/usr/local/sbin", "/usr/sbin", "/usr/local/prometheus")
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 30.0

_CONFIG: Final = """\
global:
  scrape_interval: {seconds:g}s
  scrape_timeout: {seconds:g}s
  evaluation_interval: {seconds:g}s
{rule_files}scrape_configs:
  - job_name: distributor
    static_configs:
      - targets: ["{target}"]
"""
_OTHERS: Final = """\
  - job_name: others
    static_configs:
      - targets: {targets}
"""


class BadQuery(DistributorError):
    """Prometheus refuses an expression, or cannot work it out."""


def find_prometheus() -> str:
    """Path of the program. Raises ``Unavailable`` where there is none."""
    places = os.pathsep.join((os.environ.get("PATH", ""), *_PLACES))
    found = shutil.which("prometheus", path=places)
    if found is None:
        raise Unavailable(
            "prometheus is not installed: install it (Debian, Ubuntu: apt-get install prometheus), "
            "or leave out --prometheus"
        )
    return found


def check_free(port: int) -> None:
    """Raises ``Unavailable`` where somebody has the port of 127.0.0.1 already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Unavailable(
                f"127.0.0.1:{port} is taken ({error.strerror}), perhaps by a Prometheus that runs "
                f"already: name another port, --prometheus {port + 1}"
            ) from None


class Prometheus:
    """One process that scrapes one ``target`` (host:port) as the job ``distributor``, and works out
    rules, every ``seconds``. Its configuration, data and log are in ``folder``.

    ``rules``: the text of a rules file; "" for none. ``others``: targets of the job ``others``, which is
    nobody's of ours. All methods block.
    """

    def __init__(
        self,
        folder: Path,
        target: str,
        *,
        port: int,
        seconds: float = 2.0,
        rules: str = "",
        others: Sequence[str] = (),
    ) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._target = target
        self._seconds = seconds
        self._rules = rules
        self._others = others
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return once it answers. Raises ``Unavailable``, also where the port is taken."""
        program = find_prometheus()
        check_free(self.port)
        config = self._write()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a program of the machine's
                [
                    program,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    "--storage.tsdb.retention.time=6h",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--log.level=warn",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us: we end it
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self.ready():
            if not self.running or time.monotonic() > deadline:
                problem = self.last_words()
                self.stop()
                raise Unavailable(f"prometheus does not start: {problem}")
            time.sleep(0.05)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None, "it is not started"
        return self._process.pid

    def ready(self) -> bool:
        """Whether our own process takes queries."""
        try:
            return self.running and self._get("/-/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """The result of an instant query, now or at a unix time: its series, ``{"metric", "value"}``.
        A scalar is a series without labels. Raises ``BadQuery``, ``Unavailable``."""
        more = {} if at is None else {"time": at}
        data = self.ask("query", query=expression, **more)
        if data["resultType"] in {"scalar", "string"}:
            return [{"metric": {}, "value": data["result"]}]
        result: list[dict[str, Any]] = data["result"]
        return result

    def query_range(
        self, expression: str, start: float, end: float, step: float
    ) -> list[dict[str, Any]]:
        """The series of a range query, ``{"metric", "values"}``; unix times and a step in seconds.
        Raises ``BadQuery``, ``Unavailable``."""
        data = self.ask("query_range", query=expression, start=start, end=end, step=step)
        result: list[dict[str, Any]] = data["result"]
        return result

    def ask(self, what: str, **parameters: object) -> Any:
        """The ``data`` of a request to ``/api/v1/``. Raises ``BadQuery``, ``Unavailable``."""
        try:
            _, body = self._get(f"/api/v1/{what}", parameters)
            answer = json.loads(body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unavailable(f"prometheus does not answer: {error}") from error
        if answer["status"] != "success":
            raise BadQuery(f"{answer['errorType']}: {answer['error']}")
        return answer["data"]

    def last_words(self) -> str:
        """The last line of its log."""
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "no answer"

    def kill(self) -> None:
        """End the process at once, without waiting."""
        if self._process is not None:
            self._process.kill()

    def stop(self) -> None:
        """End the process, if it lives, and wait for its end."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def _log(self) -> Path:
        return self._folder / "prometheus.log"

    def _write(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        rule_files = ""
        if self._rules:
            (self._folder / "rules.yml").write_text(self._rules, encoding="utf-8")
            rule_files = "rule_files: [rules.yml]\n"
        config = self._folder / "prometheus.yml"
        text = _CONFIG.format(seconds=self._seconds, rule_files=rule_files, target=self._target)
        if self._others:
            text += _OTHERS.format(targets=json.dumps(list(self._others)))
        config.write_text(text, encoding="utf-8")
        return config

    def _get(self, path: str, parameters: Mapping[str, object] | None = None) -> tuple[int, bytes]:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_ANSWER_SECONDS)
        try:
            link.request("GET", f"{path}?{urlencode(parameters or {})}")
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()
