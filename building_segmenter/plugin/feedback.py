"""QGIS's feedback as the listener of a process, and our errors as QGIS's exception."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

from qgis.core import QgsProcessingException, QgsProcessingFeedback

from building_segmenter.errors import BuildingSegmenterError
from building_segmenter.plugin.process.client import WorkerFailure

_TEXT_S = 15.0
"""QGIS keeps every text of progress in its log, so the time left is told anew only so often."""


class FeedbackListener:
    """Passes on to QGIS what is heard from a process."""

    def __init__(self, feedback: QgsProcessingFeedback) -> None:
        self._feedback = feedback
        self._stage = ""
        self._told = 0.0

    def progress(self, fraction: float, stage: str, eta_s: Optional[float]) -> None:
        """Show the progress bar, the stage and the time left."""
        self._feedback.setProgress(100.0 * fraction)
        now = time.monotonic()
        if stage != self._stage or (eta_s is not None and now - self._told > _TEXT_S):
            left = f" ({duration(eta_s)} left)" if eta_s is not None else ""
            self._feedback.setProgressText(stage + left)
            self._stage, self._told = stage, now

    def log(self, message: str) -> None:
        """Show a line of information."""
        self._feedback.pushInfo(message)

    def warning(self, message: str) -> None:
        """Show a warning."""
        self._feedback.pushWarning(message)

    def cancelled(self) -> bool:
        """Tell whether Cancel was pressed."""
        return self._feedback.isCanceled()


@contextmanager
def cancelled_by_interrupt(feedback: QgsProcessingFeedback) -> Iterator[None]:
    """Let Ctrl-C cancel what runs in the block; the handler of `qgis_process` 3.22 does nothing.

    Signals reach Python only in the main thread, where `qgis_process` runs algorithms and the Toolbox does not.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: feedback.cancel())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)


def as_processing_exception(error: BuildingSegmenterError) -> QgsProcessingException:
    """Return the exception that ends an algorithm: the code, the cause, the next step, and the worker's last lines."""
    parts = [f"[{error.code}] {error.message}", error.hint]
    if isinstance(error, WorkerFailure) and error.lines:
        parts.append(f"The engine's last lines:\n{error.lines}")
    return QgsProcessingException("\n".join(filter(None, parts)))


def duration(seconds: float) -> str:
    """Return a time in the words of a progress text."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
