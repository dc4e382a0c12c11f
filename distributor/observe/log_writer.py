"""The thread that writes log lines, so that a blocked standard output never holds up the loop."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections import deque
from typing import Final, Protocol

FLUSH_SECONDS: Final = 0.2
LIMIT: Final = 10_000
_LAST_WORDS_SECONDS: Final = 2.0


class LineStream(Protocol):
    """Where lines go: a binary stream, best an unbuffered one. (A buffered one is locked while it
    blocks, and the interpreter cannot end while a thread holds that lock.)"""

    def write(self, data: bytes, /) -> int | None: ...

    def flush(self) -> None: ...

    def isatty(self) -> bool: ...


class LogWriter:
    """Takes lines from any thread without waiting and writes them in the background.

    ``limit`` lines are kept while the stream takes none; beyond it the oldest are lost and counted in
    ``dropped``. A line that says so is written once the stream takes lines again.
    """

    def __init__(self, stream: LineStream, limit: int = LIMIT) -> None:
        self.dropped = 0
        self._stream = stream
        self._lines: deque[bytes] = deque(maxlen=limit)
        self._limit = limit
        self._wake = threading.Event()
        self._told = 0
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, line: bytes, *, urgent: bool = False) -> None:
        """Queue one line (without its newline). ``urgent`` lines are written at once, others within
        ``FLUSH_SECONDS``."""
        if len(self._lines) >= self._limit:
            self.dropped += 1
        self._lines.append(line)
        if urgent:
            self._wake.set()

    def close(self) -> None:
        """Write what is queued and end the thread; gives up on a stream that stays blocked."""
        atexit.unregister(self.close)
        self._ending = True
        self._wake.set()
        self._thread.join(_LAST_WORDS_SECONDS)

    def _run(self) -> None:
        while not self._ending:
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            self._drain()
        self._drain()

    def _drain(self) -> None:
        lines = []
        with contextlib.suppress(IndexError):
            while True:
                lines.append(self._lines.popleft())
        if not lines:
            return
        lost = self.dropped - self._told
        if lost:
            self._told += lost
            lines.insert(0, b'{"event":"log_lines_dropped","level":"warning","lines":%d}' % lost)
        # A closed pipe is no reason to end a daemon: its record is the journal.
        with contextlib.suppress(OSError, ValueError):
            self._write_all(b"\n".join(lines) + b"\n")

    def _write_all(self, data: bytes) -> None:
        while data:
            taken = self._stream.write(data)
            data = data[taken or 0 :]
            if not taken:
                # A non-blocking stream that is full.
                self._wake.wait(FLUSH_SECONDS)
                self._wake.clear()
        self._stream.flush()
