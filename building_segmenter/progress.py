"""How a task tells its caller how far it is, and learns that it should stop.

Tasks receive a `Progress`; the command line and the worker each bring a `Sink` that shows it. Every loop
that may run longer than a moment calls `update` or `check`, which raise `CancelledError` when asked to stop.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Protocol

from building_segmenter.errors import CancelledError


class Sink(Protocol):
    """Where progress, log lines and warnings go."""

    def progress(self, fraction: float, stage: str, eta_s: float | None) -> None:
        """Show the share done (0..1), what is being done, and the seconds left where known."""

    def log(self, message: str) -> None:
        """Show a line of information."""

    def warning(self, message: str) -> None:
        """Show a warning: the task goes on."""


class SilentSink:
    """A sink for tests and library use: keeps warnings and log lines, shows nothing."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.logs: list[str] = []

    def progress(self, fraction: float, stage: str, eta_s: float | None) -> None:
        """Ignore the report."""

    def log(self, message: str) -> None:
        """Keep the line."""
        self.logs.append(message)

    def warning(self, message: str) -> None:
        """Keep the warning."""
        self.warnings.append(message)


@dataclass
class _Pace:
    """When and at which share of the whole (0..1) began what tells how fast the work is."""

    began: float
    done: float


class Progress:
    """A span of a task's progress; `part` hands a share of it to a step.

    Args:
        sink: Receives reports. None keeps silent.
        cancelled: Set by the caller, from any thread, to stop the task.
    """

    def __init__(self, sink: Sink | None = None, cancelled: threading.Event | None = None) -> None:
        self.sink: Sink = sink if sink is not None else SilentSink()
        self.cancelled = cancelled if cancelled is not None else threading.Event()
        self._start, self._stop = 0.0, 1.0
        self._pace = _Pace(time.monotonic(), 0.0)

    def part(self, start: float, stop: float) -> Progress:
        """Return the progress of a step that takes this span's share from `start` to `stop` (0..1)."""
        step = Progress(self.sink, self.cancelled)
        width = self._stop - self._start
        step._start, step._stop = self._start + start * width, self._start + stop * width
        step._pace = self._pace
        return step

    def check(self) -> None:
        """Raise `CancelledError` when the caller asked to stop."""
        if self.cancelled.is_set():
            raise CancelledError

    def measure_from(self, fraction: float) -> None:
        """Judge the time left by the work from here on: preparation, and what a stopped run had done, say nothing.

        Args:
            fraction: The share of this span that is done (0..1).
        """
        self._pace.began, self._pace.done = time.monotonic(), self._whole(fraction)

    def update(self, fraction: float, stage: str) -> None:
        """Report the share of this span that is done (0..1), and stop if asked to."""
        self.check()
        done, elapsed = self._whole(fraction), time.monotonic() - self._pace.began
        share, left = done - self._pace.done, 1.0 - done
        eta = elapsed * left / share if share > 0.02 * (share + left) and elapsed > 1.0 else None
        self.sink.progress(done, stage, eta)

    def _whole(self, fraction: float) -> float:
        """Return the share of the whole task that is done when such a share of this span is."""
        return self._start + (self._stop - self._start) * min(max(fraction, 0.0), 1.0)

    def log(self, message: str) -> None:
        """Tell the user a fact about the run."""
        self.sink.log(message)

    def warn(self, message: str) -> None:
        """Tell the user of something that is likely not as intended."""
        self.sink.warning(message)
