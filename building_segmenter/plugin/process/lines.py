"""Reading a process' output without waiting for it: lines come through a queue from a thread."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator
from typing import IO, Optional

POLL_S = 0.1
"""How often a caller that waits for a line looks whether it should stop."""

_END = object()


class Lines:
    """The lines of a stream of bytes, as they come.

    Args:
        stream: A pipe of a process; it is read in a thread until its end.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self.ended = False
        self._queue: queue.Queue = queue.Queue()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def next(self) -> Optional[str]:
        """Return the next line without its end, or None if none comes within `POLL_S` or the stream has ended."""
        if self.ended:
            return None
        try:
            line = self._queue.get(timeout=POLL_S)
        except queue.Empty:
            return None
        if line is _END:
            self.ended = True
            return None
        return line.decode("utf-8", errors="replace").rstrip("\r\n")

    def waiting(self) -> Iterator[str]:
        """Yield the lines until the stream ends, and an empty one whenever none came for `POLL_S`."""
        while not self.ended:
            line = self.next()
            if not self.ended:
                yield line or ""

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._queue.put(line)
        self._queue.put(_END)


class Tail:
    """Keeps the last lines of a stream.

    Args:
        stream: A pipe of a process; it is read in a thread until its end.
        length: How many lines are kept.
    """

    def __init__(self, stream: IO[bytes], length: int = 200) -> None:
        self._lines: deque = deque(maxlen=length)
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def text(self) -> str:
        """Return the kept lines; waits a moment for what an ended process left in the pipe."""
        self._thread.join(timeout=0.5)
        return "\n".join(line.decode("utf-8", errors="replace").rstrip() for line in list(self._lines))

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._lines.append(line)
